//! The status that a decision leads to: pure; the caller writes it only if it differs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::decide::StatusIntent;
use super::outcome::RunResult;
use crate::api::{Outcome, PastRun, Report, Run, TaskStatus};
use crate::core::condition::{self, Intended};
use crate::core::observed::JobView;
use crate::core::text::truncated;
use crate::core::{Blocked, Reason};
use crate::names;

/// How many runs the history keeps.
const HISTORY: usize = 5;

/// What every status says beside the intent.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The generation that was looked at.
    pub generation: i64,
    /// `spec.suspend`
    pub suspend: bool,
    /// The time.
    pub now: Timestamp,
}

/// The status that shows `intent`.
pub fn show(
    old: &TaskStatus,
    intent: &StatusIntent,
    target: Option<&Result<String, Blocked>>,
    stamp: &Stamp,
) -> TaskStatus {
    let ReadySummary { ready, reason, message, progress, finished } = summary(old, intent);
    let message = truncated(message);
    let of_run = |type_, status: &str| Intended {
        type_,
        status: status.to_owned(),
        reason: reason.clone(),
        message: message.clone(),
    };
    let mut intended = vec![
        of_run(condition::READY, ready),
        of_run(condition::FINISHED, if finished { "True" } else { "False" }),
        target_resolved(old, target),
    ];
    intended.extend(progress.map(|type_| of_run(type_, "True")));
    if stamp.suspend {
        intended.push(Intended {
            type_: condition::SUSPENDED,
            status: "True".into(),
            reason: Reason::Suspended.as_str().into(),
            message: "spec.suspend is true: nothing new starts".into(),
        });
    }
    let mut status = old.clone();
    status.observed_generation = Some(stamp.generation);
    status.conditions = condition::with_times(&old.conditions, intended, stamp.generation, stamp.now);
    status
}

/// What Ready says, and what follows from it.
struct ReadySummary {
    ready: &'static str,
    reason: String,
    message: String,
    /// Reconciling or Stalled, where one of them holds.
    progress: Option<&'static str>,
    finished: bool,
}

fn summary(old: &TaskStatus, intent: &StatusIntent) -> ReadySummary {
    let not_ready = |reason: Reason, message: String, progress| ReadySummary {
        ready: "False",
        reason: reason.as_str().into(),
        message,
        progress,
        finished: progress == Some(condition::STALLED),
    };
    match intent {
        StatusIntent::Settled => settled(old.last_run.as_ref()),
        StatusIntent::Suspended => {
            not_ready(Reason::Suspended, "a run is due; set spec.suspend to false to start it".into(), None)
        }
        StatusIntent::Blocked(blocked) => {
            let progress = if blocked.stalled { condition::STALLED } else { condition::RECONCILING };
            not_ready(blocked.reason, blocked.message.clone(), Some(progress))
        }
        StatusIntent::InProgress(obstacle) => {
            let message = keep_first_wording(old, obstacle.reason, &obstacle.message);
            not_ready(obstacle.reason, message, Some(condition::RECONCILING))
        }
    }
}

/// As the newest run left it.
fn settled(run: Option<&Run>) -> ReadySummary {
    let summary = |ready, reason: String, message: String, progress, finished| ReadySummary {
        ready,
        reason,
        message,
        progress,
        finished,
    };
    let starting = || Reason::Starting.as_str().to_owned();
    let Some(run) = run else {
        return summary("Unknown", starting(), "no run yet".into(), Some(condition::RECONCILING), false);
    };
    let reason = run.reason.clone().unwrap_or_else(|| Reason::Succeeded.as_str().into());
    let message = run.message.clone().unwrap_or_default();
    match run.result {
        Some(Outcome::Succeeded) => summary("True", reason, message, None, true),
        Some(_) => summary("False", reason, message, Some(condition::STALLED), true),
        None => summary("False", starting(), "the run is about to start".into(), Some(condition::RECONCILING), false),
    }
}

/// The kubelet words one obstacle in turns; the first wording stays while the reason does.
fn keep_first_wording(old: &TaskStatus, reason: Reason, message: &str) -> String {
    let before = condition::find(&old.conditions, condition::READY).filter(|c| c.reason == reason.as_str());
    match before {
        Some(condition) if reason == Reason::ImagePullFailed => condition.message.clone(),
        _ => message.to_owned(),
    }
}

fn target_resolved(old: &TaskStatus, target: Option<&Result<String, Blocked>>) -> Intended {
    let (status, reason, message) = match target {
        Some(Err(blocked)) => ("False", blocked.reason.as_str(), truncated(blocked.message.clone())),
        Some(Ok(found)) => ("True", "Found", found.clone()),
        None => match condition::find(&old.conditions, condition::TARGET_RESOLVED) {
            Some(before) => (before.status.as_str(), before.reason.as_str(), before.message.clone()),
            None => ("Unknown", "NotNeeded", "no run is due".into()),
        },
    };
    Intended { type_: condition::TARGET_RESOLVED, status: status.into(), reason: reason.into(), message }
}

