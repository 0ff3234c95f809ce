//! What the gate needs of the operator, by namespace: the helper's ConfigMap wherever pods are to wait for migrations, as soon
//! as a template asks for it; and a word to the owner of a Deployment whose pods do not wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use tracing::{info, warn};

use super::backoff::Backoff;
use super::context::NamespaceContext;
use super::object_key::ObjectKey;
use super::work_queue::Urgency;
use crate::cluster::client;
use crate::cluster::recent::Recent;
use crate::task::gate::{GateProblem, asks_for_gate, problem_of};
use crate::task::notices::Notice;
use crate::task::target::Candidate;

/// How the namespaces are named in the work queue.
pub const KIND: &str = "Gate";
/// For how long the ConfigMap is believed to be there.
const TRUSTED: Duration = Duration::from_secs(30);

/// The gates of one watched namespace, or of all.
pub struct Gates {
    context: Arc<NamespaceContext>,
    backoff: Backoff,
    /// Namespaces in which the ConfigMap was just seen.
    seen: Mutex<Recent<ObjectKey, ()>>,
    /// What the owners of Deployments were told, by namespace and name.
    reported: Mutex<HashMap<ObjectKey, HashMap<String, GateProblem>>>,
}

impl Gates {
    pub fn new(context: Arc<NamespaceContext>) -> Self {
        Self {
            context,
            backoff: Backoff::default(),
            seen: Mutex::new(Recent::new(TRUSTED)),
            reported: Mutex::default(),
        }
    }

    /// Sees to one namespace, and says when to look again, if need be.
    pub async fn reconcile(&self, key: ObjectKey) -> Option<(Duration, Urgency)> {
        let gated = self.context.caches.gated.of(&key.namespace);
        self.report_problems(&key, &gated);
        if !gated.iter().any(|candidate| asks_for_gate(candidate.template.metadata.annotations.as_ref())) {
            self.backoff.succeeded(&key);
            return None;
        }
        // Its Deployments tell of their pods again and again.
        let age = self.seen.lock().unwrap_or_else(PoisonError::into_inner).age(&key);
        if let Some(rest) = age.and_then(|age| TRUSTED.checked_sub(age)).filter(|rest| !rest.is_zero()) {
            return Some((rest, Urgency::New));
        }
        if let Some(wait) = self.backoff.rest(&key, || 0) {
            return Some((wait, Urgency::New));
        }
        match self.ensure_helper(&key.namespace).await {
            Ok(()) => {
                self.backoff.succeeded(&key);
                self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(key, ());
                None
            }
            Err(problem) => {
                let wait = self.backoff.failed(&key, 0);
                warn!(
                    ns = &*key.namespace,
                    error = problem,
                    ?wait,
                    "cannot tell whether the helper is there, nor create it"
                );
                Some((wait, Urgency::New))
            }
        }
    }

    /// Has the ConfigMap in a namespace, whatever was there before.
    async fn ensure_helper(&self, namespace: &str) -> Result<(), String> {
        let NamespaceContext { client, helper_namespaces, .. } = &*self.context;
        if matches!(client::has_helper(client, namespace).await, Ok(true)) {
            return Ok(());
        }
        helper_namespaces.forget(namespace);
        match helper_namespaces.ensure(namespace, client::create_helper(client, namespace)).await {
            Ok(Ok(())) => {
                info!(ns = namespace, "pods that wait for migrations find the helper");
                Ok(())
            }
            Ok(Err(blocked)) => Err(blocked.message),
            Err(error) => Err(client::describe(&error)),
        }
    }

    /// Tells owners of Deployments what keeps their pods from waiting, once.
    fn report_problems(&self, key: &ObjectKey, gated: &[Arc<Candidate>]) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reported.remove(key).unwrap_or_default();
        let mut now = HashMap::new();
        for deployment in gated {
            let Some(problem) = problem_of(deployment) else { continue };
            if before.get(deployment.name()) != Some(&problem) {
                let (reason, note) = (problem.reason.as_str().to_owned(), problem.message.clone());
                let notice = Notice { warning: true, reason, note };
                self.context.event_publisher.publish(&reference(deployment), None, "HoldPods", vec![notice]);
            }
            now.insert(deployment.name().to_owned(), problem);
        }
        if !now.is_empty() {
            reported.insert(key.clone(), now);
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
