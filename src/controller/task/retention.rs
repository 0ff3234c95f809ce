//! What is thrown away: finished Jobs beyond the history, and, if so set, finished resources.

use kube::{Api, ResourceExt};

use crate::api::TaskStatus;
use crate::cluster::client;
use crate::cluster::job_keys::task_jobs_partition;
use crate::cluster::lean_object::LeanObject;
use crate::controller::context::NamespaceContext;
use crate::controller::object_key::ObjectKey;
use crate::task::Task;
use crate::task::prunable::{Prunable, is_prunable};

/// How many resources are deleted in one go.
const BATCH: usize = 16;

/// Deletes what is left over, asking the API server for nothing when nothing is; whether there may be more.
pub async fn prune<T: Task>(context: &NamespaceContext, task: &T) -> kube::Result<bool> {
    let namespace = task.namespace().unwrap_or_default();
    let uid = task.uid().unwrap_or_default();
    let last_surplus = last_surplus_run(task.status(), task.policy().history_limit);
    for job in context.caches.jobs.partition(&task_jobs_partition(&namespace, T::KIND, &task.name_any())) {
        let surplus = job.run_number().is_some_and(|number| number <= last_surplus);
        let over = job.owned_by(&uid) && job.end().is_some() && !job.is_deleting();
        if surplus && over {
            let delete = async {
                context.caches.unrecorded_jobs.record_pruning(&job);
                client::delete_job(&context.client, &namespace, job.name(), job.uid()).await
            };
            context.pruning.once(job.uid(), delete).await?;
        }
    }
    let keep = context.settings.num_old_crs;
    let mut more = false;
    if keep > 0 && is_prunable(task) {
        let api: Api<LeanObject<T>> = Api::namespaced(context.client.clone(), &namespace);
        let may_go = |task: &Prunable| {
            let key =
                ObjectKey { kind: T::KIND, namespace: namespace.as_str().into(), name: task.name.as_str().into() };
            !context.pruning.is_begun(&task.uid) && !context.dependencies.has_dependents(&key)
        };
        let surplus = context.tasks.prunable(T::KIND, &namespace, keep, may_go, BATCH);
        more = surplus.len() == BATCH;
        for surplus in surplus {
            // Not one that was edited since: it has a run pending.
            let delete = client::delete(&api, &surplus.name, &surplus.uid, surplus.resource_version);
            context.pruning.once(&surplus.uid, delete).await?;
        }
    }
    Ok(more)
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
