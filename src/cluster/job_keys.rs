//! Where Jobs and their pods are in the caches: with the others of their task, by what the operator wrote on them.

use super::cache::CacheKey;
use crate::core::views::{JobView, PodView};
use crate::names;

/// The group of a task's Jobs.
pub fn task_jobs_partition(namespace: &str, kind: &str, task: &str) -> String {
    format!("{namespace}/{kind}/{task}")
}

/// A Job's place.
pub fn job_key(job: &JobView) -> CacheKey {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let kind = job.metadata.labels.as_ref().and_then(|labels| labels.get(names::KIND_LABEL));
    let task = job.annotation(names::TASK_ANNOTATION).unwrap_or_default();
    let partition = task_jobs_partition(namespace, kind.map_or("", String::as_str), task);
    CacheKey { partition, name: job.name().to_owned() }
}

/// The group of a Job's pods.
pub fn job_pods_partition(namespace: &str, job: &str) -> String {
    format!("{namespace}/{job}")
}

/// A pod's place.
pub fn pod_key(pod: &PodView) -> CacheKey {
    let job = pod.metadata.owner_references.iter().flatten().next().map_or("", |owner| owner.name.as_str());
    let partition = job_pods_partition(pod.metadata.namespace.as_deref().unwrap_or_default(), job);
    CacheKey { partition, name: pod.metadata.name.clone().unwrap_or_default() }
}
