//! The operator's side of `contract/helper.json`; the helper's is `python/tests/test_contract.py`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;

use django_operator::api::{DjangoCelery, DjangoCommand, DjangoMigrate, DjangoStatic, DjangoUser, Outcome, Report};
use django_operator::cli::render::render;
use django_operator::core::Reason;
use django_operator::core::views::{JobView, PodView};
use django_operator::task::Task;
use django_operator::task::gate;
use django_operator::task::helper_reason::HELPER_REASONS;
use django_operator::task::run_key;
use django_operator::task::run_result;
use django_operator::{helper, names};
use serde_json::{Value, json};

fn contract() -> Value {
    serde_json::from_str(include_str!("contract/helper.json")).unwrap()
}

fn keys(value: &Value) -> BTreeSet<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn words(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The Django container of the Job that a task gets; one that resumes a recorded run begins at the second step.
fn container(kind: &str, spec: Value, manage: Option<&str>) -> Value {
    let mut task = json!({
        "apiVersion": "django.my.domain/v1alpha1", "kind": kind, "metadata": {"name": "t", "uid": "u"}, "spec": spec,
    });
    if task["spec"]["resume"] == json!(true) {
        let target = json!({"kind": "", "name": "", "uid": "", "container": ""});
        let key = run_key::for_task(&serde_json::from_value::<DjangoCommand>(task.clone()).unwrap());
        task["status"]["lastRun"] = json!({
            "number": 1, "key": key, "generation": 1, "jobName": "j", "image": "i", "target": target, "firstStep": 2,
        });
    }
    let container =
        json!({"name": "web", "image": "i", "args": ["gunicorn"], "envFrom": [{"secretRef": {"name": "s"}}]});
    let target = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "annotations": manage.map(|text| json!({names::MANAGE_ANNOTATION: text}))},
        "spec": {"template": {"spec": {"containers": [container]}}},
    });
    render(&task, &target).unwrap()["spec"]["template"]["spec"]["containers"][0].take()
}

fn ended(exit_code: i32, line: &Value) -> (JobView, Vec<PodView>) {
    let condition = if exit_code == 0 { "Complete" } else { "Failed" };
    let job = json!({
        "metadata": {"name": "j", "annotations": {names::CONTAINER_ANNOTATION: "web"}},
        "status": {"conditions": [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}]},
    });
    let state = json!({"terminated": {"exitCode": exit_code, "reason": "Error", "message": line.to_string()}});
    let status = json!({
        "name": "web", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state,
    });
    let pod = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}});
    (serde_json::from_value(job).unwrap(), vec![serde_json::from_value(pod).unwrap()])
}

#[test]
fn the_reasons_are_those_of_the_contract() {
    let ours: BTreeSet<String> = HELPER_REASONS
        .iter()
        .map(|reason| reason.name)
        .chain([Reason::CommandFailed.as_str()])
        .map(str::to_owned)
        .collect();
    let contract = contract();
    assert_eq!(ours, &words(&contract["reasons"]) | &words(&contract["bootstrapReasons"]));
    let bootstrap = include_str!("../python/bootstrap.py");
    for reason in words(&contract["bootstrapReasons"]) {
        assert!(bootstrap.contains(&reason), "{reason}");
    }
}

#[test]
fn jobs_use_the_arguments_and_variables_of_the_contract() {
    let contract = contract();
    let user = json!({
        "username": "ann", "superuser": true, "attributes": {"team": "ops"},
        "passwordSecretRef": {"name": "n", "key": "k"},
    });
    let mut arguments = BTreeSet::new();
    let mut commands = BTreeSet::new();
    let mut environment = BTreeSet::new();
    for (kind, spec, manage) in [
        ("DjangoUser", user, None),
        ("DjangoMigrate", json!({}), Some("DJANGO_SETTINGS_MODULE=shop.settings python -m django")),
        ("DjangoStatic", json!({}), Some("shop manage")),
        ("DjangoStatic", json!({}), Some("python manage.py")),
        ("DjangoCelery", json!({"app": "shop"}), None),
        ("DjangoCommand", json!({"commands": [["check"], ["cleanup"]], "retries": 1, "resume": true}), None),
    ] {
        let container = container(kind, spec, manage);
        let args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let end = args.iter().position(|arg| *arg == "--").unwrap();
        let flags = args[..end].iter().filter(|arg| arg.starts_with("--"));
        arguments.extend(flags.map(|arg| arg.split('=').next().unwrap().to_owned()));
        if !["DjangoCelery", "DjangoCommand"].contains(&kind) {
            commands.insert(args[end + 1].to_owned());
        }
        for variable in container["env"].as_array().unwrap() {
            environment.insert(variable["name"].as_str().unwrap().to_owned());
            if variable["name"] == names::HELPER_ENV {
                let facts: Value = serde_json::from_str(variable["value"].as_str().unwrap()).unwrap();
                assert_eq!(keys(&facts), keys(&contract["facts"]));
            }
        }
    }
    assert_eq!(arguments, keys(&contract["arguments"]));
    assert_eq!(commands, words(&contract["commands"]));
    assert_eq!(environment, keys(&contract["environment"]));
}

#[test]
fn a_pod_that_waits_is_told_the_facts_of_the_contract() {
    let contract = contract();
    let template = json!({"spec": {"containers": [{"name": "web", "image": "i"}]}});
    let container = gate::build(&template, helper::source()).unwrap().container;
    let facts: Value = serde_json::from_str(container["env"][0]["value"].as_str().unwrap()).unwrap();
    let mut expected = keys(&contract["facts"]);
    assert!(expected.remove("mounts"), "it changes nothing that would have to last");
    expected.extend(keys(&contract["gateFacts"]));
    assert_eq!(keys(&facts), expected);
}

