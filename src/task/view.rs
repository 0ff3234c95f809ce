//! What others need to know of a task: its entry in the index of tasks.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use kube::ResourceExt;

use super::{Task, run_key};
use crate::api::{Outcome, RunPolicy};
use crate::core::condition;
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

/// A task, as far as other objects depend on it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskView {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub resource_version: Option<String>,
    pub created_at: Option<Time>,
    /// Whether the newest run was of the spec as it is.
    pub ran_as_specified: bool,
    /// Whether the request annotation asks for another run.
    pub requested: bool,
    /// What came of the newest run, once it is over.
    pub result: Option<Outcome>,
    /// Whether the newest spec was carried out.
    pub ready: bool,
    /// Whether nothing more will happen by itself, as far as the operator has looked.
    pub finished: bool,
    /// Whether it runs again with another image of its target.
    pub follows_image: bool,
    /// Whether an owner or a tool would make it again, were it deleted.
    pub would_be_recreated: bool,
    pub deleting: bool,
}

impl TaskView {
    pub fn of<T: Task>(task: &T) -> Self {
        let (meta, status) = (task.meta(), task.status());
        let run = status.last_run.as_ref();
        let follows_image = task.policy().run_policy == RunPolicy::OnImageChange;
        let requested = task.annotations().get(names::REQUESTED_AT_ANNOTATION).filter(|value| !value.is_empty());
        Self {
            kind: T::KIND,
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone(),
            created_at: meta.creation_timestamp.clone(),
            ran_as_specified: run.is_some_and(|run| !run_key::spec_changed(task, run)),
            requested: requested.is_some() && requested != status.last_handled_request.as_ref(),
            result: run.and_then(|run| run.result),
            ready: condition::is_true(&status.conditions, condition::READY),
            finished: status.observed_generation == meta.generation
                && condition::is_true(&status.conditions, condition::FINISHED),
            follows_image,
            would_be_recreated: is_recreated(meta),
            deleting: meta.deletion_timestamp.is_some(),
        }
    }

    /// Whether a change of what can be a target concerns it.
    pub fn depends_on_targets(&self) -> bool {
        !self.ready || self.follows_image
    }

    /// Whether it was carried out or given up, no run is pending, and none can come without a change of it.
    pub fn is_prunable(&self) -> bool {
        let over = self.result.is_some_and(|result| result != Outcome::Superseded);
        over && self.finished && self.ran_as_specified && !self.requested && !self.follows_image && !self.deleting
    }
}

fn is_recreated(meta: &ObjectMeta) -> bool {
    let labels = meta.labels.iter().flatten();
    let annotations = meta.annotations.iter().flatten();
    meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
        || labels.clone().any(|(key, value)| key == names::MANAGED_BY_LABEL && value == "Helm")
        || labels.chain(annotations).any(|(key, _)| RECREATING_TOOLS.contains(&key.as_str()))
}

/// Tasks that are over, beyond the newest `keep` of these: those that nobody else would make again.
pub fn to_prune<V: std::borrow::Borrow<TaskView>>(tasks: Vec<V>, keep: usize) -> Vec<V> {
    let mut over: Vec<V> = tasks.into_iter().filter(|task| task.borrow().is_prunable()).collect();
    over.sort_by(|a, b| {
        let (a, b) = (a.borrow(), b.borrow());
        (&b.created_at, &b.name).cmp(&(&a.created_at, &a.name))
    });
    over.into_iter().skip(keep).filter(|task| !task.borrow().would_be_recreated).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoUser;
    use serde_json::{Value, json};

    fn view(name: &str, age: &str, meta: Value, finished: &str) -> TaskView {
        view_of(name, age, meta, finished, json!({}), "Succeeded")
    }

    fn view_of(name: &str, age: &str, meta: Value, finished: &str, more: Value, result: &str) -> TaskView {
        let mut full = json!({"name": name, "uid": name, "generation": 1, "creationTimestamp": age});
        full.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        let mut spec = json!({"username": "u", "passwordSecretRef": {"name": "n", "key": "k"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let task: DjangoUser = serde_json::from_value(json!({
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
        .unwrap();
        TaskView::of(&task)
    }

    #[test]
    fn only_finished_resources_that_nobody_else_makes_again_go() {
        let at = |day: u32| format!("2026-01-{day:02}T00:00:00Z");
        let all = [
            view("newest", &at(9), json!({}), "True"),
            view("running", &at(8), json!({}), "False"),
            view("helm", &at(7), json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "True"),
            view("argo", &at(6), json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}), "True"),
            view("flux", &at(5), json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}), "True"),
            view(
                "owned",
                &at(4),
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o"}]}),
                "True",
            ),
            view("old", &at(3), json!({}), "True"),
            view("edited", &at(2), json!({"generation": 2}), "True"),
            view("asked", &at(2), json!({"annotations": {"django.my.domain/requestedAt": "now"}}), "True"),
            view_of("follows", &at(2), json!({}), "True", json!({"runPolicy": "OnImageChange"}), "Succeeded"),
            view_of("given up", &at(2), json!({}), "True", json!({}), "Superseded"),
            view("older", &at(2), json!({}), "True"),
        ];
        let names = |keep| -> Vec<String> { to_prune(all.to_vec(), keep).into_iter().map(|view| view.name).collect() };
        assert_eq!(names(1), ["old", "older"]);
        assert_eq!(names(6), ["older"]);
        assert!(names(7).is_empty());
    }

    #[test]
    fn a_change_of_targets_concerns_who_waits_for_one_or_follows_its_image() {
        for (ready, follows_image, expected) in
            [(false, false, true), (false, true, true), (true, true, true), (true, false, false)]
        {
            let view = TaskView { ready, follows_image, ..TaskView::default() };
            assert_eq!(view.depends_on_targets(), expected, "{view:?}");
        }
    }

    #[test]
    fn it_tells_whether_the_newest_run_was_of_the_spec() {
        let spec =
            |staff: bool| json!({"username": "u", "passwordSecretRef": {"name": "n", "key": "k"}, "staff": staff});
        let task = |spec: Value, key: &str| -> DjangoUser {
            let run = json!({
                "number": 1, "key": key, "generation": 1, "jobName": "", "image": "i:1",
                "target": {"kind": "", "name": "", "uid": "", "container": ""},
            });
            let object = json!({
                "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoUser", "metadata": {"name": "u"},
                "spec": spec, "status": {"lastRun": run},
            });
            serde_json::from_value(object).unwrap()
        };
        let key = run_key::for_task(&task(spec(true), ""));
        assert!(TaskView::of(&task(spec(true), &key)).ran_as_specified);
        assert!(!TaskView::of(&task(spec(false), &key)).ran_as_specified);
    }
}
