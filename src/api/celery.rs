//! DjangoCelery: queues emptied, tasks revoked.

use super::Column;
use super::kind::task_kind;

task_kind! {
    DjangoCelery: kube(
        kind = "DjangoCelery",
        plural = "djangoceleries",
        shortname = "djcel",
        status = "DjangoCeleryStatus",
        doc = "Celery queues emptied, or a Celery task revoked, in a Job that copies the labelled Celery Deployment."
    );
    columns: [
        Column::new("Action", "string", ".status.report.action"),
        Column::new("Queue", "string", ".spec.worker").wide(),
        Column::TARGET,
    ];
    defaults: [("signal", DEFAULT_SIGNAL)];
    rules: [
        validation = Rule::new(
            "!(has(self.worker) && size(self.worker) > 0 && has(self.task) && size(self.task) > 0)"
        ).message("worker: cannot be set together with task; set worker to empty that queue, or task to revoke that task"),
        validation = Rule::new(
            "!(has(self.terminate) && self.terminate) || (has(self.task) && size(self.task) > 0)"
        ).message("terminate: needs task as well; set task to the ID of the task to terminate"),
        validation = Rule::new(
            "!(has(self.signal) && size(self.signal) > 0) || (has(self.terminate) && self.terminate)"
        ).message("signal: needs terminate as well; set terminate to true, or leave signal out")
    ];
    completed_at: DjangoCeleryStatus.executed, "When the command was last carried out.";
    sample: SAMPLE;

    /// Queues emptied or a task revoked, by Celery's own command line.
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
    }
}

/// What stops a task unless the spec names another signal: the one that lets it clean up.
pub const DEFAULT_SIGNAL: &str = "SIGTERM";

const SAMPLE: &str = r#"# One queue emptied.
apiVersion: django.my.domain/v1alpha1
kind: DjangoCelery
metadata:
  name: flush-all-queues
  namespace: django-operator
spec:
  app: myapp          # the Celery app name
  worker: worker1     # optional: target a specific worker
  task:                # optional: revoke a specific task ID
"#;
