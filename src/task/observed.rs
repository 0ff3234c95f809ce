//! What is known of a task, as data.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::dependency::{DependencyState, ObservedDependency};
use super::gate::GateProblem;
use super::progress::Obstacle;
use super::schedule::ObservedSchedule;
use super::target::Candidate;
use crate::api::TaskStatus;
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, request};

/// What is known of the newest run's Job.
#[derive(Clone, Debug, Default)]
pub enum ObservedJob {
    /// No watch has it; that says nothing.
    #[default]
    Unknown,
    /// The API server says that it is gone, and that nothing runs in its pods.
    Absent,
    /// The API server says that it is gone, with pods that still run.
    PodsTerminating,
    /// It exists.
    Present(Arc<JobView>),
}

/// Everything that the decision depends on.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub uid: String,
    pub generation: i64,
    pub suspend: bool,
    /// Value of the request annotation, if it says something.
    pub requested: Option<String>,
    /// A rule that the spec breaks, where a run is due.
    pub broken_rule: Option<String>,
    /// The status as last seen, with the UID of the newest run's Job.
    pub status: TaskStatus,
    /// When a run last succeeded.
    pub completed_at: Option<Time>,
    /// Whether the spec is another one than that of the newest run.
    pub spec_changed: bool,
    /// Whether another image of the target asks for a run.
    pub follows_image: bool,
    /// Whether the target of the newest run has other annotations of ours than it had then. Never for a command that must
    /// not run twice unasked.
    pub target_changed: bool,
    /// The image that the chosen target runs.
    pub target_image: Option<String>,
    /// The chosen target, or why there is none; absent while it does not matter.
    pub target: Option<Result<Arc<Candidate>, Blocked>>,
    /// What is wrong about the gate of pods that wait for what it migrates.
    pub gate_problem: Option<GateProblem>,
    /// Its schedule, as it stands now.
    pub schedule: Option<ObservedSchedule>,
    /// What it waits for, in the order of the spec.
    pub dependencies: Vec<ObservedDependency>,
    /// Whether it runs again when one of them has.
    pub reruns_with_dependencies: bool,
    /// The circle of tasks that wait for each other, where this one is part of one.
    pub dependency_cycle: Option<String>,
    /// The newest run's Job.
    pub job: ObservedJob,
    /// How long this process has known the Job.
    pub job_age: Duration,
    /// Whether the API server is to be asked how the Job is: it said so long ago, or the cached Job is another one.
    pub job_is_stale: bool,
    /// Whether the status in the cluster has the Job's UID.
    pub job_uid_stored: bool,
    pub pods: Vec<Arc<PodView>>,
    /// The DjangoMigrate resources that are under way on the target of the newest run, which is not over, where its
    /// command waits for what they bring.
    pub open_migrations: Option<Vec<String>>,
    /// Jobs of this task that have not ended though their runs are over: an operator created them late.
    pub late_jobs: Vec<Arc<JobView>>,
    /// UIDs of those that were just deleted.
    pub deleted_jobs: BTreeSet<String>,
    /// What events said about a pod that does not start.
    pub event_obstacle: Option<Obstacle>,
    /// Whether events were read in this reconcile.
    pub events_read: bool,
    /// When it was observed.
    pub now: Timestamp,
}

impl Observed {
    /// Whether the request annotation asks for a run that there was none for.
    pub fn has_open_request(&self) -> bool {
        request::is_open(self.requested.as_ref(), &self.status)
    }

    /// Whether the target runs another image than the newest run, which the task follows.
    pub fn image_changed(&self) -> bool {
        let run = self.status.last_run.as_ref();
        self.follows_image && self.target_image.as_ref().is_some_and(|image| run.is_some_and(|run| run.image != *image))
    }
}

impl Observed {
    /// Whether a run is due by the clock. While it is suspended none is, and one of those that pass is afterwards.
    pub fn is_due_by_schedule(&self) -> bool {
        !self.suspend && self.schedule.as_ref().is_some_and(ObservedSchedule::is_due)
    }

    /// Whether a dependency has run since the newest run, or is to, which this task follows. One that was added to the
    /// spec since, or that is gone, asks for nothing.
    pub fn dependency_reran(&self) -> bool {
        let Some(run) = self.status.last_run.as_ref().filter(|_| self.reruns_with_dependencies) else { return false };
        let before = |dependency: &ObservedDependency| {
            run.dependencies.iter().find(|d| d.kind == dependency.kind && d.name == dependency.name)
        };
        self.dependencies.iter().any(|dependency| match (before(dependency), &dependency.state) {
            (None, _) | (_, DependencyState::Missing) => false,
            (Some(_), DependencyState::Pending) => true,
            (Some(before), DependencyState::Succeeded(now) | DependencyState::Failed { run: now, .. }) => {
                (&before.uid, before.run) != (&now.uid, now.number)
            }
        })
    }
}

/// What was asked of the API server beyond what the watches know.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// The newest run's Job.
    pub job: Option<ObservedJob>,
    /// Its pods.
    pub pods: Option<Vec<Arc<PodView>>>,
    /// UIDs of Jobs that were deleted.
    pub deleted_jobs: BTreeSet<String>,
    /// What events said about a pod that does not start.
    pub event_obstacle: Option<Obstacle>,
    /// Whether events were read.
    pub events_read: bool,
}
