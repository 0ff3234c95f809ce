//! Tasks, as a kind of resource that is reconciled.

mod cache_reader;
mod dependency_graph;
mod dependency_reader;
mod reconcile;
mod retention;
mod start;
mod summaries;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use tracing::warn;

pub use self::dependency_graph::DependencyGraph;
pub use self::dependency_reader::DependencyReaders;
use self::retention::Pruned;
use super::context::NamespaceContext;
use super::object_key::ObjectKey;
use super::reconciler::{Context, Error, Reconcile};
use crate::cluster::client::describe;
use crate::task::{Task, status};

/// After which what could not be pruned is tried again.
const PRUNE_RETRY: Duration = Duration::from_secs(60);
/// After which more is pruned of what was too much at once.
const PRUNE_MORE: Duration = Duration::from_millis(100);

impl<T: Task> Reconcile for T {
    const KIND: &'static str = T::KIND;

    async fn reconcile(self, context: &Context<Self>) -> Result<Option<Duration>, Error> {
        let after = reconcile::Reconciliation::new(context, self.clone()).execute().await?;
        let prune_again = match retention::prune(&context.shared, &self).await {
            Ok(Pruned::All) => None,
            Ok(Pruned::More) => Some(PRUNE_MORE),
            Ok(Pruned::NotYet) => Some(PRUNE_RETRY),
            Err(error) => {
                // It holds up nothing else.
                let (ns, name, error) = (self.namespace(), self.name_any(), describe(&error));
                warn!(kind = T::KIND, ns, name, error, "not pruned");
                Some(PRUNE_RETRY)
            }
        };
        Ok([after, prune_again].into_iter().flatten().min())
    }

    async fn show_error(self, error: &str, context: &Context<Self>) -> Result<(), Error> {
        reconcile::Reconciliation::new(context, self).show_error(error).await
    }

    fn undecodable(error: &str, generation: i64, now: Timestamp) -> Vec<Condition> {
        status::undecodable(error, generation, now)
    }

    fn is_under_way(&self) -> bool {
        self.status().last_run.as_ref().is_some_and(|run| run.result.is_none())
    }

    fn affected_by_targets(namespace: &str, gated: bool, context: &NamespaceContext) -> BTreeSet<String> {
        let mut affected = context.tasks.waiting_for_targets(T::KIND, namespace);
        if gated {
            affected.extend(context.tasks.migrations(T::KIND, namespace));
        }
        affected
    }

    fn on_start(context: &Arc<Context<Self>>) {
        context.shared.dependency_readers.add(context);
        context.shared.metrics.add_tasks(context.clone());
    }

    fn on_gone(key: &ObjectKey, context: &NamespaceContext) {
        context.job_limit.leave(key);
    }

    fn on_watch_event(event: &Event<DeserializeGuard<Self>>, context: &NamespaceContext) -> Vec<ObjectKey> {
        context.tasks.apply_event(event);
        context.dependencies.apply_event(event)
    }
}
