//! Objects of the cluster without what nothing reads.

use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::names;

/// On pods, by the Job controller.
const JOB_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";

/// A Job, with one field of its spec.
#[derive(kube::Resource, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[resource(inherit = "k8s_openapi::api::batch::v1::Job")]
pub struct JobView {
    /// Name, UID, owner, annotations.
    pub metadata: ObjectMeta,
    #[serde(default)]
    pub spec: JobSpecView,
    /// Conditions and counters.
    #[serde(default)]
    pub status: Option<JobStatus>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
pub struct JobSpecView {
    /// Whether no pods are made.
    #[serde(default)]
    pub suspend: Option<bool>,
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
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
    }

    /// Number of the run that it is.
    pub fn run_number(&self) -> Option<i64> {
        self.annotation(names::RUN_ANNOTATION)?.parse().ok()
    }

    pub fn is_deleting(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    pub fn is_suspended(&self) -> bool {
        self.spec.suspend == Some(true)
    }

    /// Whether it is as the operator created it for a command that must not run twice: suspended, until its UID is
    /// stored. What lets it begin takes the annotation away.
    pub fn is_held(&self) -> bool {
        self.is_suspended() && self.annotation(names::HELD_ANNOTATION).is_some()
    }

    /// Its identity alone.
    pub fn without_status(&self) -> Self {
        Self { status: None, ..self.clone() }
    }

    /// Whether the resource with this UID made the Job.
    pub fn owned_by(&self, uid: &str) -> bool {
        self.metadata.owner_references.iter().flatten().any(|o| o.controller == Some(true) && o.uid == uid)
    }

    /// How the Job ended; FailureTarget and SuccessCriteriaMet only announce it.
    pub fn terminal_condition(&self) -> Option<JobEnd> {
        let conditions = self.status.as_ref()?.conditions.as_ref()?;
        let found = |type_: &str| conditions.iter().find(|c| c.type_ == type_ && c.status == "True");
        let (complete, condition) = match found("Complete") {
            Some(condition) => (true, condition),
            None => (false, found("Failed")?),
        };
        Some(JobEnd {
            complete,
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        })
    }
}

/// How a Job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobEnd {
    /// Complete, or Failed.
    pub complete: bool,
    pub reason: String,
    pub message: String,
}

impl PodView {
    /// Whether the pod is one of the Job's, also where the Job was deleted without its pods.
    pub fn belongs_to(&self, job_uid: &str) -> bool {
        let owned = self.metadata.owner_references.iter().flatten().any(|o| o.uid == job_uid);
        owned || self.job_uid() == Some(job_uid)
    }

    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.as_ref()?.container_statuses.as_ref()?.iter().find(|c| c.name == name)
    }

    /// Whether nothing runs in it any more.
    pub fn has_ended(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// UID of the Job that made it.
    pub fn job_uid(&self) -> Option<&str> {
        self.metadata.labels.as_ref()?.get(JOB_UID_LABEL).map(String::as_str)
    }

    /// Whether the container ever ran.
    pub fn started(&self, container: &str) -> bool {
        self.started_containers().any(|name| name == container)
    }

    /// The containers that ever ran.
    pub fn started_containers(&self) -> impl Iterator<Item = &str> {
        let statuses = self.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.filter(|status| ran(status)).map(|status| status.name.as_str())
    }
}

fn ran(status: &ContainerStatus) -> bool {
    let state = |state: &Option<ContainerState>| {
        state.as_ref().is_some_and(|state| state.running.is_some() || state.terminated.is_some())
    };
    let ever = status.restart_count > 0 || state(&status.last_state);
    ever || (state(&status.state) && !never_created(status))
}

/// The kubelet ends a pod that is deleted before its containers exist as if they had run, and been lost.
fn never_created(status: &ContainerStatus) -> bool {
    let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| {
        ended.reason.as_deref() == Some("ContainerStatusUnknown")
            && ended.started_at.is_none()
            && ended.container_id.is_none()
            && status.container_id.is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_that_was_never_created_did_not_run() {
        let unknown = json!({"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown",
            "message": "The container could not be located when the pod was terminated", "startedAt": null}});
        for (situation, status, started) in [
            ("waits", json!({"state": {"waiting": {"reason": "ImagePullBackOff"}}}), false),
            ("runs", json!({"state": {"running": {}}}), true),
            ("ended", json!({"state": {"terminated": {"exitCode": 1, "reason": "Error"}}}), true),
            ("deleted before it was created", json!({"state": unknown}), false),
            ("lost", json!({"state": unknown, "containerID": "containerd://1"}), true),
            ("lost, and made again", json!({"state": unknown, "restartCount": 1}), true),
            ("lost before the pod was deleted", json!({"state": unknown, "lastState": unknown}), true),
        ] {
            let mut whole = json!({"name": "django", "image": "", "imageID": "", "ready": false, "restartCount": 0});
            whole.as_object_mut().unwrap().extend(status.as_object().unwrap().clone());
            let pod = json!({"metadata": {}, "status": {"containerStatuses": [whole]}});
            let pod: PodView = serde_json::from_value(pod).unwrap();
            assert_eq!(pod.started("django"), started, "{situation}");
        }
    }
}
