//! For how long what blocks an object has done so, by this process's clock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::Reason;

/// After how long an object that is not looked at any more is forgotten: it is gone.
const TTL: Duration = Duration::from_secs(3600);

/// By UID: what blocks.
#[derive(Default)]
pub struct BlockedSince(Mutex<HashMap<String, Block>>);

struct Block {
    reason: Reason,
    since: Instant,
    seen: Instant,
}

impl BlockedSince {
    /// For how long this has blocked the object.
    pub fn waited(&self, uid: &str, reason: Reason) -> Duration {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|_, block| block.seen.elapsed() < TTL);
        let now = Instant::now();
        let block = since.entry(uid.to_owned()).or_insert(Block { reason, since: now, seen: now });
        if block.reason != reason {
            (block.reason, block.since) = (reason, now);
        }
        block.seen = now;
        now.duration_since(block.since)
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
