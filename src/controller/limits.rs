//! How many Jobs may run at once, and which are known to exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::own_writes::{OWN_WRITE_TTL, is_newer};
use crate::cluster::cache::{CacheKey, Cached};
use crate::cluster::job_keys::job_key;
use crate::cluster::watch::Caches;
use crate::core::views::JobView;

/// Jobs that the watches have, and those that this process just created, of which the watch may not know yet.
pub struct KnownJobs {
    caches: Vec<Arc<Caches>>,
    created: Mutex<HashMap<CacheKey, Cached<JobView>>>,
}

impl KnownJobs {
    /// Over the caches of all watched namespaces.
    pub fn new(caches: Vec<Arc<Caches>>) -> Self {
        Self { caches, created: Mutex::default() }
    }

    /// The Job, if the watch of its namespace or this process knows it.
    pub fn get(&self, caches: &Caches, key: &CacheKey) -> Option<Cached<JobView>> {
        let cached = caches.jobs.get(key);
        let mut created = self.created();
        let own = created.get(key).filter(|job| job.confirmed.elapsed() < OWN_WRITE_TTL);
        match (cached, own) {
            (Some(cached), Some(own)) if is_newer(&*own.object, &*cached.object) => {
                Some(Cached { first_seen: cached.first_seen, ..own.clone() })
            }
            (None, own) => own.cloned(),
            (cached, _) => {
                created.remove(key);
                cached
            }
        }
    }

    /// Remembers a Job that the API server answered with.
    pub fn record(&self, job: &Arc<JobView>) {
        let mut created = self.created();
        created.retain(|_, job| job.confirmed.elapsed() < OWN_WRITE_TTL);
        created.insert(job_key(job), Cached::new(job.clone()));
    }

    /// Forgets a Job that was just deleted.
    pub fn record_deleted(&self, key: &CacheKey) {
        self.created().remove(key);
    }

    fn running(&self) -> usize {
        let created = self.created();
        let cached = |key| self.caches.iter().any(|caches| caches.jobs.get(key).is_some());
        let unseen = created.keys().filter(|key| !cached(key)).count();
        unseen + self.caches.iter().map(|c| c.jobs.count(|job| job.terminal_condition().is_none())).sum::<usize>()
    }

    fn created(&self) -> MutexGuard<'_, HashMap<CacheKey, Cached<JobView>>> {
        self.created.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many Jobs may run at once; 0: any number.
pub struct JobLimit {
    limit: usize,
    reserved: Mutex<usize>,
}

impl JobLimit {
    pub fn new(limit: usize) -> Self {
        Self { limit, reserved: Mutex::default() }
    }

    /// A permit to start one Job, unless the limit is reached. To be kept until the Job is known.
    pub fn acquire(&self, jobs: &KnownJobs) -> Option<JobPermit<'_>> {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if self.limit > 0 && jobs.running() + *reserved >= self.limit {
            return None;
        }
        *reserved += 1;
        Some(JobPermit(&self.reserved))
    }
}

/// A permit to start one Job.
pub struct JobPermit<'a>(&'a Mutex<usize>);

impl Drop for JobPermit<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_counts_until_its_job_does() {
        let jobs = KnownJobs::new(vec![Arc::default()]);
        let limit = JobLimit::new(1);
        let permit = limit.acquire(&jobs);
        assert!(permit.is_some() && limit.acquire(&jobs).is_none());
        let job: JobView = serde_json::from_value(serde_json::json!({"metadata": {"name": "j"}})).unwrap();
        let key = job_key(&job);
        jobs.record(&Arc::new(job));
        drop(permit);
        assert!(jobs.get(&Caches::default(), &key).is_some() && limit.acquire(&jobs).is_none());
        jobs.record_deleted(&key);
        assert!(limit.acquire(&jobs).is_some());
        let unlimited = JobLimit::new(0);
        let permits: Vec<_> = (0..9).map(|_| unlimited.acquire(&jobs)).collect();
        assert!(permits.iter().all(Option::is_some));
    }
}
