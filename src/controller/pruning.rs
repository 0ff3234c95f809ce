//! Which objects are being thrown away: each is to be deleted once, though the watch still has it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::recent::Recent;

/// After which one that the watch still has is deleted again.
const TTL: Duration = Duration::from_secs(300);

/// Objects that were just deleted, by UID.
pub struct Pruning(Mutex<Recent<String, ()>>);

impl Default for Pruning {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(TTL)))
    }
}

impl Pruning {
    /// Whether nobody deletes it yet.
    pub fn begin(&self, uid: &str) -> bool {
        let mut begun = self.begun();
        let first = begun.get(uid).is_none();
        if first {
            begun.insert(uid.to_owned(), ());
        }
        first
    }

    /// It was not deleted.
    pub fn failed(&self, uid: &str) {
        self.begun().remove(uid);
    }

    fn begun(&self) -> MutexGuard<'_, Recent<String, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_deleted_once_unless_that_failed() {
        let pruning = Pruning::default();
        assert!(pruning.begin("a") && !pruning.begin("a") && pruning.begin("b"));
        pruning.failed("a");
        assert!(pruning.begin("a"));
    }
}
