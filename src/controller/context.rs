//! What the controllers of one watched namespace share.

use std::sync::Arc;

use kube::Client;

use super::blocked_since::BlockedSince;
use super::event_reader::EventReader;
use super::helper_namespaces::HelperNamespaces;
use super::job_limit::JobLimit;
use super::known_jobs::KnownJobs;
use super::pruning::Pruning;
use super::task::{DependencyGraph, DependencyReaders};
use super::work_queue::WorkQueue;
use crate::cluster::caches::Caches;
use crate::cluster::events::EventPublisher;
use crate::cluster::health::ApiHealth;
use crate::cluster::tasks::TaskIndex;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What the controllers of one watched namespace, or of all, share.
pub struct NamespaceContext {
    pub client: Client,
    pub health: ApiHealth,
    pub settings: Arc<Settings>,
    /// What waits to be reconciled, of all namespaces.
    pub queue: Arc<WorkQueue>,
    /// What the watches know.
    pub caches: Arc<Caches>,
    pub tasks: TaskIndex,
    /// Which tasks wait for which.
    pub dependencies: DependencyGraph,
    /// How they stand.
    pub dependency_readers: DependencyReaders,
    /// Jobs, also those that the watch does not have yet.
    pub known_jobs: KnownJobs,
    /// For how long what blocks an object has done so.
    pub blocked_since: BlockedSince,
    /// Where the helper's ConfigMap is known to be.
    pub helper_namespaces: HelperNamespaces,
    /// Jobs and tasks that are being thrown away.
    pub pruning: Pruning,
    /// How many Jobs may run at once, in all namespaces.
    pub job_limit: Arc<JobLimit>,
    pub event_reader: Arc<EventReader>,
    pub event_publisher: Arc<EventPublisher>,
    pub metrics: Arc<Metrics>,
}
