//! DjangoCommand: management commands, one after the other.

use serde_json::{Value, json};

use super::kind::task_kind;
use super::{Column, Schedule};

task_kind! {
    DjangoCommand: kube(
        kind = "DjangoCommand",
        plural = "djangocommands",
        shortname = "djcmd",
        status = "DjangoCommandStatus",
        doc = "Management commands run one after the other, in a Job that copies the labelled Django Deployment."
    );
    columns: [
        Column::new("Command", "string", ".spec.commands[0][0]"),
        Column::new("Executed", "integer", ".status.report.count").wide(),
        Column::new("Next-Due", "string", ".status.schedule.nextDueTime"),
        Column::new("Last-Due", "string", ".status.schedule.lastDueTime").wide(),
        Column::TARGET,
    ];
    defaults: [];
    rules: [
        validation = Rule::new(
            "self.commands.all(command, size(command) > 0 && command[0].matches('^[a-z_][a-z0-9_]{0,63}$'))"
        ).message("commands: each begins with the name of a management command, of small letters, digits and underscores, such as clearsessions; write its arguments as items of their own"),
        validation = Rule::new(
            "self.commands.all(command, command.all(word, word != '--settings' && word != '--pythonpath' && !word.startsWith('--settings=') && !word.startsWith('--pythonpath=')))"
        ).message("commands: --settings and --pythonpath are the target's to set; leave them out, or name the settings in the target's annotation django.my.domain/manage"),
        validation = Rule::new(
            "self.commands.map(command, command.map(word, size(word)).sum()).sum() <= 16384"
        ).message("commands: have more than 16384 characters; have the command read what is that long from a file or from a volume of the target"),
        validation = Rule::new(
            "!(has(self.schedule) && has(self.runPolicy) && self.runPolicy == 'OnImageChange')"
        ).message("schedule: cannot be set together with runPolicy OnImageChange; leave one of them out, as a run by the clock has the image that the target runs then")
    ];
    completed_at: DjangoCommandStatus.executed, "When all commands last succeeded.";
    sample: SAMPLE;

    /// Management commands of the project, run in one Job, in order, each in a process of its own.
    pub struct DjangoCommandSpec {
        /// The commands, in order: each a list of its name and its arguments, as after `manage.py`. The first that fails
        /// is the last. No shell reads them, and nothing in them is expanded. 1 to 16 commands of at most 64 items and
        /// 16384 characters in all, without control characters. `--settings` and `--pythonpath` are refused. Required.
        /// Example: `[[clearsessions], [dumpdata, --output=/data/dump.json, shop]]`.
        #[schemars(length(min = 1, max = 16), extend("items" = command()))]
        pub commands: Vec<Vec<String>>,

        /// Where the run before failed with the same spec and the same image, begin at the command that failed then,
        /// instead of the first. Changing it never causes a run. Default: false.
        #[serde(default)]
        pub resume: bool,

        /// Run by the clock, and not when the spec changes; `trigger` and the annotation `django.my.domain/requestedAt` run
        /// at once, and `suspend` holds all back. Changing it causes no run; without it, a spec that has not run does.
        /// Default: none.
        /// Example: `{cron: "30 3 * * *", timeZone: Europe/Berlin}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub schedule: Option<Schedule>,
    }
}

/// One command, with its arguments.
fn command() -> Value {
    json!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "items": { "type": "string", "maxLength": 4096, "pattern": r"^[^\x00-\x1f\x7f]*$" },
    })
}

const SAMPLE: &str = r#"# Two commands, the second only after the first has succeeded.
apiVersion: django.my.domain/v1alpha1
kind: DjangoCommand
metadata:
  name: check-deployment
  namespace: django-operator
spec:
  commands:
  - [check, --deploy]
  - [showmigrations, --plan]
"#;
