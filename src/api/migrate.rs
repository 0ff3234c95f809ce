//! DjangoMigrate: the database's schema, brought to where the image's migrations say.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{IMAGE_MESSAGE, IMAGE_RULE, TaskPolicy, task_status};

task_status!(DjangoMigrateStatus, applied, "When a run last succeeded.");

/// Migrations, run by the command `lockedmigrate` under a lock that the database itself holds.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "django.my.domain",
    version = "v1alpha1",
    kind = "DjangoMigrate",
    plural = "djangomigrates",
    namespaced,
    status = "DjangoMigrateStatus",
    shortname = "djm",
    category = "django-operator",
    doc = "Database migrations, run in a Job that copies the labelled Deployment.",
    cel,
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Target", type_ = "string", json_path = ".status.lastRun.target.name"),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.lastRun.image", priority = 1),
    printcolumn(name = "Applied", type_ = "integer", json_path = ".status.report.count", priority = 1),
    printcolumn(name = "Seconds", type_ = "integer", json_path = ".status.lastRun.durationSeconds", priority = 1),
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
        "!(has(self.migration) && size(self.migration) > 0) || (has(self.app) && size(self.app) > 0)"
    ).message("migration: needs app as well; set app to the label of the application that the migration belongs to"),
    validation = Rule::new(
        "!(has(self.prune) && self.prune) || (has(self.app) && size(self.app) > 0)"
    ).message("prune: needs app as well; Django prunes one application at a time"),
    validation = Rule::new(
        "!(has(self.prune) && self.prune && has(self.migration) && size(self.migration) > 0)"
    ).message("prune: cannot be set together with migration; Django prunes without migrating")
)]
pub struct DjangoMigrateSpec {
    /// Mark the migrations as applied without running them. Default: false.
    #[serde(default)]
    pub fake: bool,

    /// Mark an initial migration as applied if its tables exist. Default: false.
    #[serde(default)]
    pub fake_initial: bool,

    /// Label of one application to migrate. Default: all. Example: `myapp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100), regex(pattern = r"^([A-Za-z_][A-Za-z0-9_]*)?$"))]
    pub app: Option<String>,

    /// Bring `app` to just after this migration, forwards or backwards; `zero` takes all back. Needs
    /// `app`. Default: the newest. Example: `0002_price`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), regex(pattern = r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$"))]
    pub migration: Option<String>,

    /// Django's alias of the database. Default: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = r"^([A-Za-z_][A-Za-z0-9_.-]*)?$"))]
    pub database: Option<String>,

    /// Also create the tables of applications without migrations. Default: false.
    #[serde(default)]
    pub run_syncdb: bool,

    /// Remove records of migrations that are gone from the code; needs `app`. Default: false.
    #[serde(default)]
    pub prune: bool,

    /// The lock in the database that keeps two migrations apart.
    #[serde(default)]
    pub lock: Lock,

    #[serde(flatten)]
    #[allow(missing_docs, reason = "flattened: its fields carry the documentation")]
    pub policy: TaskPolicy,
}

/// The lock in the database that keeps two migrations apart.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// Number of the lock; every migrator of a database must use the same. Default: 1000, as other
    /// software's migrators do.
    #[serde(default = "default_lock_id")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991i64))]
    pub id: i64,

    /// Seconds to wait for the lock before the run fails with reason LockTimeout. 1 to 86400. Default: 300.
    #[serde(default = "default_lock_timeout")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: i64,

    /// `Auto`: the lock of the database's engine (PostgreSQL, MySQL, MariaDB, SQLite), taken in the database
    /// that the project's setting DJK8S_MIGRATE_LOCK_DATABASE names, if it names one; other engines, and
    /// poolers in transaction mode, fail with reason LockUnsupported. `None`: no lock. Default: `Auto`.
    #[serde(default)]
    pub mode: LockMode,
}

impl Default for Lock {
    fn default() -> Self {
        Self { id: default_lock_id(), timeout_seconds: default_lock_timeout(), mode: LockMode::Auto }
    }
}

fn default_lock_id() -> i64 {
    1000
}

fn default_lock_timeout() -> i64 {
    300
}

/// Which lock is taken.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum LockMode {
    /// What the database's engine offers.
    #[default]
    Auto,
    /// None.
    None,
}
