//! The status that a decision leads to: pure; the caller writes it only if it differs.

use std::borrow::Borrow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::Task;
use super::decide::{self, StatusIntent};
use super::dependency;
use super::job::{BuiltJob, is_interpreter_missing};
use super::observed::Observed;
use super::progress;
use super::ready::{ReadySummary, summary};
use super::run_cause::needs_run;
use super::run_key;
use super::run_result::RunResult;
use super::schedule::ObservedSchedule;
use super::source::TemplateSource;
use super::target::Candidate;
use crate::api::{Outcome, PastRun, Report, Run, RunCause, SchemaStatus, TargetStatus, TaskStatus, non_empty};
use crate::core::condition::{self, DesiredCondition};
use crate::core::text::{one_line, shortened};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason};
use crate::names;

/// How many runs the history keeps.
const MAX_PAST_RUNS: usize = 5;
/// How many bytes of a message it keeps.
const PAST_MESSAGE_LIMIT: usize = 256;

/// The status that shows `intent`.
pub fn build(observed: &Observed, intent: &StatusIntent) -> TaskStatus {
    let old = &observed.status;
    let schedule = match &observed.schedule {
        Some(schedule) => Some(schedule.without_late()),
        None if observed.broken_rule.is_some() => old.schedule.clone(), // it cannot be read
        None => None,
    };
    let next_due = schedule.as_ref().and_then(|schedule| schedule.next_due_time.as_ref());
    let ReadySummary { ready, reason, message, abnormal_condition, finished } = summary(observed, next_due, intent);
    let message = one_line(&message);
    let of_run = |type_, status: &str| DesiredCondition {
        type_,
        status: status.to_owned(),
        reason: reason.clone(),
        message: message.clone(),
    };
    let mut desired = vec![
        of_run(condition::READY, ready),
        of_run(condition::FINISHED, if finished { "True" } else { "False" }),
        target_resolved(old, observed.target.as_ref()),
    ];
    desired.extend(abnormal_condition.map(|type_| of_run(type_, "True")));
    if observed.suspend {
        desired.push(DesiredCondition {
            type_: condition::SUSPENDED,
            status: "True".into(),
            reason: Reason::Suspended.as_str().into(),
            message: "spec.suspend is true: nothing new starts".into(),
        });
    }
    desired.extend(observed.gate_problem.as_ref().map(|problem| DesiredCondition {
        type_: condition::GATE_MISCONFIGURED,
        status: "True".into(),
        reason: problem.reason.as_str().into(),
        message: one_line(&problem.message),
    }));
    let mut status = old.clone();
    if let Some(run) = status.last_run.as_mut().filter(|run| observed.reruns_with_dependencies && run.result.is_some())
    {
        // Those that the spec names since count from now.
        for now in dependency::runs_of(observed) {
            if !run.dependencies.iter().any(|known| known.kind == now.kind && known.name == now.name) {
                run.dependencies.push(now);
            }
        }
    }
    status.observed_generation = Some(observed.generation);
    status.schedule = schedule;
    status.conditions = condition::with_times(&old.conditions, desired, observed.generation, observed.now);
    status
}

fn target_resolved(old: &TaskStatus, target: Option<&Result<Arc<Candidate>, Blocked>>) -> DesiredCondition {
    let (status, reason, message) = match target {
        Some(Err(blocked)) => ("False", blocked.reason.as_str(), one_line(&blocked.message)),
        Some(Ok(found)) => ("True", "Found", format!("{} {}", found.kind.as_str(), found.name())),
        None => match condition::find(&old.conditions, condition::TARGET_RESOLVED) {
            Some(before) => (before.status.as_str(), before.reason.as_str(), before.message.clone()),
            None => ("Unknown", "NotNeeded", "no run is due".into()),
        },
    };
    DesiredCondition { type_: condition::TARGET_RESOLVED, status: status.into(), reason: reason.into(), message }
}

