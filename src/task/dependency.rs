//! What a task waits for, and how that stands: pure.

use super::Task;
use super::observed::Observed;
use super::run_cause::needs_run;
use crate::api::{DependencyRun, Outcome, TaskKind, TaskStatus};
use crate::core::condition;
use crate::core::{APPLY_PERIOD, Blocked, Reason};

/// A run of a dependency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOf {
    /// UID of the dependency.
    pub uid: String,
    /// The run's number.
    pub number: i64,
}

/// How a dependency stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DependencyState {
    /// There is none of that name.
    Missing,
    /// A run of it is due or under way.
    Pending,
    /// It needs no run, and its newest one succeeded.
    Succeeded(RunOf),
    /// Its newest run failed, or it cannot go on until somebody changes something; why, in one word.
    Failed { run: RunOf, reason: String },
}

/// Reason of a dependency that follows another, which follows another, and so on, further than anybody looks.
pub const TOO_LONG: &str = "ChainTooLong";

/// A dependency, and how it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedDependency {
    pub kind: TaskKind,
    pub name: String,
    pub state: DependencyState,
}

impl DependencyState {
    /// Of a task as it was observed, whether or not a run of it is under way.
    pub fn of<T: Task>(task: &T, observed: &Observed) -> Self {
        let run = observed.status.last_run.as_ref();
        let newest = RunOf { uid: observed.uid.clone(), number: run.map_or(0, |run| run.number) };
        if task.meta().deletion_timestamp.is_some() {
            return Self::Missing;
        }
        let stalled = stalled_reason(&observed.status, observed.generation);
        let is_in_cycle = stalled.as_deref() == Some(Reason::DependencyCycle.as_str());
        if is_in_cycle || needs_run(observed).is_some() {
            return stalled.map_or(Self::Pending, |reason| Self::Failed { run: newest, reason });
        }
        match run.and_then(|run| run.result) {
            None => Self::Pending,
            Some(Outcome::Succeeded) => Self::Succeeded(newest),
            Some(_) => Self::Failed { run: newest, reason: run.and_then(|run| run.reason.clone()).unwrap_or_default() },
        }
    }
}

/// Why the status says that the task, as it is now, cannot go on.
fn stalled_reason(status: &TaskStatus, generation: i64) -> Option<String> {
    let stalled = condition::find(&status.conditions, condition::STALLED)?;
    (stalled.observed_generation == Some(generation)).then(|| stalled.reason.clone())
}

/// What holds a run back until its dependencies have succeeded.
pub fn blocked(observed: &Observed) -> Option<Blocked> {
    let of = |dependency: &ObservedDependency| format!("{} {}", dependency.kind.as_str(), dependency.name);
    let listed = |wanted: fn(&DependencyState) -> bool| {
        let found: Vec<String> =
            observed.dependencies.iter().filter(|dependency| wanted(&dependency.state)).map(of).collect();
        (!found.is_empty()).then(|| found.join(", "))
    };
    let failed = observed.dependencies.iter().find_map(|dependency| match &dependency.state {
        DependencyState::Failed { reason, .. } => Some((of(dependency), reason)),
        _ => None,
    });
    if let Some((name, reason)) = failed {
        let message = format!("dependsOn: {name} has failed ({reason}); when that is mended, this task goes on");
        return Some(match was_waiting(observed) {
            true => Blocked::stalled(Reason::DependencyFailed, message),
            // It may be about to be applied as well, and to run again.
            false => Blocked::stalls_after(APPLY_PERIOD, Reason::DependencyFailed, message),
        });
    }
    if let Some(names) = listed(|state| *state == DependencyState::Missing) {
        let message = format!("dependsOn: there is no {names} in this namespace; waiting for it");
        return Some(Blocked::reconciling(Reason::DependencyNotFound, message));
    }
    let names = listed(|state| *state == DependencyState::Pending)?;
    Some(Blocked::reconciling(Reason::DependencyNotReady, format!("waiting until {names} has succeeded")))
}

/// Whether this task has been waiting for its dependencies as it is now: one that fails then has failed for it.
fn was_waiting(observed: &Observed) -> bool {
    let ready = condition::find(&observed.status.conditions, condition::READY);
    ready.is_some_and(|ready| {
        ready.reason == Reason::DependencyNotReady.as_str() && ready.observed_generation == Some(observed.generation)
    })
}

