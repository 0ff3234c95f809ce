//! DjangoStatic runs Django's own `collectstatic`.

use super::pluralize;
use crate::api::DjangoStatic;
use crate::api::Report;
use crate::task::{Command, Runner, TargetLabel, Task};

impl Task for DjangoStatic {
    const TARGET_LABEL: TargetLabel = TargetLabel::Django;

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
        Command::new(Runner::Manage, argv)
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        match report {
            Some(report) if report.action == "unmodified" => {
                ("StaticUnmodified", format!("nothing changed: {} unmodified", pluralize(Some(report), "static file")))
            }
            _ => ("StaticCollected", format!("{} collected", pluralize(report, "static file"))),
        }
    }
}
