//! Commands that were seen to run in pods that are gone.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::core::views::PodView;

/// How long one is remembered; the end of a run is looked at within seconds of its pods' end.
const TTL: Duration = Duration::from_secs(3600);

/// Containers that had started, by the UID of their pod's Job.
#[derive(Default)]
pub struct StartedContainers(Mutex<HashMap<String, Started>>);

struct Started {
    since: Instant,
    containers: Vec<String>,
}

impl StartedContainers {
    /// A pod is gone, and was last like this.
    pub fn record_gone(&self, pod: &PodView) {
        let Some(job) = pod.job_uid() else { return };
        let started: Vec<String> = pod.started_containers().map(str::to_owned).collect();
        if started.is_empty() {
            return;
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, entry| entry.since.elapsed() < TTL);
        let entry =
            all.entry(job.to_owned()).or_insert_with(|| Started { since: Instant::now(), containers: Vec::new() });
        entry.containers.extend(started);
    }

    /// Whether this container of a pod of the Job's had started.
    pub fn contains(&self, job_uid: &str, container: &str) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(job_uid).is_some_and(|entry| entry.containers.iter().any(|name| name == container))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_ran_is_known_after_its_pod_is_gone() {
        let state = |state| json!({"name": "web", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        let pod = |status| -> PodView {
            let metadata = json!({"name": "p", "labels": {"batch.kubernetes.io/controller-uid": "job"}});
            serde_json::from_value(json!({"metadata": metadata, "status": {"containerStatuses": [status]}})).unwrap()
        };
        let started = StartedContainers::default();
        started.record_gone(&pod(state(json!({"waiting": {}}))));
        assert!(!started.contains("job", "web"));
        started.record_gone(&pod(state(json!({"terminated": {"exitCode": 0}}))));
        assert!(
            started.contains("job", "web") && !started.contains("job", "proxy") && !started.contains("other", "web")
        );
    }
}
