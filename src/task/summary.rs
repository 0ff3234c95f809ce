//! What is kept of a task for who goes through all of them: pure.

use k8s_openapi::jiff::Timestamp;

use super::Task;
use super::target::TargetKind;
use crate::api::{TargetStatus, TaskStatus, non_empty};
use crate::core::{Reason, condition};

/// What metrics tell of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSummary {
    /// Absent where it is ready.
    pub not_ready: Option<NotReady>,
    /// When a run last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// Whether [`migrations`] has something to tell of it: too much to be kept for each of thousands.
    pub has_migrations: bool,
}

/// Why a task is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    pub state: State,
    /// The reason of the condition Ready.
    pub reason: Box<str>,
}

/// What a task that is not ready does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Reconciling,
    Stalled,
    Suspended,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciling => condition::RECONCILING,
            Self::Stalled => condition::STALLED,
            Self::Suspended => condition::SUSPENDED,
        }
    }
}

/// A migration of everything in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationSummary {
    pub target_kind: TargetKind,
    pub target: Box<str>,
    /// The Django container, where the task names it.
    pub container: Option<Box<str>>,
    /// Django's alias.
    pub database: Box<str>,
    /// By which image it last succeeded, and when; `None`: it has not.
    pub migrated: Option<(Box<str>, Timestamp)>,
}

impl TaskSummary {
    /// Of a task; `None`: of one that cannot be read.
    pub fn of<T: Task>(task: Option<&T>) -> Self {
        match task {
            Some(task) => Self {
                not_ready: not_ready(task),
                succeeded_at: task.completed_at().map(|time| time.0),
                has_migrations: has_migrations(task.status()),
            },
            None => Self {
                not_ready: Some(NotReady { state: State::Stalled, reason: Reason::Undecodable.as_str().into() }),
                succeeded_at: None,
                has_migrations: false,
            },
        }
    }
}

fn not_ready<T: Task>(task: &T) -> Option<NotReady> {
    let conditions = &task.status().conditions;
    if condition::is_true(conditions, condition::READY) {
        return None;
    }
    // Suspension is also told of tasks that have stalled, or whose run goes on.
    let states = [State::Stalled, State::Reconciling, State::Suspended];
    let state = states.into_iter().find(|state| condition::is_true(conditions, state.as_str()));
    let reason = condition::find(conditions, condition::READY).map_or("", |ready| &ready.reason);
    Some(NotReady { state: state.unwrap_or(State::Reconciling), reason: reason.into() })
}

/// Asked with each event of a watch.
fn has_migrations(status: &TaskStatus) -> bool {
    status.schema.is_some() || status.last_run.as_ref().is_some_and(|run| run.migrates_database.is_some())
}

/// What a task knows of the schemas of databases in which it migrates everything, or has.
pub fn migrations<T: Task>(task: &T) -> Vec<MigrationSummary> {
    let status = task.status();
    let container = task.policy().target.as_ref().and_then(|target| non_empty(&target.container));
    let migration = |target: &TargetStatus, database: &str, migrated| {
        Some(MigrationSummary {
            target_kind: TargetKind::from_name(&target.kind)?,
            target: target.name.as_str().into(),
            container: container.map(Box::from),
            database: database.into(),
            migrated,
        })
    };
    let known = status.schema.as_ref().and_then(|schema| {
        migration(&schema.target, &schema.database, Some((schema.image.as_str().into(), schema.migrated_at.0)))
    });
    // One that has yet to succeed for the first time.
    let begun =
        status.last_run.as_ref().and_then(|run| migration(&run.target, run.migrates_database.as_deref()?, None));
    known.into_iter().chain(begun).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoMigrate;
    use serde_json::{Value, json};

    fn task(spec: Value, status: Value) -> DjangoMigrate {
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "metadata": {"name": "m"},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn a_task_is_ready_or_it_is_told_why_not() {
        for (conditions, expected) in [
            (vec![], Some((State::Reconciling, ""))),
            (vec![condition("Ready", "True", "Succeeded")], None),
            (vec![condition("Ready", "True", "Succeeded"), condition("Suspended", "True", "Suspended")], None),
            (
                vec![condition("Ready", "False", "Running"), condition("Reconciling", "True", "Running")],
                Some((State::Reconciling, "Running")),
            ),
            (
                vec![condition("Ready", "False", "CommandFailed"), condition("Stalled", "True", "CommandFailed")],
                Some((State::Stalled, "CommandFailed")),
            ),
            (
                vec![
                    condition("Ready", "False", "Running"),
                    condition("Suspended", "True", "Suspended"),
                    condition("Reconciling", "True", "Running"),
                ],
                Some((State::Reconciling, "Running")),
            ),
            (
                vec![condition("Ready", "False", "Suspended"), condition("Suspended", "True", "Suspended")],
                Some((State::Suspended, "Suspended")),
            ),
        ] {
            let summary = TaskSummary::of(Some(&task(json!({}), json!({ "conditions": conditions }))));
            let found = summary.not_ready.as_ref().map(|not_ready| (not_ready.state, &*not_ready.reason));
            assert_eq!(found, expected, "{conditions:?}");
        }
        let unreadable = TaskSummary::of::<DjangoMigrate>(None).not_ready.unwrap();
        assert_eq!((unreadable.state, &*unreadable.reason), (State::Stalled, "Undecodable"));
    }

    #[test]
    fn it_knows_what_was_migrated_and_what_has_begun() {
        let target = |name: &str| json!({"kind": "Deployment", "name": name, "uid": "u", "container": "c"});
        let run = |name: &str, database: Option<&str>| {
            json!({
                "number": 9, "key": "", "generation": 1, "jobName": "", "image": "i:9", "target": target(name),
                "migratesDatabase": database,
            })
        };
        let schema =
            json!({"database": "a", "image": "i:7", "target": target("web"), "migratedAt": "2026-01-07T00:00:00Z"});
        for (status, expected) in [
            (json!({}), vec![]),
            (json!({"lastRun": run("web", None)}), vec![]),
            (json!({"lastRun": run("web", Some("a"))}), vec![("web", "a", None)]),
            (json!({"lastRun": run("web", None), "schema": schema}), vec![("web", "a", Some("i:7"))]),
            (
                json!({"lastRun": run("api", Some("b")), "schema": schema}),
                vec![("web", "a", Some("i:7")), ("api", "b", None)],
            ),
        ] {
            let task = task(json!({}), status.clone());
            let image = |of: &MigrationSummary| of.migrated.as_ref().map(|(image, _)| image.to_string());
            let migrations = migrations(&task);
            assert_eq!(TaskSummary::of(Some(&task)).has_migrations, !migrations.is_empty());
            let found: Vec<_> = migrations.iter().map(|of| (&*of.target, &*of.database, image(of))).collect();
            let expected: Vec<_> = expected.into_iter().map(|(t, d, i)| (t, d, i.map(str::to_owned))).collect();
            assert_eq!(found, expected, "{status}");
        }
    }

    #[test]
    fn a_migration_of_a_part_says_nothing_of_the_schema() {
        for (spec, expected) in [
            (json!({}), Some("default")),
            (json!({"app": "", "database": ""}), Some("default")),
            (json!({"database": "other"}), Some("other")),
            (json!({"app": "shop"}), None),
            (json!({"fake": true}), None),
        ] {
            assert_eq!(task(spec.clone(), json!({})).migrates_everything_in(), expected, "{spec}");
        }
    }
}
