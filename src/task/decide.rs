//! What to do next about one task: pure, with the time handed in. A chain of questions, each answered
//! from what was gathered; the first that has an answer decides.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::observed::{Observed, ObservedJob};
use super::progress::{self, Obstacle, Progress};
use super::run_cause::{RunCause, needs_run};
use super::run_result::RunResult;
use crate::api::{Outcome, Run};
use crate::core::views::JobView;
use crate::core::{Blocked, Reason};

/// How long a container may take to start before events are read for the reason.
pub const START_GRACE: Duration = Duration::from_secs(5);
/// How often something that no watch reports is looked at again.
const RESYNC_INTERVAL: Duration = Duration::from_secs(120);

/// Message of a run whose command has not started.
pub const STARTING_MESSAGE: &str = "the command has not started yet";

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

impl From<Obstacle> for StatusIntent {
    fn from(Obstacle { reason, message }: Obstacle) -> Self {
        Self::InProgress { reason, message }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Show this, and look again after that long at the latest.
    SetStatus(StatusIntent, Option<Duration>),
    /// Ask the API server for the newest run's Job.
    GetJob,
    /// Ask the API server for events about a pod that does not start.
    ReadEvents,
    /// Start the run of this number.
    StartRun(i64),
    /// The newest run's Job has ended: read its pods and record the end.
    ReadResult(Arc<JobView>),
    /// Record this end of the newest run.
    RecordResult(RunResult),
    /// Delete the superseded Job of this UID.
    DeleteJob(String),
}

/// The next step of the task that was observed.
pub fn decide(observed: &Observed) -> Decision {
    let run = observed.status.last_run.as_ref();
    if let Some(run) = run.filter(|run| run.result.is_none())
        && let Some(decision) = decide_unfinished_run(observed, run)
    {
        return decision;
    }
    if let Some(rule) = &observed.broken_rule {
        return blocked(Blocked::stalled(Reason::InvalidSpec, rule.clone()), None);
    }
    if needs_run(observed).is_none() {
        return Decision::SetStatus(StatusIntent::Settled, None);
    }
    if observed.suspend {
        return Decision::SetStatus(StatusIntent::Suspended, None);
    }
    if let Some(run) = run.filter(|run| run.result == Some(Outcome::Superseded)) {
        match &observed.job {
            ObservedJob::Unknown => return Decision::GetJob,
            ObservedJob::Present(job)
                if job.metadata.deletion_timestamp.is_none() && Some(job.uid()) == run.job_uid.as_deref() =>
            {
                return Decision::DeleteJob(job.uid().to_owned());
            }
            ObservedJob::Present(_) | ObservedJob::PodsTerminating => {
                let message = format!("waiting for the pods of Job {}, which never started, to go", run.job_name);
                return blocked(Blocked::reconciling(Reason::Superseding, message), Some(Duration::from_secs(1)));
            }
            ObservedJob::Absent => {}
        }
    }
    if let Some(Err(why)) = &observed.target {
        return blocked(why.clone(), Some(RESYNC_INTERVAL));
    }
    Decision::StartRun(match run {
        None => 1,
        Some(run) if run.result.is_none() => run.number, // recorded, and its Job never created
        Some(run) => run.number + 1,
    })
}

/// A run that is not over. None: its Job does not exist, so nothing has started.
fn decide_unfinished_run(observed: &Observed, run: &Run) -> Option<Decision> {
    let job = match &observed.job {
        ObservedJob::Unknown => return Some(Decision::GetJob),
        ObservedJob::Absent | ObservedJob::PodsTerminating => {
            return run.job_uid.is_some().then(|| Decision::RecordResult(RunResult::lost(&run.job_name)));
        }
        ObservedJob::Present(job) => job,
    };
    if !job.owned_by(&observed.uid) {
        return Some(blocked(
            Blocked::stalled(
                Reason::JobNameTaken,
                format!("Job {} belongs to somebody else; delete it, and this run starts", run.job_name),
            ),
            Some(RESYNC_INTERVAL),
        ));
    }
    match run.job_uid.as_deref() {
        Some(uid) if uid != job.uid() => return Some(Decision::RecordResult(RunResult::lost(&run.job_name))),
        _ => {}
    }
    let in_progress = |reason, message: &str| StatusIntent::InProgress { reason, message: message.to_owned() };
    Some(match progress::of_run(job, &observed.pods) {
        Progress::Ended => Decision::ReadResult(job.clone()),
        Progress::Running => {
            Decision::SetStatus(in_progress(Reason::Running, "the command runs"), Some(RESYNC_INTERVAL))
        }
        Progress::KeptAlive(obstacle) => Decision::SetStatus(obstacle.into(), Some(RESYNC_INTERVAL)),
        Progress::NotStarted(seen) => {
            let age = age(job, observed.now);
            let waited = age >= START_GRACE;
            let rest = START_GRACE.saturating_sub(age).max(Duration::from_millis(100));
            let superseded = matches!(
                needs_run(observed),
                Some(RunCause::KeyChanged | RunCause::ImageChanged | RunCause::Requested)
            );
            if superseded && observed.broken_rule.is_none() && !observed.suspend {
                return Some(match waited || seen.is_some() {
                    true => Decision::RecordResult(RunResult::superseded(observed.generation)),
                    false => Decision::SetStatus(in_progress(Reason::Starting, STARTING_MESSAGE), Some(rest)),
                });
            }
            match seen.or_else(|| observed.event_obstacle.clone()) {
                Some(obstacle) => Decision::SetStatus(obstacle.into(), Some(RESYNC_INTERVAL)),
                None if !waited => Decision::SetStatus(in_progress(Reason::Starting, STARTING_MESSAGE), Some(rest)),
                None if !observed.events_read => Decision::ReadEvents,
                None => Decision::SetStatus(
                    in_progress(Reason::Starting, STARTING_MESSAGE),
                    Some(age.clamp(START_GRACE, Duration::from_secs(60))),
                ),
            }
        }
    })
}

/// How long ago a Job was created.
pub fn age(job: &JobView, now: Timestamp) -> Duration {
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
    Duration::try_from(now.duration_since(created)).unwrap_or_default()
}

fn blocked(blocked: Blocked, again: Option<Duration>) -> Decision {
    Decision::SetStatus(StatusIntent::Blocked(blocked), again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TaskStatus;
    use proptest::prelude::*;
    use serde_json::json;

    fn job(age: i64, end: Option<&str>) -> JobView {
        let created = (Timestamp::UNIX_EPOCH - k8s_openapi::jiff::SignedDuration::from_secs(age)).to_string();
        let conditions = end.map(|type_| json!([{ "type": type_, "status": "True" }])).unwrap_or(json!([]));
        serde_json::from_value(json!({
            "metadata": {
                "name": "j", "uid": "job", "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "g/v", "kind": "K", "name": "t", "uid": "task", "controller": true}],
            },
            "status": { "conditions": conditions },
        }))
        .unwrap()
    }

    fn run(job_uid: Option<&str>, result: Option<Outcome>) -> Run {
        Run {
            number: 3,
            key: "v1:k".into(),
            generation: 1,
            job_name: "j".into(),
            job_uid: job_uid.map(str::to_owned),
            result,
            ..Run::default()
        }
    }

    fn observed(last_run: Option<Run>, job: ObservedJob) -> Observed {
        Observed {
            uid: "task".into(),
            generation: 1,
            status: TaskStatus { last_run, ..TaskStatus::default() },
            key: "v1:k".into(),
            job,
            now: Timestamp::UNIX_EPOCH,
            ..Observed::default()
        }
    }

    /// The decision in a word.
    fn word(observed: &Observed) -> String {
        match decide(observed) {
            Decision::SetStatus(StatusIntent::Blocked(blocked), _) => format!("blocked {}", blocked.reason.as_str()),
            Decision::SetStatus(StatusIntent::InProgress { reason, .. }, _) => format!("under way {}", reason.as_str()),
            Decision::SetStatus(StatusIntent::Settled, _) => "settled".into(),
            Decision::SetStatus(StatusIntent::Suspended, _) => "suspended".into(),
            Decision::GetJob => "look up".into(),
            Decision::ReadEvents => "ask events".into(),
            Decision::StartRun(number) => format!("start {number}"),
            Decision::ReadResult(_) => "read end".into(),
            Decision::RecordResult(end) => format!("record {:?}", end.outcome),
            Decision::DeleteJob(uid) => format!("remove {uid}"),
        }
    }

    fn changed(mut observed: Observed, change: impl Fn(&mut Observed)) -> Observed {
        change(&mut observed);
        observed
    }

    #[test]
    fn each_situation_has_its_step() {
        let present = |age, end| ObservedJob::Present(Arc::new(job(age, end)));
        let running = || observed(Some(run(Some("job"), None)), present(1, None));
        let done = |result| observed(Some(run(Some("job"), Some(result))), ObservedJob::Unknown);
        let edited = |f: &mut Observed| (f.key, f.generation) = ("v1:other".into(), 2);
        for (situation, observed, expected) in [
            ("new", observed(None, ObservedJob::Unknown), "start 1"),
            ("new, suspended", changed(observed(None, ObservedJob::Unknown), |f| f.suspend = true), "suspended"),
            (
                "new, no target",
                changed(observed(None, ObservedJob::Unknown), |f| {
                    f.target = Some(Err(Blocked::reconciling(Reason::TargetNotFound, "")))
                }),
                "blocked TargetNotFound",
            ),
            (
                "new, broken",
                changed(observed(None, ObservedJob::Unknown), |f| f.broken_rule = Some("x".into())),
                "blocked InvalidSpec",
            ),
            ("intent, job unknown", observed(Some(run(None, None)), ObservedJob::Unknown), "look up"),
            ("intent, no job", observed(Some(run(None, None)), ObservedJob::Absent), "start 3"),
            ("started, no job", observed(Some(run(Some("job"), None)), ObservedJob::Absent), "record Lost"),
            ("started, another job", observed(Some(run(Some("other"), None)), present(1, None)), "record Lost"),
            ("squatted", changed(running(), |f| f.uid = "somebody".into()), "blocked JobNameTaken"),
            ("young", running(), "under way Starting"),
            ("old, no reason known", observed(Some(run(Some("job"), None)), present(9, None)), "ask events"),
            ("young, edited", changed(running(), edited), "under way Starting"),
            (
                "old, edited",
                changed(observed(Some(run(Some("job"), None)), present(9, None)), edited),
                "record Superseded",
            ),
            (
                "old, edited, suspended",
                changed(observed(Some(run(Some("job"), None)), present(9, None)), |f| {
                    edited(f);
                    f.suspend = true;
                    f.events_read = true;
                }),
                "under way Starting",
            ),
            ("complete", observed(Some(run(Some("job"), None)), present(9, Some("Complete"))), "read end"),
            (
                "about to fail",
                observed(Some(run(Some("job"), None)), present(1, Some("FailureTarget"))),
                "under way Starting",
            ),
            ("done", done(Outcome::Succeeded), "settled"),
            ("failed", done(Outcome::Failed), "settled"),
            ("lost", done(Outcome::Lost), "settled"),
            ("done, edited", changed(done(Outcome::Succeeded), edited), "start 4"),
            ("done, asked", changed(done(Outcome::Succeeded), |f| f.requested = Some("now".into())), "start 4"),
            (
                "done, asked before",
                changed(done(Outcome::Succeeded), |f| {
                    f.requested = Some("now".into());
                    f.status.last_handled_request = Some("now".into());
                }),
                "settled",
            ),
            ("superseded, job unknown", done(Outcome::Superseded), "look up"),
            ("superseded, job there", changed(done(Outcome::Superseded), |f| f.job = present(9, None)), "remove job"),
            (
                "superseded, pods there",
                changed(done(Outcome::Superseded), |f| f.job = ObservedJob::PodsTerminating),
                "blocked Superseding",
            ),
            ("superseded, gone", changed(done(Outcome::Superseded), |f| f.job = ObservedJob::Absent), "start 4"),
        ] {
            assert_eq!(word(&observed), expected, "{situation}");
        }
    }

    proptest! {
        #[test]
        fn nothing_starts_while_suspended_broken_or_without_a_target(
            number in 0..3i64, uid in any::<bool>(), result in 0..5usize, seen in 0..4usize, edited in any::<bool>(),
            why in 0..3usize, age in 0..20i64, now in -100_000_000_000i64..100_000_000_000,
        ) {
            let result = [None, Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Superseded), Some(Outcome::Lost)][result];
            let last = (number > 0).then(|| run(uid.then_some("job"), result));
            let seen = [ObservedJob::Unknown, ObservedJob::Absent, ObservedJob::PodsTerminating, ObservedJob::Present(Arc::new(job(age, None)))][seen].clone();
            let mut observed = observed(last, seen);
            observed.now = Timestamp::from_second(now).unwrap();
            if edited {
                observed.key = "v1:other".into();
                observed.generation = 2;
            }
            match why {
                0 => observed.suspend = true,
                1 => observed.broken_rule = Some("broken".into()),
                _ => observed.target = Some(Err(Blocked::reconciling(Reason::TargetNotFound, "none"))),
            }
            prop_assert!(!matches!(decide(&observed), Decision::StartRun(_)), "{:?}", decide(&observed));
        }
    }
}
