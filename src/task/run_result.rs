//! What came of a run, read from its Job, its pods and the helper's line: pure, and total over anything
//! that a pod may have written.

use serde::Deserialize;

use crate::api::{Database, Outcome, Report, Run, StepResult, StepState};
use crate::core::Reason;
use crate::core::text::one_line;
use crate::core::views::{ContainerStatusView, JobEnd, JobView, PodView, TerminatedView};
use crate::names;
use crate::task::helper_reason;

/// Longest name in a report.
const NAME_LIMIT: usize = 256;
const OUT_OF_MEMORY: &str = "the command used more memory than its limit; raise spec.resources.limits.memory";
/// As many steps as a run has at most.
const MAX_STEPS: usize = 16;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct RunResult {
    /// In the API's words.
    pub outcome: Outcome,
    pub reason: String,
    /// In a sentence; empty where the kind has a better one.
    pub message: String,
    /// Of the Django container.
    pub exit_code: Option<i32>,
    /// The helper's report.
    pub report: Option<Report>,
    /// What came of each of several commands.
    pub steps: Vec<StepResult>,
}

impl RunResult {
    fn failed(reason: &str, message: String, exit_code: Option<i32>) -> Self {
        Self {
            outcome: Outcome::Failed,
            reason: reason.to_owned(),
            message: one_line(&message),
            exit_code,
            report: None,
            steps: Vec::new(),
        }
    }

    /// The Job is gone.
    pub fn lost(job: &str) -> Self {
        Self {
            outcome: Outcome::Lost,
            reason: Reason::Lost.as_str().into(),
            message: format!(
                "Job {job} was deleted before its end was recorded; whether the command ran is unknown. Ask for a new run by spec.trigger or the annotation {}",
                names::REQUESTED_AT_ANNOTATION
            ),
            exit_code: None,
            report: None,
            steps: Vec::new(),
        }
    }

    /// A newer spec took over after the command had started, while its Job was being removed.
    pub fn interrupted(generation: i64) -> Self {
        let message = format!(
            "the command started while its Job was being removed for generation {generation} of the spec, and was stopped"
        );
        Self::failed(Reason::Interrupted.as_str(), message, None)
    }

    /// A run by the clock could not start in time.
    pub fn too_late(run: &Run) -> Self {
        let due = run.due_time.as_ref().map(|due| due.0.to_string()).unwrap_or_default();
        let message = format!(
            "it was due at {due}, and could not start within schedule.startingDeadlineSeconds; the next due time is not affected"
        );
        Self::failed(Reason::StartingDeadlineExceeded.as_str(), message, None)
    }

    /// A newer spec took over.
    pub fn superseded(generation: i64) -> Self {
        Self {
            outcome: Outcome::Superseded,
            reason: Reason::Superseded.as_str().into(),
            message: format!("the command was not seen to start before generation {generation} of the spec took over"),
            exit_code: None,
            report: None,
            steps: Vec::new(),
        }
    }
}

/// The helper's line.
#[derive(Debug, Deserialize)]
struct HelperResult {
    ok: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    count: Option<i64>,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    settings: String,
    #[serde(default)]
    started: String,
    #[serde(default)]
    databases: Vec<Database>,
    #[serde(default)]
    steps: Vec<HelperStep>,
}

/// One of several commands in the helper's line.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HelperStep {
    name: String,
    state: StepState,
    #[serde(default)]
    exit_code: Option<i32>,
    #[serde(default)]
    seconds: Option<i64>,
    #[serde(default)]
    reason: Option<String>,
}

impl HelperResult {
    /// The last line that is one; a command may have written others before it.
    fn find(text: &str) -> Option<Self> {
        text.lines().rev().find_map(|line| serde_json::from_str(line).ok())
    }

    /// What the command had done before it failed, in words.
    fn done_before(&self) -> String {
        match self.count {
            Some(count) if count > 0 && !self.action.is_empty() && self.steps.is_empty() => {
                let names = self.report().names.join(", ");
                format!("; before that it had {} {count}: {names}", one_line(&self.action))
            }
            _ => String::new(),
        }
    }

    fn steps(&self) -> Vec<StepResult> {
        let result = |step: &HelperStep| {
            let failed = step.state == StepState::Failed;
            StepResult {
                name: short(&step.name),
                state: step.state,
                exit_code: step.exit_code,
                duration_seconds: step.seconds.filter(|seconds| *seconds >= 0),
                reason: step.reason.as_deref().filter(|_| failed).map(|reason| known_reason(reason).to_owned()),
                message: failed.then(|| one_line(&self.message)),
            }
        };
        self.steps.iter().take(MAX_STEPS).map(result).collect()
    }

