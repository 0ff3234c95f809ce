//! What every task's spec has: where to run, when to run again, and within which limits.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dependency::Dependency;
use super::target::Target;

/// The rule across the shared fields. It stands on each kind's spec, as a flattened struct carries none.
pub(crate) const IMAGE_RULE: &str =
    "!(has(self.image) && size(self.image) > 0 && has(self.runPolicy) && self.runPolicy == 'OnImageChange')";
/// Its message.
pub(crate) const IMAGE_MESSAGE: &str =
    "image: cannot be set together with runPolicy OnImageChange; use trigger, or leave the image to the target";

/// The fields that every task kind shares.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskPolicy {
    /// Chooses where the pod template comes from when more than one labelled Deployment stands in the
    /// namespace, and which of its containers is Django. Default: the only labelled Deployment.
    /// Example: `{deployment: web, container: django}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,

    /// Tasks of this namespace to wait for: a run starts when each of them needs no run and its newest one succeeded.
    /// Changing it never causes a run. At most 16. Default: none. Example: `[{kind: DjangoMigrate, name: migrate}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["kind", "name"])
    )]
    pub depends_on: Vec<Dependency>,

    /// Run again whenever one of `dependsOn` has run again. Changing it causes a run only where one of them has run since
    /// the newest run of this task. At most 32 tasks may follow each other like that. Default: false.
    #[serde(default)]
    pub rerun_with_dependencies: bool,

    /// Run this image instead of the target's, to migrate before a deployment. It must be in the
    /// repository of the target's image, or be allowed by the target's annotation
    /// `django.my.domain/allow-images`. Not together with `runPolicy: OnImageChange`. Default: the
    /// target's image. Example: `registry.example.com/shop:2.5.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9._:/@-]*)?$"))]
    pub image: Option<String>,

    /// Any change of this text runs the task once more; a chart puts the image's tag here. Default:
    /// none. Example: `"2.5.0"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub trigger: Option<String>,

    /// `Once`: run when the spec or the trigger changes. `OnImageChange`: also when the image of the
    /// target changes. Default: `Once`.
    #[serde(default)]
    pub run_policy: RunPolicy,

    /// Start nothing new while true; what runs goes on. Changing it never causes a run. Default: false.
    #[serde(default)]
    pub suspend: bool,

    /// Seconds after which a run is stopped and has failed with reason DeadlineExceeded; the time that a
    /// pod waits to start counts. 1 to 604800 (a week). Default: 3600, and none for DjangoMigrate, as
    /// half a migration is worse than a long one. Example: `600`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 604_800))]
    pub timeout_seconds: Option<i64>,

    /// How many times what failed is tried again within one run: the pod, and of a DjangoCommand the command that failed.
    /// 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,

    /// Requests and limits of the Django container in the Job; `{}` says nothing. Default: those of the target.
    /// Example: `{requests: {memory: 256Mi}, limits: {memory: 512Mi}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// How many finished Jobs of this task stay, for their logs; a `schedule` has limits of its own. 0 to 100. Default: 3.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: i32,
}

impl TaskPolicy {
    /// Fields that are not part of a run's key: they say when and within which limits it runs, not what.
    pub const NON_TRIGGERING_FIELDS: &[&str] = &[
        "suspend",
        "timeoutSeconds",
        "retries",
        "resources",
        "historyLimit",
        "runPolicy",
        "dependsOn",
        "rerunWithDependencies",
    ];
}

fn default_history_limit() -> i32 {
    3
}

/// When a task runs again by itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum RunPolicy {
    /// When the spec, the trigger or the request annotation changes.
    #[default]
    Once,
    /// Also when the target's image changes.
    OnImageChange,
}

/// Compute resources of one container.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
pub struct Resources {
    /// The most that the container may use. Default: none. Example: `{memory: 512Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = quantity()))]
    pub limits: BTreeMap<String, IntOrString>,

    /// What the scheduler reserves. Default: the limits. Example: `{cpu: 100m, memory: 256Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16, "additionalProperties" = quantity()))]
    pub requests: BTreeMap<String, IntOrString>,
}

impl Resources {
    /// Whether it says nothing, as what a template engine leaves behind.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.requests.is_empty()
    }
}

/// A quantity, as Kubernetes writes it: a whole number, or a number with a unit.
fn quantity() -> serde_json::Value {
    serde_json::json!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "pattern": r"^(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
    })
}

/// `None` for absent and for the empty text that a template engine leaves behind.
pub fn non_empty(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|t| !t.is_empty())
}
