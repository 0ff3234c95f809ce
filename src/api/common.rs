//! What every task kind has: where to run, when to run again, and the status.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest text that goes into a message of the status.
pub const MESSAGE_LIMIT: usize = 1024;

/// The rule across the shared fields. It stands on each kind's spec, as a flattened struct carries none.
pub const IMAGE_RULE: &str =
    "!(has(self.image) && size(self.image) > 0 && has(self.runPolicy) && self.runPolicy == 'OnImageChange')";
/// What the rule says to who breaks it.
pub const IMAGE_MESSAGE: &str =
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

    /// Run this image instead of the target's, to migrate before a deployment. It must be in the
    /// repository of the target's image, or match a prefix in the target's annotation
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

    /// How many times a failed pod is started again within one run. 0 to 10. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub retries: i32,

    /// Requests and limits of the Django container in the Job. Default: those of the target.
    /// Example: `{requests: {memory: 256Mi}, limits: {memory: 512Mi}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// How many finished Jobs of this task stay, for their logs. 0 to 100. Default: 3.
    #[serde(default = "default_history_limit")]
    #[schemars(range(min = 0, max = 100))]
    pub history_limit: i32,
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

/// A quantity, as Kubernetes writes it: a whole number, or a number with a unit.
fn quantity() -> serde_json::Value {
    serde_json::json!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "pattern": r"^(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
    })
}

/// Where a run's pod template came from.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct TargetStatus {
    /// Deployment or PodTemplate.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its UID, by which a namesake that came later is told apart.
    pub uid: String,
    /// The container that the run copied.
    pub container: String,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Hash, JsonSchema)]
pub enum Outcome {
    /// The command did what it was asked to do.
    Succeeded,
    /// The command, its pod or its Job failed.
    Failed,
    /// The run never started its command and gave way to a newer spec.
    Superseded,
    /// The Job was deleted by somebody else before its end was recorded.
    Lost,
}

/// One execution of a task: exactly one Job.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Counts the runs of this resource from 1.
    pub number: i64,
    /// Versioned hash of everything whose change asks for a new run.
    pub key: String,
    /// The generation of the resource that this run carried out.
    pub generation: i64,
    /// Name of the Job.
    pub job_name: String,
    /// UID of the Job; absent until the API server has confirmed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Image of the Django container.
    pub image: String,
    /// The trigger at the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Where the pod template came from.
    pub target: TargetStatus,
    /// When the run was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// Seconds from start to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,
    /// Exit code of the command, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What came of it; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A run that is over, as the history keeps it.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastRun {
    /// The run's number.
    pub number: i64,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Outcome>,
    /// Why, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Image of the Django container.
    pub image: String,
    /// When its end was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// A database that a run talked to.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Database {
    /// Django's alias.
    #[serde(default)]
    pub alias: String,
    /// Django's engine, without its module path.
    #[serde(default)]
    pub engine: String,
    /// Host, or empty for a local file.
    #[serde(default)]
    pub host: String,
    /// Name of the database or file.
    #[serde(default)]
    pub name: String,
}

/// What the command itself reported.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct Report {
    /// What was done: created, updated, unchanged, applied, unapplied, collected, purged, revoked,
    /// terminated.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// How many migrations, files, messages or workers it concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i64>,
    /// Their names: all, or the first five and the last five.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Django's settings module.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub settings: String,
    /// The databases that were used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<Database>,
}

/// The status as the engine sees it; each kind adds the name of its own timestamp.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskStatus {
    /// The generation that this status is about.
    pub observed_generation: Option<i64>,
    /// Ready, Finished, TargetResolved, and Reconciling, Stalled, Suspended while true.
    pub conditions: Vec<Condition>,
    /// The newest run.
    pub last_run: Option<Run>,
    /// The runs before it, newest first.
    pub history: Vec<PastRun>,
    /// The request annotation that was last acted upon.
    pub last_handled_request: Option<String>,
    /// What the newest successful run reported.
    pub report: Option<Report>,
    /// When a run last succeeded.
    pub done_at: Option<Time>,
}

/// Declares a kind's status: the common part, and the timestamp by the name the kind's users know.
macro_rules! task_status {
    ($name:ident, $stamp:ident, $doc:literal) => {
        /// What the operator has done and found.
        #[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// The generation of the spec that this status is about; -1 until the operator has looked.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub observed_generation: Option<i64>,
            /// Ready (the newest spec was carried out), Finished (nothing more will happen by itself),
            /// TargetResolved; and Reconciling, Stalled or Suspended only while true.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
            pub conditions: Vec<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>,
            /// The newest run.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub last_run: Option<$crate::api::common::Run>,
            /// The runs before it, newest first; at most five.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            pub history: Vec<$crate::api::common::PastRun>,
            /// The value of the annotation `django.my.domain/requestedAt` that was last acted upon.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub last_handled_request: Option<String>,
            /// What the newest successful run reported.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub report: Option<$crate::api::common::Report>,
            #[doc = $doc]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $stamp: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
        }

        impl From<$crate::api::common::TaskStatus> for $name {
            fn from(s: $crate::api::common::TaskStatus) -> Self {
                Self {
                    observed_generation: s.observed_generation,
                    conditions: s.conditions,
                    last_run: s.last_run,
                    history: s.history,
                    last_handled_request: s.last_handled_request,
                    report: s.report,
                    $stamp: s.done_at,
                }
            }
        }

        impl From<$name> for $crate::api::common::TaskStatus {
            fn from(s: $name) -> Self {
                Self {
                    observed_generation: s.observed_generation,
                    conditions: s.conditions,
                    last_run: s.last_run,
                    history: s.history,
                    last_handled_request: s.last_handled_request,
                    report: s.report,
                    done_at: s.$stamp,
                }
            }
        }
    };
}
pub(crate) use task_status;

/// `None` for absent and for the empty text that a template engine leaves behind.
pub fn filled(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|t| !t.is_empty())
}