    fn report(&self) -> Report {
        Report {
            action: short(&self.action),
            count: self.count.filter(|n| *n >= 0),
            names: self.names.iter().take(10).map(|n| short(n)).collect(),
            settings: short(&self.settings),
            started: short(&self.started),
            databases: self
                .databases
                .iter()
                .take(10)
                .map(|d| Database {
                    alias: short(&d.alias),
                    engine: short(&d.engine),
                    host: short(&d.host),
                    name: short(&d.name),
                })
                .collect(),
        }
    }
}

/// A name, of bounded length.
fn short(name: &str) -> String {
    one_line(name).chars().take(NAME_LIMIT).collect()
}

/// A reason that the helper may give.
fn known_reason(reason: &str) -> &str {
    if helper_reason::is_known(reason) { reason } else { Reason::CommandFailed.as_str() }
}

/// Reads a Job that has its terminal condition.
pub fn from_job(job: &JobView, pods: &[PodView]) -> RunResult {
    let container = job.annotation(names::CONTAINER_ANNOTATION).unwrap_or_default();
    let JobEnd { complete, reason: job_reason, message: job_message } = job.end().cloned().unwrap_or_default();
    let newest = pods.iter().max_by_key(|p| p.meta.created);
    let ended = newest.and_then(|pod| pod.container_status(container)).and_then(terminated);
    let exit_code = ended.map(|t| t.exit_code);
    let line = ended.and_then(|t| HelperResult::find(t.message.as_deref()?));
    let report = line.as_ref().map(HelperResult::report);
    let steps = line.as_ref().map(HelperResult::steps).unwrap_or_default();

    // Of a container that failed, and that a later one made up for, the line says nothing about the Job.
    let denied = exit_code == Some(0) && line.as_ref().is_some_and(|line| !line.ok);
    if complete && !denied {
        let reason = Reason::Succeeded.as_str().to_owned();
        return RunResult {
            outcome: Outcome::Succeeded,
            reason,
            message: String::new(),
            exit_code: exit_code.or(Some(0)),
            report,
            steps,
        };
    }
    if job_reason == "DeadlineExceeded" {
        let message =
            "the run took longer than spec.timeoutSeconds allows; raise it, or look into what the command waits for";
        return RunResult::failed(Reason::DeadlineExceeded.as_str(), message.into(), exit_code);
    }
    let disruption = newest.and_then(disruption);
    if job_reason == "PodFailurePolicy" || (disruption.is_some() && line.is_none()) {
        let detail = disruption.unwrap_or(job_message);
        return RunResult::failed(
            Reason::Disrupted.as_str(),
            format!("the pod was disrupted, and the command must not run twice unasked: {detail}"),
            exit_code,
        );
    }
    if let Some(line) = line.filter(|l| !l.ok) {
        let reason = known_reason(&line.reason);
        let message = format!("{}{}", line.message, line.done_before());
        if ended.is_some_and(TerminatedView::is_out_of_memory) {
            let message = format!("{message}; {OUT_OF_MEMORY}");
            return RunResult { report, steps, ..RunResult::failed(Reason::OutOfMemory.as_str(), message, exit_code) };
        }
        return RunResult { report, steps, ..RunResult::failed(reason, message, exit_code) };
    }
    match ended {
        Some(t) if t.is_out_of_memory() => {
            RunResult::failed(Reason::OutOfMemory.as_str(), OUT_OF_MEMORY.into(), exit_code)
        }
        Some(t) if t.could_not_start() => RunResult::failed(
            Reason::InterpreterNotFound.as_str(),
            format!("the container could not start its command: {}", t.message.as_deref().unwrap_or_default()),
            exit_code,
        ),
        Some(t) => RunResult::failed(
            Reason::CommandFailed.as_str(),
            match t.signal {
                Some(signal) => format!("the command was ended by signal {signal}"),
                None => {
                    format!("the command ended with exit code {} and left no report; its log says more", t.exit_code)
                }
            },
            exit_code,
        ),
        None => {
            let init = newest.and_then(failed_init);
            let message = init.unwrap_or_else(|| format!("{job_reason}: {job_message}"));
            RunResult::failed(Reason::CommandFailed.as_str(), message, exit_code)
        }
    }
}

/// How a container ended, now or the last time.
fn terminated(container: &ContainerStatusView) -> Option<&TerminatedView> {
    [&container.state, &container.last_state].into_iter().find_map(|state| state.as_ref()?.terminated.as_deref())
}

/// Who ended the pod, if not the command.
fn disruption(pod: &PodView) -> Option<String> {
    let status = pod.status.as_ref()?;
    let condition = status.conditions.iter().find(|c| c.type_ == "DisruptionTarget");
    let text = |reason: &Option<String>, message: &Option<String>| {
        format!("{}: {}", reason.as_deref().unwrap_or_default(), message.as_deref().unwrap_or_default())
    };
    condition
        .map(|c| text(&c.reason, &c.message))
        .or_else(|| (status.reason.as_deref() == Some("Evicted")).then(|| text(&status.reason, &status.message)))
}

