//! The helper's ConfigMap, wherever pods are to wait for migrations: before the first of them is created.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::{info, warn};

use super::context::NamespaceContext;
use crate::cluster::caches::Caches;
use crate::cluster::client;
use crate::task::gate::asks_for_gate;

/// After which is tried again what failed.
const RETRY: Duration = Duration::from_secs(10);
/// How many namespaces are seen to at once.
const CONCURRENCY: usize = 8;

/// Works for ever: each namespace of `changed` has the ConfigMap soon after, as long as something there asks for the gate.
/// What was there before is not believed to be there still.
pub async fn ensure_for_gates(context: Arc<NamespaceContext>, mut changed: UnboundedReceiver<String>) {
    let mut open = BTreeSet::new();
    loop {
        let next = match open.is_empty() {
            true => changed.recv().await,
            false => tokio::time::timeout(RETRY, changed.recv()).await.unwrap_or_default(),
        };
        open.extend(next);
        while let Ok(more) = changed.try_recv() {
            open.insert(more);
        }
        let failed = futures::stream::iter(std::mem::take(&mut open))
            .map(|namespace| async { (!ensure(&context, &namespace).await).then_some(namespace) })
            .buffer_unordered(CONCURRENCY);
        open = failed.filter_map(std::future::ready).collect().await;
    }
}

/// Whether nothing is left to be done in a namespace.
async fn ensure(context: &NamespaceContext, namespace: &str) -> bool {
    if !has_gate(&context.caches, namespace) {
        return true;
    }
    context.helper_namespaces.forget(namespace);
    let create = client::create_helper(&context.client, namespace);
    let problem = match context.helper_namespaces.ensure(namespace, create).await {
        Ok(Ok(())) => {
            info!(ns = namespace, "pods that wait for migrations find the helper");
            return true;
        }
        Ok(Err(blocked)) => blocked.message,
        Err(error) => client::describe(&error),
    };
    warn!(ns = namespace, error = problem, "no helper for pods that wait for migrations; trying again");
    false
}

fn has_gate(caches: &Caches, namespace: &str) -> bool {
    [&caches.deployments, &caches.pod_templates].into_iter().any(|candidates| {
        let gated =
            candidates.filter(namespace, |candidate| asks_for_gate(candidate.template.metadata.annotations.as_ref()));
        !gated.is_empty()
    })
}
