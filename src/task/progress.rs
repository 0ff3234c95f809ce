//! What a Job and its pods say about a run that is under way: pure.

use std::borrow::Borrow;

use crate::core::Reason;
use crate::core::text::one_line;
use crate::core::views::{JobView, PodView};
use crate::names;

/// What keeps a pod from starting, or a Job from ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    pub reason: Reason,
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
pub fn of_run(job: &JobView, pods: &[impl Borrow<PodView>]) -> Progress {
    if job.terminal_condition().is_some() {
        return Progress::Ended;
    }
    let container = job.annotation(names::CONTAINER_ANNOTATION).unwrap_or_default();
    let Some(newest) = pods.iter().map(Borrow::borrow).max_by_key(|p: &&PodView| p.metadata.creation_timestamp.clone())
    else {
        let ever = job.status.as_ref().is_some_and(|s| s.failed.unwrap_or(0) > 0 || s.ready.unwrap_or(0) > 0);
        return if ever { Progress::Running } else { Progress::NotStarted(None) };
    };
    if let Some(obstacle) = kept_alive(newest, container) {
        return Progress::KeptAlive(obstacle);
    }
    if pods.iter().any(|p| p.borrow().started(container)) {
        return Progress::Running;
    }
    Progress::NotStarted(obstacle(newest))
}

/// A sidecar of the old kind that goes on after the command has ended.
fn kept_alive(pod: &PodView, container: &str) -> Option<Obstacle> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = pod.container_status(container)?.state.as_ref()?.terminated.as_ref()?;
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
            names::MANAGED_BY_LABEL,
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
            Some(Obstacle { reason, message: format!("container {}: {}", c.name, one_line(detail)) })
        });
    waiting.or_else(|| {
        let scheduled = status.conditions.iter().flatten().find(|c| c.type_ == "PodScheduled")?;
        (scheduled.status == "False").then(|| Obstacle {
            reason: Reason::Unschedulable,
            message: one_line(scheduled.message.as_deref().unwrap_or("no node takes the pod")),
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
        Some(Obstacle { reason, message: one_line(note) })
    })
}