/// The status with the intent of a new run, written before its Job is made.
pub fn intend(old: &TaskStatus, run: Run, requested: Option<&str>) -> TaskStatus {
    let mut status = old.clone();
    if let Some(before) = status.last_run.replace(run).filter(|r| r.result.is_some()) {
        status.history.insert(
            0,
            PastRun {
                number: before.number,
                result: before.result,
                reason: before.reason,
                image: before.image,
                finished_at: before.finished_at,
            },
        );
        status.history.truncate(HISTORY);
    }
    if let Some(requested) = requested {
        status.last_handled_request = Some(requested.to_owned());
    }
    status
}

/// The status with the UID of the newest run's Job. What the Job says of itself counts: the life of the
/// operator that made it may have had another spec before it.
pub fn adopt(status: &mut TaskStatus, job: &JobView) {
    if let Some(run) = status.last_run.as_mut().filter(|run| run.job_uid.is_none() && run.result.is_none()) {
        run.job_uid = Some(job.uid().to_owned());
        if let Some(key) = job.annotation(names::RUN_KEY) {
            run.key = key.to_owned();
        }
        if let Some(generation) = job.annotation(names::GENERATION).and_then(|g| g.parse().ok()) {
            run.generation = generation;
        }
    }
}

/// Whether a status has to be written at once. The UID alone of a Job that was just created can wait a few
/// seconds, in which most runs have more to say.
pub fn worth_writing(old: &TaskStatus, new: &TaskStatus) -> bool {
    let mut new = new.clone();
    if let (Some(before), Some(after)) = (&old.last_run, &mut new.last_run)
        && before.job_uid.is_none()
        && after.number == before.number
    {
        after.job_uid = None;
    }
    new != *old
}

/// When a run last succeeded, given when that was before.
pub fn completed_at(status: &TaskStatus, before: Option<&Time>) -> Option<Time> {
    let succeeded = status.last_run.as_ref().filter(|run| run.result == Some(Outcome::Succeeded));
    succeeded.and_then(|run| run.finished_at.clone()).or_else(|| before.cloned())
}

/// The status with the end of the newest run.
pub fn conclude(old: &TaskStatus, end: &RunResult, sentence: Option<String>, now: Timestamp) -> TaskStatus {
    let mut status = old.clone();
    if let Some(run) = &mut status.last_run {
        let started = run.started_at.as_ref().map_or(now, |t| t.0);
        let seconds = now.duration_since(started).as_secs().max(0);
        run.finished_at = Some(Time(now));
        run.duration_seconds = Some(seconds);
        run.exit_code = end.exit_code;
        run.result = Some(end.outcome);
        run.reason = Some(end.reason.clone());
        run.message = Some(truncated(match sentence {
            Some(sentence) => format!("{sentence} in {seconds}s with image {}", run.image),
            None => end.message.clone(),
        }));
    }
    if end.outcome == Outcome::Succeeded {
        status.report = end.report.clone().or_else(|| Some(Report::default()));
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn views() -> impl Strategy<Value = StatusIntent> {
        prop_oneof![
            Just(StatusIntent::Settled),
            Just(StatusIntent::Suspended),
            any::<bool>().prop_map(|stalled| StatusIntent::Blocked(Blocked {
                reason: Reason::TargetNotFound,
                message: "m".into(),
                stalled
            })),
            Just(StatusIntent::InProgress(crate::task::progress::Obstacle {
                reason: Reason::Running,
                message: "m".into()
            })),
        ]
    }

    proptest! {
        #[test]
        fn the_conditions_never_contradict_each_other_and_settle(
            before in views(), view in views(), result in 0..5usize, suspend in any::<bool>(),
        ) {
            let result = [None, Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Superseded), Some(Outcome::Lost)][result];
            let run = Run { number: 1, result, ..Run::default() };
            let stamp = |second| Stamp { generation: 7, suspend, now: Timestamp::from_second(second).unwrap() };
            let old = TaskStatus { last_run: Some(run), ..TaskStatus::default() };
            let old = show(&old, &before, Some(&Ok("Deployment web".into())), &stamp(1));
            let new = show(&old, &view, None, &stamp(2));
            let value = |type_: &str| condition::find(&new.conditions, type_).map(|c| c.status.as_str());
            prop_assert!(!(value("Stalled").is_some() && value("Reconciling").is_some()));
            prop_assert_eq!(value("Ready") == Some("True"), view == StatusIntent::Settled && result == Some(Outcome::Succeeded));
            prop_assert!(value("Ready") != Some("True") || value("Finished") == Some("True"));
            prop_assert!(value("Stalled").is_none() || value("Finished") == Some("True"));
            prop_assert!(value("Reconciling").is_none() || value("Finished") == Some("False"));
            prop_assert_eq!(value("Suspended").is_some(), suspend);
            prop_assert!(new.conditions.iter().all(|c| c.observed_generation == Some(7) && !c.reason.is_empty()));
            prop_assert_eq!(show(&new, &view, None, &stamp(3)), new, "the same look again changes nothing");
        }
    }
}
