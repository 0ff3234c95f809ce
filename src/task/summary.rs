//! What is kept of a task for who goes through all of them: pure.

use k8s_openapi::jiff::Timestamp;

use super::Task;
use super::target::TargetKind;
use crate::api::{Outcome, non_empty};
use crate::core::{Reason, condition};

/// What metrics tell of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSummary {
    /// Absent where it is ready.
    pub not_ready: Option<NotReady>,
    /// When a run last succeeded.
    pub succeeded_at: Option<Timestamp>,
    /// Where its command migrates everything, and has begun to.
    pub migration: Option<Box<MigrationSummary>>,
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
    /// Image of the newest run that succeeded.
    pub image: Option<Box<str>>,
    /// When that was.
    pub migrated_at: Option<Timestamp>,
}

impl TaskSummary {
    /// Of a task; `None`: of one that cannot be read.
    pub fn of<T: Task>(task: Option<&T>) -> Self {
        match task {
            Some(task) => Self {
                not_ready: not_ready(task),
                succeeded_at: task.completed_at().map(|time| time.0),
                migration: migration(task).map(Box::new),
            },
            None => Self {
                not_ready: Some(NotReady { state: State::Stalled, reason: Reason::Undecodable.as_str().into() }),
                succeeded_at: None,
                migration: None,
            },
        }
    }
}

fn not_ready<T: Task>(task: &T) -> Option<NotReady> {
    let conditions = &task.status().conditions;
    if condition::is_true(conditions, condition::READY) {
        return None;
    }
    // Suspension is also told of tasks that have stalled.
    let state = [(condition::STALLED, State::Stalled), (condition::SUSPENDED, State::Suspended)];
    let state = state.into_iter().find(|(name, _)| condition::is_true(conditions, name));
    let reason = condition::find(conditions, condition::READY).map_or("", |ready| &ready.reason);
    Some(NotReady { state: state.map_or(State::Reconciling, |(_, state)| state), reason: reason.into() })
}

fn migration<T: Task>(task: &T) -> Option<MigrationSummary> {
    let database = task.migrates_everything_in()?;
    let status = task.status();
    let run = status.last_run.as_ref()?;
    let newest = Some((run.result, &run.image, &run.finished_at));
    let past = status.history.iter().map(|past| (past.result, &past.image, &past.finished_at));
    let succeeded = newest.into_iter().chain(past).find(|(result, ..)| *result == Some(Outcome::Succeeded));
    let container = task.policy().target.as_ref().and_then(|target| non_empty(&target.container));
    Some(MigrationSummary {
        target_kind: TargetKind::from_name(&run.target.kind)?,
        target: run.target.name.as_str().into(),
        container: container.map(Box::from),
        database: database.into(),
        image: succeeded.map(|(_, image, _)| image.as_str().into()),
        migrated_at: succeeded.and_then(|(.., at)| at.as_ref()).map(|time| time.0),
    })
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
    fn the_image_is_that_of_the_newest_run_that_succeeded() {
        let run = |result: Option<&str>| {
            json!({
                "number": 9, "key": "", "generation": 1, "jobName": "", "image": "i:9", "result": result,
                "finishedAt": "2026-01-09T00:00:00Z",
                "target": {"kind": "Deployment", "name": "web", "uid": "u", "container": "c"},
            })
        };
        let past = |number: i64, result: &str| {
            json!({
                "number": number, "result": result, "image": format!("i:{number}"),
                "finishedAt": format!("2026-01-0{number}T00:00:00Z"),
            })
        };
        let history = [past(8, "Failed"), past(7, "Succeeded"), past(6, "Succeeded")];
        for (result, history, expected) in [
            (Some("Succeeded"), json!(history), Some(("i:9", 9))),
            (Some("Failed"), json!(history), Some(("i:7", 7))),
            (None, json!(history), Some(("i:7", 7))),
            (Some("Failed"), json!([]), None),
        ] {
            let status = json!({"lastRun": run(result), "history": history});
            let migration = TaskSummary::of(Some(&task(json!({"database": "a"}), status))).migration.unwrap();
            assert_eq!((&*migration.target, migration.target_kind), ("web", TargetKind::Deployment));
            assert_eq!((&*migration.database, &migration.container), ("a", &None));
            let at = |day: i64| format!("2026-01-0{day}T00:00:00Z").parse::<Timestamp>().unwrap();
            let found = migration.image.as_deref().zip(migration.migrated_at);
            assert_eq!(found, expected.map(|(image, day)| (image, at(day))), "{result:?}");
        }
    }

    #[test]
    fn a_migration_of_a_part_says_nothing_of_the_schema() {
        let status = json!({"lastRun": {
            "number": 1, "key": "", "generation": 1, "jobName": "", "image": "i", "result": "Succeeded",
            "target": {"kind": "Deployment", "name": "web", "uid": "u", "container": "c"},
        }});
        for (spec, expected) in [
            (json!({}), Some("default")),
            (json!({"app": "", "database": ""}), Some("default")),
            (json!({"database": "other"}), Some("other")),
            (json!({"app": "shop"}), None),
            (json!({"fake": true}), None),
        ] {
            let migration = TaskSummary::of(Some(&task(spec.clone(), status.clone()))).migration;
            assert_eq!(migration.as_ref().map(|migration| &*migration.database), expected, "{spec}");
        }
        assert!(TaskSummary::of(Some(&task(json!({}), json!({})))).migration.is_none(), "it has not begun");
    }
}
