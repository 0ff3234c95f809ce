//! DjangoMigrate: the database's schema, brought to where the image's migrations say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Column;
use super::kind::task_kind;

task_kind! {
    DjangoMigrate: kube(
        kind = "DjangoMigrate",
        plural = "djangomigrates",
        shortname = "djm",
        status = "DjangoMigrateStatus",
        doc = "Database migrations, run in a Job that copies the labelled Deployment."
    );
    columns: [
        Column::TARGET,
        Column::new("Image", "string", ".status.lastRun.image").wide(),
        Column::new("Applied", "integer", ".status.report.count").wide(),
        Column::new("Seconds", "integer", ".status.lastRun.durationSeconds").wide(),
    ];
    defaults: [("database", super::DEFAULT_DATABASE)];
    rules: [
        validation = Rule::new(
            "!(has(self.migration) && size(self.migration) > 0) || (has(self.app) && size(self.app) > 0)"
        ).message("migration: needs app as well; set app to the label of the application that the migration belongs to"),
        validation = Rule::new(
            "!(has(self.prune) && self.prune) || (has(self.app) && size(self.app) > 0)"
        ).message("prune: needs app as well; Django prunes one application at a time"),
        validation = Rule::new(
            "!(has(self.prune) && self.prune && has(self.migration) && size(self.migration) > 0)"
        ).message("prune: cannot be set together with migration; Django prunes without migrating")
    ];
    completed_at: DjangoMigrateStatus.applied, "When a run last succeeded.";
    sample: SAMPLE;

    /// Migrations, run by the command `lockedmigrate` under a lock that the database itself holds.
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
    }
}

const SAMPLE: &str = r#"# The migrations of one application.
apiVersion: django.my.domain/v1alpha1
kind: DjangoMigrate
metadata:
  name: migrate-all
  namespace: django-operator
spec:
  fake: false          # run fake migrations if true
  app: myapp                 # optional: run only this app's migrations
  migration:            # optional: target a specific migration
"#;

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
