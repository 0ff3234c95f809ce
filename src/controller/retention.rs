//! What is thrown away: finished Jobs beyond the history, and, if so set, finished resources.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DeserializeGuard;
use kube::{Api, ResourceExt};

use super::Context;
use crate::api::TaskStatus;
use crate::cluster::calls;
use crate::core::condition;
use crate::names;
use crate::task::Task;

/// How many runs back the watches are asked for Jobs that a lower limit leaves over.
const LOOK_BACK: i64 = 200;
/// Marks of tools that would apply a deleted resource again, and so run it again.
const TRACKED_BY: &[&str] = &[
    "meta.helm.sh/release-name",
    "helm.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/name",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "app.kubernetes.io/instance",
];

/// Deletes what is left over, asking the API server for nothing when nothing is.
pub async fn prune<T: Task>(context: &Context<T>, task: &T) -> kube::Result<()> {
    let shared = &context.shared;
    let namespace = task.namespace().unwrap_or_default();
    let (uid, name) = (task.uid().unwrap_or_default(), task.name_any());
    let newest =
        task.status().last_run.as_ref().map_or(0, |run| if run.result.is_some() { run.number } else { run.number - 1 });
    let surplus = newest - i64::from(task.policy().history_limit);
    for run in (1.max(surplus - LOOK_BACK)..=surplus).rev() {
        let Some(job) = shared.caches.jobs.get(&namespace, &names::job(&name, &uid, run)) else { continue };
        if job.owned_by(&uid) && job.end().is_some() && job.metadata.deletion_timestamp.is_none() {
            calls::delete_job(&shared.client, &namespace, job.name(), job.uid()).await?;
        }
    }
    if shared.settings.num_old_crs > 0 && finished(task.meta(), task.status()) {
        let all = context.tasks.state();
        let readable = all.iter().filter_map(|task| task.0.as_ref().ok());
        let candidates = readable
            .filter(|other| other.namespace().as_deref() == Some(&namespace))
            .map(|other| (other.meta().clone(), other.status().clone()));
        let api: Api<DeserializeGuard<T>> = Api::namespaced(shared.client.clone(), &namespace);
        for surplus in surplus_resources(candidates, shared.settings.num_old_crs) {
            // Not one that was edited since: it has a run pending.
            let (name, uid) = (surplus.name.unwrap_or_default(), surplus.uid.unwrap_or_default());
            calls::delete(&api, &name, &uid, surplus.resource_version).await?;
        }
    }
    Ok(())
}

/// Finished resources beyond the newest `keep`, of those that nobody else would make again.
fn surplus_resources(all: impl Iterator<Item = (ObjectMeta, TaskStatus)>, keep: usize) -> Vec<ObjectMeta> {
    let mut done: Vec<ObjectMeta> = all
        .filter(|(meta, status)| meta.deletion_timestamp.is_none() && finished(meta, status))
        .map(|(meta, _)| meta)
        .collect();
    done.sort_by(|a, b| (&b.creation_timestamp, &b.name).cmp(&(&a.creation_timestamp, &a.name)));
    done.into_iter().skip(keep).filter(|meta| !tracked(meta)).collect()
}

fn finished(meta: &ObjectMeta, status: &TaskStatus) -> bool {
    status.observed_generation == meta.generation
        && status.last_run.as_ref().is_some_and(|run| run.result.is_some())
        && condition::is_true(&status.conditions, condition::FINISHED)
}

fn tracked(meta: &ObjectMeta) -> bool {
    let none = BTreeMap::new();
    let labels = meta.labels.as_ref().unwrap_or(&none);
    let annotations = meta.annotations.as_ref().unwrap_or(&none);
    meta.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
        || labels.get(names::MANAGED_BY).is_some_and(|manager| manager == "Helm")
        || TRACKED_BY.iter().any(|mark| labels.contains_key(*mark) || annotations.contains_key(*mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn resource(name: &str, age: &str, meta: Value, finished: &str) -> (ObjectMeta, TaskStatus) {
        let mut full = json!({"name": name, "uid": name, "generation": 1, "creationTimestamp": age});
        full.as_object_mut().unwrap().extend(meta.as_object().unwrap().clone());
        let status: crate::api::user::DjangoUserStatus = serde_json::from_value(json!({
            "observedGeneration": 1,
            "conditions": [{"type": "Finished", "status": finished, "reason": "R", "message": "", "lastTransitionTime": age}],
            "lastRun": {
                "number": 1, "key": "", "generation": 1, "jobName": "", "image": "", "result": "Succeeded",
                "target": {"kind": "", "name": "", "uid": "", "container": ""},
            },
        }))
        .unwrap();
        (serde_json::from_value(full).unwrap(), status.task)
    }

    #[test]
    fn only_finished_resources_that_nobody_else_makes_again_go() {
        let at = |day: u32| format!("2026-01-{day:02}T00:00:00Z");
        let all = [
            resource("newest", &at(9), json!({}), "True"),
            resource("running", &at(8), json!({}), "False"),
            resource("helm", &at(7), json!({"labels": {"app.kubernetes.io/managed-by": "Helm"}}), "True"),
            resource("argo", &at(6), json!({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}), "True"),
            resource("flux", &at(5), json!({"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}}), "True"),
            resource(
                "owned",
                &at(4),
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "o", "uid": "o"}]}),
                "True",
            ),
            resource("old", &at(3), json!({}), "True"),
            resource("older", &at(2), json!({}), "True"),
        ];
        let names = |keep| -> Vec<String> {
            surplus_resources(all.iter().cloned(), keep).into_iter().filter_map(|meta| meta.name).collect()
        };
        assert_eq!(names(1), ["old", "older"]);
        assert_eq!(names(6), ["older"]);
        assert!(names(7).is_empty());
    }
}
