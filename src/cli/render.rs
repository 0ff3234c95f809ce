//! `render`: what would run, before anything does.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::api::{DjangoCelery, DjangoMigrate, DjangoStatic, DjangoUser};
use crate::helper;
use crate::task::Task;
use crate::task::job;
use crate::task::source::TemplateSource;
use crate::task::target::TargetKind;

/// The arguments of `render`.
#[derive(Args)]
pub struct Render {
    /// File with the task's manifest (one document).
    #[arg(short, long)]
    filename: PathBuf,
    /// File with the target's manifest: a Deployment or PodTemplate (one document).
    #[arg(short, long)]
    target: PathBuf,
}

impl Render {
    /// Prints the Job as YAML.
    pub fn run(self) -> Result<(), String> {
        let read = |path: &PathBuf| -> Result<Value, String> {
            let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
            serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
        };
        let job = render(&read(&self.filename)?, &read(&self.target)?)?;
        print!("{}", serde_saphyr::to_string(&job).map_err(|e| e.to_string())?);
        Ok(())
    }
}

/// The Job of the first run of `task` on `target`.
pub fn render(task: &Value, target: &Value) -> Result<Value, String> {
    match task["kind"].as_str() {
        Some(DjangoUser::KIND) => one::<DjangoUser>(task, target),
        Some(DjangoMigrate::KIND) => one::<DjangoMigrate>(task, target),
        Some(DjangoStatic::KIND) => one::<DjangoStatic>(task, target),
        Some(DjangoCelery::KIND) => one::<DjangoCelery>(task, target),
        other => {
            Err(format!("kind: {other:?} is no task; write DjangoUser, DjangoMigrate, DjangoStatic or DjangoCelery"))
        }
    }
}

fn one<T: Task>(task: &Value, target: &Value) -> Result<Value, String> {
    let mut task = task.clone();
    drop_nulls(&mut task["spec"]); // as the API server does
    let task: T = serde_json::from_value(task).map_err(|e| e.to_string())?;
    task.rules()?;
    let kind = target["kind"].as_str().unwrap_or_default();
    let kind = TargetKind::from_name(kind)
        .ok_or_else(|| format!("kind: {kind:?} is no target; write Deployment or PodTemplate"))?;
    let source = TemplateSource::from_object(kind, target);
    job::plan(&task, &source, 1, helper::name())
        .map(|planned| planned.built.job)
        .map_err(|blocked| format!("{}: {}", blocked.reason.as_str(), blocked.message))
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
