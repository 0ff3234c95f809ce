//! What is known of a task, as data.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::progress::Obstacle;
use super::target::Candidate;
use crate::api::TaskStatus;
use crate::core::Blocked;
use crate::core::views::{JobView, PodView};

/// What is known of the newest run's Job.
#[derive(Clone, Debug, Default)]
pub enum ObservedJob {
    /// No watch has it; that says nothing.
    #[default]
    Unknown,
    /// The API server says that it is gone; where the run was superseded, its pods as well.
    Absent,
    /// The API server says that it is gone, with pods still ending.
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
    /// The key of the spec as it is.
    pub key: String,
    /// The target's image, where the task follows it.
    pub followed_image: Option<String>,
    /// The chosen target, or why there is none; absent while it does not matter.
    pub target: Option<Result<Arc<Candidate>, Blocked>>,
    /// The newest run's Job.
    pub job: ObservedJob,
    pub pods: Vec<Arc<PodView>>,
    /// What events said about a pod that does not start.
    pub event_obstacle: Option<Obstacle>,
    /// Whether events were read in this reconcile.
    pub events_read: bool,
    /// When it was observed.
    pub now: Timestamp,
}

/// What was asked of the API server beyond what the watches know.
#[derive(Clone, Debug, Default)]
pub struct Lookups {
    /// The newest run's Job.
    pub job: Option<ObservedJob>,
    /// What events said about a pod that does not start.
    pub event_obstacle: Option<Obstacle>,
    /// Whether events were read.
    pub events_read: bool,
}
