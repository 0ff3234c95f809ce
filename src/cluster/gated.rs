//! The templates that say something of the gate, which are few among many, as the watches know.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::Change;
use crate::task::gate::mentions_gate;
use crate::task::target::{Candidate, TargetKind};

/// By kind and name.
type OfNamespace = BTreeMap<(TargetKind, String), Arc<Candidate>>;

/// Deployments and PodTemplates, by namespace.
#[derive(Default)]
pub struct GatedTemplates(Mutex<HashMap<String, OfNamespace>>);

impl GatedTemplates {
    /// One came, changed or went.
    pub fn apply_change(&self, Change { now, before }: &Change<Candidate>) {
        if let Some(before) = before.as_ref().filter(|before| mentions_gate(before)) {
            let (namespace, key) = place(before);
            let mut inner = self.inner();
            if let Some(found) = inner.get_mut(namespace) {
                found.remove(&key);
                if found.is_empty() {
                    inner.remove(namespace);
                }
            }
        }
        if let Some(now) = now.as_ref().filter(|now| mentions_gate(now)) {
            let (namespace, key) = place(now);
            self.inner().entry(namespace.to_owned()).or_default().insert(key, now.clone());
        }
    }

    /// Those of a namespace, in order.
    pub fn of(&self, namespace: &str) -> Vec<Arc<Candidate>> {
        self.inner().get(namespace).into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    fn inner(&self) -> MutexGuard<'_, HashMap<String, OfNamespace>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(candidate: &Candidate) -> (&str, (TargetKind, String)) {
    let namespace = candidate.metadata.namespace.as_deref().unwrap_or_default();
    (namespace, (candidate.kind, candidate.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names;
    use serde_json::json;

    #[test]
    fn it_has_those_that_say_something_now() {
        let candidate = |kind, name: &str, says: bool| {
            let annotations = if says { json!({names::WAIT_ANNOTATION: "true"}) } else { json!({}) };
            let metadata = json!({"namespace": "shop", "name": name, "annotations": annotations});
            Some(Arc::new(Candidate {
                has_unavailable_replicas: false,
                kind,
                metadata: serde_json::from_value(metadata).unwrap(),
                template: Default::default(),
            }))
        };
        let (deployment, pod_template) = (TargetKind::Deployment, TargetKind::PodTemplate);
        let gated = GatedTemplates::default();
        let names = || gated.of("shop").iter().map(|found| found.name().to_owned()).collect::<Vec<_>>();
        for (before, now, expected) in [
            (None, candidate(deployment, "web", true), vec!["web"]),
            (None, candidate(deployment, "plain", false), vec!["web"]),
            (None, candidate(pod_template, "web", true), vec!["web", "web"]),
            (candidate(deployment, "plain", false), candidate(deployment, "plain", true), vec!["plain", "web", "web"]),
            (candidate(pod_template, "web", true), None, vec!["plain", "web"]),
            (candidate(deployment, "web", true), candidate(deployment, "web", false), vec!["plain"]),
            (candidate(deployment, "plain", true), None, vec![]),
        ] {
            gated.apply_change(&Change { now, before });
            assert_eq!(names(), expected);
        }
        assert!(gated.inner().is_empty());
    }
}
