//! What the controllers of one watched namespace share.

use std::sync::Arc;

use kube::Client;
use kube::runtime::events::Recorder;

use super::blocked_since::BlockedSince;
use super::helper_namespaces::HelperNamespaces;
use super::limits::{JobLimit, KnownJobs};
use crate::cluster::health::ApiHealth;
use crate::cluster::tasks::TaskIndex;
use crate::cluster::watch::Caches;
use crate::metrics::Metrics;
use crate::settings::Settings;

/// What the controllers of one watched namespace, or of all, share.
pub struct NamespaceContext {
    pub client: Client,
    pub health: ApiHealth,
    pub settings: Arc<Settings>,
    /// What the watches know.
    pub caches: Arc<Caches>,
    pub tasks: TaskIndex,
    /// Jobs of all namespaces, also those that no watch has yet.
    pub known_jobs: Arc<KnownJobs>,
    /// For how long what blocks an object has done so.
    pub blocked_since: BlockedSince,
    /// Where the helper's ConfigMap is known to be.
    pub helper_namespaces: HelperNamespaces,
    /// How many Jobs may run at once, in all namespaces.
    pub job_limit: Arc<JobLimit>,
    pub recorder: Recorder,
    pub metrics: Arc<Metrics>,
}
