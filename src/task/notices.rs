//! Which transitions of a status people want to hear of: pure.

use crate::api::{Outcome, Run, TaskStatus};
use crate::core::text::one_line;
use crate::core::{Reason, condition};

/// A transition worth an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether something is wrong.
    pub warning: bool,
    /// Reason of the event.
    pub reason: String,
    pub note: String,
}

/// What changed between two statuses. `success` is the kind's own word for a run that succeeded.
pub fn notices(old: &TaskStatus, new: &TaskStatus, success: &str) -> Vec<Notice> {
    let mut notices = Vec::new();
    let (before, after) = (old.last_run.as_ref(), new.last_run.as_ref());
    let same_run = |a: &Run| before.filter(|b| b.number == a.number);
    if let Some(run) = after {
        let before = same_run(run);
        if run.job_uid.is_some() && before.is_none_or(|b| b.job_uid.is_none()) && run.result.is_none() {
            let note = one_line(&format!("run {}: Job {} created with image {}", run.number, run.job_name, run.image));
            notices.push(Notice { warning: false, reason: "JobCreated".into(), note });
        }
        if let Some(result) = run.result.filter(|_| before.is_none_or(|b| b.result.is_none())) {
            let reason = run.reason.clone().unwrap_or_default();
            let note = format!("run {}: {}", run.number, run.message.as_deref().unwrap_or_default());
            notices.push(match result {
                Outcome::Succeeded if reason != Reason::Succeeded.as_str() => Notice { warning: false, reason, note },
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
        && !matches!(
            now.reason.as_str(),
            "Starting" | "Running" | "Suspended" | "ConcurrencyLimit" | "Superseding" | "DependencyNotReady"
        )
        && after.is_none_or(|run| run.result.is_none() || run.reason.as_deref() != Some(&now.reason))
    {
        notices.push(Notice { warning: true, reason: now.reason, note: now.message });
    }
    let gate = |status: &TaskStatus| {
        let told = condition::find(&status.conditions, condition::GATE_MISCONFIGURED);
        told.map(|told| (told.reason.clone(), told.message.clone()))
    };
    if let Some((reason, note)) = gate(new).filter(|_| gate(new) != gate(old)) {
        notices.push(Notice { warning: true, reason, note });
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn status(uid: Option<&str>, result: Option<Outcome>, ready: (&str, &str), suspended: bool) -> TaskStatus {
        let reason =
            result.map(|result| if ready.1 == "InvalidSpec" { format!("{result:?}") } else { ready.1.to_owned() });
        let run = Run { number: 2, job_uid: uid.map(str::to_owned), result, reason, ..Run::default() };
        let condition = |type_: &str, status: &str, reason: &str| json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let mut conditions = vec![condition("Ready", ready.0, ready.1)];
        conditions.extend(suspended.then(|| condition("Suspended", "True", "Suspended")));
        TaskStatus {
            last_run: Some(run),
            conditions: serde_json::from_value(json!(conditions)).unwrap(),
            ..TaskStatus::default()
        }
    }

    #[test]
    fn each_transition_is_told_once() {
        let starting = || status(None, None, ("False", "Starting"), false);
        let created = || status(Some("u"), None, ("False", "Starting"), false);
        let ended = |result, reason| status(Some("u"), Some(result), ("False", reason), false);
        let done = || status(Some("u"), Some(Outcome::Succeeded), ("True", "Succeeded"), false);
        for (situation, old, new, expected) in [
            ("created", starting(), created(), vec!["JobCreated"]),
            ("the same again", created(), created(), vec![]),
            ("running", created(), status(Some("u"), None, ("False", "Running"), false), vec![]),
            (
                "cannot pull",
                created(),
                status(Some("u"), None, ("False", "ImagePullFailed"), false),
                vec!["! ImagePullFailed"],
            ),
            ("succeeded", created(), done(), vec!["Done"]),
            ("succeeded unseen", starting(), done(), vec!["Done"]),
            ("failed", created(), ended(Outcome::Failed, "OutOfMemory"), vec!["! OutOfMemory"]),
            ("lost", created(), ended(Outcome::Lost, "Lost"), vec!["! Lost"]),
            ("superseded", created(), ended(Outcome::Superseded, "Superseded"), vec!["RunSuperseded"]),
            (
                "blocked after it",
                done(),
                status(Some("u"), Some(Outcome::Succeeded), ("False", "InvalidSpec"), false),
                vec!["! InvalidSpec"],
            ),
            (
                "suspended",
                done(),
                status(Some("u"), Some(Outcome::Succeeded), ("True", "Succeeded"), true),
                vec!["Suspended"],
            ),
            (
                "resumed",
                status(Some("u"), Some(Outcome::Succeeded), ("True", "Succeeded"), true),
                done(),
                vec!["Resumed"],
            ),
        ] {
            let told: Vec<String> = notices(&old, &new, "Done")
                .into_iter()
                .map(|notice| format!("{}{}", if notice.warning { "! " } else { "" }, notice.reason))
                .collect();
            assert_eq!(told, expected, "{situation}");
        }
    }
}
