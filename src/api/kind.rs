//! What the resources of all task kinds have in common, and the macro that declares one.

use std::fmt::Debug;
use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResourceExt;
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{TaskPolicy, TaskStatus};

/// What the resource of every task kind has.
pub trait TaskResource:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The kind's name.
    const KIND: &'static str;
    /// What `kubectl get` shows beside the columns that all kinds have.
    const COLUMNS: &'static [Column];
    /// Manifest of a sample.
    const SAMPLE: &'static str;

    /// The shared fields of the spec.
    fn policy(&self) -> &TaskPolicy;
    /// The spec as written, defaults non_empty in.
    fn spec(&self) -> Value;
    /// What a field says that is left out, for the kind's own fields and the shared ones.
    fn defaults() -> &'static Value;
    /// The shared fields of the status.
    fn status(&self) -> &TaskStatus;
    /// When a run last succeeded; each kind has a name of its own for it.
    fn completed_at(&self) -> Option<&Time>;
    /// Replaces the status.
    fn set_status(&mut self, status: TaskStatus, completed_at: Option<Time>);
    /// What of the schema's bounds, patterns and rules a stored object still breaks, because it is older than they are.
    fn broken_rules(&self) -> Option<String>;
}

/// A column of `kubectl get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// How it is written: `string`, `integer`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub type_: &'static str,
    /// Where its value stands.
    pub json_path: &'static str,
    /// 1: shown with `-o wide` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

impl Column {
    /// Before those of the kind.
    pub const LEADING: &[Self] = &[
        Self::new("Ready", "string", r#".status.conditions[?(@.type=="Ready")].status"#),
        Self::new("Status", "string", r#".status.conditions[?(@.type=="Ready")].reason"#),
    ];
    /// After those of the kind.
    pub const TRAILING: &[Self] = &[
        Self::new("Last-Run", "date", ".status.lastRun.startedAt"),
        Self::new("Age", "date", ".metadata.creationTimestamp"),
        Self::new("Message", "string", r#".status.conditions[?(@.type=="Ready")].message"#).wide(),
    ];
    /// The Deployment or PodTemplate of the newest run.
    pub const TARGET: Self = Self::new("Target", "string", ".status.lastRun.target.name");

    /// Always shown.
    pub const fn new(name: &'static str, type_: &'static str, json_path: &'static str) -> Self {
        Self { name, type_, json_path, priority: None }
    }

    /// Shown with `-o wide` only.
    pub const fn wide(self) -> Self {
        Self { priority: Some(1), ..self }
    }
}

/// The status of a resource that has none yet.
pub(super) static NO_STATUS: LazyLock<TaskStatus> = LazyLock::new(TaskStatus::default);

/// What a schema's fields say that are left out, and what the kind adds for fields whose default only its command
/// knows.
pub(super) fn schema_defaults(crd: &CustomResourceDefinition, implied: &[(&str, &str)]) -> Value {
    let crd = serde_json::to_value(crd).unwrap_or_default();
    let mut defaults = defaults_of(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]);
    defaults.extend(implied.iter().map(|(field, value)| ((*field).to_owned(), Value::from(*value))));
    Value::Object(defaults)
}

fn defaults_of(schema: &Value) -> Map<String, Value> {
    let fields = schema["properties"].as_object().into_iter().flatten();
    fields
        .filter_map(|(name, field)| {
            let default = match field.get("default") {
                Some(default) => default.clone(),
                None => Value::Object(Some(defaults_of(field)).filter(|nested| !nested.is_empty())?),
            };
            Some((name.clone(), default))
        })
        .collect()
}

/// Declares a task kind: its spec with the shared fields, its status, and what every kind's resource has.
macro_rules! task_kind {
    (
        $kind:ident: kube($($kube:tt)*);
        columns: $columns:expr;
        defaults: $defaults:expr;
        rules: [$($rule:tt)*];
        completed_at: $status:ident.$completed_at:ident, $completed_at_doc:literal;
        sample: $sample:expr;

        $(#[$meta:meta])*
        pub struct $spec:ident { $($fields:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(
            kube::CustomResource, kube::KubeSchema, Clone, Debug, serde::Deserialize, serde::Serialize, PartialEq,
        )]
        #[kube(
            group = "django.my.domain",
            version = "v1alpha1",
            namespaced,
            category = "django-operator",
            $($kube)*
        )]
        #[serde(rename_all = "camelCase")]
        #[x_kube(
            validation = Rule::new($crate::api::policy::IMAGE_RULE).message($crate::api::policy::IMAGE_MESSAGE),
            $($rule)*
        )]
        pub struct $spec {
            $($fields)*

            #[serde(flatten)]
            pub policy: $crate::api::TaskPolicy,
        }

        /// What the operator has done and found.
        #[derive(Clone, Debug, Default, serde::Deserialize, serde::Serialize, PartialEq, schemars::JsonSchema)]
        #[serde(rename_all = "camelCase")]
        pub struct $status {
            #[serde(flatten)]
            pub task: $crate::api::TaskStatus,

            #[doc = $completed_at_doc]
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub $completed_at: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
        }

        impl $crate::api::TaskResource for $kind {
            const KIND: &'static str = stringify!($kind);
            const COLUMNS: &'static [$crate::api::Column] = &$columns;
            const SAMPLE: &'static str = $sample;

            fn policy(&self) -> &$crate::api::TaskPolicy {
                &self.spec.policy
            }

            fn spec(&self) -> serde_json::Value {
                // A spec always serialises, and an empty one would only cost a run.
                serde_json::to_value(&self.spec).unwrap_or_else(|_| serde_json::json!({}))
            }

            fn defaults() -> &'static serde_json::Value {
                static DEFAULTS: std::sync::LazyLock<serde_json::Value> = std::sync::LazyLock::new(|| {
                    $crate::api::kind::schema_defaults(&<$kind as kube::CustomResourceExt>::crd(), &$defaults)
                });
                &DEFAULTS
            }

            fn status(&self) -> &$crate::api::TaskStatus {
                self.status.as_ref().map_or(&$crate::api::kind::NO_STATUS, |status| &status.task)
            }

            fn completed_at(&self) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::Time> {
                self.status.as_ref()?.$completed_at.as_ref()
            }

            fn set_status(
                &mut self,
                task: $crate::api::TaskStatus,
                completed_at: Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>,
            ) {
                self.status = Some($status { task, $completed_at: completed_at });
            }

            fn broken_rules(&self) -> Option<String> {
                static SCHEMA: std::sync::LazyLock<$crate::api::schema::SpecSchema> = std::sync::LazyLock::new(|| {
                    let crd = serde_json::to_value(<$kind as kube::CustomResourceExt>::crd()).unwrap_or_default();
                    $crate::api::schema::SpecSchema::of(&crd)
                });
                let broken = SCHEMA.violations(&$crate::api::TaskResource::spec(self));
                (!broken.is_empty()).then(|| broken.join("; "))
            }
        }
    };
}
pub(super) use task_kind;
