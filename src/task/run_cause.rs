//! Whether a run is due, and why: pure.

use super::job::is_interpreter_missing;
use super::observed::Observed;
use crate::api::{Outcome, Run, RunCause};

/// Reasons of runs that end before the project's command begins, and that annotations of the target mend.
const REASONS_OF_TARGETS: &[&str] =
    &["ManageNotFound", "ManageAmbiguous", "InterpreterWithoutDjango", "InterpreterNotFound", "UnsupportedPython"];

/// Why another run is due; `None`: none is. A run that was recorded, and whose Job was never created, is due as before.
pub fn needs_run(observed: &Observed) -> Option<RunCause> {
    // A task with a schedule waits for its time; what else changes in its spec, the next run has.
    let spec_changed = observed.schedule.as_ref().map_or(observed.spec_changed, |schedule| schedule.trigger_changed);
    let Some(run) = &observed.status.last_run else {
        return match &observed.schedule {
            None => Some(RunCause::First),
            Some(_) if observed.has_open_request() => Some(RunCause::Request),
            Some(_) if spec_changed => Some(RunCause::Spec),
            Some(_) => observed.is_due_by_schedule().then_some(RunCause::Schedule),
        };
    };
    if run.result.is_none() && run.job_uid.is_none() {
        Some(run.cause.unwrap_or(RunCause::Unfinished))
    } else if observed.has_open_request() {
        Some(RunCause::Request)
    } else if spec_changed {
        Some(RunCause::Spec)
    } else if observed.is_due_by_schedule() {
        Some(RunCause::Schedule)
    } else if observed.image_changed() {
        Some(RunCause::Image)
    } else if observed.dependency_reran() {
        Some(RunCause::Dependency)
    } else if run.result == Some(Outcome::Superseded) {
        Some(RunCause::Unfinished)
    } else if is_interpreter_missing(run) && !run.other_interpreters.is_empty() {
        Some(RunCause::Interpreter)
    } else {
        (observed.target_changed && failed_because_of_target(run)).then_some(RunCause::Target)
    }
}

/// Whether a run ended by how its target is set up, before the project's command began.
pub fn failed_because_of_target(run: &Run) -> bool {
    let reason = run.reason.as_deref().unwrap_or_default();
    run.result == Some(Outcome::Failed) && REASONS_OF_TARGETS.contains(&reason)
}
