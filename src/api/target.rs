//! Where a pod template comes from: as asked for, and as found.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Chooses among the labelled objects of the namespace. At most one of `deployment`, `selector` and
/// `podTemplate`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.deployment) && size(self.deployment) > 0, has(self.selector), has(self.podTemplate) && size(self.podTemplate) > 0].filter(x, x).size() <= 1"
).message("target: set only one of deployment, selector and podTemplate"))]
pub struct Target {
    /// Name of a labelled Deployment. Default: none. Example: `web`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub deployment: Option<String>,

    /// Labels that the Deployment itself must carry. Default: none. Example:
    /// `{matchLabels: {tier: web}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,

    /// Name of a core/v1 PodTemplate whose template carries the label, such as a chart ships in its
    /// pre-deploy hook. Default: none. Example: `web-next`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod_template: Option<String>,

    /// Name of the Django container. Default: the one that the annotation
    /// `kubectl.kubernetes.io/default-container` names, else the only one. Example: `django`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
}

/// Where a run's pod template came from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct TargetStatus {
    /// Deployment or PodTemplate.
    pub kind: String,
    /// Name of the Deployment or PodTemplate.
    pub name: String,
    /// UID, by which a namesake that came later is told apart.
    pub uid: String,
    /// The container that the run copied.
    pub container: String,
}
