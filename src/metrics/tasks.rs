//! What is told of tasks as they are at the time of asking: nothing of it is kept.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::catalogue::{LAST_SUCCESS, MetricDescription, SCHEMA_BEHIND_IMAGE, TASK_NOT_READY, TASK_READY};

/// A task, as it is now.
pub struct TaskSample<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    /// State and reason of a task that is not ready.
    pub not_ready: Option<(&'static str, &'a str)>,
    /// Seconds since 1970.
    pub succeeded_at: Option<i64>,
}

/// Whether the schema of a database is behind the image of a Deployment.
pub struct SchemaSample {
    pub namespace: String,
    pub target: String,
    pub database: String,
    pub behind: bool,
}

/// Who knows the tasks of one kind.
pub trait TaskSource: Send + Sync {
    fn kind(&self) -> &'static str;

    /// Shows each task.
    fn visit_tasks(&self, visit: &mut dyn FnMut(TaskSample<'_>) -> fmt::Result) -> fmt::Result;

    /// The Deployments whose databases these tasks migrate.
    fn schemas(&self) -> Vec<SchemaSample>;
}

/// Asks all that know tasks.
#[derive(Clone, Default)]
pub struct TaskCollector(Arc<Mutex<Vec<Arc<dyn TaskSource>>>>);

impl fmt::Debug for TaskCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TaskCollector").finish_non_exhaustive()
    }
}

impl TaskCollector {
    pub fn add(&self, source: Arc<dyn TaskSource>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(source);
    }
}

impl Collector for TaskCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut gauge = |metric: &MetricDescription, each: &mut dyn FnMut(&mut Series) -> fmt::Result| {
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, metric.metric_type)?;
            each(&mut |labels, value| family.encode_family(&labels)?.encode_gauge(&value))
        };
        gauge(&TASK_READY, &mut |series| {
            visit_all(&sources, &mut |kind, task| series(&labels(kind, &task), i64::from(task.not_ready.is_none())))
        })?;
        gauge(&TASK_NOT_READY, &mut |series| {
            visit_all(&sources, &mut |kind, task| {
                let Some((state, reason)) = task.not_ready else { return Ok(()) };
                let [kind, namespace, name] = labels(kind, &task);
                series(&[kind, namespace, name, ("state", state), ("reason", reason)], 1)
            })
        })?;
        gauge(&LAST_SUCCESS, &mut |series| {
            visit_all(&sources, &mut |kind, task| {
                task.succeeded_at.map_or(Ok(()), |seconds| series(&labels(kind, &task), seconds))
            })
        })?;
        gauge(&SCHEMA_BEHIND_IMAGE, &mut |series| {
            for schema in sources.iter().flat_map(|source| source.schemas()) {
                let labels = [
                    ("namespace", schema.namespace.as_str()),
                    ("target", &schema.target),
                    ("database", &schema.database),
                ];
                series(&labels, schema.behind.into())?;
            }
            Ok(())
        })
    }
}

/// Writes a value for these labels.
type Series<'a> = dyn FnMut(&[(&str, &str)], i64) -> fmt::Result + 'a;

fn labels<'a>(kind: &'static str, task: &TaskSample<'a>) -> [(&'static str, &'a str); 3] {
    [("kind", kind), ("namespace", task.namespace), ("name", task.name)]
}

fn visit_all(
    sources: &[Arc<dyn TaskSource>],
    visit: &mut dyn FnMut(&'static str, TaskSample<'_>) -> fmt::Result,
) -> fmt::Result {
    sources.iter().try_for_each(|source| source.visit_tasks(&mut |task| visit(source.kind(), task)))
}
