//! Which finished tasks may be thrown away: those beyond a number of them that nobody would make again.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use kube::ResourceExt;

use super::{Task, run_key};
use crate::api::{Outcome, RunPolicy};
use crate::core::{condition, request};
use crate::names;

/// Marks of tools that would apply a deleted resource again, and so run it again.
const RECREATING_TOOLS: &[&str] = &[
    "meta.helm.sh/release-name",
    "helm.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/name",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
];

/// Whether a task was carried out or given up, no run is pending, and none can come without a change of it.
pub fn is_prunable<T: Task>(task: &T) -> bool {
    let (meta, status) = (task.meta(), task.status());
    let finished =
        status.observed_generation == meta.generation && condition::is_true(&status.conditions, condition::FINISHED);
    let Some(run) = status.last_run.as_ref().filter(|_| finished && meta.deletion_timestamp.is_none()) else {
        return false;
    };
    run.result.is_some_and(|result| result != Outcome::Superseded)
        && !request::is_open(request::requested(task), status)
        && task.policy().run_policy != RunPolicy::OnImageChange
        && !task.policy().rerun_with_dependencies
        && task.schedule().is_none()
        && !run_key::spec_changed(task, run)
}

/// What a deletion needs to know of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prunable {
    pub name: String,
    pub uid: String,
    pub resource_version: Option<String>,
    /// Whether an owner or a tool would make it again, were it deleted.
    would_be_recreated: bool,
}

/// The prunable tasks of one kind in a namespace, oldest first.
#[derive(Debug, Default)]
pub struct PrunableTasks(BTreeMap<(Option<Time>, String), Prunable>);

impl PrunableTasks {
    /// Takes a task in as it is now.
    pub fn apply<T: Task>(&mut self, task: &T) {
        if !is_prunable(task) {
            return self.remove(task.meta());
        }
        let meta = task.meta();
        let prunable = Prunable {
            name: task.name_any(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone(),
            would_be_recreated: is_recreated(meta),
        };
        self.0.insert(age(meta), prunable);
    }

    /// Forgets a task.
    pub fn remove(&mut self, meta: &ObjectMeta) {
        self.0.remove(&age(meta));
    }

    /// Those beyond the newest `keep` that nobody else would make again.
    pub fn beyond(&self, keep: usize) -> impl Iterator<Item = &Prunable> {
        self.0.values().take(self.0.len().saturating_sub(keep)).filter(|task| !task.would_be_recreated)
    }
}

fn age(meta: &ObjectMeta) -> (Option<Time>, String) {
    (meta.creation_timestamp.clone(), meta.name.clone().unwrap_or_default())
}

fn is_recreated(meta: &ObjectMeta) -> bool {
    let labels = meta.labels.iter().flatten();
    let annotations = meta.annotations.iter().flatten();
    meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
        || labels.clone().any(|(key, value)| key == names::MANAGED_BY_LABEL && value == "Helm")
        || labels.chain(annotations).any(|(key, _)| RECREATING_TOOLS.contains(&key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoUser;
    use serde_json::{Value, json};

    fn task(name: &str, age: &str, meta: Value, finished: &str) -> DjangoUser {
        task_of(name, age, meta, finished, json!({}), "Succeeded")
    }

    fn task_of(name: &str, age: &str, meta: Value, finished: &str, more: Value, result: &str) -> DjangoUser {
        let mut full = json!({"name": name, "uid": name, "generation": 1, "creationTimestamp": age});
        full.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        let mut spec = json!({"username": "u", "passwordSecretRef": {"name": "n", "key": "k"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoUser", "metadata": full, "spec": spec,
            "status": {
                "observedGeneration": 1,
                "conditions": [
                    {"type": "Finished", "status": finished, "reason": "R", "message": "", "lastTransitionTime": age},
                ],
                "lastRun": {
                    "number": 1, "key": "", "generation": 1, "jobName": "", "image": "", "result": result,
                    "target": {"kind": "", "name": "", "uid": "", "container": ""},
                },
            },
        }))
        .unwrap()
    }

    #[test]
    fn only_finished_resources_that_nobody_else_makes_again_go() {
        let at = |day: u32| format!("2026-01-{day:02}T00:00:00Z");
        let all = [
            task("newest", &at(9), json!({}), "True"),
            task("running", &at(8), json!({}), "False"),
            task("helm", &at(7), json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "True"),
            task("argo", &at(6), json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}), "True"),
            task("flux", &at(5), json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}), "True"),
            task(
                "owned",
                &at(4),
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o"}]}),
                "True",
            ),
            task("old", &at(3), json!({}), "True"),
            task("edited", &at(2), json!({"generation": 2}), "True"),
            task("asked", &at(2), json!({"annotations": {"django.my.domain/requestedAt": "now"}}), "True"),
            task_of("follows", &at(2), json!({}), "True", json!({"runPolicy": "OnImageChange"}), "Succeeded"),
            task_of("given up", &at(2), json!({}), "True", json!({}), "Superseded"),
            task("older", &at(2), json!({}), "True"),
        ];
        let mut tasks = PrunableTasks::default();
        for each in &all {
            tasks.apply(each);
        }
        let names =
            |tasks: &PrunableTasks, keep| -> Vec<String> { tasks.beyond(keep).map(|task| task.name.clone()).collect() };
        assert_eq!(names(&tasks, 1), ["older", "old"]);
        assert_eq!(names(&tasks, 6), ["older"]);
        assert!(names(&tasks, 7).is_empty());
        tasks.apply(&task("older", &at(2), json!({"generation": 2}), "True"));
        tasks.remove(&all[6].metadata);
        assert!(names(&tasks, 1).is_empty(), "one was edited, one is gone");
    }

    #[test]
    fn one_whose_newest_run_was_of_another_spec_stays() {
        let spec =
            |staff: bool| json!({"username": "u", "passwordSecretRef": {"name": "n", "key": "k"}, "staff": staff});
        let task = |spec: Value, key: &str| -> DjangoUser {
            let run = json!({
                "number": 1, "key": key, "generation": 1, "jobName": "", "image": "i:1",
                "target": {"kind": "", "name": "", "uid": "", "container": ""}, "result": "Succeeded",
            });
            let object = json!({
                "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoUser", "metadata": {"name": "u"},
                "spec": spec, "status": {
                    "lastRun": run,
                    "conditions": [
                        {"type": "Finished", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"},
                    ],
                },
            });
            serde_json::from_value(object).unwrap()
        };
        let key = run_key::for_task(&task(spec(true), ""));
        assert!(is_prunable(&task(spec(true), &key)));
        assert!(!is_prunable(&task(spec(false), &key)));
    }
}
