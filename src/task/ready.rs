//! What the condition Ready says, and what follows from it: pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::decide::StatusIntent;
use super::first_wording::keep_first_wording;
use super::observed::Observed;
use crate::api::{Outcome, Run};
use crate::core::{Reason, condition};

/// What Ready says, and what follows from it.
pub(super) struct ReadySummary {
    pub ready: &'static str,
    pub reason: String,
    pub message: String,
    /// Reconciling or Stalled, where one of them holds.
    pub abnormal_condition: Option<&'static str>,
    pub finished: bool,
}

/// Of an intent; `next_due` is when a schedule is due next.
pub(super) fn summary(observed: &Observed, next_due: Option<&Time>, intent: &StatusIntent) -> ReadySummary {
    let old = &observed.status;
    let not_ready = |reason: Reason, message: String, abnormal_condition| ReadySummary {
        ready: "False",
        reason: reason.as_str().into(),
        message,
        abnormal_condition,
        finished: abnormal_condition == Some(condition::STALLED),
    };
    match intent {
        StatusIntent::Settled => match next_due.filter(|_| observed.spec_changed || old.last_run.is_none()) {
            Some(due) => scheduled(old.last_run.is_some(), due),
            None => settled(old.last_run.as_ref()),
        },
        StatusIntent::Suspended => {
            not_ready(Reason::Suspended, "a run is due; set spec.suspend to false to start it".into(), None)
        }
        StatusIntent::Blocked(blocked) => {
            let progress = if blocked.is_stalled() { condition::STALLED } else { condition::RECONCILING };
            let message = keep_first_wording(old, observed.generation, blocked.reason, &blocked.message);
            not_ready(blocked.reason, message, Some(progress))
        }
        StatusIntent::InProgress { reason, message } => {
            let message = keep_first_wording(old, observed.generation, *reason, message);
            not_ready(*reason, message, Some(condition::RECONCILING))
        }
    }
}

/// Before a run of the spec as it is now.
fn scheduled(ran_before: bool, due: &Time) -> ReadySummary {
    let which = if ran_before { "a run of the spec as it is now" } else { "the first run" };
    ReadySummary {
        ready: "True",
        reason: Reason::Scheduled.as_str().into(),
        message: format!("{which} is due at {}", due.0),
        abnormal_condition: None,
        finished: true,
    }
}

/// As the newest run left it.
fn settled(run: Option<&Run>) -> ReadySummary {
    let summary = |ready, reason: String, message: String, abnormal_condition, finished| ReadySummary {
        ready,
        reason,
        message,
        abnormal_condition,
        finished,
    };
    let starting = || Reason::Starting.as_str().to_owned();
    let Some(run) = run else {
        return summary("Unknown", starting(), "no run yet".into(), Some(condition::RECONCILING), false);
    };
    let reason = run.reason.clone().unwrap_or_else(|| Reason::Succeeded.as_str().into());
    let message = run.message.clone().unwrap_or_default();
    match run.result {
        Some(Outcome::Succeeded) => summary("True", reason, message, None, true),
        Some(_) => summary("False", reason, message, Some(condition::STALLED), true),
        None => summary("False", starting(), "the run is about to start".into(), Some(condition::RECONCILING), false),
    }
}
