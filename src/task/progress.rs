//! What a Job and its pods say about a run that is under way: pure.

use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use super::reason::Reason;
use crate::names;

/// A Job without its spec.
#[derive(kube::Resource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[resource(inherit = "k8s_openapi::api::batch::v1::Job")]
pub struct JobView {
    /// Name, UID, owner, annotations.
    pub metadata: ObjectMeta,
    /// Conditions and counters.
    #[serde(default)]
    pub status: Option<JobStatus>,
}

/// A pod without its spec.
#[derive(kube::Resource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[resource(inherit = "k8s_openapi::api::core::v1::Pod")]
pub struct PodView {
    /// Name, UID, owner, annotations.
    pub metadata: ObjectMeta,
    /// Phase, conditions, containers.
    #[serde(default)]
    pub status: Option<PodStatus>,
}

impl JobView {
    /// Name.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    /// UID.
    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// One of the operator's annotations.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Whether the resource with this UID made the Job.
    pub fn owned_by(&self, uid: &str) -> bool {
        self.metadata.owner_references.iter().flatten().any(|o| o.controller == Some(true) && o.uid == uid)
    }

    /// The terminal condition: (complete, reason, message). FailureTarget and SuccessCriteriaMet are not.
    pub fn end(&self) -> Option<(bool, String, String)> {
        let conditions = self.status.as_ref()?.conditions.as_ref()?;
        let found = |type_: &str| conditions.iter().find(|c| c.type_ == type_ && c.status == "True");
        let (complete, condition) = match found("Complete") {
            Some(condition) => (true, condition),
            None => (false, found("Failed")?),
        };
        Some((complete, condition.reason.clone().unwrap_or_default(), condition.message.clone().unwrap_or_default()))
    }
}

impl PodView {
    /// Whether the pod is one of the Job's.
    pub fn belongs_to(&self, job_uid: &str) -> bool {
        self.metadata.owner_references.iter().flatten().any(|o| o.uid == job_uid)
    }

    /// State of the Django container.
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.as_ref()?.container_statuses.as_ref()?.iter().find(|c| c.name == name)
    }

    fn started(&self, container: &str) -> bool {
        self.container(container).is_some_and(|c| {
            let state = |s: &Option<k8s_openapi::api::core::v1::ContainerState>| {
                s.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            };
            state(&c.state) || state(&c.last_state) || c.restart_count > 0
        })
    }
}

/// What keeps a pod from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In a word.
    pub reason: Reason,
    /// In a sentence.
    pub message: String,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The command has not started; why, if that is known.
    NotStarted(Option<Obstacle>),
    /// The command runs.
    Running,
    /// The command has ended, and this other container does not.
    KeptAlive(Obstacle),
    /// The Job has its terminal condition.
    Ended,
}

/// Reads a Job and its pods.
pub fn read(job: &JobView, pods: &[PodView]) -> Progress {
    if job.end().is_some() {
        return Progress::Ended;
    }
    let container = job.annotation(names::CONTAINER).unwrap_or_default();
    let Some(newest) = pods.iter().max_by_key(|p| p.metadata.creation_timestamp.clone()) else {
        let ever = job.status.as_ref().is_some_and(|s| s.failed.unwrap_or(0) > 0 || s.ready.unwrap_or(0) > 0);
        return if ever { Progress::Running } else { Progress::NotStarted(None) };
    };
    if let Some(obstacle) = kept_alive(newest, container) {
        return Progress::KeptAlive(obstacle);
    }
    if pods.iter().any(|p| p.started(container)) {
        return Progress::Running;
    }
    Progress::NotStarted(obstacle(newest))
}

/// A sidecar of the old kind that goes on after the command has ended.
fn kept_alive(pod: &PodView, container: &str) -> Option<Obstacle> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = pod.container(container)?.state.as_ref()?.terminated.as_ref()?;
    let holding: Vec<&str> = statuses
        .iter()
        .filter(|c| c.name != container && c.state.as_ref().is_some_and(|s| s.running.is_some()))
        .map(|c| c.name.as_str())
        .collect();
    (!holding.is_empty()).then(|| Obstacle {
        reason: Reason::SidecarHoldsJob,
        message: format!(
            "the command ended with exit code {}, but the injected container {} keeps the pod alive; have its injector make it a native sidecar, or leave pods labelled {}={} alone",
            ended.exit_code,
            holding.join(", "),
            names::MANAGED_BY,
            names::OPERATOR
        ),
    })
}

/// Why the kubelet or the scheduler cannot start a pod.
fn obstacle(pod: &PodView) -> Option<Obstacle> {
    let status = pod.status.as_ref()?;
    let waiting = status
        .init_container_statuses
        .iter()
        .flatten()
        .chain(status.container_statuses.iter().flatten())
        .filter_map(|c| Some((c, c.state.as_ref()?.waiting.as_ref()?)))
        .find_map(|(c, waiting)| {
            let reason = match waiting.reason.as_deref()? {
                "ErrImagePull"
                | "ImagePullBackOff"
                | "InvalidImageName"
                | "ErrImageNeverPull"
                | "ImageInspectError"
                | "RegistryUnavailable" => Reason::ImagePullFailed,
                "CreateContainerConfigError" => Reason::ConfigMissing,
                "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" => Reason::PodRejected,
                _ => return None,
            };
            let detail = waiting.message.as_deref().unwrap_or(waiting.reason.as_deref().unwrap_or_default());
            Some(Obstacle { reason, message: format!("container {}: {}", c.name, clean(detail)) })
        });
    waiting.or_else(|| {
        let scheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled")?;
        (scheduled.status == "False").then(|| Obstacle {
            reason: Reason::Unschedulable,
            message: clean(scheduled.message.as_deref().unwrap_or("no node takes the pod")),
        })
    })
}

/// Obstacles that stand only in events: of the Job, which could not make a pod, and of the pod, which
/// could not mount.
pub fn from_events<'a>(events: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Obstacle> {
    events.into_iter().find_map(|(reason, note)| {
        let reason = match reason {
            "FailedCreate" => Reason::PodRejected,
            "FailedAttachVolume" => Reason::VolumeNotReady,
            "FailedMount" if note.contains("secret \"") || note.contains("configmap \"") => Reason::ConfigMissing,
            "FailedMount" => Reason::VolumeNotReady,
            _ => return None,
        };
        Some(Obstacle { reason, message: clean(note) })
    })
}

/// Text for a condition: one line, no control characters, bounded.
pub fn clean(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shorten(spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Cuts at the limit of messages, between characters.
pub fn shorten(mut text: String) -> String {
    const LIMIT: usize = crate::api::common::MESSAGE_LIMIT;
    if text.len() > LIMIT {
        let mut end = LIMIT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
