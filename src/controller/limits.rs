//! How many Jobs may run at once, and which are known to exist.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::own_writes::OWN_WRITE_TTL;
use crate::cluster::watch::Caches;
use crate::core::views::JobView;

/// Jobs that the watches have, and those that this process just created, of which the watch may not know yet.
pub struct KnownJobs {
    caches: Vec<Arc<Caches>>,
    created: Mutex<HashMap<JobKey, (Instant, Arc<JobView>)>>,
}

/// Namespace and name.
type JobKey = (String, String);

impl KnownJobs {
    /// Over the caches of all watched namespaces.
    pub fn new(caches: Vec<Arc<Caches>>) -> Self {
        Self { caches, created: Mutex::default() }
    }

    /// The Job, if the watch of its namespace or this process knows it.
    pub fn get(&self, caches: &Caches, namespace: &str, name: &str) -> Option<Arc<JobView>> {
        let key = (namespace.to_owned(), name.to_owned());
        let cached = caches.jobs.get(namespace, name);
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.is_some() {
            created.remove(&key);
            return cached;
        }
        created.retain(|_, (since, _)| since.elapsed() < OWN_WRITE_TTL);
        created.get(&key).map(|(_, job)| job.clone())
    }

    /// Remembers a Job that was just created.
    pub fn record_created(&self, namespace: &str, job: &Arc<JobView>) {
        let key = (namespace.to_owned(), job.name().to_owned());
        self.created.lock().unwrap_or_else(PoisonError::into_inner).insert(key, (Instant::now(), job.clone()));
    }

    /// Forgets a Job that was just deleted.
    pub fn record_deleted(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.created.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }

    fn cached(&self, namespace: &str, name: &str) -> Option<Arc<JobView>> {
        self.caches.iter().find_map(|caches| caches.jobs.get(namespace, name))
    }

    fn running(&self) -> usize {
        let created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        let unseen = created.keys().filter(|(namespace, name)| self.cached(namespace, name).is_none()).count();
        unseen + self.caches.iter().map(|c| c.jobs.count(|job| job.terminal_condition().is_none())).sum::<usize>()
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
        jobs.record_created("ns", &Arc::new(job));
        drop(permit);
        assert!(jobs.get(&Caches::default(), "ns", "j").is_some() && limit.acquire(&jobs).is_none());
        jobs.record_deleted("ns", "j");
        assert!(limit.acquire(&jobs).is_some());
        let unlimited = JobLimit::new(0);
        let permits: Vec<_> = (0..9).map(|_| unlimited.acquire(&jobs)).collect();
        assert!(permits.iter().all(Option::is_some));
    }
}
