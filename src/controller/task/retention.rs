//! What is thrown away: finished Jobs beyond the history, and, if so set, finished resources.

use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

use crate::api::TaskStatus;
use crate::cluster::client;
use crate::controller::context::NamespaceContext;
use crate::names;
use crate::task::Task;
use crate::task::view::{self, TaskView};

/// How many runs back the watches are asked for Jobs that a lower limit leaves over.
const LOOK_BACK: i64 = 200;

/// Deletes what is left over, asking the API server for nothing when nothing is.
pub async fn prune<T: Task>(context: &NamespaceContext, task: &T) -> kube::Result<()> {
    let namespace = task.namespace().unwrap_or_default();
    let (uid, name) = (task.uid().unwrap_or_default(), task.name_any());
    for run in surplus_runs(task.status(), task.policy().history_limit) {
        let Some(job) = context.caches.jobs.get(&namespace, &names::job_name(&name, &uid, run)) else { continue };
        if job.owned_by(&uid) && job.terminal_condition().is_some() && job.metadata.deletion_timestamp.is_none() {
            client::delete_job(&context.client, &namespace, job.name(), job.uid()).await?;
        }
    }
    let keep = context.settings.num_old_crs;
    if keep > 0 && TaskView::of(task).is_prunable() {
        let api: Api<DeserializeGuard<T>> = Api::namespaced(context.client.clone(), &namespace);
        for surplus in view::to_prune(context.tasks.of_kind(T::KIND, &namespace), keep) {
            // Not one that was edited since: it has a run pending.
            client::delete(&api, &surplus.name, &surplus.uid, surplus.resource_version.clone()).await?;
        }
    }
    Ok(())
}

/// Numbers of the finished runs whose Jobs are beyond the history.
fn surplus_runs(status: &TaskStatus, history_limit: i32) -> impl Iterator<Item = i64> + use<> {
    let finished = status.last_run.as_ref().map_or(0, |run| run.number - i64::from(run.result.is_none()));
    let surplus = finished - i64::from(history_limit);
    (1.max(surplus - LOOK_BACK)..=surplus).rev()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Outcome, Run};

    #[test]
    fn the_history_keeps_its_number_of_finished_runs() {
        let runs = |number, result, limit| -> Vec<i64> {
            let last_run = Some(Run { number, result, ..Run::default() });
            surplus_runs(&TaskStatus { last_run, ..TaskStatus::default() }, limit).collect()
        };
        assert_eq!(runs(5, Some(Outcome::Failed), 3), [2, 1]);
        assert_eq!(runs(5, None, 3), [1], "the newest is not over");
        assert!(runs(2, Some(Outcome::Failed), 3).is_empty());
        assert_eq!(runs(2, Some(Outcome::Failed), 0), [2, 1]);
        assert_eq!(runs(1000, Some(Outcome::Failed), 0).len(), 201, "bounded");
        assert_eq!(surplus_runs(&TaskStatus::default(), 0).count(), 0);
    }
}
