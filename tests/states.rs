//! Every state that a task can show: what is observed is varied, and the status is what the decision makes of it. They are
//! written to `states/states.json`, which the tests of delivery hand to those who wait for resources: kstatus, Argo CD,
//! kubectl. `UPDATE_STATES=1 cargo test --test states` writes it anew.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use django_operator::api::{DjangoCommand, Outcome, Run, TaskStatus};
use django_operator::core::views::{JobView, PodView};
use django_operator::core::{Blocked, Reason, condition};
use django_operator::task::decide::{Decision, StatusIntent, after_waiting, decide};
use django_operator::task::observed::{Observed, ObservedJob};
use django_operator::task::schedule::ObservedSchedule;
use django_operator::task::status;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

const GENERATION: i64 = 2;

fn now() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

fn run(result: Option<Outcome>, job: bool) -> Run {
    let (reason, message) = match result {
        Some(Outcome::Succeeded) => ("Succeeded", "1 migration applied"),
        Some(Outcome::Failed) => ("CommandFailed", "exit code 1"),
        Some(Outcome::Superseded) => ("Superseded", "gave way"),
        Some(Outcome::Lost) => ("Lost", "its Job was deleted"),
        None => ("", ""),
    };
    let text = |text: &str| result.map(|_| text.to_owned());
    Run {
        number: 1,
        key: "v2:k".into(),
        generation: 1,
        job_name: "j".into(),
        job_uid: job.then(|| "job".to_owned()),
        result,
        reason: text(reason),
        message: text(message),
        ..Run::default()
    }
}

fn job(suspend: bool, deleted: bool) -> ObservedJob {
    let mut job = json!({
        "metadata": {
            "name": "j", "uid": "job", "generation": 1, "annotations": {"django.my.domain/container": "c"},
            "ownerReferences": [{"apiVersion": "g/v", "kind": "K", "name": "t", "uid": "task", "controller": true}],
        },
        "spec": {"suspend": suspend},
    });
    if deleted {
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    ObservedJob::Present(Arc::new(serde_json::from_value::<JobView>(job).unwrap()))
}

fn pod(state: Value) -> Arc<PodView> {
    let status = json!({"name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state});
    Arc::new(
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})).unwrap(),
    )
}

/// What is known of the newest run.
fn runs() -> Vec<Observed> {
    let of = |last_run: Option<Run>, job: ObservedJob, pods: Vec<Arc<PodView>>, job_age: u64| Observed {
        uid: "task".into(),
        generation: GENERATION,
        now: now(),
        job_uid_stored: true,
        job_age: Duration::from_secs(job_age),
        events_read: true,
        status: TaskStatus { last_run, ..TaskStatus::default() },
        job,
        pods,
        ..Observed::default()
    };
    let under_way = |job: ObservedJob, pods: Vec<Arc<PodView>>| of(Some(run(None, true)), job, pods, 600);
    let plain = || job(false, false);
    let waiting = |reason: &str| pod(json!({"waiting": {"reason": reason, "message": "why"}}));
    let mut all = vec![
        of(None, ObservedJob::Unknown, vec![], 0),
        of(Some(run(None, false)), ObservedJob::Absent, vec![], 0),
        under_way(plain(), vec![]),
        under_way(plain(), vec![pod(json!({"running": {}}))]),
        under_way(plain(), vec![waiting("ImagePullBackOff")]),
        under_way(plain(), vec![waiting("CreateContainerConfigError")]),
        under_way(job(true, false), vec![]),
        under_way(job(false, true), vec![pod(json!({"running": {}}))]),
        under_way(ObservedJob::PodsTerminating, vec![]),
    ];
    for outcome in [Outcome::Succeeded, Outcome::Failed, Outcome::Superseded, Outcome::Lost] {
        all.push(of(Some(run(Some(outcome), true)), ObservedJob::Unknown, vec![], 0));
    }
    all
}

type Situation = Box<dyn Fn(&mut Observed)>;

