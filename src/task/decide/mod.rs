//! What to do next about one task: pure, with the time handed in. A chain of questions, each answered
//! from what was gathered; the first that has an answer decides.

#[cfg(test)]
mod tests;
mod unfinished;

use std::sync::Arc;
use std::time::Duration;

use super::dependency;
use super::observed::Observed;
use super::progress::Obstacle;
use super::run_cause::needs_run;
use super::run_result::RunResult;
use crate::api::Run;
use crate::core::views::JobView;
use crate::core::{Blocked, Reason, Remedy};

/// How long a container may take to start before events are read for the reason.
pub const START_GRACE: Duration = Duration::from_secs(5);
/// How often something is looked at again, and asked for, though no watch reports it: a watch may be stuck.
pub const RESYNC_INTERVAL: Duration = Duration::from_secs(120);
/// How often the end of what is being removed is looked for, of which events tell as well: it may take as long as a
/// command, or as a node that is away.
const DELETION_INTERVAL: Duration = Duration::from_secs(30);

/// What the status is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusIntent {
    /// The newest run's end, or nothing yet.
    Settled,
    /// Something holds a run back.
    Blocked(Blocked),
    /// `spec.suspend` holds a run back.
    Suspended,
    /// A run is under way.
    InProgress { reason: Reason, message: String },
}

impl StatusIntent {
    /// The command has not started.
    pub fn starting() -> Self {
        Self::InProgress { reason: Reason::Starting, message: "the command has not started yet".to_owned() }
    }

    /// The pod in which the command had started is gone.
    pub fn starting_again() -> Self {
        let message = "the pod in which the command had started is gone; it starts again in another".to_owned();
        Self::InProgress { reason: Reason::Starting, message }
    }

    /// A run's Job, or what is left of it, is on its way out.
    pub fn being_removed(run: &Run) -> Self {
        let job = &run.job_name;
        let (reason, message) = match (run.superseded_by, &run.command_started_at) {
            (Some(generation), None) => {
                (Reason::Superseding, format!("Job {job}, which had not started, gives way to generation {generation}"))
            }
            (Some(generation), Some(_)) => (
                Reason::Superseding,
                format!(
                    "Job {job} gives way to generation {generation}; its command has started, and is being stopped"
                ),
            ),
            (None, _) => (Reason::JobDeleted, format!("somebody deleted Job {job}; waiting for its pods to end")),
        };
        Self::InProgress { reason, message }
    }
}

