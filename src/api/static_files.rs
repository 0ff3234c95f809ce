//! DjangoStatic: static files, collected to where the web server or the storage serves them.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{IMAGE_MESSAGE, IMAGE_RULE, TaskPolicy, task_status};

task_status!(DjangoStaticStatus, collected, "When the files were last collected.");

/// Static files, collected by Django's own command `collectstatic`.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "django.my.domain",
    version = "v1alpha1",
    kind = "DjangoStatic",
    plural = "djangostatics",
    namespaced,
    status = "DjangoStaticStatus",
    shortname = "djs",
    category = "django-operator",
    doc = "Static files, collected in a Job that copies the labelled Deployment.",
    cel,
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.lastRun.target.name"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.report.count", priority = 1),
    printcolumn(name = "Last-Run", type_ = "date", json_path = ".status.lastRun.startedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(IMAGE_RULE).message(IMAGE_MESSAGE))]
pub struct DjangoStaticSpec {
    /// Delete the files that are there before collecting. Old pods may still serve them. Default: false.
    #[serde(default)]
    pub clear: bool,

    /// Patterns of files to leave out, as the shell writes them. At most 32, each of 1 to 255
    /// characters. Default: none. Example: `["*.scss"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("items" = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\x00-\x1f\x7f]+$"}))]
    pub ignore: Vec<String>,

    /// Link to the files instead of copying them. Default: false.
    #[serde(default)]
    pub link: bool,

    #[serde(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields carry the documentation")]
    pub policy: TaskPolicy,
}
