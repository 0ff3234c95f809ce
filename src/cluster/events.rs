//! Events: one for each transition that a person wants to hear of. They never fail a reconcile.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::debug;

use crate::api::{Outcome, TaskStatus};
use crate::core::condition;

/// Longest note of an event that the API server takes.
const NOTE_LIMIT: usize = 1000;

/// A transition worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// In a word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

/// What changed between two statuses. `success` is the kind's own word for a run that succeeded.
pub fn notices(old: &TaskStatus, new: &TaskStatus, success: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    let (before, after) = (old.last_run.as_ref(), new.last_run.as_ref());
    let same_run = |a: &crate::api::Run| before.filter(|b| b.number == a.number);
    if let Some(run) = after {
        let before = same_run(run);
        if run.job_uid.is_some() && before.is_none_or(|b| b.job_uid.is_none()) && run.result.is_none() {
            let note = format!("run {}: Job {} created with image {}", run.number, run.job_name, run.image);
            notices.push(Notice { warning: false, reason: "JobCreated".into(), note });
        }
        if let Some(result) = run.result.filter(|_| before.is_none_or(|b| b.result.is_none())) {
            let reason = run.reason.clone().unwrap_or_default();
            let note = format!("run {}: {}", run.number, run.message.as_deref().unwrap_or_default());
            notices.push(match result {
                Outcome::Succeeded => Notice { warning: false, reason: success.to_owned(), note },
                Outcome::Superseded => Notice { warning: false, reason: "RunSuperseded".into(), note },
                Outcome::Failed | Outcome::Lost => Notice { warning: true, reason, note },
            });
        }
    }
    let ready = |status: &TaskStatus| condition::find(&status.conditions, condition::READY).cloned();
    let ended = notices.iter().any(|n| n.warning);
    if let Some(now) = ready(new).filter(|now| now.status == "False" && !ended)
        && ready(old).is_none_or(|then| then.reason != now.reason)
        && !matches!(now.reason.as_str(), "Starting" | "Running" | "Suspended" | "ConcurrencyLimit" | "Superseding")
        && after.is_none_or(|run| run.result.is_none() || run.reason.as_deref() != Some(&now.reason))
    {
        notices.push(Notice { warning: true, reason: now.reason, note: now.message });
    }
    let suspended = |status: &TaskStatus| condition::is_true(&status.conditions, condition::SUSPENDED);
    match (suspended(old), suspended(new)) {
        (false, true) => {
            notices.push(Notice { warning: false, reason: "Suspended".into(), note: "nothing new starts".into() })
        }
        (true, false) => {
            notices.push(Notice { warning: false, reason: "Resumed".into(), note: "runs start again".into() });
        }
        _ => {}
    }
    notices
}

/// Publishes the notices about one object.
pub async fn publish(recorder: &Recorder, about: &ObjectReference, job: Option<ObjectReference>, notices: Vec<Notice>) {
    for notice in notices {
        let mut note = notice.note;
        while note.len() > NOTE_LIMIT {
            note.pop();
        }
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            note: Some(note),
            action: "RunTask".into(),
            secondary: job.clone(),
        };
        if let Err(error) = recorder.publish(&event, about).await {
            debug!(%error, "event not published");
        }
    }
}
