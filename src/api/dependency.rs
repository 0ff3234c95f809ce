//! What a task waits for: other tasks of its namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TaskKind;

/// A task of the same namespace that has to have succeeded before.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// Its kind. Required. Example: `DjangoMigrate`.
    pub kind: TaskKind,

    /// Its name. Required. Example: `migrate`.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}

/// The run of a dependency upon which a run came.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DependencyRun {
    /// Kind of the dependency.
    pub kind: TaskKind,
    /// Name of the dependency.
    pub name: String,
    /// UID of the dependency.
    pub uid: String,
    /// The number of its newest run then.
    pub run: i64,
}
