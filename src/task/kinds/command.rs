//! DjangoCommand runs what its spec lists.

use super::pluralize;
use crate::api::{DjangoCommand, Report, Schedule};
use crate::task::{Command, Runner, Steps, TargetLabel, Task};

impl Task for DjangoCommand {
    const TARGET_LABEL: TargetLabel = TargetLabel::Django;
    const NON_TRIGGERING_FIELDS: &[&str] = &["resume", "schedule"];
    const COMMANDS_FIELD: Option<&str> = Some("commands");

    fn command(&self) -> Command {
        let commands = &self.spec.commands;
        let steps = Steps { lengths: commands.iter().map(Vec::len).collect(), resumes: self.spec.resume };
        Command { steps: Some(steps), at_most_once: true, ..Command::new(Runner::Manage, commands.concat()) }
    }

    fn schedule(&self) -> Option<&Schedule> {
        self.spec.schedule.as_ref()
    }

    fn success(&self, report: Option<&Report>) -> (&'static str, String) {
        ("CommandsExecuted", format!("{} executed", pluralize(report, "command")))
    }
}
