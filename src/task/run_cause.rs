//! Whether a run is due, and why: pure.

use super::observed::Observed;
use crate::api::{Outcome, RunCause};

/// Why another run is due; `None`: none is. A run that was recorded, and whose Job was never created, is due as before.
pub fn needs_run(observed: &Observed) -> Option<RunCause> {
    let Some(run) = &observed.status.last_run else { return Some(RunCause::First) };
    if run.result.is_none() && run.job_uid.is_none() {
        Some(run.cause.unwrap_or(RunCause::Unfinished))
    } else if observed.has_open_request() {
        Some(RunCause::Request)
    } else if observed.spec_changed {
        Some(RunCause::Spec)
    } else if observed.image_changed() {
        Some(RunCause::Image)
    } else {
        (run.result == Some(Outcome::Superseded)).then_some(RunCause::Unfinished)
    }
}
