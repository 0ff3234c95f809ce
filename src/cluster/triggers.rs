//! What makes a controller reconcile an object, beside a change of the object itself.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::cache::Change;
use crate::core::owned_meta::OwnedMeta;
use crate::names;
use crate::task::target::Candidate;

/// What to reconcile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileTrigger {
    /// One object.
    Object { namespace: String, name: String },
    /// The objects of a namespace for which a target matters.
    Targets(String),
}

/// Takes the triggers for one kind.
type TriggerFn = Box<dyn Fn(ReconcileTrigger) + Send + Sync>;

/// Where triggers go, by the kind that they are for.
#[derive(Default)]
pub struct ReconcileTriggers(HashMap<&'static str, TriggerFn>);

impl ReconcileTriggers {
    /// Lets the triggers for a kind go there.
    pub fn subscribe(&mut self, kind: &'static str, trigger: impl Fn(ReconcileTrigger) + Send + Sync + 'static) {
        self.0.insert(kind, Box::new(trigger));
    }

    /// A Job or pod changed: its task is to be reconciled.
    pub fn trigger_owner(&self, meta: &OwnedMeta) {
        let Some((kind, trigger)) = trigger_for_owner(meta) else { return };
        if let Some(trigger_kind) = self.0.get(kind) {
            trigger_kind(trigger);
        }
    }

    /// What can be a target changed: the objects that depend on one are to be reconciled.
    pub fn trigger_targets(&self, changes: &[Change<Candidate>]) {
        for namespace in changed_namespaces(changes) {
            for trigger_kind in self.0.values() {
                trigger_kind(ReconcileTrigger::Targets(namespace.clone()));
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
fn changed_namespaces(changes: &[Change<Candidate>]) -> Vec<String> {
    let mut namespaces: Vec<String> = changes
        .iter()
        .filter(|change| fingerprint(change.now.as_ref()) != fingerprint(change.before.as_ref()))
        .filter_map(|change| change.now.as_ref().or(change.before.as_ref())?.metadata.namespace.clone())
        .collect();
    namespaces.sort();
    namespaces.dedup();
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
            assert_eq!(changed_namespaces(&[Change { now, before }]), expected, "{situation}");
        }
        let several = ["b", "a", "b"].map(|ns| Change { now: candidate(ns, "i:1", json!({})), before: None });
        assert_eq!(changed_namespaces(&several), ["a", "b"]);
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
