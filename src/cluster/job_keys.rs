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
    let kind = job.annotation(names::KIND_LABEL).unwrap_or_default();
    let task = job.annotation(names::TASK_ANNOTATION).unwrap_or_default();
    let partition = task_jobs_partition(&job.meta.namespace, kind, task);
    CacheKey { partition, name: job.name().to_owned() }
}

/// The group of a Job's pods.
pub fn job_pods_partition(namespace: &str, job: &str) -> String {
    format!("{namespace}/{job}")
}

/// A pod's place, also where its Job was deleted without it.
pub fn pod_key(pod: &PodView) -> CacheKey {
    let partition = job_pods_partition(&pod.meta.namespace, pod.job_name().unwrap_or_default());
    CacheKey { partition, name: pod.meta.name.to_string() }
}