/// A container that should have prepared the pod and failed.
fn failed_init(pod: &PodView) -> Option<String> {
    let status = pod.status.as_ref()?;
    status.init_container_statuses.iter().flatten().find_map(|c| {
        let t = terminated(c)?;
        (t.exit_code != 0).then(|| format!("init container {} ended with exit code {}", c.name, t.exit_code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn job(condition: Value) -> JobView {
        serde_json::from_value(json!({
            "metadata": {"name": "j", "annotations": {names::CONTAINER_ANNOTATION: "web"}},
            "status": {"conditions": [condition]},
        }))
        .unwrap()
    }

    fn pod(status: Value) -> PodView {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    fn ended(exit_code: i32, reason: &str, message: &str) -> Value {
        let state = json!({"terminated": {"exitCode": exit_code, "reason": reason, "message": message}});
        json!({"containerStatuses": [{
            "name": "web", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]})
    }

    fn failed(reason: &str) -> Value {
        json!({"type": "Failed", "status": "True", "reason": reason, "message": "m"})
    }

    #[test]
    fn each_kind_of_end_has_its_own_reason() {
        let backoff = || failed("BackoffLimitExceeded");
        let evicted = json!({"reason": "Evicted", "message": "low on memory"});
        for (condition, status, reason, text) in [
            (
                backoff(),
                ended(1, "Error", r#"{"ok":false,"reason":"LockTimeout","message":"held"}"#),
                "LockTimeout",
                "held",
            ),
            (backoff(), ended(1, "Error", r#"{"ok":false,"reason":"Sneaky","message":"m"}"#), "CommandFailed", "m"),
            (backoff(), ended(1, "Error", "noise"), "CommandFailed", "exit code 1"),
            (backoff(), ended(137, "OOMKilled", ""), "OutOfMemory", "memory"),
            (backoff(), ended(128, "StartError", "exec: python"), "InterpreterNotFound", "exec: python"),
            (failed("DeadlineExceeded"), json!({}), "DeadlineExceeded", "timeoutSeconds"),
            (failed("PodFailurePolicy"), evicted.clone(), "Disrupted", "low on memory"),
            (backoff(), evicted, "Disrupted", "Evicted"),
            (backoff(), json!({}), "CommandFailed", "BackoffLimitExceeded"),
        ] {
            let end = from_job(&job(condition), &[pod(status)]);
            assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Failed, reason), "{end:?}");
            assert!(end.message.contains(text), "{end:?}");
        }
    }

    #[test]
    fn a_complete_job_whose_helper_says_otherwise_has_failed() {
        let complete = json!({"type": "Complete", "status": "True"});
        let line = r#"{"ok":false,"reason":"LockTimeout","message":"held"}"#;
        let end = from_job(&job(complete), &[pod(ended(0, "Completed", line))]);
        assert_eq!((end.outcome, end.reason.as_str(), end.message.as_str()), (Outcome::Failed, "LockTimeout", "held"));
        assert_eq!(end.exit_code, Some(0));
        let complete = json!({"type": "Complete", "status": "True"});
        let retried = from_job(&job(complete), &[pod(ended(1, "Error", line))]);
        assert_eq!(retried.outcome, Outcome::Succeeded, "the pod that succeeded is gone already");
    }

    #[test]
    fn a_complete_job_succeeded_with_or_without_a_report() {
        let complete = || json!({"type": "Complete", "status": "True"});
        let line = r#"{"ok":true,"action":"applied","count":2,"names":["a.0001","a.0002"],"settings":"s"}"#;
        let end = from_job(&job(complete()), &[pod(ended(0, "Completed", &format!("noise\n{line}")))]);
        assert_eq!(end.outcome, Outcome::Succeeded);
        assert_eq!(end.report.map(|r| (r.count, r.names.len())), Some((Some(2), 2)));
        assert_eq!(from_job(&job(complete()), &[]).outcome, Outcome::Succeeded);
        let target = json!({"type": "SuccessCriteriaMet", "status": "True"});
        assert_eq!(job(target).end(), None);
    }

    proptest! {
        #[test]
        fn anything_in_the_termination_log_gives_a_bounded_clean_message(message in any::<String>(), ok in any::<bool>()) {
            let line = json!({"ok": ok, "reason": message, "message": message, "names": [message]}).to_string();
            for text in [message.clone(), line] {
                let end = from_job(&job(failed("BackoffLimitExceeded")), &[pod(ended(1, "Error", &text))]);
                prop_assert!(end.message.len() <= crate::api::MESSAGE_LIMIT);
                prop_assert!(!end.message.chars().any(char::is_control));
            }
        }
    }
}
