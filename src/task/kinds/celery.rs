//! DjangoCelery runs Celery's own command line.

use super::pluralize;
use crate::api::DjangoCelery;
use crate::api::celery::DEFAULT_SIGNAL;
use crate::api::{Report, non_empty};
use crate::task::{Command, Runner, TargetLabel, Task};

/// What the helper puts behind the name of a worker that did not reply.
const NO_REPLY: &str = " (no reply: busy, or gone)";

impl Task for DjangoCelery {
    const TARGET_LABEL: TargetLabel = TargetLabel::Celery;

    fn command(&self) -> Command {
        let spec = &self.spec;
        let mut argv: Vec<String> = vec!["-A".into(), spec.app.clone()];
        let mut at_most_once = false;
        match (non_empty(&spec.task), non_empty(&spec.worker)) {
            (Some(task), _) if spec.terminate => {
                let signal = non_empty(&spec.signal).unwrap_or(DEFAULT_SIGNAL);
                argv.extend(["control", "terminate", signal, task].map(str::to_owned));
            }
            (Some(task), _) => argv.extend(["control", "revoke", task].map(str::to_owned)),
            (None, queue) => {
                argv.extend(["purge", "-f"].map(str::to_owned));
                argv.extend(queue.into_iter().flat_map(|queue| ["-Q".to_owned(), queue.to_owned()]));
                at_most_once = true;
            }
        }
        Command { at_most_once, ..Command::new(Runner::Celery, argv) }
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        match non_empty(&self.spec.task) {
            Some(task) if self.spec.terminate && report.is_some_and(|r| r.action == "revoked") => {
                // Whoever did not reply may run it: a worker of the pool `solo` hears of nothing until it is done.
                let names = report.into_iter().flat_map(|report| &report.names).map(String::as_str);
                let silent: Vec<_> = names.filter(|name| name.ends_with(NO_REPLY)).collect();
                let mut message = format!("no worker that replied runs task {task}; it is revoked");
                if !silent.is_empty() {
                    message = format!("{message}; {}", silent.join(", "));
                }
                ("TaskRevoked", message)
            }
            Some(task) if self.spec.terminate => ("TaskTerminated", format!("task {task} terminated")),
            Some(task) => ("TaskRevoked", format!("task {task} revoked")),
            None => ("QueuePurged", format!("{} purged", pluralize(report, "message"))),
        }
    }
}
