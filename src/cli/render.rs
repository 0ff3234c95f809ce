//! `render`: what would run, before anything does.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Error;
use crate::core::Blocked;
use crate::helper;
use crate::task::Task;
use crate::task::decide::next_run_number;
use crate::task::job;
use crate::task::kinds::{self, KindVisitor};
use crate::task::source::TemplateSource;
use crate::task::target::TargetKind;

#[derive(Args)]
pub struct Render {
    /// File with the task's manifest (one document).
    #[arg(short, long)]
    filename: PathBuf,
    /// File with the target's manifest: a Deployment or PodTemplate (one document).
    #[arg(short, long)]
    target: PathBuf,
}

/// Why a Job cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The first manifest is no task.
    #[error("kind: {kind:?} is no task; write {known}")]
    UnknownTaskKind { kind: String, known: String },
    /// The second manifest is no target.
    #[error("kind: {0:?} is no target; write Deployment or PodTemplate")]
    UnsupportedTargetKind(String),
    /// The task does not fit the schema.
    #[error("{0}")]
    Unreadable(#[from] serde_json::Error),
    /// The task breaks rules of the schema.
    #[error("{0}")]
    BrokenRules(String),
    /// The operator would not start it.
    #[error("{}: {}", .0.reason.as_str(), .0.message)]
    Blocked(Blocked),
}

impl Render {
    /// Prints the Job as YAML.
    pub fn run(self) -> Result<(), Error> {
        let read = |path: &PathBuf| -> Result<Value, Error> {
            let text = std::fs::read_to_string(path).map_err(|error| Error::File(path.clone(), error))?;
            serde_saphyr::from_str(&text).map_err(|error| Error::Yaml(path.clone(), error.to_string()))
        };
        let job = render(&read(&self.filename)?, &read(&self.target)?)?;
        let text = serde_saphyr::to_string(&job).map_err(|error| Error::Yaml(self.filename, error.to_string()))?;
        print!("{text}");
        Ok(())
    }
}

/// The Job of the first run of `task` on `target`.
pub fn render(task: &Value, target: &Value) -> Result<Value, RenderError> {
    let kind = task["kind"].as_str().unwrap_or_default();
    let mut rendering = RenderVisitor { kind, task, target, known: Vec::new(), job: None };
    kinds::visit_kinds(&mut rendering);
    let known = rendering.known.join(", ");
    rendering.job.unwrap_or_else(|| Err(RenderError::UnknownTaskKind { kind: kind.to_owned(), known }))
}

struct RenderVisitor<'a> {
    kind: &'a str,
    task: &'a Value,
    target: &'a Value,
    known: Vec<&'static str>,
    job: Option<Result<Value, RenderError>>,
}

impl KindVisitor for RenderVisitor<'_> {
    fn visit<T: Task>(&mut self) {
        self.known.push(T::KIND);
        if self.kind == T::KIND {
            self.job = Some(job_of::<T>(self.task, self.target));
        }
    }
}

fn job_of<T: Task>(task: &Value, target: &Value) -> Result<Value, RenderError> {
    let mut task = task.clone();
    drop_nulls(&mut task["spec"]); // as the API server does
    let task: T = serde_json::from_value(task)?;
    if let Some(broken) = task.broken_rules() {
        return Err(RenderError::BrokenRules(broken));
    }
    let kind = target["kind"].as_str().unwrap_or_default();
    let kind = TargetKind::from_name(kind).ok_or_else(|| RenderError::UnsupportedTargetKind(kind.to_owned()))?;
    let source = TemplateSource::from_object(kind, serde_json::from_value(target.clone())?);
    let number = next_run_number(task.status().last_run.as_ref());
    let built = job::build(&task, &source, number, true, helper::source()).map_err(RenderError::Blocked)?;
    Ok(built.job)
}

fn drop_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(drop_nulls);
    }
    if *value == Value::Null {
        *value = json!({});
    }
}