impl From<Obstacle> for StatusIntent {
    fn from(Obstacle { reason, message }: Obstacle) -> Self {
        Self::InProgress { reason, message }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Show this, and look again after that long at the latest.
    SetStatus(StatusIntent, Option<Duration>),
    /// Record that another operator carried out the spec as it stands.
    TakeOver,
    /// Ask the API server for the newest run's Job, and its pods.
    GetJob,
    /// Ask the API server for events about a pod that does not start.
    ReadEvents,
    /// Start the run of this number.
    StartRun(i64),
    /// Store the UID of the newest run's Job.
    RecordJobUid,
    /// Let the Job of this UID begin, which was created suspended.
    ReleaseJob(String),
    /// The newest run's Job has ended: read its pods and record the end.
    ReadResult(Arc<JobView>),
    /// Record this end of the newest run.
    RecordResult(RunResult),
    /// Record that the newest run gives way to this generation of the spec, unless its command has started.
    Supersede(i64),
    /// Delete the Job of the run that gives way, unless its command has started.
    DeleteSuperseded(Arc<JobView>),
    /// Delete a Job that should not be.
    DeleteLate(Arc<JobView>),
}

/// The next step of the task that was observed.
pub fn decide(observed: &Observed) -> Decision {
    let deleted = |job: &JobView| job.is_deleting() || observed.deleted_jobs.contains(job.uid());
    if let Some(job) = observed.late_jobs.iter().find(|job| !deleted(job)) {
        return Decision::DeleteLate(job.clone());
    }
    let run = observed.status.last_run.as_ref();
    if run.is_none() && observed.completed_at.is_some() {
        return Decision::TakeOver;
    }
    if let Some(run) = run.filter(|run| run.result.is_none())
        && let Some(decision) = unfinished::decide(observed, run)
    {
        return decision;
    }
    if let Some(rule) = &observed.broken_rule {
        return blocked(Blocked::stalled(Reason::InvalidSpec, rule.clone()), None);
    }
    if let Some(cycle) = &observed.dependency_cycle {
        let message = format!("dependsOn: these wait for each other: {cycle}; take one of them out of a dependsOn");
        return blocked(Blocked::stalled(Reason::DependencyCycle, message), Some(RESYNC_INTERVAL));
    }
    if needs_run(observed).is_none() {
        return Decision::SetStatus(StatusIntent::Settled, next_look(observed));
    }
    if observed.suspend {
        return Decision::SetStatus(StatusIntent::Suspended, None);
    }
    if let Some(late) = observed.late_jobs.first() {
        let message = format!("waiting for Job {}, of a run that is over, to go", late.name());
        return blocked(Blocked::reconciling(Reason::Superseding, message), Some(DELETION_INTERVAL));
    }
    if let Some(run) = run.filter(|run| run.result.is_none() && is_too_late(observed, run)) {
        return Decision::RecordResult(RunResult::too_late(run));
    }
    if let Some(why) = dependency::blocked(observed) {
        return blocked(why, Some(RESYNC_INTERVAL));
    }
    if let Some(Err(why)) = &observed.target {
        return blocked(why.clone(), Some(RESYNC_INTERVAL));
    }
    Decision::StartRun(next_run_number(run))
}

/// Whether the run of a due time, whose Job was never created, could no more start in time.
fn is_too_late(observed: &Observed, run: &Run) -> bool {
    let due = run.due_time.as_ref().map(|due| due.0);
    due.zip(observed.schedule.as_ref()).is_some_and(|(due, schedule)| schedule.is_too_late(due, observed.now))
}

/// When a schedule is to be looked at: at its next due time, and now and then before, as clocks are set.
fn next_look(observed: &Observed) -> Option<Duration> {
    let next = observed.schedule.as_ref()?.status.next_due_time.as_ref()?.0;
    // A due time that is past is held back, and what ends that is told.
    let wait = Duration::try_from(next.duration_since(observed.now)).ok().filter(|wait| !wait.is_zero());
    Some(wait.map_or(RESYNC_INTERVAL, |wait| wait.min(RESYNC_INTERVAL)))
}

/// The number of the run that starts next, given the newest one.
pub fn next_run_number(run: Option<&Run>) -> i64 {
    match run {
        None => 1,
        Some(run) if run.result.is_none() => run.number, // recorded, and its Job never created
        Some(run) => run.number + 1,
    }
}

/// What is shown of a block that has lasted for `waited`, and when to look again. `shown_stalled` tells that the status
/// already says that it stalled.
pub fn after_waiting(
    blocked: Blocked,
    again: Option<Duration>,
    waited: Duration,
    shown_stalled: bool,
) -> (Blocked, Option<Duration>) {
    match blocked.remedy {
        Remedy::Time => (blocked, again),
        // What somebody changed elsewhere is found by looking, where no watch tells of it.
        Remedy::Person => (blocked, again.map(|again| again.max(RESYNC_INTERVAL))),
        Remedy::TimeOrPerson(period) if shown_stalled || waited >= period => {
            (Blocked { remedy: Remedy::Person, ..blocked }, Some(RESYNC_INTERVAL))
        }
        Remedy::TimeOrPerson(period) => {
            let rest = period - waited;
            (blocked, Some(again.map_or(rest, |again| again.min(rest))))
        }
    }
}

fn blocked(blocked: Blocked, again: Option<Duration>) -> Decision {
    Decision::SetStatus(StatusIntent::Blocked(blocked), again)
}