/// The runs upon which a run comes.
pub fn runs_of(observed: &Observed) -> Vec<DependencyRun> {
    let run = |dependency: &ObservedDependency| match &dependency.state {
        DependencyState::Succeeded(run) => Some(DependencyRun {
            kind: dependency.kind,
            name: dependency.name.clone(),
            uid: run.uid.clone(),
            run: run.number,
        }),
        _ => None,
    };
    observed.dependencies.iter().filter_map(run).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoMigrate, Run, RunCause};
    use crate::task::decide::StatusIntent;
    use crate::task::{run_key, status};
    use serde_json::json;

    fn run(number: i64) -> RunOf {
        RunOf { uid: "d".to_owned(), number }
    }

    fn observed(state: DependencyState) -> Observed {
        let dependency = ObservedDependency { kind: TaskKind::DjangoMigrate, name: "m".to_owned(), state };
        Observed { generation: 3, dependencies: vec![dependency], ..Observed::default() }
    }

    fn failed(number: i64) -> DependencyState {
        DependencyState::Failed { run: run(number), reason: "LockTimeout".to_owned() }
    }

    #[test]
    fn what_is_missing_or_to_come_is_waited_for_and_what_failed_is_told() {
        for (state, expected) in [
            (DependencyState::Succeeded(run(1)), None),
            (DependencyState::Missing, Some((Reason::DependencyNotFound, "dependsOn: there is no DjangoMigrate m"))),
            (DependencyState::Pending, Some((Reason::DependencyNotReady, "waiting until DjangoMigrate m has"))),
            (failed(1), Some((Reason::DependencyFailed, "dependsOn: DjangoMigrate m has failed (LockTimeout)"))),
        ] {
            let found = blocked(&observed(state.clone()));
            assert_eq!(found.as_ref().map(|found| found.reason), expected.map(|(reason, _)| reason), "{state:?}");
            assert!(found.zip(expected).is_none_or(|(found, (_, text))| found.message.starts_with(text)));
        }
    }

    #[test]
    fn a_failure_counts_at_once_only_for_who_waited_for_it() {
        let stalled = |observed: &Observed| blocked(observed).unwrap().is_stalled();
        assert!(!stalled(&observed(failed(1))), "it may be about to be applied as well");
        let waiting = observed(DependencyState::Pending);
        let shown = status::build(&waiting, &StatusIntent::Blocked(blocked(&waiting).unwrap()));
        assert!(stalled(&Observed { status: shown.clone(), ..observed(failed(1)) }));
        assert!(!stalled(&Observed { status: shown, generation: 4, ..observed(failed(1)) }), "edited since");
    }

    #[test]
    fn a_dependency_that_ran_again_asks_for_a_run_where_that_is_followed() {
        let before = DependencyRun { kind: TaskKind::DjangoMigrate, name: "m".into(), uid: "d".into(), run: 1 };
        let asks = |follows: bool, before: &[DependencyRun], state: DependencyState| {
            let mut observed = Observed { reruns_with_dependencies: follows, ..observed(state) };
            observed.status.last_run =
                Some(Run { result: Some(Outcome::Succeeded), dependencies: before.to_vec(), ..Run::default() });
            needs_run(&observed)
        };
        let known = std::slice::from_ref(&before);
        let other = RunOf { uid: "e".into(), number: 1 };
        for (situation, expected, dependencies, state) in [
            ("the same run", false, known, DependencyState::Succeeded(run(1))),
            ("another run", true, known, DependencyState::Succeeded(run(2))),
            ("another object", true, known, DependencyState::Succeeded(other)),
            ("a run to come", true, known, DependencyState::Pending),
            ("another run, that failed", true, known, failed(2)),
            ("gone", false, known, DependencyState::Missing),
            ("added since", false, &[][..], DependencyState::Succeeded(run(2))),
        ] {
            let cause = asks(true, dependencies, state.clone());
            assert_eq!(cause == Some(RunCause::Dependency), expected, "{situation}");
            assert_eq!(asks(false, dependencies, state), None, "{situation}");
        }
    }

    #[test]
    fn how_a_task_stands_for_those_that_depend_on_it() {
        let state = |status: serde_json::Value, generation: i64, more: fn(&mut Observed)| {
            let mut task: DjangoMigrate = serde_json::from_value(json!({
                "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
                "metadata": {"name": "m", "uid": "d", "generation": 3}, "spec": {}, "status": status,
            }))
            .unwrap();
            task.metadata.generation = Some(generation);
            let status = task.status.clone().unwrap_or_default().task;
            let mut observed = Observed { uid: "d".into(), generation, status, ..Observed::default() };
            more(&mut observed);
            DependencyState::of(&task, &observed)
        };
        let key = run_key::for_task::<DjangoMigrate>(&serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "metadata": {"name": "m"}, "spec": {},
        })).unwrap());
        let last_run = |result: Option<&str>| {
            let target = json!({"kind": "", "name": "", "uid": "", "container": ""});
            json!({
                "number": 2, "key": key, "generation": 3, "jobName": "j", "jobUid": "u", "image": "i", "target": target,
                "result": result, "reason": result.map(|_| "LockTimeout"),
            })
        };
        let stalled = json!([{
            "type": "Stalled", "status": "True", "reason": "InvalidSpec", "message": "m", "observedGeneration": 3,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]);
        let due = |observed: &mut Observed| observed.spec_changed = true;
        let invalid = DependencyState::Failed { run: run(2), reason: "InvalidSpec".to_owned() };
        for (situation, status, generation, more, expected) in [
            ("new", json!({}), 3, (|_| ()) as fn(&mut Observed), DependencyState::Pending),
            ("running", json!({"lastRun": last_run(None)}), 3, |_| (), DependencyState::Pending),
            ("done", json!({"lastRun": last_run(Some("Succeeded"))}), 3, |_| (), DependencyState::Succeeded(run(2))),
            ("failed", json!({"lastRun": last_run(Some("Failed"))}), 3, |_| (), failed(2)),
            ("lost", json!({"lastRun": last_run(Some("Lost"))}), 3, |_| (), failed(2)),
            ("edited", json!({"lastRun": last_run(Some("Failed"))}), 4, due, DependencyState::Pending),
            ("stuck", json!({"lastRun": last_run(Some("Failed")), "conditions": stalled}), 3, due, invalid),
            (
                "mended",
                json!({"lastRun": last_run(Some("Failed")), "conditions": stalled}),
                4,
                due,
                DependencyState::Pending,
            ),
        ] {
            assert_eq!(state(status, generation, more), expected, "{situation}");
        }
    }
}
