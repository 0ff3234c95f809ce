//! Why something does not go on now.

use super::Reason;

/// Why a run cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// Reason of the conditions that show it.
    pub reason: Reason,
    /// Message of those conditions.
    pub message: String,
    /// Whether a person has to change something (Stalled), or it mends itself (Reconciling).
    pub stalled: bool,
}

impl Blocked {
    /// It mends itself.
    pub fn reconciling(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: false }
    }

    /// A person has to change something.
    pub fn stalled(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), stalled: true }
    }
}
