//! What the gate needs of the operator: the helper's ConfigMap wherever pods are to wait for migrations, before the first of
//! them is created; and a word to the owner of a Deployment whose pods do not wait.

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Instant, sleep_until};
use tracing::{info, warn};

use super::context::NamespaceContext;
use crate::cluster::client;
use crate::task::gate::{GateProblem, asks_for_gate, mentions_gate, problem_of};
use crate::task::notices::Notice;
use crate::task::target::Candidate;

/// How long after a look the next one is at the earliest.
const PAUSE: Duration = Duration::from_secs(30);
/// After which is tried again what failed: twice as long after each failure, up to a limit.
const FIRST_RETRY: Duration = Duration::from_secs(5);
const LAST_RETRY: Duration = Duration::from_secs(300);
/// How many namespaces are seen to at once.
const CONCURRENCY: usize = 8;

/// Looks at the namespaces that `changed` names, as long as something there asks for the gate.
pub async fn see_to_gates(context: Arc<NamespaceContext>, mut changed: UnboundedReceiver<String>) {
    let mut looks = Looks::default();
    let mut told = Told::default();
    loop {
        tokio::select! {
            namespace = changed.recv() => {
                let Some(namespace) = namespace else { return };
                told.tell(&context, &namespace);
                looks.ask_for(namespace);
            }
            () = looks.until_due() => {
                let done = futures::stream::iter(looks.take_due())
                    .map(|namespace| async { (ensure(&context, &namespace).await, namespace) })
                    .buffer_unordered(CONCURRENCY);
                for (outcome, namespace) in done.collect::<Vec<_>>().await {
                    looks.record(namespace, outcome);
                }
            }
        }
    }
}

/// When to look at which namespace.
#[derive(Default)]
struct Looks {
    due: HashMap<String, Instant>,
    last: HashMap<String, Look>,
}

/// A look at a namespace.
struct Look {
    at: Instant,
    /// How many failed in a row, with this one.
    failures: u32,
}

impl Look {
    /// When the next one is at the earliest.
    fn next(&self) -> Instant {
        match self.failures {
            0 => self.at + PAUSE,
            failures => self.at + FIRST_RETRY.saturating_mul(1 << (failures - 1).min(16)).min(LAST_RETRY),
        }
    }
}

impl Looks {
    fn ask_for(&mut self, namespace: String) {
        let earliest = self.last.get(&namespace).map_or_else(Instant::now, Look::next);
        self.due.entry(namespace).or_insert(earliest);
    }

    async fn until_due(&self) {
        match self.due.values().min() {
            Some(next) => sleep_until(*next).await,
            None => pending().await,
        }
    }

    fn take_due(&mut self) -> Vec<String> {
        let now = Instant::now();
        self.due.extract_if(|_, at| *at <= now).map(|(namespace, _)| namespace).collect()
    }

    fn record(&mut self, namespace: String, outcome: Outcome) {
        let failures = match outcome {
            Outcome::NothingAsks => {
                self.last.remove(&namespace);
                return;
            }
            Outcome::IsThere => 0,
            Outcome::Failed => self.last.get(&namespace).map_or(0, |look| look.failures) + 1,
        };
        let look = Look { at: Instant::now(), failures };
        if failures > 0 {
            self.due.insert(namespace.clone(), look.next());
        }
        self.last.insert(namespace, look);
    }
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    NothingAsks,
    IsThere,
    Failed,
}

/// Has the ConfigMap in a namespace, whatever was there before.
async fn ensure(context: &NamespaceContext, namespace: &str) -> Outcome {
    let asks = |candidate: &Candidate| asks_for_gate(candidate.template.metadata.annotations.as_ref());
    let candidates = [&context.caches.deployments, &context.caches.pod_templates];
    if candidates.into_iter().all(|candidates| candidates.filter(namespace, asks).is_empty()) {
        return Outcome::NothingAsks;
    }
    let problem = match client::has_helper(&context.client, namespace).await {
        Ok(true) => return Outcome::IsThere,
        Ok(false) => {
            context.helper_namespaces.forget(namespace);
            let create = client::create_helper(&context.client, namespace);
            match context.helper_namespaces.ensure(namespace, create).await {
                Ok(Ok(())) => {
                    info!(ns = namespace, "pods that wait for migrations find the helper");
                    return Outcome::IsThere;
                }
                Ok(Err(blocked)) => blocked.message,
                Err(error) => client::describe(&error),
            }
        }
        Err(error) => client::describe(&error),
    };
    warn!(ns = namespace, error = problem, "no helper for pods that wait for migrations; trying again");
    Outcome::Failed
}

/// What the owners of Deployments were told, by namespace and name.
#[derive(Default)]
struct Told(HashMap<String, HashMap<String, GateProblem>>);

impl Told {
    /// Tells them what keeps pods from waiting, once.
    fn tell(&mut self, context: &NamespaceContext, namespace: &str) {
        let mut before = self.0.remove(namespace).unwrap_or_default();
        let mut now = HashMap::new();
        for candidate in context.caches.deployments.filter(namespace, mentions_gate) {
            let Some(problem) = problem_of(&candidate) else { continue };
            if before.remove(candidate.name()).as_ref() != Some(&problem) {
                let notice =
                    Notice { warning: true, reason: problem.reason.as_str().to_owned(), note: problem.message.clone() };
                context.event_publisher.publish(&reference(&candidate), None, vec![notice]);
            }
            now.insert(candidate.name().to_owned(), problem);
        }
        if !now.is_empty() {
            self.0.insert(namespace.to_owned(), now);
        }
    }
}

fn reference(deployment: &Candidate) -> ObjectReference {
    ObjectReference {
        api_version: Some(Deployment::api_version(&()).into_owned()),
        kind: Some(Deployment::kind(&()).into_owned()),
        namespace: deployment.metadata.namespace.clone(),
        name: deployment.metadata.name.clone(),
        uid: deployment.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_is_looked_at_soon_and_then_seldom() {
        let mut looks = Looks::default();
        let begun = Instant::now();
        let mut seconds = Vec::new();
        for outcome in
            [Outcome::IsThere, Outcome::IsThere, Outcome::Failed, Outcome::Failed, Outcome::Failed, Outcome::IsThere]
        {
            looks.ask_for("a".into());
            looks.ask_for("a".into());
            looks.until_due().await;
            assert_eq!(looks.take_due(), ["a"]);
            seconds.push(begun.elapsed().as_secs());
            looks.record("a".into(), outcome);
        }
        assert_eq!(seconds, [0, 30, 60, 65, 75, 95], "a pause, and a longer one after each failure");
        for _ in 0..9 {
            looks.record("a".into(), Outcome::Failed);
        }
        assert_eq!(looks.last.get("a").map(|look| look.next() - look.at), Some(LAST_RETRY));
        looks.take_due();
        looks.due.clear();
        looks.record("a".into(), Outcome::NothingAsks);
        assert!(looks.last.is_empty() && looks.due.is_empty());
    }
}
