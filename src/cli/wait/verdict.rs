//! What a task's status means for somebody who waits for its end: pure.

use kube::core::DynamicObject;

use crate::api::{Outcome, TaskStatus};
use crate::core::condition;
use crate::names;

/// How a task ended, or how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The newest spec was carried out.
    Succeeded(String),
    /// Nothing more will happen by itself, and it was not carried out.
    Failed(String),
    /// The same because of its target, or of what Jobs are made of.
    TargetUnusable(String),
    /// It is under way, or waits for something. Whether for its target.
    Waiting { for_target: bool, message: String },
}

/// Of an object as the API server has it.
pub fn judge(object: &DynamicObject) -> Verdict {
    let status = &object.data["status"];
    let Ok(status) = serde_json::from_value::<TaskStatus>(status.clone()) else {
        return Verdict::Waiting { for_target: false, message: "its status cannot be read by this version".into() };
    };
    let conditions = &status.conditions;
    let requested =
        object.metadata.annotations.iter().flatten().find(|(key, _)| *key == names::REQUESTED_AT_ANNOTATION);
    let requested = requested.map(|(_, value)| value).filter(|value| !value.is_empty());
    let is_current = status.observed_generation == object.metadata.generation
        && (requested.is_none() || requested == status.last_handled_request.as_ref());
    let message = words(&status);
    let target_is_missing =
        condition::find(conditions, condition::TARGET_RESOLVED).is_some_and(|condition| condition.status == "False");
    match () {
        () if !is_current => {
            Verdict::Waiting { for_target: false, message: "the operator has not looked at it yet".into() }
        }
        () if !condition::is_true(conditions, condition::FINISHED) => {
            Verdict::Waiting { for_target: target_is_missing, message }
        }
        () if condition::is_true(conditions, condition::READY) => Verdict::Succeeded(message),
        () if target_is_missing => Verdict::TargetUnusable(message),
        () => Verdict::Failed(message),
    }
}

/// What the condition Ready says, and how far the newest run came if that is more.
fn words(status: &TaskStatus) -> String {
    let ready = condition::find(&status.conditions, condition::READY);
    let mut words = ready.map_or_else(String::new, |ready| format!("{}: {}", ready.reason, ready.message));
    let failed = status.last_run.as_ref().filter(|run| run.result == Some(Outcome::Failed));
    let more = failed.and_then(|run| run.message.as_deref()).filter(|message| !words.contains(message));
    if let Some(message) = more {
        words.push('\n');
        words.push_str(message);
    }
    words
}
