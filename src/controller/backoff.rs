//! How long to wait after failures in a row.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder;

const MIN_DELAY: Duration = Duration::from_millis(200);
/// Without the jitter, which adds up to as much again.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// How far apart those begin again that waited for the same moment.
const SPREAD: Duration = Duration::from_millis(500);

/// Failures in a row, by object.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, usize>>);

impl Backoff {
    /// Counts a failure and says how long to wait before the next attempt.
    pub fn failed(&self, object: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.to_owned()).or_default();
        *count += 1;
        let steps = count.saturating_sub(1).min(16) as u32;
        jittered(MIN_DELAY.saturating_mul(1 << steps).min(MAX_DELAY))
    }

    /// How many failures in a row there were.
    pub fn failures(&self, object: &str) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(object).copied().unwrap_or_default()
    }

    /// The next failure is the first again.
    pub fn succeeded(&self, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

/// A little later than all others that wait for the same moment.
pub fn spread(wait: Duration) -> Duration {
    wait + jittered(SPREAD)
}

/// Between once and twice as long.
fn jittered(delay: Duration) -> Duration {
    let delays = backon::ConstantBuilder::new().with_delay(delay).with_jitter();
    delays.build().next().unwrap_or(delay)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_success() {
        let backoff = Backoff::default();
        for expected in [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000] {
            let wait = backoff.failed("a").as_millis();
            assert!((expected..=2 * expected).contains(&wait), "{wait} for {expected}");
        }
        assert_eq!((backoff.failures("a"), backoff.failures("b")), (10, 0));
        assert!(backoff.failed("b") <= 2 * MIN_DELAY);
        backoff.succeeded("a");
        assert_eq!(backoff.failures("a"), 0);
        assert!(backoff.failed("a") <= 2 * MIN_DELAY);
        let waits: std::collections::HashSet<Duration> = (0..20).map(|_| spread(Duration::from_secs(1))).collect();
        assert!(waits.len() > 10, "all at once: {waits:?}");
    }
}
