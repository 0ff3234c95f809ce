//! Objects of the cluster without what nothing reads: there are as many as tasks, and each stays in memory.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::lean::lean_metadata;
use super::owned_meta::{JOB_NAME_LABEL, JOB_UID_LABEL, OwnedMeta};
use crate::names;

/// A Job, with one field of its spec.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(from = "JobObject")]
pub struct JobView {
    pub meta: OwnedMeta,
    /// Whether no pods are made.
    suspend: bool,
    pub status: Option<JobStatusView>,
}

/// A Job as it is read.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "k8s_openapi::api::batch::v1::Job")]
pub struct JobObject {
    #[serde(deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: JobSpecView,
    #[serde(default)]
    status: Option<JobStatusView>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct JobSpecView {
    #[serde(default)]
    suspend: Option<bool>,
}

impl From<JobObject> for JobView {
    fn from(JobObject { metadata, spec, status }: JobObject) -> Self {
        Self { meta: metadata.into(), suspend: spec.suspend == Some(true), status }
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct JobStatusView {
    /// How the Job ended.
    #[serde(default, rename = "conditions", deserialize_with = "job_end")]
    end: Option<JobEnd>,
    /// How many pods failed.
    #[serde(default)]
    pub failed: Option<i32>,
    /// How many pods are ready.
    #[serde(default)]
    pub ready: Option<i32>,
}

/// A condition of a Job or pod.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct ConditionView {
    #[serde(rename = "type")]
    pub type_: String,
    #[serde(default)]
    pub status: String,
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}

/// A pod without its spec.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(from = "PodObject")]
pub struct PodView {
    pub meta: OwnedMeta,
    pub status: Option<PodStatusView>,
}

/// A pod as it is read.
#[derive(kube::Resource, Clone, Debug, Deserialize)]
#[resource(inherit = "k8s_openapi::api::core::v1::Pod")]
pub struct PodObject {
    #[serde(deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    status: Option<PodStatusView>,
}

impl From<PodObject> for PodView {
    fn from(PodObject { metadata, status }: PodObject) -> Self {
        Self { meta: metadata.into(), status }
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodStatusView {
    #[serde(default)]
    pub phase: Option<String>,
    /// Why the pod ended, where that is not its containers' doing.
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default, deserialize_with = "telling_conditions")]
    pub conditions: Vec<ConditionView>,
    #[serde(default)]
    pub init_container_statuses: Option<Vec<ContainerStatusView>>,
    #[serde(default)]
    pub container_statuses: Option<Vec<ContainerStatusView>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStatusView {
    pub name: String,
    /// Whether there is a container of that name.
    #[serde(default, rename = "containerID", deserialize_with = "is_text")]
    pub has_container: bool,
    #[serde(default)]
    pub restart_count: i32,
    #[serde(default)]
    pub state: Option<ContainerStateView>,
    #[serde(default)]
    pub last_state: Option<ContainerStateView>,
}

/// One of these; none: it waits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct ContainerStateView {
    #[serde(default)]
    pub waiting: Option<WaitingView>,
    #[serde(default, deserialize_with = "is_given")]
    pub running: bool,
    #[serde(default)]
    pub terminated: Option<Box<TerminatedView>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct WaitingView {
    #[serde(default)]
    pub reason: Option<String>,
    #[serde(default)]
    pub message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TerminatedView {
    #[serde(default)]
    pub exit_code: i32,
    #[serde(default)]
    pub signal: Option<i32>,
    #[serde(default)]
    pub reason: Option<String>,
    /// What the command wrote to its termination log.
    #[serde(default)]
    pub message: Option<String>,
    #[serde(default)]
    pub started_at: Option<Time>,
    #[serde(default, rename = "containerID", deserialize_with = "is_text")]
    pub has_container: bool,
}

/// The end that a Job's conditions tell; FailureTarget and SuccessCriteriaMet only announce it.
fn job_end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JobEnd>, D::Error> {
    let conditions = conditions(deserializer, |condition| condition.status == "True")?;
    let found = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
    if found("Complete").is_some() {
        return Ok(Some(JobEnd { complete: true, ..JobEnd::default() }));
    }
    let failed = found("Failed");
    Ok(failed.map(|condition| JobEnd {
        complete: false,
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
    }))
}

/// Conditions of a pod that say why it does not start, or who ended it.
fn telling_conditions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ConditionView>, D::Error> {
    conditions(deserializer, |condition| match condition.type_.as_str() {
        "PodScheduled" => condition.status == "False",
        "DisruptionTarget" => condition.status == "True",
        _ => false,
    })
}

fn conditions<'de, D: Deserializer<'de>>(
    deserializer: D,
    telling: impl Fn(&ConditionView) -> bool,
) -> Result<Vec<ConditionView>, D::Error> {
    let mut conditions = Option::<Vec<ConditionView>>::deserialize(deserializer)?.unwrap_or_default();
    conditions.retain(telling);
    conditions.shrink_to_fit();
    Ok(conditions)
}

/// Whether there is a text, and no empty one.
fn is_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.is_some_and(|text| !text.is_empty()))
}

/// Whether there is a value.
fn is_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(deserializer)?.is_some())
}

