//! What makes a controller reconcile an object, beside a change of the object itself.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::cache::Change;
use crate::core::owned_meta::OwnedMeta;
use crate::names;
use crate::task::gate::mentions_gate;
use crate::task::target::Candidate;

/// What to reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileTrigger {
    /// One object.
    Object { namespace: String, name: String },
    /// The objects of a namespace for which a target matters; whether its pods are, or were, to wait for migrations.
    Targets { namespace: String, gated: bool },
}

/// Takes the triggers for one kind.
type TriggerFn = Box<dyn Fn(ReconcileTrigger) + Send + Sync>;

/// Takes a namespace.
type NamespaceFn = Box<dyn Fn(&str) + Send + Sync>;

/// Where triggers go.
#[derive(Default)]
pub struct ReconcileTriggers {
    /// By the kind that they are for.
    kinds: HashMap<&'static str, TriggerFn>,
    /// Takes the namespaces in which what asks for the gate changed.
    gates: Option<NamespaceFn>,
}

impl ReconcileTriggers {
    /// Lets the triggers for a kind go there.
    pub fn subscribe(&mut self, kind: &'static str, trigger: impl Fn(ReconcileTrigger) + Send + Sync + 'static) {
        self.kinds.insert(kind, Box::new(trigger));
    }

    /// Lets the namespaces go there in which what asks for the gate changed.
    pub fn subscribe_gates(&mut self, trigger: impl Fn(&str) + Send + Sync + 'static) {
        self.gates = Some(Box::new(trigger));
    }

    /// A Job or pod changed: its task is to be reconciled.
    pub fn trigger_owner(&self, meta: &OwnedMeta) {
        let Some((kind, trigger)) = trigger_for_owner(meta) else { return };
        if let Some(trigger_kind) = self.kinds.get(kind) {
            trigger_kind(trigger);
        }
    }

    /// What can be a target changed: the objects that depend on one are to be reconciled.
    pub fn trigger_targets(&self, changes: &[Change<Candidate>]) {
        for (namespace, gated) in changed_namespaces(changes) {
            for trigger_kind in self.kinds.values() {
                trigger_kind(ReconcileTrigger::Targets { namespace: namespace.clone(), gated });
            }
            if let Some(gates) = self.gates.as_ref().filter(|_| gated) {
                gates(&namespace);
            }
        }
        // Where pods do not become available, what they mount may be gone.
        let now = changes.iter().filter_map(|change| change.now.as_ref());
        let gated = now.filter(|candidate| candidate.has_unavailable_replicas && mentions_gate(candidate));
        for candidate in gated {
            if let (Some(gates), Some(namespace)) = (&self.gates, &candidate.metadata.namespace) {
                gates(namespace);
            }
        }
    }
}

/// The task of a Job or pod that the operator made, by what it wrote on it.
fn trigger_for_owner(meta: &OwnedMeta) -> Option<(&str, ReconcileTrigger)> {
    let kind = meta.mark(names::KIND_LABEL)?;
    let name = meta.mark(names::TASK_ANNOTATION)?.to_owned();
    let namespace = meta.namespace.to_string();
    Some((kind, ReconcileTrigger::Object { namespace, name }))
}

/// Deployments change their status all the time; only what the choice of a target depends on counts.
fn changed_namespaces(changes: &[Change<Candidate>]) -> BTreeMap<String, bool> {
    let mut namespaces = BTreeMap::new();
    for Change { now, before } in changes {
        let namespace = now.as_ref().or(before.as_ref()).and_then(|either| either.metadata.namespace.clone());
        if let Some(namespace) = namespace.filter(|_| fingerprint(now.as_ref()) != fingerprint(before.as_ref())) {
            *namespaces.entry(namespace).or_default() |= [now, before].into_iter().flatten().any(|c| mentions_gate(c));
        }
    }
    namespaces
}

fn fingerprint(candidate: Option<&Arc<Candidate>>) -> Option<u64> {
    let Candidate { template, metadata, .. } = &**candidate?;
    let mut hasher = DefaultHasher::new();
    (template, &metadata.uid, &metadata.labels, &metadata.annotations, metadata.deletion_timestamp.is_some())
        .hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::target::TargetKind;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    use serde_json::{Value, json};

    fn candidate(namespace: &str, image: &str, more: Value) -> Option<Arc<Candidate>> {
        let mut metadata = json!({"name": "web", "namespace": namespace, "uid": "u"});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        Some(Arc::new(Candidate {
            has_unavailable_replicas: false,
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(metadata).unwrap(),
            template: serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "image": image}]}})).unwrap(),
        }))
    }

    #[test]
    fn only_what_the_choice_of_a_target_depends_on_concerns_anybody() {
        let plain = || candidate("a", "i:1", json!({}));
        for (situation, before, now, expected) in [
            ("came", None, plain(), vec!["a"]),
            ("went", plain(), None, vec!["a"]),
            ("the same", plain(), plain(), vec![]),
            ("a new version", plain(), candidate("a", "i:1", json!({"resourceVersion": "2"})), vec![]),
            ("another image", plain(), candidate("a", "i:2", json!({})), vec!["a"]),
            ("another label", plain(), candidate("a", "i:1", json!({"labels": {"tier": "x"}})), vec!["a"]),
            (
                "another wish of its owner",
                plain(),
                candidate("a", "i:1", json!({"annotations": {"django.my.domain/manage": "x"}})),
                vec!["a"],
            ),
            ("a namesake", plain(), candidate("a", "i:1", json!({"uid": "v"})), vec!["a"]),
        ] {
            let found = changed_namespaces(&[Change { now, before }]);
            assert_eq!(
                Vec::from_iter(found),
                expected.into_iter().map(|ns| (ns.to_owned(), false)).collect::<Vec<_>>(),
                "{situation}"
            );
        }
        let gated = json!({"annotations": {names::WAIT_ANNOTATION: "true"}});
        let several = [("b", json!({})), ("a", json!({})), ("b", gated), ("c", json!({}))];
        let several = several.map(|(ns, more)| Change { now: None, before: candidate(ns, "i:1", more) });
        let expected = [("a".to_owned(), false), ("b".to_owned(), true), ("c".to_owned(), false)];
        assert_eq!(changed_namespaces(&several), expected.into());
    }

    #[test]
    fn a_job_and_its_pods_concern_their_task() {
        let meta = |labels: Value, annotations: Value| -> OwnedMeta {
            let meta = json!({"namespace": "ns", "labels": labels, "annotations": annotations});
            serde_json::from_value::<ObjectMeta>(meta).unwrap().into()
        };
        let ours = meta(json!({names::KIND_LABEL: "DjangoUser"}), json!({names::TASK_ANNOTATION: "ann"}));
        let trigger = ReconcileTrigger::Object { namespace: "ns".into(), name: "ann".into() };
        assert_eq!(trigger_for_owner(&ours), Some(("DjangoUser", trigger)));
        for other in
            [meta(json!({}), json!({names::TASK_ANNOTATION: "ann"})), meta(json!({names::KIND_LABEL: "K"}), json!({}))]
        {
            assert_eq!(trigger_for_owner(&other), None);
        }
    }
}
