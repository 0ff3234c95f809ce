//! For how long what blocks an object has done so, by this process's clock.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cluster::recent::Recent;
use crate::core::Reason;

/// By UID: what blocks, and since when. An object that nobody has looked at for an hour is gone.
#[derive(Default)]
pub struct BlockedSince(Mutex<Recent<String, (Reason, Instant)>>);

impl BlockedSince {
    /// For how long this has blocked the object.
    pub fn waited(&self, uid: &str, reason: Reason) -> Duration {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = blocks.get(uid).filter(|(before, _)| *before == reason).copied();
        let (_, since) = same.unwrap_or((reason, Instant::now()));
        blocks.insert(uid.to_owned(), (reason, since));
        since.elapsed()
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
