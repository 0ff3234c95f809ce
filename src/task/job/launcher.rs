//! How management commands start in a container: which interpreters, which script or module.

use serde_json::Value;

use crate::api::{Outcome, Run};
use crate::core::Reason;
use crate::task::Runner;

/// Programs beside which an interpreter stands, and that a web or worker container starts with.
pub const PYTHON_PROGRAMS: &[&str] =
    &["gunicorn", "uvicorn", "uwsgi", "daphne", "hypercorn", "granian", "waitress-serve", "celery", "django-admin"];
/// How far into the container's own command the interpreter is looked for, past `tini --` and the like.
pub const MAX_WORDS_SEARCHED: usize = 5;
/// What an image has where its command names no interpreter.
pub const USUAL_INTERPRETERS: &[&str] = &["python3", "python"];
/// How the annotation names the settings module, before what is run.
pub const SETTINGS_PREFIX: &str = "DJANGO_SETTINGS_MODULE=";
/// What would start others.
pub const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "env", "exec"];
/// Commands that the operator adds itself, and so does not take for words of the annotation.
pub const OWN_COMMANDS: &[&str] =
    &["migrate", "lockedmigrate", "ensureadmin", "createsuperuser", "collectstatic", "runserver"];

/// How the project's commands start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// Interpreters, each with its flags: the next one is tried where one is not there.
    pub interpreters: Vec<Vec<String>>,
    /// What the interpreter runs.
    pub entry: Entry,
    /// The container's own command, which tells where the project lies.
    pub container_command: Vec<String>,
    /// Words that come before the command.
    pub arguments: Vec<String>,
    /// The settings module, if the annotation names it.
    pub settings: Option<String>,
}

/// Why the annotation cannot be followed; continues the sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManageAnnotation {
    /// It looks like JSON, and is something else.
    #[error("is no list of strings ({0}); write python manage.py")]
    NotAList(String),
    /// An empty list, or nothing after the settings module.
    #[error("names nothing to run; write python manage.py, or leave it out")]
    Empty,
    /// An interpreter alone.
    #[error("names an interpreter but nothing to run; write python manage.py or python -m MODULE")]
    NothingToRun,
    /// `-m` without a module.
    #[error("ends with -m; write python -m MODULE")]
    MissingModule,
    /// A shell, or something else that is not to be started.
    #[error("starts with {0:?}, which would start others; write python manage.py or the name of a console script")]
    Shell(String),
    /// A management command.
    #[error("has the command {0:?} after what to run; commands are the operator's to set")]
    Command(String),
}

/// What the interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// What is found in the image.
    Discover,
    /// A file such as `manage.py`.
    Script(String),
    /// A module, as after `python -m`.
    Module(String),
    /// A console script found on the PATH, which names its own interpreter in its first line.
    ConsoleScript(String),
}

