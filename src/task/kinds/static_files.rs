//! DjangoStatic runs Django's own `collectstatic`.

use serde_json::{Value, json};

use super::{counted, task_basics};
use crate::api::DjangoStatic;
use crate::api::common::Report;
use crate::task::{Command, OnDisruption, Runner, Task};

impl Task for DjangoStatic {
    task_basics!(DjangoStatic, Django);

    fn defaults() -> Value {
        json!({ "clear": false, "link": false })
    }

    fn command(&self) -> Command {
        let spec = &self.spec;
        let mut argv: Vec<String> = vec!["collectstatic".into(), "--noinput".into()];
        if spec.clear {
            argv.push("--clear".into());
        }
        if spec.link {
            argv.push("--link".into());
        }
        argv.extend(spec.ignore.iter().map(|pattern| format!("--ignore={pattern}")));
        Command {
            runner: Runner::Manage,
            argv,
            env: Vec::new(),
            on_disruption: OnDisruption::StartAgain,
            default_timeout: Some(3600),
        }
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        ("StaticCollected", format!("{} collected", counted(report, "static file")))
    }
}
