//! How management commands start in a container: which interpreter, which script or module.

use serde_json::Value;

/// Programs beside which an interpreter stands, and that a web or worker container starts with.
const PYTHON_PROGRAMS: &[&str] =
    &["gunicorn", "uvicorn", "uwsgi", "daphne", "hypercorn", "granian", "waitress-serve", "celery", "django-admin"];
/// How far into the container's own command the interpreter is looked for, past `tini --` and the like.
const MAX_WORDS_SEARCHED: usize = 5;

/// How the project's commands start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// The interpreter and its flags.
    pub interpreter: Vec<String>,
    /// What the interpreter runs.
    pub entry: Entry,
}

/// Why the annotation cannot be followed; continues the sentence that begins with its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidManageAnnotation {
    /// It looks like JSON, and is something else.
    #[error("is no list of strings ({0}); write python manage.py")]
    NotAList(String),
    /// An empty list.
    #[error("is empty; write python manage.py, or leave it out")]
    Empty,
    /// A console script with arguments.
    #[error(
        "starts with {0:?}, which is no Python interpreter, so nothing may follow it; write python manage.py, python -m MODULE or the name of a console script"
    )]
    NotAnInterpreter(String),
    /// An interpreter alone.
    #[error("names an interpreter but nothing to run; write python manage.py or python -m MODULE")]
    NothingToRun,
    /// `-m` without a module.
    #[error("ends with -m; write python -m MODULE")]
    MissingModule,
    /// Arguments of a command.
    #[error("has {0:?} after what to run; arguments of commands are the operator's to set")]
    Arguments(String),
}

/// What the interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
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
        let found = interpreter(container);
        let default = || vec![found.clone().unwrap_or_else(|| "python".to_owned())];
        let Some(text) = annotation.map(str::trim).filter(|t| !t.is_empty()) else {
            return Ok(Self { interpreter: default(), entry: Entry::Script("manage.py".into()) });
        };
        let words: Vec<String> = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|e| InvalidManageAnnotation::NotAList(e.to_string()))?
        } else {
            text.split_whitespace().map(str::to_owned).collect()
        };
        let Some((first, rest)) = words.split_first() else {
            return Err(InvalidManageAnnotation::Empty);
        };
        if !is_python(first) {
            if !rest.is_empty() {
                return Err(InvalidManageAnnotation::NotAnInterpreter(first.clone()));
            }
            let beside = first.rsplit_once('/').map(|(dir, _)| format!("{dir}/python"));
            let interpreter = beside.map_or_else(default, |python| vec![python]);
            return Ok(Self { interpreter, entry: Entry::ConsoleScript(first.clone()) });
        }
        let mut interpreter = vec![first.clone()];
        let mut rest = rest.iter();
        let entry = loop {
            match rest.next().map(String::as_str) {
                None => {
                    return Err(InvalidManageAnnotation::NothingToRun);
                }
                Some("-m") => match rest.next() {
                    Some(module) => break Entry::Module(module.clone()),
                    None => return Err(InvalidManageAnnotation::MissingModule),
                },
                Some(flag @ ("-X" | "-W")) => {
                    interpreter.push(flag.to_owned());
                    interpreter.extend(rest.next().cloned());
                }
                Some(flag) if flag.starts_with('-') => interpreter.push(flag.to_owned()),
                Some(script) => break Entry::Script(script.to_owned()),
            }
        };
        if let Some(extra) = rest.next() {
            return Err(InvalidManageAnnotation::Arguments(extra.clone()));
        }
        Ok(Self { interpreter, entry })
    }
}

/// The interpreter that a container's own command names: itself, or beside a known program.
fn interpreter(container: &Value) -> Option<String> {
    let words = |field: &str| container[field].as_array().cloned().unwrap_or_default();
    let own: Vec<Value> = words("command").into_iter().chain(words("args")).collect();
    let words = own.iter().filter_map(Value::as_str).take(MAX_WORDS_SEARCHED);
    words.filter(|word| !word.contains(char::is_whitespace) && !word.contains("$(")).find_map(|word| {
        let (dir, base) = word.rsplit_once('/').map_or((None, word), |(dir, base)| (Some(dir), base));
        if is_python(base) {
            Some(word.to_owned())
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

    fn start(annotation: Option<&str>, container: Value) -> Result<(String, Entry), InvalidManageAnnotation> {
        Launcher::of(annotation, &container).map(|s| (s.interpreter.join(" "), s.entry))
    }

    #[test]
    fn the_interpreter_is_the_one_the_container_itself_uses() {
        let script = || Entry::Script("manage.py".into());
        for (container, python) in [
            (json!({}), "python"),
            (json!({"command": ["gunicorn", "shop.wsgi"]}), "python"),
            (json!({"command": ["/venv/bin/gunicorn"]}), "/venv/bin/python"),
            (json!({"command": ["tini", "--", "/venv/bin/celery", "-A", "x"]}), "/venv/bin/python"),
            (json!({"command": ["/venv/bin/python3.12", "-m", "gunicorn"]}), "/venv/bin/python3.12"),
            (json!({"args": ["python3", "run.py"]}), "python3"),
            (json!({"command": ["/bin/sh", "-c", "exec /venv/bin/gunicorn"]}), "python"),
        ] {
            assert_eq!(start(None, container.clone()), Ok((python.into(), script())), "{container}");
        }
    }

    #[test]
    fn the_owner_of_the_deployment_says_how_commands_start() {
        let none = || json!({});
        for (text, expected) in [
            ("python -u -W ignore manage.py", ("python -u -W ignore", Entry::Script("manage.py".into()))),
            ("/venv/bin/python -m pretix", ("/venv/bin/python", Entry::Module("pretix".into()))),
            ("pretix", ("python", Entry::ConsoleScript("pretix".into()))),
            ("/venv/bin/django-admin", ("/venv/bin/python", Entry::ConsoleScript("/venv/bin/django-admin".into()))),
            (r#"["python", "my manage.py"]"#, ("python", Entry::Script("my manage.py".into()))),
        ] {
            let (interpreter, entry) = expected;
            assert_eq!(start(Some(text), none()), Ok((interpreter.into(), entry)), "{text}");
        }
        for bad in ["python", "python -m", "sh -c x", "python manage.py migrate", "[1]", "[]"] {
            assert!(start(Some(bad), none()).is_err(), "{bad}");
        }
    }
}
