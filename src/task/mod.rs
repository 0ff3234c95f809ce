//! The engine: one for all task kinds, and pure. What is read and written is the controller's.
//!
//! ```text
//! observe (what is known) -> decide (what to do) -> status (what to show; written only if it differs)
//! ```
//!
//! A kind adds only what is in [`Task`]: the label of its targets, its command, and what a run's report means.

pub mod decide;
pub mod dependency;
mod first_wording;
pub mod gate;
pub mod helper_reason;
pub mod job;
pub mod kinds;
pub mod notices;
pub mod observe;
pub mod observed;
pub mod own_migration;
pub mod progress;
pub mod prunable;
mod ready;
pub mod rejection;
pub mod run_cause;
pub mod run_key;
pub mod run_result;
pub mod schedule;
pub mod source;
pub mod status;
mod steps;
pub mod summary;
pub mod target;
pub mod target_change;

use crate::api::{Report, Schedule, TaskResource};

/// Which of the two configured labels marks the Deployments that a kind runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetLabel {
    /// `DJANGO_POD_LABEL`
    Django,
    /// `CELERY_POD_LABEL`
    Celery,
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
    Secret { name: String, key: String },
}

/// What a run executes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Who interprets `argv`.
    pub runner: Runner,
    /// The command and its arguments, or those of all commands.
    pub argv: Vec<String>,
    /// How several commands are told apart. The retries of such a run are the helper's, so that a command that succeeded
    /// is not run again.
    pub steps: Option<Steps>,
    /// Variables to add to the Django container.
    pub env: Vec<(&'static str, EnvValue)>,
    /// Whether it must not run a second time unasked, as what it does to what came since cannot be undone. Its Job begins
    /// only with its UID recorded, and a disruption (a drain, a preemption, an eviction) fails the run unless retries
    /// were asked for.
    pub at_most_once: bool,
    /// Deadline of a run whose spec names none.
    pub default_timeout: Option<i64>,
}

impl Command {
    /// One that may be repeated, and has an hour.
    pub fn new(runner: Runner, argv: Vec<String>) -> Self {
        Self { runner, argv, steps: None, env: Vec::new(), at_most_once: false, default_timeout: Some(3600) }
    }
}

/// Several commands in one run, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Of how many words each of them is.
    pub lengths: Vec<usize>,
    /// Whether a run begins where the one before it failed.
    pub resumes: bool,
}

/// What a kind adds to the engine.
pub trait Task: TaskResource {
    /// The label of its targets.
    const TARGET_LABEL: TargetLabel;
    /// Whether its command waits for migrations that are yet to come.
    const WAITS_FOR_MIGRATIONS: bool = false;
    /// Fields of its own that are not part of a run's key, beside those of all kinds.
    const NON_TRIGGERING_FIELDS: &[&str] = &[];
    /// Its field that lists commands of the author's choice, as argv lists.
    const COMMANDS_FIELD: Option<&str> = None;
    /// Its field that refers to a Secret by `name`.
    const SECRET_FIELD: Option<&str> = None;

    /// What to run.
    fn command(&self) -> Command;
    /// When it runs by the clock.
    fn schedule(&self) -> Option<&Schedule> {
        None
    }
    /// Django's alias of the database in which its command migrates everything; absent where it does not.
    fn migrates_everything_in(&self) -> Option<&str> {
        None
    }
    /// Reason of the event, and the sentence, for a run that succeeded.
    fn success(&self, report: Option<&Report>) -> (&'static str, String);
}
