//! The engine: one for all task kinds.
//!
//! ```text
//! gather (reads) -> decide (pure, given the time) -> apply (writes) -> status (pure, None when equal)
//! ```
//!
//! A kind adds only what is in [`Task`]: its spec, its command, what a run's report means.

pub mod decide;
pub mod job;
pub mod key;
pub mod kinds;
pub mod outcome;
pub mod progress;
pub mod source;
pub mod status;
pub mod target;

use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::common::{Report, TaskPolicy, TaskStatus};

/// Which of the two configured labels marks the Deployments that a kind runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetLabel {
    /// `DJANGO_POD_LABEL`
    Django,
    /// `CELERY_POD_LABEL`
    Celery,
}

/// What a pod that is disrupted (drained, preempted, evicted) means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisruption {
    /// The command can simply be started again: the disruption does not count.
    StartAgain,
    /// The command must not run twice unasked: the run fails, unless retries were asked for.
    Fail,
}

/// How the helper starts the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// As a management command of the project.
    Manage,
    /// As Celery's command line.
    Celery,
}

/// An environment variable that the operator adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// The text itself; references such as `$(NAME)` in it are made inert.
    Text(String),
    /// A key of a Secret, read by the pod.
    Secret {
        /// The Secret's name.
        name: String,
        /// The key in it.
        key: String,
    },
}

/// What a run executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who interprets `argv`.
    pub runner: Runner,
    /// The command and its arguments.
    pub argv: Vec<String>,
    /// Variables to add to the Django container.
    pub env: Vec<(&'static str, EnvValue)>,
    /// What a disruption means.
    pub on_disruption: OnDisruption,
    /// Deadline of a run whose spec names none.
    pub default_timeout: Option<i64>,
}

/// The messages of broken rules, in one text.
fn rule_text(errors: &kube::core::cel::ValidationErrors) -> String {
    errors.as_slice().iter().map(|error| error.message.as_str()).collect::<Vec<_>>().join("; ")
}

/// What a kind adds to the engine.
pub trait Task:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind's name.
    const KIND: &'static str;
    /// The label of its targets.
    const LABEL: TargetLabel;

    /// The shared fields of the spec.
    fn policy(&self) -> &TaskPolicy;
    /// The spec as written, defaults filled in.
    fn spec(&self) -> Value;
    /// The defaults of the kind's own fields, as they stand in a spec.
    fn defaults() -> Value;
    /// The status.
    fn status(&self) -> TaskStatus;
    /// Replaces the status.
    fn set_status(&mut self, status: TaskStatus);
    /// The rules of the schema that a stored object may still break, because it is older than they are.
    fn rules(&self) -> Result<(), String>;
    /// What to run.
    fn command(&self) -> Command;
    /// Reason of the event, and the sentence, for a run that succeeded.
    fn success(&self, report: Option<&Report>) -> (&'static str, String);
}
