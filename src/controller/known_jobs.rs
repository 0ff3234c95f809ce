//! Jobs that this process just created, of which the watch may not know yet, over those that it has.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::own_writes::OWN_WRITE_TTL;
use crate::cluster::cache::{CacheKey, Cached};
use crate::cluster::caches::Caches;
use crate::cluster::job_keys::job_key;
use crate::cluster::recent::Recent;
use crate::core::views::JobView;

/// Jobs as the API server answered with them.
pub struct KnownJobs(Mutex<Recent<CacheKey, Cached<JobView>>>);

impl Default for KnownJobs {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(OWN_WRITE_TTL)))
    }
}

impl KnownJobs {
    /// The Job, if the watch or this process knows it.
    pub fn get(&self, caches: &Caches, key: &CacheKey) -> Option<Cached<JobView>> {
        let cached = caches.jobs.get(key);
        let mut answered = self.answered();
        match (cached, answered.get(key)) {
            (Some(cached), Some(own)) if own.object.meta.version > cached.object.meta.version => {
                Some(Cached { first_seen: cached.first_seen, ..own.clone() })
            }
            (None, own) => own.cloned(),
            (cached, _) => {
                answered.remove(key);
                cached
            }
        }
    }

    /// Remembers a Job that the API server answered with.
    pub fn record(&self, caches: &Caches, job: &Arc<JobView>) {
        let key = job_key(job);
        let seen = caches.jobs.get(&key).is_some_and(|seen| seen.object.uid() == job.uid());
        match job.end() {
            Some(_) => caches.open_jobs.record_gone(job.uid()),
            None if !seen => caches.open_jobs.record_created(job),
            None => {}
        }
        self.answered().insert(key, Cached::new(job.clone()));
    }

    /// Forgets a Job that was just deleted.
    pub fn record_deleted(&self, key: &CacheKey) {
        self.answered().remove(key);
    }

    fn answered(&self) -> MutexGuard<'_, Recent<CacheKey, Cached<JobView>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::cache::Change;

    #[test]
    fn what_was_answered_counts_until_the_watch_has_it() {
        let job = |version: &str| -> Arc<JobView> {
            let metadata = json!({"name": "j", "uid": "u", "resourceVersion": version});
            Arc::new(serde_json::from_value(json!({"metadata": metadata})).unwrap())
        };
        let (caches, jobs) = (Caches::default(), KnownJobs::default());
        let key = job_key(&job("1"));
        let version = || jobs.get(&caches, &key).and_then(|known| known.object.meta.version);
        jobs.record(&caches, &job("2"));
        assert_eq!((version(), caches.open_jobs.count()), (Some(2), 1));
        let seen = |version| {
            let event = kube::runtime::watcher::Event::Apply((key.clone(), (*job(version)).clone()));
            caches
                .jobs
                .apply_event(event)
                .iter()
                .for_each(|change: &Change<JobView>| caches.open_jobs.apply_change(change));
        };
        seen("1");
        assert_eq!((version(), caches.open_jobs.count()), (Some(2), 1));
        seen("3");
        assert_eq!((version(), caches.open_jobs.count()), (Some(3), 1));
        jobs.record(&caches, &job("4"));
        jobs.record_deleted(&key);
        assert_eq!((version(), caches.open_jobs.count()), (Some(3), 1));
    }
}
