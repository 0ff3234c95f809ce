//! What a task's status means for somebody who waits for its end: pure.

use kube::core::DynamicObject;

use crate::api::{Outcome, TaskStatus};
use crate::core::{Reason, condition, request};

/// How a task ended, or how it is. Each with the operator's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The newest spec was carried out.
    Succeeded(String),
    /// Nothing more will happen by itself, and it was not carried out.
    Failed(String),
    /// The same because of its target, or of what Jobs are made of.
    TargetUnusable(String),
    /// It failed because another task has, which may be mended already.
    DependencyFailed(String),
    /// It is under way, or waits for something. Whether for its target.
    Waiting { for_target: bool, message: String },
}

/// Of an object as the API server has it.
pub fn judge(object: &DynamicObject) -> Verdict {
    let waiting = |message: &str| Verdict::Waiting { for_target: false, message: message.to_owned() };
    let Ok(status) = serde_json::from_value::<TaskStatus>(object.data["status"].clone()) else {
        return waiting("its status cannot be read by this version");
    };
    if object.metadata.deletion_timestamp.is_some() {
        return waiting("it is being deleted");
    }
    if status.observed_generation != object.metadata.generation {
        return waiting("the operator has not looked at its newest spec yet");
    }
    let conditions = &status.conditions;
    let Some(ready) = condition::find(conditions, condition::READY) else {
        return waiting("the operator has not looked at it yet");
    };
    let message = format!("{}: {}", ready.reason, ready.message);
    let is_about_target = condition::find(conditions, condition::TARGET_RESOLVED)
        .is_some_and(|target| target.status == "False" && target.reason == ready.reason);
    if !condition::is_true(conditions, condition::FINISHED) {
        return Verdict::Waiting { for_target: is_about_target, message };
    }
    let is_ready = ready.status == "True";
    // What blocks a run blocks the one that is asked for as well; the end of a run is not that run's.
    let of_a_run = is_ready || status.last_run.as_ref().and_then(|run| run.reason.as_deref()) == Some(&*ready.reason);
    if request::is_open(request::requested(object), &status) && of_a_run {
        return waiting("the operator has not acted upon the annotation requestedAt yet");
    }
    match () {
        () if is_ready => Verdict::Succeeded(message),
        () if ready.reason == Reason::DependencyFailed.as_str() => Verdict::DependencyFailed(message),
        () if is_about_target => Verdict::TargetUnusable(message),
        () => Verdict::Failed(with_last_words(message, &status)),
    }
}

/// With what the newest run said, if that is more.
fn with_last_words(message: String, status: &TaskStatus) -> String {
    let failed = status.last_run.as_ref().filter(|run| run.result == Some(Outcome::Failed));
    match failed.and_then(|run| run.message.as_deref()).filter(|words| !message.contains(words)) {
        Some(words) => format!("{message}\n{words}"),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object(metadata: &Value, conditions: &[(&str, &str, &str)], status: &Value) -> DynamicObject {
        let condition = |(type_, status, reason): &(&str, &str, &str)| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-11-30T00:00:00Z"});
        let mut object = json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
            "metadata": {"name": "m", "generation": 2},
            "status": {"observedGeneration": 2, "conditions": conditions.iter().map(condition).collect::<Vec<_>>()},
        });
        for (at, more) in [("metadata", metadata), ("status", status)] {
            object[at].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        }
        serde_json::from_value(object).unwrap()
    }

    const SUCCEEDED: &[(&str, &str, &str)] = &[("Ready", "True", "Succeeded"), ("Finished", "True", "Succeeded")];
    const FAILED: &[(&str, &str, &str)] = &[
        ("Ready", "False", "CommandFailed"),
        ("Finished", "True", "CommandFailed"),
        ("Stalled", "True", "CommandFailed"),
    ];
    const NO_TARGET: &[(&str, &str, &str)] = &[
        ("Ready", "False", "TargetNotFound"),
        ("Finished", "False", "TargetNotFound"),
        ("TargetResolved", "False", "TargetNotFound"),
    ];
    const AMBIGUOUS: &[(&str, &str, &str)] = &[
        ("Ready", "False", "TargetAmbiguous"),
        ("Finished", "True", "TargetAmbiguous"),
        ("TargetResolved", "False", "TargetAmbiguous"),
    ];
    const TARGET_LOST_LATER: &[(&str, &str, &str)] = &[
        ("Ready", "False", "CommandFailed"),
        ("Finished", "True", "CommandFailed"),
        ("TargetResolved", "False", "TargetNotFound"),
    ];
    const DEPENDENCY: &[(&str, &str, &str)] =
        &[("Ready", "False", "DependencyFailed"), ("Finished", "True", "DependencyFailed")];

    #[test]
    fn a_status_says_whether_it_is_over_and_of_what() {
        let none = json!({});
        let asked = json!({"annotations": {"django.my.domain/requestedAt": "now"}});
        let run = json!({"lastRun": {
            "number": 1, "key": "k", "generation": 1, "jobName": "j", "image": "i", "reason": "CommandFailed", "result": "Failed",
            "message": "bad", "target": {"kind": "Deployment", "name": "web", "uid": "u", "container": "c"},
        }});
        let waiting = |verdict: &Verdict| matches!(verdict, Verdict::Waiting { for_target: false, .. });
        let for_target = |verdict: &Verdict| matches!(verdict, Verdict::Waiting { for_target: true, .. });
        type Check<'a> = &'a dyn Fn(&Verdict) -> bool;
        let rows: &[(&str, DynamicObject, Check)] = &[
            ("succeeded", object(&none, SUCCEEDED, &none), &|v| *v == Verdict::Succeeded("Succeeded: m".into())),
            ("failed", object(&none, FAILED, &run), &|v| *v == Verdict::Failed("CommandFailed: m\nbad".into())),
            ("older spec", object(&json!({"generation": 3}), SUCCEEDED, &none), &waiting),
            ("deleted", object(&json!({"deletionTimestamp": "2026-11-30T00:00:00Z"}), SUCCEEDED, &none), &waiting),
            ("never seen", object(&none, &[], &none), &waiting),
            ("asked again", object(&asked, SUCCEEDED, &none), &waiting),
            ("asked again after a failure", object(&asked, FAILED, &run), &waiting),
            ("asked and done", object(&asked, SUCCEEDED, &json!({"lastHandledRequest": "now"})), &|v| {
                *v == Verdict::Succeeded("Succeeded: m".into())
            }),
            ("asked and blocked", object(&asked, AMBIGUOUS, &run), &|v| {
                *v == Verdict::TargetUnusable("TargetAmbiguous: m".into())
            }),
            ("no target", object(&asked, NO_TARGET, &none), &for_target),
            ("target lost after a failure", object(&none, TARGET_LOST_LATER, &run), &|v| {
                matches!(v, Verdict::Failed(_))
            }),
            ("a dependency failed", object(&asked, DEPENDENCY, &none), &|v| matches!(v, Verdict::DependencyFailed(_))),
            ("another version", object(&none, SUCCEEDED, &json!({"history": 1})), &waiting),
        ];
        for (row, object, expected) in rows {
            let verdict = judge(object);
            assert!(expected(&verdict), "{row}: {verdict:?}");
        }
    }
}
