//! How long to wait after failures in a row.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::BackoffBuilder;

const MIN_DELAY: Duration = Duration::from_millis(200);
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Failures in a row, by object.
#[derive(Default)]
pub struct Backoff(Mutex<HashMap<String, usize>>);

impl Backoff {
    /// Counts a failure and says how long to wait before the next attempt.
    pub fn failed(&self, object: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.to_owned()).or_default();
        *count += 1;
        let delays = backon::ExponentialBuilder::new()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_factor(2.0)
            .with_max_times(*count)
            .build();
        delays.last().unwrap_or(MAX_DELAY)
    }

    /// The next failure is the first again.
    pub fn succeeded(&self, object: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_success() {
        let backoff = Backoff::default();
        let waits: Vec<u128> = (0..12).map(|_| backoff.failed("a").as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000, 60000]);
        assert_eq!(backoff.failed("b"), MIN_DELAY);
        backoff.succeeded("a");
        assert_eq!(backoff.failed("a"), MIN_DELAY);
    }
}
