//! What each kind adds to the engine: one file per kind, by the registry of the API.

use super::Task;
use crate::api::{Report, task_kinds};

/// Something that is done for every task kind.
pub trait KindVisitor {
    /// Does it for one.
    fn visit<T: Task>(&mut self);
}

macro_rules! declare {
    ($($module:ident: $kind:ident,)*) => {
        $(mod $module;)*

        /// Goes through the task kinds in the registry's order.
        pub fn visit_kinds(visitor: &mut impl KindVisitor) {
            $(visitor.visit::<crate::api::$kind>();)*
        }
    };
}
task_kinds!(declare);

/// `n things`, or `1 thing`.
fn pluralize(report: Option<&Report>, thing: &str) -> String {
    match report.and_then(|r| r.count) {
        Some(1) => format!("1 {thing}"),
        Some(n) => format!("{n} {thing}s"),
        None => format!("{thing}s"),
    }
}
