//! DjangoUser: a user of Django's, created and kept up to date.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Column;
use super::kind::task_kind;

task_kind! {
    DjangoUser: kube(
        kind = "DjangoUser",
        plural = "djangousers",
        shortname = "dju",
        status = "DjangoUserStatus",
        doc = "A user of Django's, created and kept up to date in a Job that copies the labelled Deployment."
    );
    columns: [
        Column::new("Username", "string", ".spec.username"),
        Column::new("Superuser", "boolean", ".spec.superuser"),
        Column::TARGET.wide(),
        Column::new("Secret", "string", ".spec.passwordSecretRef.name").wide(),
    ];
    defaults: [("database", super::DEFAULT_DATABASE)];
    rules: [];
    completed_at: DjangoUserStatus.created, "When the user was last created or updated.";
    sample: SAMPLE;

    /// A user of Django's, created and kept up to date by the command `ensureadmin`.
    pub struct DjangoUserSpec {
        /// The user's name, in whatever field the project's user model calls its username. 1 to 254
        /// characters, none of them a control character; the model's own limit is checked in the Job.
        /// Required. Example: `admin`.
        #[schemars(length(min = 1, max = 254), regex(pattern = r"^[^\x00-\x1f\x7f]+$"))]
        pub username: String,

        /// The user's e-mail address. At most 254 characters. Default: left as it is, empty for a new user.
        /// Example: `admin@example.com`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 254), regex(pattern = r"^[^\x00-\x1f\x7f]*$"))]
        pub email: Option<String>,

        /// Whether the user has all permissions. Default: unset, which leaves an existing user as they are and
        /// makes a new one without. Example: `true`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub superuser: Option<bool>,

        /// Whether the user may enter Django's admin site. Default: true.
        #[serde(default = "default_staff")]
        pub staff: bool,

        /// The Secret, of the same namespace, that holds the password. The operator never reads it; the
        /// Job's pod does. Required. Example: `{name: admin-password-secret, key: password}`.
        pub password_secret_ref: SecretKey,

        /// `Always`: set the password in every run. `OnCreate`: only when the user is new. Default: `Always`.
        #[serde(default)]
        pub password_policy: PasswordPolicy,

        /// Django's alias of the database. At most 63 characters. Default: `default`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(max = 63), regex(pattern = r"^([A-Za-z_][A-Za-z0-9_.-]*)?$"))]
        pub database: Option<String>,

        /// More fields of a custom user model, by name; a new user gets them, an existing one is brought to
        /// them. At most 32. Default: none. Example: `{team: ops}`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        #[schemars(extend("maxProperties" = 32, "additionalProperties" = {"type": "string", "maxLength": 1024}))]
        pub attributes: BTreeMap<String, String>,
    }
}

const SAMPLE: &str = r#"# A user, created and kept up to date, with the password from a Secret.
apiVersion: django.my.domain/v1alpha1
kind: DjangoUser
metadata:
  name: admin-user
  namespace: django-operator
spec:
  username: admin
  email: admin@example.com
  superuser: true
  passwordSecretRef:
    name: admin-password-secret
    key: password
---
apiVersion: v1
kind: Secret
metadata:
  name: admin-password-secret
  namespace: django-operator
stringData:
  password: S3cr3tP@ssw0rd
"#;

fn default_staff() -> bool {
    true
}

/// One key of a Secret.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub struct SecretKey {
    /// Name of the Secret, in the resource's namespace. Required. Example: `admin-password-secret`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Key in the Secret. Required. Example: `password`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// When the password is set.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum PasswordPolicy {
    /// In every run.
    #[default]
    Always,
    /// Only when the user is new.
    OnCreate,
}
