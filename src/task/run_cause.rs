//! Whether a run is due, and why: pure.

use super::observed::Observed;
use super::run_key;
use crate::api::Outcome;

/// Why a run is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunCause {
    /// There has been none.
    FirstRun,
    /// The spec is another one.
    KeyChanged,
    /// The target runs another image, which the task follows.
    ImageChanged,
    /// The request annotation has a new value.
    Requested,
    /// A run was recorded, and its Job never created.
    JobNotCreated,
    /// The newest run never started and gave way to a newer spec.
    Superseded,
}

/// Why another run is due; `None`: none is.
pub fn needs_run(observed: &Observed) -> Option<RunCause> {
    let Some(run) = &observed.status.last_run else { return Some(RunCause::FirstRun) };
    if run.result.is_none() && run.job_uid.is_none() {
        Some(RunCause::JobNotCreated)
    } else if observed.requested.is_some() && observed.requested != observed.status.last_handled_request {
        Some(RunCause::Requested)
    } else if run.result == Some(Outcome::Superseded) {
        Some(RunCause::Superseded)
    } else {
        let changed = run_key::requires_run(&run.key, run.generation, &observed.key, observed.generation);
        let other_image = observed.followed_image.as_ref().is_some_and(|image| *image != run.image);
        let cause = match other_image && run.generation == observed.generation {
            true => RunCause::ImageChanged,
            false => RunCause::KeyChanged,
        };
        changed.then_some(cause)
    }
}
