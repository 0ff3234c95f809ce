//! The API: one file per kind, and the registry of kinds. Imports nothing above it.

mod dependency;
mod kind;
mod policy;
mod schedule;
mod schema;
mod status;
mod target;

pub use dependency::{Dependency, DependencyRun};
pub use kind::{Column, TaskResource};
pub use policy::{Resources, RunPolicy, TaskPolicy, non_empty};
pub use schedule::{Schedule, ScheduleStatus};
pub use status::{
    Database, MESSAGE_LIMIT, Outcome, PastRun, Report, Run, RunCause, SchemaStatus, StepResult, StepState, TaskStatus,
};
pub use target::{Target, TargetStatus};

/// The API group of every kind.
pub const GROUP: &str = "django.my.domain";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// Django's alias of a database where none is named.
pub const DEFAULT_DATABASE: &str = "default";

/// The registry of task kinds: each with the name of its file here and in `task/kinds/`. All that exists per kind is
/// made from this list: CRDs, roles, samples, reference, controllers.
macro_rules! task_kinds {
    ($callback:ident) => {
        $callback! {
            user: DjangoUser,
            migrate: DjangoMigrate,
            static_files: DjangoStatic,
            celery: DjangoCelery,
            command: DjangoCommand,
        }
    };
}
pub(crate) use task_kinds;

macro_rules! declare {
    ($($module:ident: $kind:ident,)*) => {
        $(
            pub mod $module;
            pub use $module::$kind;
        )*

        /// A task kind, by its name.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize, serde::Serialize,
            schemars::JsonSchema,
        )]
        pub enum TaskKind {
            $(
                #[doc = concat!("A ", stringify!($kind), ".")]
                $kind,
            )*
        }

        impl TaskKind {
            /// As it stands in a manifest.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $kind::KIND,)*
                }
            }
        }

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn every_kind_is_of_the_group_and_has_the_shared_fields() {
                $(
                    assert_eq!(<$kind as kube::Resource>::group(&()), GROUP);
                    assert_eq!(<$kind as kube::Resource>::version(&()), VERSION);
                    let crd = serde_json::to_value(<$kind as kube::CustomResourceExt>::crd()).unwrap();
                    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
                    for field in TaskPolicy::NON_TRIGGERING_FIELDS {
                        assert!(spec["properties"][*field].is_object(), "{field}");
                    }
                )*
            }
        }
    };
}
task_kinds!(declare);
