//! Commands that were seen to run in pods that are gone.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::recent::Recent;
use crate::core::views::PodView;

/// Containers that had started, by the UID of their pod's Job.
#[derive(Default)]
pub struct StartedContainers(Mutex<Recent<String, BTreeSet<String>>>);

impl StartedContainers {
    /// A pod is gone, and was last like this.
    pub fn record_gone(&self, pod: &PodView) {
        let Some(job) = pod.job_uid() else { return };
        let mut started: BTreeSet<String> = pod.started_containers().map(str::to_owned).collect();
        if !started.is_empty() {
            let mut all = self.inner();
            started.extend(all.remove(job).unwrap_or_default());
            all.insert(job.to_owned(), started);
        }
    }

    /// Whether this container of a pod of the Job's had started.
    pub fn contains(&self, job_uid: &str, container: &str) -> bool {
        self.inner().get(job_uid).is_some_and(|started| started.contains(container))
    }

    fn inner(&self) -> MutexGuard<'_, Recent<String, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