/// Ways in which the rest may be.
fn situations() -> Vec<Situation> {
    fn schedule(observed: &mut Observed) {
        let task: DjangoCommand = serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoCommand",
            "metadata": {"name": "t", "namespace": "ns", "uid": "task", "creationTimestamp": "2026-01-02T03:04:00Z"},
            "spec": {"commands": [["check"]], "schedule": {"cron": "@daily"}},
        }))
        .unwrap();
        observed.schedule = ObservedSchedule::of(&task, &observed.status, observed.now).unwrap();
    }
    let target = |reason: Reason| {
        move |observed: &mut Observed| {
            observed.target = Some(Err(Blocked::reconciling(reason, "the target".to_owned())));
        }
    };
    vec![
        Box::new(|_: &mut Observed| ()),
        Box::new(|observed: &mut Observed| observed.spec_changed = true),
        Box::new(|observed: &mut Observed| observed.requested = Some("1".into())),
        Box::new(|observed: &mut Observed| observed.broken_rule = Some("spec.app: a rule".into())),
        Box::new(|observed: &mut Observed| observed.dependency_cycle = Some("a -> b -> a".into())),
        Box::new(target(Reason::TargetNotFound)),
        Box::new(target(Reason::TargetAmbiguous)),
        Box::new(schedule),
    ]
}

/// The statuses that an observed task may come to show.
fn statuses(observed: &Observed) -> Vec<TaskStatus> {
    match decide(observed) {
        Decision::SetStatus(StatusIntent::Blocked(blocked), _) => {
            let shown = [Duration::ZERO, Duration::from_secs(3600)]
                .map(|waited| after_waiting(blocked.clone(), None, waited, false).0);
            shown.into_iter().map(|blocked| status::build(observed, &StatusIntent::Blocked(blocked))).collect()
        }
        Decision::SetStatus(intent, _) => vec![status::build(observed, &intent)],
        // What keeps a run from starting, after it was decided upon.
        Decision::StartRun(_) => Reason::ALL
            .iter()
            .flat_map(|&reason| {
                let message = reason.as_str().to_owned();
                [Blocked::reconciling(reason, message.clone()), Blocked::stalled(reason, message)]
            })
            .map(|blocked| status::build(observed, &StatusIntent::Blocked(blocked)))
            .chain([status::build(observed, &StatusIntent::starting())])
            .collect(),
        _ => vec![],
    }
}

/// A state: the conditions' types, status and reasons.
fn shape(status: &TaskStatus) -> String {
    let words = status.conditions.iter().map(|c| format!("{}={} {}", c.type_, c.status, c.reason));
    words.collect::<Vec<_>>().join(", ")
}

fn object(name: &str, status: &Value, generation: i64, suspend: bool) -> Value {
    json!({
        "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
        "metadata": {"name": name, "namespace": "ns", "generation": generation},
        "spec": {"suspend": suspend}, "status": status,
    })
}

fn states() -> Vec<Value> {
    let mut states: BTreeMap<String, (TaskStatus, bool)> = BTreeMap::new();
    for first in runs() {
        for change in situations() {
            for suspend in [false, true] {
                let mut observed = Observed { suspend, ..first.clone() };
                change(&mut observed);
                for status in statuses(&observed) {
                    states.entry(shape(&status)).or_insert((status, suspend));
                }
            }
        }
    }
    let mut objects = vec![object("unobserved", &json!({"observedGeneration": -1}), 1, false)];
    for (number, (status, suspend)) in states.values().enumerate() {
        let mut status = json!(status);
        status.as_object_mut().unwrap().retain(|field, _| field == "conditions" || field == "observedGeneration");
        objects.push(object(&format!("state-{number}"), &status, GENERATION, *suspend));
        objects.push(object(&format!("state-{number}-edited"), &status, GENERATION + 1, *suspend));
    }
    objects
}

#[test]
fn the_states_on_record_are_all_that_there_are() {
    let lines: Vec<String> = states().iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/states/states.json");
    if std::env::var_os("UPDATE_STATES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(recorded == text, "states changed: UPDATE_STATES=1 cargo test --test states, and read the difference");
}

#[test]
fn no_state_says_two_things() {
    for state in states() {
        let status: TaskStatus = serde_json::from_value(state["status"].clone()).unwrap();
        let is = |type_| condition::is_true(&status.conditions, type_);
        assert!(!(is(condition::RECONCILING) && is(condition::STALLED)), "{state}");
        assert!(!(is(condition::READY) && (is(condition::RECONCILING) || is(condition::STALLED))), "{state}");
        assert!(!is(condition::READY) || is(condition::FINISHED), "{state}");
        assert_eq!(is(condition::FINISHED) && !is(condition::READY), is(condition::STALLED), "{state}");
    }
}
