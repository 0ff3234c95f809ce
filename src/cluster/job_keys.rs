//! Where Jobs and their pods are in the caches: with the others of their task, by what the operator wrote on them.

use super::cache::CacheKey;
use crate::core::views::{JOB_NAME_LABEL, JobView, PodView};
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

/// A pod's place, also where its Job was deleted without it.
pub fn pod_key(pod: &PodView) -> CacheKey {
    let job = pod.metadata.labels.as_ref().and_then(|labels| labels.get(JOB_NAME_LABEL));
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let partition = job_pods_partition(namespace, job.map_or("", String::as_str));
    CacheKey { partition, name: pod.metadata.name.clone().unwrap_or_default() }
}
