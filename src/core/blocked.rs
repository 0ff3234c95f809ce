//! Why something does not go on now.

use std::time::Duration;

use super::Reason;

/// Why a run cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Reason of the conditions that show it.
    pub reason: Reason,
    /// Message of those conditions.
    pub message: String,
    pub remedy: Remedy,
}

/// What it takes to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It mends itself, and is tried again: Reconciling.
    Time,
    /// It may mend itself, as while a release is under way, and is tried again for so long. After that it counts as a
    /// mistake, so that a waiter ends.
    TimeOrPerson(Duration),
    /// Somebody has to change something, and until then nothing happens: Stalled, and Finished.
    Person,
}

/// For how long a release may have two targets, or a Job's name be taken.
pub const RELEASE_PERIOD: Duration = Duration::from_secs(600);
/// In which time what is applied at once has come, in whatever order.
pub const APPLY_PERIOD: Duration = Duration::from_secs(60);

impl Blocked {
    /// It mends itself.
    pub fn reconciling(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), remedy: Remedy::Time }
    }

    /// It may mend itself within that time.
    pub fn stalls_after(period: Duration, reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), remedy: Remedy::TimeOrPerson(period) }
    }

    /// A person has to change something.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), remedy: Remedy::Person }
    }

    pub fn is_stalled(&self) -> bool {
        self.remedy == Remedy::Person
    }
}
