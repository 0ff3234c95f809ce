//! What every task's status has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dependency::DependencyRun;
use super::schedule::ScheduleStatus;
use super::target::TargetStatus;

/// Longest text that goes into a message of the status.
pub const MESSAGE_LIMIT: usize = 1024;

/// The fields that every task kind's status shares; a kind adds its own timestamp.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskStatus {
    /// The generation of the spec that this status is about; -1 until the operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready (the newest spec was carried out), Finished (nothing more will happen by itself),
    /// TargetResolved; and Reconciling, Stalled, Suspended or GateMisconfigured (pods that are to wait for what it
    /// migrates do not, or not as they ask) only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The newest run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<Run>,
    /// The runs before it, newest first; at most five, among them the newest that succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastRun>,
    /// The value of the annotation `django.my.domain/requestedAt` that was last acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_request: Option<String>,
    /// How far its schedule is; absent where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleStatus>,
    /// The newest run that migrated everything in a database; absent where none has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<SchemaStatus>,
    /// What the newest successful run reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

/// What a database was last migrated by.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchemaStatus {
    /// Django's alias of the database.
    pub database: String,
    /// Image of the Django container.
    pub image: String,
    /// Where the pod template came from.
    pub target: TargetStatus,
    /// When the run's end was recorded.
    pub migrated_at: Time,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Hash, JsonSchema)]
pub enum Outcome {
    /// The command did what it was asked to do.
    Succeeded,
    /// The command, its pod or its Job failed.
    Failed,
    /// The run gave way to a newer spec before its command was seen to start.
    Superseded,
    /// The Job was deleted by somebody else before its end was recorded.
    Lost,
}

/// Why a run was due.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Hash, JsonSchema)]
pub enum RunCause {
    /// There was none before.
    First,
    /// The spec or its trigger changed.
    Spec,
    /// The target runs another image, which the task follows.
    Image,
    /// The annotation `django.my.domain/requestedAt` got a new value.
    Request,
    /// It was due by its schedule.
    Schedule,
    /// A task that it depends on ran again, and `spec.rerunWithDependencies` is true.
    Dependency,
    /// The run before it was given up before its command started.
    Unfinished,
    /// The interpreter of the run before it is not in the image; another one is tried.
    Interpreter,
    /// The run before it failed because of how its target is set up, before the project's command began, and one of the
    /// target's annotations of this group changed since.
    Target,
}

/// One execution of a task: exactly one Job.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counts the runs of this resource from 1; 0 stands for what an operator did that recorded no runs.
    pub number: i64,
    /// Why it was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<RunCause>,
    /// Versioned hash of everything whose change asks for a new run.
    pub key: String,
    /// The generation of the resource that this run carried out.
    pub generation: i64,
    /// Name of the Job.
    pub job_name: String,
    /// UID of the Job; absent until the API server has confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Image of the Django container.
    pub image: String,
    /// The interpreter that its Job starts. The next run of this task begins with the one that worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// The interpreters that new runs try by themselves, one after the other, where that one is not in the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_interpreters: Vec<String>,
    /// The trigger at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where the pod template came from.
    pub target: TargetStatus,
    /// Django's alias of the database in which it migrates everything; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrates_database: Option<String>,
    /// A hash of the target's annotations of this group; absent where it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_settings: Option<String>,
    /// The due time of the schedule for which it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<Time>,
    /// The newest runs of the tasks that it depends on, when it was decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<DependencyRun>,
    /// The generation of a newer spec to which this run gives way, while its Job is removed; its command had not started
    /// when that began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<i64>,
    /// When the command was first seen to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_started_at: Option<Time>,
    /// When the run was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Seconds from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// The command at which it began, counted from 1, where it resumed the run before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_step: Option<i32>,
    /// What came of each of several commands, in order; absent until the end, and where nothing is known of them, as
    /// after a timeout or the loss of the pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepResult>,
    /// Exit code of the command, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What came of it; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What came of one of several commands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum StepState {
    /// It ended with exit code 0.
    Succeeded,
    /// It failed, and was the last.
    Failed,
    /// It did not begin, as one before it failed.
    #[default]
    NotRun,
    /// It had succeeded in the run that this one resumed, and was not run again.
    Skipped,
}

/// One of several commands.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// Name of the command.
    pub name: String,
    /// What came of it.
    pub state: StepState,
    /// Its exit code; 128 and the signal's number where a signal ended it. Absent where it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Seconds that it took, all attempts and the pauses between them included. Absent where it did not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// Why it failed, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why it failed, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A run that is over, as the history keeps it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// The run's number.
    pub number: i64,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence, of which the first 256 bytes are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Image of the Django container.
    pub image: String,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// A database that a run talked to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Database {
    /// Django's alias.
    #[serde(default)]
    pub alias: String,
    /// Django's engine, without its module path.
    #[serde(default)]
    pub engine: String,
    /// Host, or empty for a local file.
    #[serde(default)]
    pub host: String,
    /// Name of the database or file.
    #[serde(default)]
    pub name: String,
}

/// What the command itself reported.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Report {
    /// What was done: created, updated, unchanged, applied, unapplied, faked, pruned, collected, unmodified, purged,
    /// revoked, terminated, executed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// How many migrations, files, messages, workers or commands it concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Their names: all, or the first five and the last five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Django's settings module.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub settings: String,
    /// How the project was started, and why so; absent where the target's annotation says how.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub started: String,
    /// The databases that were used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Database>,
}