impl Launcher {
    /// From the annotation `django.my.domain/manage`, else from the container itself.
    pub fn of(annotation: Option<&str>, container: &Value) -> Result<Self, InvalidManageAnnotation> {
        let container_command = command_words(container);
        let found = interpreter(&container_command);
        let usual = || interpreters(found.clone());
        let Some(text) = annotation.map(str::trim).filter(|t| !t.is_empty()) else {
            let (arguments, settings) = (Vec::new(), None);
            return Ok(Self { interpreters: usual(), entry: Entry::Discover, container_command, arguments, settings });
        };
        let words: Vec<String> = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|e| InvalidManageAnnotation::NotAList(e.to_string()))?
        } else {
            text.split_whitespace().map(str::to_owned).collect()
        };
        let mut rest = words.into_iter().peekable();
        let settings = rest.next_if(|word| word.starts_with(SETTINGS_PREFIX));
        let settings = settings.map(|word| word[SETTINGS_PREFIX.len()..].to_owned());
        let Some(first) = rest.next() else {
            return Err(InvalidManageAnnotation::Empty);
        };
        if first.rsplit('/').next().is_some_and(|name| SHELLS.contains(&name)) {
            return Err(InvalidManageAnnotation::Shell(first));
        }
        let (interpreters, entry) = if is_python(&first) {
            let mut interpreter = vec![first];
            let entry = loop {
                match rest.next() {
                    None => return Err(InvalidManageAnnotation::NothingToRun),
                    Some(flag) if flag == "-m" => match rest.next() {
                        Some(module) => break Entry::Module(module),
                        None => return Err(InvalidManageAnnotation::MissingModule),
                    },
                    Some(flag) if flag == "-X" || flag == "-W" => {
                        interpreter.push(flag);
                        interpreter.extend(rest.next());
                    }
                    Some(flag) if flag.starts_with('-') => interpreter.push(flag),
                    Some(script) => break Entry::Script(script),
                }
            };
            (vec![interpreter], entry)
        } else {
            let beside = first.rsplit_once('/').map(|(dir, _)| format!("{dir}/python"));
            (beside.map_or_else(usual, |python| interpreters(Some(python))), Entry::ConsoleScript(first))
        };
        let arguments: Vec<String> = rest.collect();
        match arguments.iter().find(|word| OWN_COMMANDS.contains(&word.as_str())) {
            Some(command) => Err(InvalidManageAnnotation::Command(command.clone())),
            None => Ok(Self { interpreters, entry, container_command, arguments, settings }),
        }
    }

    /// What the helper is told of it.
    pub fn options(&self, runner: Runner) -> Vec<String> {
        let mut options = match &self.entry {
            Entry::Discover => vec!["--discover".to_owned()],
            Entry::Script(script) => vec!["--script".into(), script.clone()],
            Entry::Module(module) => vec!["--module".into(), module.clone()],
            Entry::ConsoleScript(console) => vec!["--console".into(), console.clone()],
        };
        if runner == Runner::Celery {
            options.push("--celery".to_owned());
        }
        options.extend(self.container_command.iter().map(|word| format!("--container-command={word}")));
        options.extend(self.arguments.iter().map(|word| format!("--argument={word}")));
        options.extend(self.settings.iter().map(|settings| format!("--settings={settings}")));
        options
    }

    /// Leaves out the interpreters that are known not to be there, and puts first the one that worked the last time.
    ///
    /// `last` is the newest run, and `number` that of the run that is to start.
    pub fn remember(&mut self, last: Option<&Run>, number: i64) {
        let Some(run) = last else { return };
        let of_run = |name: &str| run.interpreter.as_deref() == Some(name);
        let untried = |name: &str| run.other_interpreters.iter().any(|other| other == name);
        let missing = is_interpreter_missing(run);
        let rank = |interpreter: &[String]| match interpreter.first() {
            Some(name) if of_run(name) && !missing => Some(0),
            Some(name) if untried(name) || (run.number != number && !missing) => Some(1),
            _ => None,
        };
        let mut ranked: Vec<_> =
            self.interpreters.iter().filter_map(|each| Some((rank(each)?, each.clone()))).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        if !ranked.is_empty() {
            self.interpreters = ranked.into_iter().map(|(_, interpreter)| interpreter).collect();
        }
    }
}

/// Whether a run ended as its interpreter is not in the image.
pub fn is_interpreter_missing(run: &Run) -> bool {
    run.result == Some(Outcome::Failed) && run.reason.as_deref() == Some(Reason::InterpreterNotFound.as_str())
}

/// This one, and the usual ones.
fn interpreters(named: Option<String>) -> Vec<Vec<String>> {
    let usual = USUAL_INTERPRETERS.iter().map(|name| (*name).to_owned());
    let mut found: Vec<Vec<String>> = Vec::new();
    for name in named.into_iter().chain(usual) {
        if !found.iter().any(|known| known[0] == name) {
            found.push(vec![name]);
        }
    }
    found
}

