//! Objects of the cluster without what nothing reads.

use k8s_openapi::api::batch::v1::JobStatus;
use k8s_openapi::api::core::v1::{ContainerStatus, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

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
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(name).map(String::as_str)
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
    /// Whether the pod is one of the Job's.
    pub fn belongs_to(&self, job_uid: &str) -> bool {
        self.metadata.owner_references.iter().flatten().any(|o| o.uid == job_uid)
    }

    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        self.status.as_ref()?.container_statuses.as_ref()?.iter().find(|c| c.name == name)
    }

    /// Whether the container ever ran.
    pub fn started(&self, container: &str) -> bool {
        self.container_status(container).is_some_and(|c| {
            let state = |s: &Option<k8s_openapi::api::core::v1::ContainerState>| {
                s.as_ref().is_some_and(|s| s.running.is_some() || s.terminated.is_some())
            };
            state(&c.state) || state(&c.last_state) || c.restart_count > 0
        })
    }
}