/// Reason of the event about a run of this task that reported this action.
fn success<T: Task>(spec: Value, action: &str) -> &'static str {
    let task: T = serde_json::from_value(json!({
        "apiVersion": "django.my.domain/v1alpha1", "kind": T::KIND, "metadata": {"name": "t"}, "spec": spec,
    }))
    .unwrap();
    task.success(Some(&Report { action: action.to_owned(), count: Some(1), ..Report::default() })).0
}

#[test]
fn each_action_has_the_event_of_the_contract() {
    let user = || json!({"username": "u", "passwordSecretRef": {"name": "n", "key": "k"}});
    let task = |terminate: bool| json!({"app": "a", "task": "id", "terminate": terminate});
    let mut expected = serde_json::Map::new();
    for (action, reason) in [
        ("created", success::<DjangoUser>(user(), "created")),
        ("updated", success::<DjangoUser>(user(), "updated")),
        ("unchanged", success::<DjangoUser>(user(), "unchanged")),
        ("applied", success::<DjangoMigrate>(json!({}), "applied")),
        ("unapplied", success::<DjangoMigrate>(json!({}), "unapplied")),
        ("faked", success::<DjangoMigrate>(json!({}), "faked")),
        ("pruned", success::<DjangoMigrate>(json!({}), "pruned")),
        ("collected", success::<DjangoStatic>(json!({}), "collected")),
        ("unmodified", success::<DjangoStatic>(json!({}), "unmodified")),
        ("purged", success::<DjangoCelery>(json!({"app": "a"}), "purged")),
        ("revoked", success::<DjangoCelery>(task(false), "revoked")),
        ("terminated", success::<DjangoCelery>(task(true), "terminated")),
        ("executed", success::<DjangoCommand>(json!({"commands": [["check"]]}), "executed")),
    ] {
        expected.insert(action.to_owned(), json!(reason));
    }
    assert_eq!(success::<DjangoCelery>(task(true), "revoked"), "TaskRevoked");
    let mut actions = contract()["actions"].take();
    actions.as_object_mut().unwrap().retain(|_, reason| !reason.is_null());
    assert_eq!(actions, Value::Object(expected));
}

#[test]
fn a_worker_that_did_not_reply_is_told_of_as_such() {
    let silent = format!("busy@here{}", contract()["noReply"].as_str().unwrap());
    let task: DjangoCelery = serde_json::from_value(json!({
        "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoCelery", "metadata": {"name": "t"},
        "spec": {"app": "a", "task": "id", "terminate": true},
    }))
    .unwrap();
    let message = |names: &[&str]| {
        let names = names.iter().map(ToString::to_string).collect();
        task.success(Some(&Report { action: "revoked".into(), count: Some(1), names, ..Report::default() })).1
    };
    assert_eq!(message(&["idle@here"]), "no worker that replied runs task id; it is revoked");
    assert_eq!(
        message(&["idle@here", &silent]),
        format!("no worker that replied runs task id; it is revoked; {silent}")
    );
}

#[test]
fn lines_read_as_the_contract_says() {
    let contract = contract();
    for example in contract["examples"].as_array().unwrap() {
        let line = &example["line"];
        let succeeded = line["ok"] == json!(true);
        let expected = if succeeded { "succeeded" } else { "failed" };
        let mut fields = words(&contract["line"][expected]);
        if !succeeded && line.get("action").is_some() {
            fields.extend(words(&contract["line"]["doneBefore"]));
        }
        if line.get("started").is_some() {
            fields.extend(words(&contract["line"]["discovered"]));
        }
        if line.get("steps").is_some() {
            fields.extend(words(&contract["line"]["several"]));
        }
        assert_eq!(keys(line), fields, "{line}");
        let (job, pods) = ended(i32::from(!succeeded), line);
        let result = run_result::from_job(&job, &pods);
        assert_eq!(json!(result.outcome), example["outcome"], "{line}");
        assert_eq!(json!(result.reason), example["reason"], "{line}");
        assert_eq!(result.outcome == Outcome::Succeeded, succeeded);
        let steps: Vec<Value> = result.steps.iter().map(|step| json!(step)).collect();
        let told = line["steps"].as_array().cloned().unwrap_or_default();
        assert_eq!(steps.len(), told.len());
        for (step, told) in steps.iter().zip(told) {
            assert!(keys(&told).is_subset(&words(&contract["line"]["steps"])), "{told}");
            for (field, stored) in [
                ("name", "name"),
                ("state", "state"),
                ("exitCode", "exitCode"),
                ("seconds", "durationSeconds"),
                ("reason", "reason"),
            ] {
                assert_eq!(step[stored], told[field], "{field} of {told}");
            }
        }
        let report = json!(result.report.unwrap());
        for field in keys(line).difference(&["ok", "reason", "message", "steps"].map(str::to_owned).into()) {
            // What is empty is not stored.
            let empty = [json!(null), json!(""), json!([])].contains(&line[field]);
            let expected = (!empty).then(|| line[field].clone());
            assert_eq!(report.get(field).cloned(), expected, "{field} of {line}");
        }
        for database in line["databases"].as_array().unwrap() {
            assert_eq!(keys(database), words(&contract["line"]["databases"]));
        }
        if !succeeded {
            assert_eq!(&json!(result.message), example.get("message").unwrap_or(&line["message"]));
        }
    }
}