impl JobView {
    pub fn name(&self) -> &str {
        &self.meta.name
    }

    pub fn uid(&self) -> &str {
        &self.meta.uid
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.meta.mark(name)
    }

    /// Number of the run that it is.
    pub fn run_number(&self) -> Option<i64> {
        self.annotation(names::RUN_ANNOTATION)?.parse().ok()
    }

    pub fn is_deleting(&self) -> bool {
        self.meta.is_deleting
    }

    pub fn is_suspended(&self) -> bool {
        self.suspend
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
        self.meta.is_controlled_by(uid)
    }

    /// How the Job ended; none while it has not.
    pub fn end(&self) -> Option<&JobEnd> {
        self.status.as_ref()?.end.as_ref()
    }
}

/// How a Job ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobEnd {
    /// Complete, or Failed.
    pub complete: bool,
    /// Of one that failed.
    pub reason: String,
    /// Of one that failed.
    pub message: String,
}

impl PodView {
    /// Whether the pod is one of the Job's, also where the Job was deleted without its pods.
    pub fn belongs_to(&self, job_uid: &str) -> bool {
        self.meta.is_owned_by(job_uid) || self.job_uid() == Some(job_uid)
    }

    pub fn container_status(&self, name: &str) -> Option<&ContainerStatusView> {
        self.status.as_ref()?.container_statuses.as_ref()?.iter().find(|c| c.name == name)
    }

    /// Whether nothing runs in it any more.
    pub fn has_ended(&self) -> bool {
        let phase = self.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    }

    /// UID of the Job that made it.
    pub fn job_uid(&self) -> Option<&str> {
        self.meta.mark(JOB_UID_LABEL)
    }

    /// Name of the Job that made it.
    pub fn job_name(&self) -> Option<&str> {
        self.meta.mark(JOB_NAME_LABEL)
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

fn ran(status: &ContainerStatusView) -> bool {
    let state = |state: &Option<ContainerStateView>| {
        state.as_ref().is_some_and(|state| state.running || state.terminated.is_some())
    };
    let ever = status.restart_count > 0 || state(&status.last_state);
    ever || (state(&status.state) && !never_ran(status))
}

impl TerminatedView {
    /// Whether the container's program could not be started at all.
    pub fn could_not_start(&self) -> bool {
        matches!(self.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
    }

    /// Whether the kernel ended it, or a process in it, for its memory.
    pub fn is_out_of_memory(&self) -> bool {
        self.reason.as_deref() == Some("OOMKilled")
    }
}

/// The kubelet ends a pod that is deleted before its containers exist as if they had run, and been lost; and a container
/// whose program is not there as if it had ended.
fn never_ran(status: &ContainerStatusView) -> bool {
    let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.is_some_and(|ended| {
        let unknown = ended.reason.as_deref() == Some("ContainerStatusUnknown");
        let created = ended.started_at.is_some() || ended.has_container || status.has_container;
        ended.could_not_start() || (unknown && !created)
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
            ("has no such program", json!({"state": {"terminated": {"exitCode": 128, "reason": "StartError"}}}), false),
            ("never there", json!({"state": unknown, "containerID": ""}), false),
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
