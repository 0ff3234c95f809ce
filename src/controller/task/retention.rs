//! What is thrown away: finished Jobs beyond the history, and, if so set, finished resources.

use std::sync::Arc;

use kube::{Api, ResourceExt};

use crate::api::{Schedule, TaskStatus};
use crate::cluster::client;
use crate::cluster::job_keys::task_jobs_partition;
use crate::cluster::lean_object::LeanObject;
use crate::controller::context::NamespaceContext;
use crate::controller::object_key::ObjectKey;
use crate::core::views::JobView;
use crate::task::Task;
use crate::task::prunable::{Prunable, is_prunable};

/// How many resources are deleted in one go.
const BATCH: usize = 16;

/// What has been thrown away.
pub enum Pruned {
    /// All that was left over.
    All,
    /// As much as goes at once.
    More,
    /// No resource, as it is not known yet who depends on it.
    NotYet,
}

/// Deletes what is left over, asking the API server for nothing when nothing is.
pub async fn prune<T: Task>(context: &NamespaceContext, task: &T) -> kube::Result<Pruned> {
    let namespace = task.namespace().unwrap_or_default();
    let uid = task.uid().unwrap_or_default();
    let mut jobs = context.caches.jobs.partition(&task_jobs_partition(&namespace, T::KIND, &task.name_any()));
    jobs.retain(|job| job.owned_by(&uid));
    for job in surplus_jobs(jobs, task.status(), task.policy().history_limit, task.schedule()) {
        let delete = async {
            context.caches.unrecorded_jobs.record_pruning(&job);
            client::delete_job(&context.client, &namespace, job.name(), job.uid()).await
        };
        context.pruning.once(job.uid(), delete).await?;
    }
    let keep = context.settings.num_old_crs;
    let mut pruned = Pruned::All;
    if keep > 0 && is_prunable(task) {
        if !context.dependencies.are_listed(context.dependency_readers.count()) {
            return Ok(Pruned::NotYet);
        }
        let api: Api<LeanObject<T>> = Api::namespaced(context.client.clone(), &namespace);
        let may_go = |task: &Prunable| {
            let key = ObjectKey::new(T::KIND, &namespace, &task.name);
            !context.pruning.is_begun(&task.uid) && !context.dependencies.has_dependents(&key)
        };
        let surplus = context.tasks.prunable(T::KIND, &namespace, keep, may_go, BATCH);
        if surplus.len() == BATCH {
            pruned = Pruned::More;
        }
        for surplus in surplus {
            // Not one that was edited since: it has a run pending.
            let delete = client::delete(&api, &surplus.name, &surplus.uid, surplus.resource_version);
            context.pruning.once(&surplus.uid, delete).await?;
        }
    }
    Ok(pruned)
}

/// The finished Jobs that are beyond the history, each of a run whose end is recorded.
fn surplus_jobs(
    mut jobs: Vec<Arc<JobView>>,
    status: &TaskStatus,
    history_limit: i32,
    schedule: Option<&Schedule>,
) -> Vec<Arc<JobView>> {
    let last_surplus = last_surplus_run(status, if schedule.is_some() { 0 } else { history_limit });
    jobs.retain(|job| job.end().is_some() && job.run_number().is_some_and(|number| number <= last_surplus));
    if let Some(schedule) = schedule {
        jobs.sort_by_key(|job| std::cmp::Reverse(job.run_number()));
        let (mut succeeded, mut failed) = (schedule.successful_history_limit, schedule.failed_history_limit);
        jobs.retain(|job| {
            let complete = job.end().is_some_and(|end| end.complete);
            let left = if complete { &mut succeeded } else { &mut failed };
            *left -= 1;
            *left < 0
        });
    }
    jobs.retain(|job| !job.is_deleting());
    jobs
}

/// Number of the newest finished run whose Job is beyond the history.
fn last_surplus_run(status: &TaskStatus, history_limit: i32) -> i64 {
    let finished = status.last_run.as_ref().map_or(0, |run| run.number - i64::from(run.result.is_none()));
    finished - i64::from(history_limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Outcome, Run};
    use crate::names;
    use serde_json::{Value, json};

    #[test]
    fn a_schedule_keeps_those_that_succeeded_and_those_that_failed() {
        let job = |number: i64, condition: Option<&str>| -> Arc<JobView> {
            let conditions: Vec<Value> =
                condition.map(|type_| json!({"type": type_, "status": "True"})).into_iter().collect();
            let metadata =
                json!({"name": number.to_string(), "annotations": {names::RUN_ANNOTATION: number.to_string()}});
            Arc::new(
                serde_json::from_value(json!({"metadata": metadata, "status": {"conditions": conditions}})).unwrap(),
            )
        };
        let (complete, failed) = (Some("Complete"), Some("Failed"));
        let jobs = [complete, failed, complete, failed, complete, complete, failed, None];
        let jobs: Vec<Arc<JobView>> = (1..).zip(jobs).map(|(number, condition)| job(number, condition)).collect();
        let surplus = |succeeded, failed, limit| {
            let schedule = Schedule {
                cron: "@daily".into(),
                time_zone: None,
                starting_deadline_seconds: None,
                successful_history_limit: succeeded,
                failed_history_limit: failed,
            };
            let schedule = Some(&schedule).filter(|_| limit < 0);
            let last_run = Some(Run { number: 8, ..Run::default() });
            let status = TaskStatus { last_run, ..TaskStatus::default() };
            let mut found: Vec<i64> = surplus_jobs(jobs.clone(), &status, limit, schedule)
                .iter()
                .filter_map(|job| job.run_number())
                .collect();
            found.sort_unstable();
            found
        };
        assert_eq!(surplus(2, 1, -1), [1, 2, 3, 4]);
        assert_eq!(surplus(0, 3, -1), [1, 3, 5, 6]);
        assert_eq!(surplus(0, 0, 3), [1, 2, 3, 4], "without a schedule, by the number of the run");
    }

    #[test]
    fn the_history_keeps_its_number_of_finished_runs() {
        let last = |number, result, limit| {
            let last_run = Some(Run { number, result, ..Run::default() });
            last_surplus_run(&TaskStatus { last_run, ..TaskStatus::default() }, limit)
        };
        assert_eq!(last(5, Some(Outcome::Failed), 3), 2);
        assert_eq!(last(5, None, 3), 1, "the newest is not over");
        assert!(last(2, Some(Outcome::Failed), 3) < 0);
        assert_eq!(last(2, Some(Outcome::Failed), 0), 2);
        assert_eq!(last_surplus_run(&TaskStatus::default(), 0), 0);
    }
}
