//! Which objects are being thrown away: each is to be deleted once, though the watch still has it.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::client::Deletion;
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
    /// Deletes an object, unless that was asked for just now. One that was not deleted may be again: after an error, a
    /// call that was given up, or a change of which the watch is about to tell.
    pub async fn once<E>(&self, uid: &str, delete: impl Future<Output = Result<Deletion, E>>) -> Result<(), E> {
        if self.begin(uid) {
            let mut attempt = Attempt { pruning: self, uid, deleted: false };
            attempt.deleted = delete.await? == Deletion::Requested;
        }
        Ok(())
    }

    /// Whether an object was just deleted, or is being.
    pub fn is_begun(&self, uid: &str) -> bool {
        self.begun().get(uid).is_some()
    }

    fn begin(&self, uid: &str) -> bool {
        let mut begun = self.begun();
        let first = begun.get(uid).is_none();
        if first {
            begun.insert(uid.to_owned(), ());
        }
        first
    }

    fn begun(&self) -> MutexGuard<'_, Recent<String, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that deletes an object.
struct Attempt<'a> {
    pruning: &'a Pruning,
    uid: &'a str,
    deleted: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.deleted {
            self.pruning.begun().remove(self.uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_is_deleted_once_unless_that_failed() {
        let (pruning, calls) = (Pruning::default(), Cell::new(0));
        let delete = async |uid, answer: Result<Deletion, ()>| {
            let call = async {
                calls.set(calls.get() + 1);
                answer
            };
            (pruning.once(uid, call).await, calls.get())
        };
        assert_eq!(delete("a", Err(())).await, (Err(()), 1));
        assert_eq!(delete("a", Ok(Deletion::NotThere)).await, (Ok(()), 2));
        assert!(pruning.once::<()>("a", std::future::pending()).now_or_never().is_none(), "given up");
        assert_eq!(delete("a", Ok(Deletion::Requested)).await, (Ok(()), 3));
        assert_eq!(delete("a", Ok(Deletion::Requested)).await, (Ok(()), 3));
        assert_eq!(delete("b", Ok(Deletion::Requested)).await, (Ok(()), 4));
    }
}