/// The container's own command, as the pod template has it.
fn command_words(container: &Value) -> Vec<String> {
    let words = |field: &str| container[field].as_array().cloned().unwrap_or_default();
    let own = words("command").into_iter().chain(words("args"));
    own.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

/// The interpreter that a container's own command names: itself, or beside a known program.
fn interpreter(command: &[String]) -> Option<String> {
    let words = command.iter().take(MAX_WORDS_SEARCHED);
    words.filter(|word| !word.contains(char::is_whitespace) && !word.contains("$(")).find_map(|word| {
        let (dir, base) = word.rsplit_once('/').map_or((None, word.as_str()), |(dir, base)| (Some(dir), base));
        if is_python(base) {
            Some(word.clone())
        } else if PYTHON_PROGRAMS.contains(&base) {
            dir.map(|dir| format!("{dir}/python"))
        } else {
            None
        }
    })
}

fn is_python(word: &str) -> bool {
    let base = word.rsplit('/').next().unwrap_or(word);
    ["python", "pypy"].iter().any(|name| {
        base.strip_prefix(name).is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn launcher(annotation: Option<&str>, container: Value) -> Result<Launcher, InvalidManageAnnotation> {
        Launcher::of(annotation, &container)
    }

    fn names(launcher: &Launcher) -> String {
        launcher.interpreters.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_interpreter_is_the_one_the_container_itself_uses() {
        for (container, expected) in [
            (json!({}), "python3, python"),
            (json!({"command": ["gunicorn", "shop.wsgi"]}), "python3, python"),
            (json!({"command": ["/venv/bin/gunicorn"]}), "/venv/bin/python, python3, python"),
            (json!({"command": ["tini", "--", "/venv/bin/celery", "-A", "x"]}), "/venv/bin/python, python3, python"),
            (json!({"command": ["/venv/bin/python3.12", "-m", "gunicorn"]}), "/venv/bin/python3.12, python3, python"),
            (json!({"args": ["python", "run.py"]}), "python, python3"),
            (json!({"command": ["/bin/sh", "-c", "exec /venv/bin/gunicorn"]}), "python3, python"),
        ] {
            let found = launcher(None, container.clone()).unwrap();
            assert_eq!(names(&found), expected, "{container}");
            assert_eq!((found.entry, found.container_command), (Entry::Discover, command_words(&container)));
        }
    }

    #[test]
    fn the_owner_of_the_deployment_says_how_commands_start() {
        let script = |name: &str| Entry::Script(name.to_owned());
        let console = |name: &str| Entry::ConsoleScript(name.to_owned());
        for (text, interpreters, entry, arguments, settings) in [
            ("python -u -W ignore manage.py", "python -u -W ignore", script("manage.py"), "", None),
            ("/venv/bin/python -m pretix", "/venv/bin/python", Entry::Module("pretix".into()), "", None),
            ("pretix", "python3, python", console("pretix"), "", None),
            (
                "/venv/bin/django-admin",
                "/venv/bin/python, python3, python",
                console("/venv/bin/django-admin"),
                "",
                None,
            ),
            (r#"["python", "my manage.py"]"#, "python", script("my manage.py"), "", None),
            ("kolibri --debug manage", "python3, python", console("kolibri"), "--debug manage", None),
            ("python run.py manage", "python", script("run.py"), "manage", None),
            ("DJANGO_SETTINGS_MODULE=a.b python -m django", "python", Entry::Module("django".into()), "", Some("a.b")),
        ] {
            let found = launcher(Some(text), json!({})).unwrap();
            assert_eq!((names(&found).as_str(), &found.entry), (interpreters, &entry), "{text}");
            assert_eq!(
                (found.arguments.join(" ").as_str(), found.settings.as_deref()),
                (arguments, settings),
                "{text}"
            );
        }
        for bad in [
            "python",
            "python -m",
            "sh -c x",
            "env A=b x",
            "python manage.py migrate",
            "[1]",
            "[]",
            "DJANGO_SETTINGS_MODULE=a",
        ] {
            assert!(launcher(Some(bad), json!({})).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_could_not_start_is_not_tried_again_and_what_worked_is() {
        let run = |number, interpreter: &str, others: &[&str], reason: Option<&str>| Run {
            number,
            interpreter: Some(interpreter.to_owned()),
            other_interpreters: others.iter().map(ToString::to_string).collect(),
            result: reason.map(|_| Outcome::Failed),
            reason: reason.map(str::to_owned),
            ..Run::default()
        };
        let missing = Some("InterpreterNotFound");
        for (situation, last, expected) in [
            ("the first", None, "/v/python, python3, python"),
            (
                "after a failure of another kind",
                Some(run(1, "python3", &["python"], Some("CommandFailed"))),
                "python3, /v/python, python",
            ),
            ("it was not there", Some(run(1, "/v/python", &["python3", "python"], missing)), "python3, python"),
            ("nor was the second", Some(run(1, "python3", &["python"], missing)), "python"),
            ("none was there", Some(run(1, "python", &[], missing)), "/v/python, python3, python"),
            ("none of an image before", Some(run(1, "python", &["pypy"], missing)), "/v/python, python3, python"),
            ("recorded, and its Job never created", Some(run(2, "python3", &["python"], None)), "python3, python"),
        ] {
            let mut found = launcher(None, json!({"command": ["/v/python"]})).unwrap();
            found.remember(last.as_ref(), 2);
            assert_eq!(names(&found), expected, "{situation}");
        }
    }
}
