//! Conditions of a status: their types, how they are read, and how their times are kept.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The newest spec was carried out.
pub const READY: &str = "Ready";
/// Nothing more will happen by itself.
pub const FINISHED: &str = "Finished";
/// Where the pod template comes from is known.
pub const TARGET_RESOLVED: &str = "TargetResolved";
/// Something is under way, or mends itself. Present only while true.
pub const RECONCILING: &str = "Reconciling";
/// A person has to change something. Present only while true.
pub const STALLED: &str = "Stalled";
/// `spec.suspend` is true. Present only while true.
pub const SUSPENDED: &str = "Suspended";

/// Pods that ask for it start without the gate, or not as they ask. Present only while true.
pub const GATE_MISCONFIGURED: &str = "GateMisconfigured";

/// The condition of a type.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of a type is there and true.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

/// A condition that is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCondition {
    pub type_: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    pub reason: String,
    pub message: String,
}

/// The conditions with the times at which each last became what it is.
pub fn with_times(
    before: &[Condition],
    desired: impl IntoIterator<Item = DesiredCondition>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let since = |type_: &str, status: &str| {
        let same = find(before, type_).filter(|c| c.status == status);
        same.map_or(Time(now), |c| c.last_transition_time.clone())
    };
    desired
        .into_iter()
        .map(|c| Condition {
            last_transition_time: since(c.type_, &c.status),
            type_: c.type_.to_owned(),
            status: c.status,
            reason: c.reason,
            message: c.message,
            observed_generation: Some(generation),
        })
        .collect()
}
