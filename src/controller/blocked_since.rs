//! For how long what blocks an object has done so, by this process's clock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::Reason;

/// By UID: what blocks, and since when.
#[derive(Default)]
pub struct BlockedSince(Mutex<HashMap<String, (Reason, Instant)>>);

impl BlockedSince {
    /// For how long this has blocked the object.
    pub fn waited(&self, uid: &str, reason: Reason) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = since.entry(uid.to_owned()).or_insert_with(|| (reason, Instant::now()));
        if entry.0 != reason {
            *entry = (reason, Instant::now());
        }
        entry.1.elapsed()
    }

    /// Nothing blocks the object.
    pub fn clear(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_reason_begins_anew() {
        let since = BlockedSince::default();
        since.waited("u", Reason::TargetAmbiguous);
        std::thread::sleep(Duration::from_millis(3));
        assert!(since.waited("u", Reason::TargetAmbiguous) >= Duration::from_millis(3));
        assert!(since.waited("u", Reason::TargetNotFound) < Duration::from_millis(3));
        since.clear("u");
        assert!(since.waited("u", Reason::TargetNotFound) < Duration::from_millis(3));
    }
}
