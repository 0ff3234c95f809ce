//! The status that a decision leads to: pure; the caller writes it only if it differs.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::decide::StatusIntent;
use super::outcome::RunResult;
use super::progress::{JobView, shorten};
use super::reason::Reason;
use super::target::Blocked;
use crate::api::common::{Outcome, PastRun, Report, Run, TaskStatus};
use crate::names;

/// How many runs the history keeps.
const HISTORY: usize = 5;

/// What every status says beside the view.
#[derive(Clone, Debug)]
pub struct Stamp {
    /// The generation that was looked at.
    pub generation: i64,
    /// `spec.suspend`
    pub suspend: bool,
    /// The time.
    pub now: Timestamp,
}

/// The status that shows `view`.
pub fn show(
    old: &TaskStatus,
    view: &StatusIntent,
    target: Option<&Result<String, Blocked>>,
    stamp: &Stamp,
) -> TaskStatus {
    let mut status = old.clone();
    status.observed_generation = Some(stamp.generation);
    let (ready, reason, message, extra, finished) = match view {
        StatusIntent::Settled => settled(old.last_run.as_ref()),
        StatusIntent::Suspended => (
            "False",
            Reason::Suspended.as_str().to_owned(),
            "a run is due; set spec.suspend to false to start it".to_owned(),
            None,
            false,
        ),
        StatusIntent::Blocked(blocked) => {
            let extra = if blocked.stalled { "Stalled" } else { "Reconciling" };
            ("False", blocked.reason.as_str().to_owned(), blocked.message.clone(), Some(extra), blocked.stalled)
        }
        StatusIntent::InProgress(at) => (
            "False",
            at.reason.as_str().to_owned(),
            keep_first_wording(old, at.reason, &at.message),
            Some("Reconciling"),
            false,
        ),
    };
    let message = shorten(message);
    let mut wanted = vec![
        ("Ready", ready, reason.clone(), message.clone()),
        ("Finished", if finished { "True" } else { "False" }, reason.clone(), message.clone()),
    ];
    wanted.push(target_resolved(old, target));
    if let Some(extra) = extra {
        wanted.push((extra, "True", reason, message));
    }
    if stamp.suspend {
        let text = "spec.suspend is true: nothing new starts".to_owned();
        wanted.push(("Suspended", "True", Reason::Suspended.as_str().to_owned(), text));
    }
    status.conditions = wanted
        .into_iter()
        .map(|(type_, value, reason, message)| {
            let before = old.conditions.iter().find(|c| c.type_ == type_ && c.status == value);
            Condition {
                type_: type_.to_owned(),
                status: value.to_owned(),
                reason,
                message,
                observed_generation: Some(stamp.generation),
                last_transition_time: before.map_or(Time(stamp.now), |c| c.last_transition_time.clone()),
            }
        })
        .collect();
    status
}

type ReadySummary = (&'static str, String, String, Option<&'static str>, bool);

/// Ready as the newest run left it.
fn settled(run: Option<&Run>) -> ReadySummary {
    let Some(run) = run else {
        return ("Unknown", Reason::Starting.as_str().into(), "no run yet".into(), Some("Reconciling"), false);
    };
    let reason = run.reason.clone().unwrap_or_else(|| Reason::Succeeded.as_str().into());
    let message = run.message.clone().unwrap_or_default();
    match run.result {
        Some(Outcome::Succeeded) => ("True", reason, message, None, true),
        Some(_) => ("False", reason, message, Some("Stalled"), true),
        None => {
            ("False", Reason::Starting.as_str().into(), "the run is about to start".into(), Some("Reconciling"), false)
        }
    }
}

/// The kubelet words one obstacle in turns; the first wording stays while the reason does.
fn keep_first_wording(old: &TaskStatus, reason: Reason, message: &str) -> String {
    let before = old.conditions.iter().find(|c| c.type_ == "Ready" && c.reason == reason.as_str());
    match before {
        Some(condition) if reason == Reason::ImagePullFailed => condition.message.clone(),
        _ => message.to_owned(),
    }
}

fn target_resolved(
    old: &TaskStatus,
    target: Option<&Result<String, Blocked>>,
) -> (&'static str, &'static str, String, String) {
    const NAME: &str = "TargetResolved";
    match target {
        Some(Err(blocked)) => (NAME, "False", blocked.reason.as_str().into(), shorten(blocked.message.clone())),
        Some(Ok(found)) => (NAME, "True", "Found".into(), found.clone()),
        None => match old.conditions.iter().find(|c| c.type_ == NAME) {
            Some(c) => (
                NAME,
                if c.status == "True" {
                    "True"
                } else if c.status == "False" {
                    "False"
                } else {
                    "Unknown"
                },
                c.reason.clone(),
                c.message.clone(),
            ),
            None => (NAME, "Unknown", "NotNeeded".into(), "no run is due".into()),
        },
    }
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
        run.message = Some(shorten(match sentence {
            Some(sentence) => format!("{sentence} in {seconds}s with image {}", run.image),
            None => end.message.clone(),
        }));
    }
    if end.outcome == Outcome::Succeeded {
        status.done_at = Some(Time(now));
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
            let value = |type_: &str| new.conditions.iter().find(|c| c.type_ == type_).map(|c| c.status.as_str());
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
