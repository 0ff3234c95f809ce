//! What a reconcile knows without asking: from the caches of its namespace.

use std::sync::Arc;

use super::dependency_reader::KnownNamespace;
use super::reconcile::Reconciliation;
use crate::api::Dependency;
use crate::cluster::cache::{CacheKey, Cached};
use crate::cluster::caches::Caches;
use crate::cluster::job_keys::{job_key, job_pods_partition};
use crate::core::views::{JobView, PodView};
use crate::task::Task;
use crate::task::dependency::ObservedDependency;
use crate::task::observe::{CacheReader, KnownJob, NamespaceReader};
use crate::task::target::{Candidate, TargetKind};

impl<T: Task> CacheReader for Reconciliation<'_, T> {
    fn job(&self, name: &str) -> Option<KnownJob> {
        let Cached { object, first_seen, confirmed } =
            self.shared.known_jobs.get(&self.shared.caches, &self.job_key(name))?;
        Some(KnownJob { job: object, age: first_seen.elapsed(), confirmed_ago: confirmed.elapsed() })
    }

    fn remembered_job(&self, name: &str) -> Option<Arc<JobView>> {
        self.shared.caches.unrecorded_jobs.get(&self.job_key(name))
    }

    fn ran_in_gone_pod(&self, job_uid: &str, container: &str) -> bool {
        self.shared.caches.started_containers.contains(job_uid, container)
    }

    fn jobs(&self) -> Vec<Arc<JobView>> {
        let cached = self.shared.caches.jobs.partition(&self.jobs_partition());
        let newest = |job: Arc<JobView>| match self.shared.known_jobs.get(&self.shared.caches, &job_key(&job)) {
            Some(known) if known.object.uid() == job.uid() => known.object,
            _ => job,
        };
        cached.into_iter().map(newest).collect()
    }

    fn pods(&self, job: &str) -> Vec<Arc<PodView>> {
        self.shared.caches.pods.partition(&job_pods_partition(&self.namespace, job))
    }

    fn gated_candidates(&self) -> Vec<Arc<Candidate>> {
        self.shared.caches.gated.of(&self.namespace)
    }

    fn open_migrations(&self, target: &str) -> Vec<String> {
        self.shared.caches.open_migrations.names(&self.namespace, target)
    }
}

impl<T: Task> NamespaceReader for Reconciliation<'_, T> {
    fn candidates(&self, kind: TargetKind, named: Option<&str>, labels: &[(String, String)]) -> Vec<Arc<Candidate>> {
        candidates(&self.shared.caches, &self.namespace, kind, named, labels)
    }

    fn dependencies(&self, dependencies: &[Dependency]) -> Vec<ObservedDependency> {
        KnownNamespace::new(self.shared, &self.namespace).dependencies(dependencies)
    }

    fn dependency_cycle(&self, kind: &'static str, name: &str) -> Option<String> {
        KnownNamespace::new(self.shared, &self.namespace).dependency_cycle(kind, name)
    }
}

/// What can be a target in a namespace: the object of that name, or those that carry one of the labels.
pub fn candidates(
    caches: &Caches,
    namespace: &str,
    kind: TargetKind,
    named: Option<&str>,
    labels: &[(String, String)],
) -> Vec<Arc<Candidate>> {
    let candidates = match kind {
        TargetKind::Deployment => &caches.deployments,
        TargetKind::PodTemplate => &caches.pod_templates,
    };
    match named {
        Some(name) => {
            let key = CacheKey { partition: namespace.to_owned(), name: name.to_owned() };
            candidates.get(&key).map(|cached| cached.object).into_iter().collect()
        }
        None => candidates.filter(namespace, |candidate| candidate.labelled(labels)),
    }
}