/// The status with a run that is about to start, written before its Job is created.
pub fn record_run_start<T: Task>(
    task: &T,
    observed: &Observed,
    number: i64,
    job: &BuiltJob,
    source: &TemplateSource,
) -> TaskStatus {
    let before = observed.status.last_run.as_ref();
    let recorded = before.filter(|run| run.number == number);
    let started_at = recorded.and_then(|run| run.started_at.clone());
    let recorded_due = recorded.and_then(|run| run.due_time.clone());
    // What has become due since it was recorded has no run of its own.
    let of_due = observed.schedule.as_ref().and_then(ObservedSchedule::due_time).filter(|_| recorded_due.is_none());
    let run = Run {
        number,
        cause: needs_run(observed),
        key: job.key.clone(),
        generation: observed.generation,
        job_name: job.name.clone(),
        image: job.image.clone(),
        interpreter: job.interpreters.first().cloned(),
        other_interpreters: job.interpreters.iter().skip(1).cloned().collect(),
        first_step: i32::try_from(job.first_step).ok().filter(|step| *step > 1),
        trigger: non_empty(&task.policy().trigger).map(str::to_owned),
        target: TargetStatus {
            kind: source.kind.as_str().to_owned(),
            name: source.name.clone(),
            uid: source.uid.clone(),
            container: job.container.clone(),
        },
        migrates_database: task.migrates_everything_in().map(str::to_owned),
        target_settings: Some(source.settings_hash()).filter(|hash| !hash.is_empty()),
        due_time: recorded_due.or_else(|| of_due.clone()),
        dependencies: dependency::runs_of(observed),
        started_at: started_at.or(Some(Time(observed.now))),
        ..Run::default()
    };
    let status = with_run(&observed.status, run, observed.requested.as_deref());
    let schedule = observed.schedule.as_ref().map(|schedule| schedule.with_run(of_due.is_some()));
    build(&Observed { status, schedule, ..observed.clone() }, &StatusIntent::starting())
}

/// The status with another newest run; the one before goes into the history.
fn with_run(old: &TaskStatus, run: Run, requested: Option<&str>) -> TaskStatus {
    let mut status = old.clone();
    if let Some(before) = status.last_run.replace(run).filter(|r| r.result.is_some()) {
        status.history.insert(
            0,
            PastRun {
                number: before.number,
                result: before.result,
                reason: before.reason,
                message: before.message.map(|message| shortened(&message, PAST_MESSAGE_LIMIT)),
                image: before.image,
                finished_at: before.finished_at,
            },
        );
        while status.history.len() > MAX_PAST_RUNS {
            // The newest that succeeded stays, however many failed after it.
            let succeeded = status.history.iter().position(|past| past.result == Some(Outcome::Succeeded));
            let oldest = status.history.len() - 1;
            status.history.remove(if succeeded == Some(oldest) { oldest - 1 } else { oldest });
        }
    }
    if let Some(requested) = requested {
        status.last_handled_request = Some(requested.to_owned());
    }
    status
}

/// What was observed, with the end of the newest run: outcome and timestamp; the conditions are to follow.
pub fn with_end<T: Task>(task: &T, observed: &Observed, result: &RunResult) -> Observed {
    let sentence = (result.outcome == Outcome::Succeeded).then(|| task.success(result.report.as_ref()).1);
    let status = with_result(&observed.status, result, sentence, observed.now);
    Observed { status, ..observed.clone() }
}

/// The conditions of an object that this version cannot read.
pub fn undecodable(error: &str, generation: i64, now: Timestamp) -> Vec<Condition> {
    let nothing = Observed { generation, now, ..Observed::default() };
    let blocked = Blocked::stalled(Reason::Undecodable, one_line(error));
    build(&nothing, &StatusIntent::Blocked(blocked)).conditions
}

/// The status with the UID of the newest run's Job. What the Job says of itself counts: the
/// operator that made it may have had another spec before it.
pub fn record_job_uid(status: &mut TaskStatus, job: &JobView) {
    if let Some(run) = status.last_run.as_mut().filter(|run| run.job_uid.is_none() && run.result.is_none()) {
        run.job_uid = Some(job.uid().to_owned());
        if let Some(key) = job.annotation(names::RUN_KEY_ANNOTATION) {
            if run.key != key {
                run.migrates_database = None; // what it migrates stands in no annotation
            }
            run.key = key.to_owned();
        }
        if let Some(generation) = job.annotation(names::GENERATION_ANNOTATION).and_then(|g| g.parse().ok()) {
            run.generation = generation;
        }
        if let Some(image) = job.annotation(names::IMAGE_ANNOTATION) {
            run.image = image.to_owned();
        }
        if let Some(container) = job.annotation(names::CONTAINER_ANNOTATION) {
            run.target.container = container.to_owned();
        }
        if let Some(interpreters) = job.annotation(names::INTERPRETERS_ANNOTATION) {
            let mut interpreters = interpreters.split(',').map(str::to_owned);
            run.interpreter = interpreters.next().filter(|name| !name.is_empty());
            run.other_interpreters = interpreters.collect();
            run.target_settings = job.annotation(names::TARGET_SETTINGS_ANNOTATION).map(str::to_owned);
        }
        if let Some((kind, name)) = job.annotation(names::TARGET_ANNOTATION).and_then(|target| target.split_once('/'))
            && (run.target.kind.as_str(), run.target.name.as_str()) != (kind, name)
        {
            let container = std::mem::take(&mut run.target.container);
            run.target = TargetStatus { kind: kind.into(), name: name.into(), uid: String::new(), container };
        }
    }
}

