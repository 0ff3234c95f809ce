//! How long to wait after failures in a row.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::BackoffBuilder;

use super::object_key::ObjectKey;
use crate::cluster::recent::Recent;

const MIN_DELAY: Duration = Duration::from_millis(200);
/// Without the jitter, which adds up to as much again.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// How far apart those begin again that waited for the same moment.
const SPREAD: Duration = Duration::from_millis(500);
/// How long failures are remembered of an object that is not tried again, as it is gone.
const TTL: Duration = Duration::from_secs(600);

/// Failures in a row, by object.
pub struct Backoff(Mutex<Recent<ObjectKey, Failures>>);

impl Default for Backoff {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(TTL)))
    }
}

struct Failures {
    count: usize,
    /// What the object was like: another one is tried at once.
    version: u64,
    next: Instant,
}

impl Backoff {
    /// Counts a failure and says how long to wait before the next attempt.
    pub fn failed(&self, object: &ObjectKey, version: u64) -> Duration {
        let mut objects = self.objects();
        let count = objects.get(object).map_or(0, |failures| failures.count);
        let wait = jittered(MIN_DELAY.saturating_mul(1 << count.min(16)).min(MAX_DELAY));
        objects.insert(object.clone(), Failures { count: count + 1, version, next: Instant::now() + wait });
        wait
    }

    /// How much longer to wait: what the failed attempt itself wrote triggers the next one too soon.
    pub fn rest(&self, object: &ObjectKey, version: impl FnOnce() -> u64) -> Option<Duration> {
        let objects = self.objects();
        let failures = objects.get(object).filter(|failures| failures.version == version())?;
        failures.next.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    /// How many failures in a row there were.
    pub fn failures(&self, object: &ObjectKey) -> usize {
        self.objects().get(object).map_or(0, |failures| failures.count)
    }

    /// The next failure is the first again.
    pub fn succeeded(&self, object: &ObjectKey) {
        self.objects().remove(object);
    }

    fn objects(&self) -> MutexGuard<'_, Recent<ObjectKey, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A little later than all others that wait for the same moment.
pub fn spread(wait: Duration) -> Duration {
    wait + jittered(SPREAD)
}

/// Between once and twice as long.
pub fn jittered(delay: Duration) -> Duration {
    let delays = backon::ConstantBuilder::new().with_delay(delay).with_jitter();
    delays.build().next().unwrap_or(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: "K", namespace: "ns".into(), name: name.into() }
    }

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_success() {
        let backoff = Backoff::default();
        for expected in [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000] {
            let wait = backoff.failed(&key("a"), 1).as_millis();
            assert!((expected..=2 * expected).contains(&wait), "{wait} for {expected}");
        }
        assert_eq!((backoff.failures(&key("a")), backoff.failures(&key("b"))), (10, 0));
        assert!(backoff.failed(&key("b"), 1) <= 2 * MIN_DELAY);
        backoff.succeeded(&key("a"));
        assert_eq!(backoff.failures(&key("a")), 0);
        assert!(backoff.failed(&key("a"), 1) <= 2 * MIN_DELAY);
        let waits: std::collections::HashSet<Duration> = (0..20).map(|_| spread(Duration::from_secs(1))).collect();
        assert!(waits.len() > 10, "all at once: {waits:?}");
    }

    #[test]
    fn what_comes_before_its_time_waits_unless_the_object_is_another_one() {
        let backoff = Backoff::default();
        assert_eq!(backoff.rest(&key("a"), || 1), None);
        backoff.failed(&key("a"), 1);
        assert!(backoff.rest(&key("a"), || 1).is_some_and(|rest| rest <= 2 * MIN_DELAY));
        assert_eq!(backoff.rest(&key("a"), || 2), None);
        backoff.succeeded(&key("a"));
        assert_eq!(backoff.rest(&key("a"), || 1), None);
    }
}
