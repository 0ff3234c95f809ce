//! DjangoCelery: queues emptied, tasks revoked.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::common::{IMAGE_MESSAGE, IMAGE_RULE, TaskPolicy, task_status};

task_status!(DjangoCeleryStatus, executed, "When the command was last carried out.");

/// Queues emptied or a task revoked, by Celery's own command line.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "django.my.domain",
    version = "v1alpha1",
    kind = "DjangoCelery",
    plural = "djangoceleries",
    namespaced,
    status = "DjangoCeleryStatus",
    shortname = "djcel",
    category = "django-operator",
    doc = "Celery queues emptied, or a Celery task revoked, in a Job that copies the labelled Celery Deployment.",
    cel,
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Action", type_ = "string", json_path = ".status.report.action"),
    printcolumn(name = "Queue", type_ = "string", json_path = ".spec.worker", priority = 1),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.lastRun.target.name"),
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
#[x_kube(
    validation = Rule::new(IMAGE_RULE).message(IMAGE_MESSAGE),
    validation = Rule::new(
        "!(has(self.worker) && size(self.worker) > 0 && has(self.task) && size(self.task) > 0)"
    ).message("worker: cannot be set together with task; set worker to empty that queue, or task to revoke that task"),
    validation = Rule::new(
        "!(has(self.terminate) && self.terminate) || (has(self.task) && size(self.task) > 0)"
    ).message("terminate: needs task as well; set task to the ID of the task to terminate"),
    validation = Rule::new(
        "!(has(self.signal) && size(self.signal) > 0) || (has(self.terminate) && self.terminate)"
    ).message("signal: needs terminate as well; set terminate to true, or leave signal out")
)]
pub struct DjangoCelerySpec {
    /// The Celery application, as `celery -A` takes it. Required. Example: `myapp`.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z_][A-Za-z0-9_.:]*$"))]
    pub app: String,

    /// Name of the one queue to empty. Not together with `task`. Default: all queues. Example: `worker1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^([^-,\x00-\x20\x7f][^,\x00-\x1f\x7f]*)?$"))]
    pub worker: Option<String>,

    /// ID of a task to revoke. Default: none. Example: `d9078da5-9915-40a0-bfa1-392c7bde42ed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^([A-Za-z0-9][A-Za-z0-9_.:-]*)?$"))]
    pub task: Option<String>,

    /// Also stop the task if a worker is running it. Needs `task`. Default: false.
    #[serde(default)]
    pub terminate: bool,

    /// The signal that stops the task. Needs `terminate`. Default: `SIGTERM`. Example: `SIGKILL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16), regex(pattern = r"^(SIG[A-Z0-9]+)?$"))]
    pub signal: Option<String>,

    #[serde(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields carry the documentation")]
    pub policy: TaskPolicy,
}
