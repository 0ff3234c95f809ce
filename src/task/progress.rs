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
    if job.end().is_some() {
        return Progress::Ended;
    }
    let container = job.annotation(names::CONTAINER_ANNOTATION).unwrap_or_default();
    let Some(newest) = pods.iter().map(Borrow::borrow).max_by_key(|p: &&PodView| p.meta.created) else {
        let ever = job.status.as_ref().is_some_and(|s| s.failed.unwrap_or(0) > 0 || s.ready.unwrap_or(0) > 0);
        return if ever { Progress::Running } else { Progress::NotStarted(None) };
    };
    if let Some(obstacle) = kept_alive(newest, container) {
        return Progress::KeptAlive(obstacle);
    }
    if has_started(pods, container) {
        return Progress::Running;
    }
    Progress::NotStarted(obstacle(newest))
}

/// Whether the command ever ran in one of the pods.
pub fn has_started(pods: &[impl Borrow<PodView>], container: &str) -> bool {
    pods.iter().any(|pod| pod.borrow().started(container))
}

/// A sidecar of the old kind that goes on after the command has ended.
fn kept_alive(pod: &PodView, container: &str) -> Option<Obstacle> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ended = pod.container_status(container)?.state.as_ref()?.terminated.as_ref()?;
    let holding: Vec<&str> = statuses
        .iter()
        .filter(|c| c.name != container && c.state.as_ref().is_some_and(|s| s.running))
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
        let scheduled = status.conditions.iter().find(|c| c.type_ == "PodScheduled")?;
        let message = scheduled.message.as_deref().unwrap_or("no node takes the pod");
        let passing = PASSING_UNSCHEDULABLE.iter().any(|words| message.contains(words));
        (!passing).then(|| Obstacle { reason: Reason::Unschedulable, message: one_line(message) })
    })
}

/// What the scheduler says while a volume is on its way; if it does not come, that stands in an event.
const PASSING_UNSCHEDULABLE: &[&str] = &["unbound immediate PersistentVolumeClaims", "waiting for ephemeral volume"];

/// An event, as far as it tells of obstacles.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    /// Warning, rather than Normal.
    pub warning: bool,
    pub reason: &'a str,
    pub note: &'a str,
}

/// Warnings that keep no pod from starting, or that its own status words better.
const HARMLESS_EVENTS: &[&str] = &[
    "DNSConfigForming",
    "CheckLimitsForResolvConf",
    "MissingClusterDNS",
    "FailedToRetrieveImagePullSecret",
    "ProbeWarning",
];
/// Warnings that usually pass by themselves.
const PASSING_EVENTS: &[&str] = &["FailedScheduling", "Unhealthy"];

/// An obstacle that stands only in events: of the Job, which could not make a pod, and of the pod. Given newest first; a
/// warning that something normal followed has passed. `waited` tells that a while has gone by, after which also counts
/// what usually passes by itself.
pub fn from_events<'a>(events: impl IntoIterator<Item = EventView<'a>>, waited: bool) -> Option<Obstacle> {
    let counting = events.into_iter().filter(|event| event.reason != "SandboxChanged"); // before each new attempt
    let newest_warnings = counting.take_while(|event| event.warning);
    let silent = |event: &EventView| {
        HARMLESS_EVENTS.contains(&event.reason) || (!waited && PASSING_EVENTS.contains(&event.reason))
    };
    let mut telling = newest_warnings.filter(|event| !silent(event));
    telling.next().map(|EventView { reason, note, .. }| {
        let reason = match reason {
            "FailedCreate" => Reason::PodRejected,
            "FailedAttachVolume" => Reason::VolumeNotReady,
            "FailedMount" if note.contains("secret \"") || note.contains("configmap \"") => Reason::ConfigMissing,
            "FailedMount" => Reason::VolumeNotReady,
            "FailedScheduling" => Reason::Unschedulable,
            _ => Reason::PodNotStarting,
        };
        Obstacle { reason, message: one_line(note) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_newest_warning_that_nothing_followed_tells() {
        let warn = |reason, note| EventView { warning: true, reason, note };
        let normal = EventView { warning: false, reason: "Scheduled", note: "" };
        let sandbox = warn("FailedCreatePodSandBox", "no network");
        let unbound = warn("FailedScheduling", "pod has unbound immediate PersistentVolumeClaims");
        for (situation, events, waited, expected) in [
            ("none", vec![], false, None),
            ("a broken network", vec![sandbox, normal], false, Some((Reason::PodNotStarting, "no network"))),
            ("it works again", vec![normal, sandbox], false, None),
            (
                "it is tried again",
                vec![EventView { reason: "SandboxChanged", ..normal }, sandbox],
                false,
                Some((Reason::PodNotStarting, "no network")),
            ),
            ("harmless", vec![warn("DNSConfigForming", "x"), normal], true, None),
            (
                "harmless, and the cause",
                vec![warn("DNSConfigForming", "x"), sandbox],
                false,
                Some((Reason::PodNotStarting, "no network")),
            ),
            ("a claim is being bound", vec![unbound], false, None),
            ("a claim stays unbound", vec![unbound], true, Some((Reason::Unschedulable, unbound.note))),
            (
                "a Secret",
                vec![warn("FailedMount", "secret \"s\" not found")],
                false,
                Some((Reason::ConfigMissing, "secret \"s\" not found")),
            ),
            ("a volume", vec![warn("FailedMount", "timed out")], false, Some((Reason::VolumeNotReady, "timed out"))),
            (
                "a quota",
                vec![warn("FailedCreate", "exceeded quota")],
                false,
                Some((Reason::PodRejected, "exceeded quota")),
            ),
        ] {
            let expected = expected.map(|(reason, note)| Obstacle { reason, message: note.to_owned() });
            assert_eq!(from_events(events, waited), expected, "{situation}");
        }
    }

    #[test]
    fn a_claim_that_is_being_bound_is_no_obstacle() {
        let pod = |message: &str| -> PodView {
            let condition = json!({"type": "PodScheduled", "status": "False", "message": message});
            serde_json::from_value(json!({"metadata": {}, "status": {"conditions": [condition]}})).unwrap()
        };
        let reason = |message| obstacle(&pod(message)).map(|obstacle| obstacle.reason);
        assert_eq!(reason("0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."), None);
        assert_eq!(reason("0/3 nodes are available: 3 Insufficient memory."), Some(Reason::Unschedulable));
    }
}