/// Notes when the command of an unfinished run was first seen to run.
pub fn record_command_start(status: &mut TaskStatus, pods: &[impl Borrow<PodView>], now: Timestamp) {
    if status.last_run.as_ref().is_some_and(|run| progress::has_started(pods, &run.target.container)) {
        set_command_started(status, now);
    }
}

/// The command of an unfinished run has started, now or before.
pub fn set_command_started(status: &mut TaskStatus, now: Timestamp) {
    if let Some(run) = status.last_run.as_mut().filter(|run| run.result.is_none()) {
        run.command_started_at.get_or_insert(Time(now));
    }
}

/// A run that was to give way and whose command started before goes on.
pub fn forget_superseding_of_started(status: &mut TaskStatus) {
    if let Some(run) = status.last_run.as_mut().filter(|run| run.result.is_none() && run.command_started_at.is_some()) {
        run.superseded_by = None;
    }
}

/// The status of a run that gives way to a newer spec, before its Job is deleted.
pub fn record_superseding(observed: &Observed, generation: i64) -> TaskStatus {
    let mut status = observed.status.clone();
    let Some(run) = &mut status.last_run else { return status };
    run.superseded_by = Some(generation);
    let intent = StatusIntent::being_removed(run);
    build(&Observed { status, ..observed.clone() }, &intent)
}

/// The status of a task that another operator carried out, which recorded no more than when.
pub fn record_taken_over<T: Task>(task: &T, observed: &Observed) -> TaskStatus {
    let done = observed.completed_at.as_ref().map(|at| at.0.to_string()).unwrap_or_default();
    let run = Run {
        number: 0,
        key: run_key::for_task(task),
        generation: observed.generation,
        image: observed.target_image.clone().unwrap_or_default(),
        trigger: non_empty(&task.policy().trigger).map(str::to_owned),
        finished_at: observed.completed_at.clone(),
        result: Some(Outcome::Succeeded),
        reason: Some(Reason::TakenOver.as_str().to_owned()),
        message: Some(format!(
            "another operator carried it out at {done}; a change of the spec, or the annotation {}, runs it again",
            names::REQUESTED_AT_ANNOTATION
        )),
        ..Run::default()
    };
    let status = TaskStatus { last_run: Some(run), ..observed.status.clone() };
    build_settled(&Observed { status, spec_changed: false, ..observed.clone() })
}

/// The status after a run's end. If something asks for another run already, nobody is told that the newest spec was
/// carried out.
pub fn build_settled(observed: &Observed) -> TaskStatus {
    let another = |cause| {
        let run = observed.status.last_run.as_ref();
        let next = run.and_then(|run| run.other_interpreters.first()).map_or("another one", String::as_str);
        let message = match cause {
            RunCause::Interpreter => format!("the image has no such interpreter; a new run tries {next}"),
            RunCause::Target => {
                "an annotation of the target, which the run failed by, changed; it runs again".to_owned()
            }
            RunCause::Schedule => "another run is due by the schedule".to_owned(),
            RunCause::Dependency => "a task that it depends on runs again, and so does this one".to_owned(),
            RunCause::Image => "the target runs another image, and this task runs again".to_owned(),
            _ => "the spec, or a request, asks for another run".to_owned(),
        };
        StatusIntent::InProgress { reason: Reason::Starting, message }
    };
    let intent = needs_run(observed).map_or(StatusIntent::Settled, another);
    build(observed, &intent)
}

/// Whether the status says already of this generation that it stalled for this reason.
pub fn shows_stalled(observed: &Observed, reason: Reason) -> bool {
    let stalled = condition::find(&observed.status.conditions, condition::STALLED);
    stalled.is_some_and(|c| c.reason == reason.as_str() && c.observed_generation == Some(observed.generation))
}

