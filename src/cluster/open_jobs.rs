//! How many Jobs have not ended, in all watched namespaces.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::cache::Change;
use crate::api::{DjangoUser, TaskResource};
use crate::core::views::JobView;
use crate::names;

/// How long a Job counts that this process created and that no watch has brought.
const UNSEEN_TTL: Duration = Duration::from_secs(300);

/// Jobs that have not ended, by UID.
#[derive(Default)]
pub struct OpenJobs {
    jobs: Mutex<HashMap<String, OpenJob>>,
    /// One has ended.
    pub ended: Notify,
}

struct OpenJob {
    /// When it was created, of one that no watch has brought yet.
    created: Option<Instant>,
    /// Whether it may wait for migrations to come.
    may_wait: bool,
}

impl OpenJob {
    fn of(job: &JobView, created: Option<Instant>) -> Self {
        Self { created, may_wait: job.annotation(names::KIND_LABEL) == Some(DjangoUser::KIND) }
    }
}

impl OpenJobs {
    /// A watch told of a Job.
    pub fn apply_change(&self, change: &Change<JobView>) {
        let mut jobs = self.jobs();
        let before = jobs.len();
        if let Some(gone) = &change.before {
            jobs.remove(gone.uid());
        }
        match &change.now {
            Some(job) if job.end().is_none() => {
                jobs.insert(job.uid().to_owned(), OpenJob::of(job, None));
            }
            Some(job) => {
                jobs.remove(job.uid());
            }
            None => {}
        }
        if jobs.len() < before {
            self.ended.notify_one();
        }
    }

    /// This process created a Job.
    pub fn record_created(&self, job: &JobView) {
        self.jobs().entry(job.uid().to_owned()).or_insert_with(|| OpenJob::of(job, Some(Instant::now())));
    }

    /// A Job has ended or is gone, as the API server said.
    pub fn record_gone(&self, uid: &str) {
        if self.jobs().remove(uid).is_some() {
            self.ended.notify_one();
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count_of(|_| true)
    }

    /// How many there are that wait for no migrations.
    pub fn count_at_work(&self) -> usize {
        self.count_of(|job| !job.may_wait)
    }

    fn count_of(&self, test: impl Fn(&OpenJob) -> bool) -> usize {
        let mut jobs = self.jobs();
        jobs.retain(|_, job| job.created.is_none_or(|created| created.elapsed() < UNSEEN_TTL));
        jobs.values().filter(|job| test(job)).count()
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<String, OpenJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn job(uid: &str, ended: bool) -> Option<Arc<JobView>> {
        let conditions = if ended { json!([{"type": "Failed", "status": "True"}]) } else { json!([]) };
        let job = json!({"metadata": {"name": "j", "uid": uid}, "status": {"conditions": conditions}});
        Some(Arc::new(serde_json::from_value(job).unwrap()))
    }

    #[test]
    fn a_job_counts_once_from_its_creation_to_its_end() {
        let jobs = OpenJobs::default();
        let told = || jobs.ended.notified().now_or_never().is_some();
        jobs.record_created(&job("a", false).unwrap());
        jobs.apply_change(&Change { now: job("a", false), before: None });
        jobs.apply_change(&Change { now: job("b", false), before: None });
        jobs.apply_change(&Change { now: job("c", true), before: None });
        assert_eq!((jobs.count(), told()), (2, false));
        jobs.apply_change(&Change { now: job("a", true), before: job("a", false) });
        assert_eq!((jobs.count(), told()), (1, true));
        jobs.apply_change(&Change { now: None, before: job("a", true) });
        assert_eq!((jobs.count(), told()), (1, false), "its end was told before");
        jobs.apply_change(&Change { now: job("d", false), before: job("b", false) });
        assert_eq!(jobs.count(), 1, "another of the same name");
        jobs.record_gone("d");
        assert_eq!((jobs.count(), told()), (0, true));
    }
}
