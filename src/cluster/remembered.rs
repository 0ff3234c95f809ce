//! Jobs that this process knew, for the time in which nothing else vouches that they were there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::cache::CacheKey;
use super::job_keys::job_key;
use crate::core::views::JobView;

/// How long one is remembered at most; a run's status holds its Job's UID within seconds.
const TTL: Duration = Duration::from_secs(3600);

/// Jobs whose UID may not be in any status yet: without them, one that vanished would be created a second time.
#[derive(Default)]
pub struct RememberedJobs(Mutex<HashMap<CacheKey, (Instant, Arc<JobView>)>>);

impl RememberedJobs {
    /// A Job is, or was, there. One that is suspended has started nothing.
    pub fn record(&self, job: &Arc<JobView>) {
        if job.is_suspended() {
            return;
        }
        let mut jobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.retain(|_, (since, _)| since.elapsed() < TTL);
        jobs.insert(job_key(job), (Instant::now(), job.clone()));
    }

    /// The Job of that place, if it was there.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<JobView>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).map(|(_, job)| job.clone())
    }

    /// Its UID is in its task's status.
    pub fn forget(&self, key: &CacheKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_counts_until_its_uid_is_stored_unless_it_was_suspended() {
        let job = |suspend: bool| -> Arc<JobView> {
            let metadata = json!({"name": "j", "namespace": "ns", "uid": "u"});
            Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {"suspend": suspend}})).unwrap())
        };
        let jobs = RememberedJobs::default();
        let key = job_key(&job(false));
        jobs.record(&job(true));
        assert!(jobs.get(&key).is_none());
        jobs.record(&job(false));
        assert_eq!(jobs.get(&key).map(|job| job.uid().to_owned()), Some("u".into()));
        jobs.forget(&key);
        assert!(jobs.get(&key).is_none());
    }
}
