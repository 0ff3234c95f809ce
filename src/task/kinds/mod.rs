//! What each kind adds to the engine.

mod celery;
mod migrate;
mod static_files;
mod user;

use serde_json::{Value, json};

use crate::api::common::Report;

/// A spec as JSON; a spec always serialises, and an empty one would only cost a run.
fn spec_json(spec: &impl serde::Serialize) -> Value {
    serde_json::to_value(spec).unwrap_or_else(|_| json!({}))
}

/// `n things`, or `1 thing`.
fn counted(report: Option<&Report>, thing: &str) -> String {
    match report.and_then(|r| r.count) {
        Some(1) => format!("1 {thing}"),
        Some(n) => format!("{n} {thing}s"),
        None => format!("{thing}s"),
    }
}

/// The parts of [`super::Task`] that are the same for every kind.
macro_rules! task_basics {
    ($kind:ident, $label:ident) => {
        const KIND: &'static str = stringify!($kind);
        const LABEL: $crate::task::TargetLabel = $crate::task::TargetLabel::$label;

        fn policy(&self) -> &$crate::api::common::TaskPolicy {
            &self.spec.policy
        }
        fn spec(&self) -> serde_json::Value {
            super::spec_json(&self.spec)
        }
        fn status(&self) -> $crate::api::common::TaskStatus {
            self.status.clone().unwrap_or_default().into()
        }
        fn set_status(&mut self, status: $crate::api::common::TaskStatus) {
            self.status = Some(status.into());
        }
        fn rules(&self) -> Result<(), String> {
            self.validate_cel().map_err(|errors| $crate::task::rule_text(&errors))
        }
    };
}
use task_basics;
