//! Jobs that this process knew, for the time in which nothing else vouches that they were there.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::CacheKey;
use super::job_keys::job_key;
use super::recent::Recent;
use crate::core::views::JobView;

/// Jobs whose UID may not be in any status yet: without them, one that vanished would be created a second time.
#[derive(Default)]
pub struct UnrecordedJobs(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// A run's status holds its Job's UID within seconds.
    jobs: Recent<CacheKey, Arc<JobView>>,
    /// Those that this process deletes itself, their UIDs long stored.
    pruned: HashSet<CacheKey>,
}

impl UnrecordedJobs {
    /// A Job is there.
    pub fn record(&self, job: &JobView) {
        self.insert(job.without_status());
    }

    /// A Job is no longer there, and was last like this. Its end counts; that somebody took its owner away does not.
    pub fn record_gone(&self, job: &JobView) {
        let key = job_key(job);
        if self.inner().pruned.remove(&key) {
            return;
        }
        let mut last = if job.end().is_some() { job.clone() } else { job.without_status() };
        if let Some(known) = self.get(&key).filter(|known| known.uid() == job.uid()) {
            last.meta = known.meta.clone();
        }
        self.insert(last);
    }

    /// One that is suspended has started nothing.
    fn insert(&self, job: JobView) {
        if !job.is_suspended() {
            self.inner().jobs.insert(job_key(&job), Arc::new(job));
        }
    }

    /// A Job is about to be deleted that nobody will ask for.
    pub fn record_pruning(&self, job: &JobView) {
        self.inner().pruned.insert(job_key(job));
    }

    /// The Job of that place, if it was there.
    pub fn get(&self, key: &CacheKey) -> Option<Arc<JobView>> {
        self.inner().jobs.get(key).cloned()
    }

    /// Its UID is in its task's status. Its end, if it had come to one, is not.
    pub fn uid_recorded(&self, key: &CacheKey) {
        let mut inner = self.inner();
        if inner.jobs.get(key).is_some_and(|job| job.end().is_none()) {
            inner.jobs.remove(key);
        }
    }

    /// Its end is in its task's status.
    pub fn end_recorded(&self, key: &CacheKey) {
        self.inner().jobs.remove(key);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_job_counts_until_its_uid_is_stored_unless_it_was_suspended() {
        let job = |suspend: bool| -> Arc<JobView> {
            let metadata = json!({"name": "j", "namespace": "ns", "uid": "u"});
            Arc::new(serde_json::from_value(json!({"metadata": metadata, "spec": {"suspend": suspend}})).unwrap())
        };
        let jobs = UnrecordedJobs::default();
        let key = job_key(&job(false));
        jobs.record(&job(true));
        assert!(jobs.get(&key).is_none());
        jobs.record(&job(false));
        assert_eq!(jobs.get(&key).map(|job| job.uid().to_owned()), Some("u".into()));
        jobs.uid_recorded(&key);
        assert!(jobs.get(&key).is_none());
        jobs.record_pruning(&job(false));
        jobs.record_gone(&job(false));
        assert!(jobs.get(&key).is_none(), "pruned");
        jobs.record_gone(&job(false));
        assert!(jobs.get(&key).is_some(), "somebody else's deletion");
        let owned = |owner: Value| -> JobView {
            let metadata = json!({"name": "j", "namespace": "ns", "uid": "u", "ownerReferences": owner});
            let status = json!({"conditions": [{"type": "Complete", "status": "True"}]});
            serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
        };
        jobs.record(&owned(
            json!([{"apiVersion": "g/v", "kind": "K", "name": "m", "uid": "task", "controller": true}]),
        ));
        jobs.record_gone(&owned(json!([])));
        let last = jobs.get(&key).unwrap();
        assert!(last.owned_by("task") && last.end().is_some());
        jobs.uid_recorded(&key);
        assert!(jobs.get(&key).is_some(), "its end counts until it is recorded as well");
        jobs.end_recorded(&key);
        assert!(jobs.get(&key).is_none());
    }
}