/// Whether a status has to be written now. The UID alone of a Job that was just created can wait a few seconds, in
/// which most runs have more to say.
pub fn needs_write(observed: &Observed, old: &TaskStatus, new: &TaskStatus) -> bool {
    if observed.job_age >= decide::START_GRACE {
        return new != old;
    }
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

/// The status with the end of the newest run, but for the conditions.
fn with_result(old: &TaskStatus, result: &RunResult, sentence: Option<String>, now: Timestamp) -> TaskStatus {
    let mut status = old.clone();
    if let Some(run) = &mut status.last_run {
        let started = run.started_at.as_ref().map_or(now, |t| t.0);
        let seconds = now.duration_since(started).as_secs().max(0);
        run.finished_at = Some(Time(now));
        run.duration_seconds = Some(seconds);
        run.exit_code = result.exit_code;
        run.steps.clone_from(&result.steps);
        run.result = Some(result.outcome);
        run.reason = Some(result.reason.clone());
        if let Some(database) = run.migrates_database.clone().filter(|_| result.outcome == Outcome::Succeeded) {
            let (image, target) = (run.image.clone(), run.target.clone());
            status.schema = Some(SchemaStatus { database, image, target, migrated_at: Time(now) });
        }
        if matches!(result.outcome, Outcome::Succeeded | Outcome::Lost) {
            run.superseded_by = None; // it came to its end before
        }
        run.message = Some(match sentence {
            Some(sentence) => one_line(&format!("{sentence} in {seconds}s with image {}", run.image)),
            None if is_interpreter_missing(run) => one_line(&format!("{}; {}", result.message, advice(run))),
            None => one_line(&result.message),
        });
    }
    if result.outcome == Outcome::Succeeded {
        status.report = result.report.clone().or_else(|| Some(Report::default()));
    }
    status
}

/// What follows where an interpreter is not in the image.
fn advice(run: &Run) -> String {
    match run.other_interpreters.first() {
        Some(next) => format!("a new run tries {next}"),
        None => format!(
            "say on the target how commands start there, by the annotation {} or, to keep the image's entrypoint, {}",
            names::MANAGE_ANNOTATION,
            names::ENTRYPOINT_ANNOTATION
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn intents() -> impl Strategy<Value = StatusIntent> {
        prop_oneof![
            Just(StatusIntent::Settled),
            Just(StatusIntent::Suspended),
            any::<bool>().prop_map(|stalled| {
                let make = if stalled { Blocked::stalled } else { Blocked::reconciling };
                StatusIntent::Blocked(make(Reason::TargetNotFound, "m".to_owned()))
            }),
            Just(StatusIntent::InProgress { reason: Reason::Running, message: "m".into() }),
        ]
    }

    #[test]
    fn the_history_keeps_the_newest_runs_and_the_newest_that_succeeded() {
        let (ok, no) = (Some(Outcome::Succeeded), Some(Outcome::Failed));
        for (results, expected) in [
            (vec![ok, no, no, no], vec![3, 2, 1]),
            (vec![ok, no, no, no, no, no, no], vec![6, 5, 4, 3, 1]),
            (vec![ok, no, no, ok, no, no, no, no, no], vec![8, 7, 6, 5, 4]),
            (vec![ok, no, no, no, no, no, ok, no], vec![7, 6, 5, 4, 3]),
            (vec![no; 7], vec![6, 5, 4, 3, 2]),
        ] {
            let run = |(number, result): (i64, &Option<Outcome>)| Run { number, result: *result, ..Run::default() };
            let runs = (1..).zip(&results).map(run);
            let status = runs.fold(TaskStatus::default(), |status, run| with_run(&status, run, None));
            let history: Vec<i64> = status.history.iter().map(|past| past.number).collect();
            assert_eq!(history, expected, "{results:?}");
        }
    }

    proptest! {
        #[test]
        fn the_conditions_never_contradict_each_other_and_settle(
            before in intents(), intent in intents(), result in 0..5usize, suspend in any::<bool>(),
        ) {
            let result = [None, Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Superseded), Some(Outcome::Lost)][result];
            let run = Run { number: 1, result, ..Run::default() };
            let observed = |status: &TaskStatus, second| Observed {
                generation: 7,
                suspend,
                status: status.clone(),
                now: Timestamp::from_second(second).unwrap(),
                ..Observed::default()
            };
            let old = TaskStatus { last_run: Some(run), ..TaskStatus::default() };
            let old = build(&observed(&old, 1), &before);
            let new = build(&observed(&old, 2), &intent);
            let value = |type_: &str| condition::find(&new.conditions, type_).map(|c| c.status.as_str());
            prop_assert!(!(value("Stalled").is_some() && value("Reconciling").is_some()));
            prop_assert_eq!(value("Ready") == Some("True"), intent == StatusIntent::Settled && result == Some(Outcome::Succeeded));
            prop_assert!(value("Ready") != Some("True") || value("Finished") == Some("True"));
            prop_assert!(value("Stalled").is_none() || value("Finished") == Some("True"));
            prop_assert!(value("Reconciling").is_none() || value("Finished") == Some("False"));
            prop_assert_eq!(value("Suspended").is_some(), suspend);
            prop_assert!(new.conditions.iter().all(|c| c.observed_generation == Some(7) && !c.reason.is_empty()));
            prop_assert_eq!(build(&observed(&new, 3), &intent), new, "the same look again changes nothing");
        }
    }
}
