//! What the watches of Jobs, their pods and what can be a target know, and those watches.

use std::fmt::Debug;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch::{Receiver, channel};

use super::cache::{Cache, CacheKey, Change};
use super::gated::GatedTemplates;
use super::job_keys::{job_key, pod_key};
use super::open_jobs::OpenJobs;
use super::open_migrations::OpenMigrations;
use super::started::StartedContainers;
use super::triggers::ReconcileTriggers;
use super::unrecorded::UnrecordedJobs;
use super::watch::{WatchContext, WatchNamespace, map_event};
use crate::core::lean::lean_metadata;
use crate::core::owned_meta::OwnedMeta;
use crate::core::views::{JobObject, JobView, PodObject, PodView};
use crate::names;
use crate::task::gate::asks_for_gate;
use crate::task::target::{Candidate, TargetKind, TemplateSummary};

/// What the watches know.
#[derive(Default)]
pub struct Caches {
    /// Jobs by [`job_key`].
    pub jobs: Cache<JobView>,
    /// Jobs that were there, and may have vanished before anybody wrote that down.
    pub unrecorded_jobs: UnrecordedJobs,
    /// What ran in pods that are gone.
    pub started_containers: StartedContainers,
    /// Jobs of all watched namespaces that have not ended.
    pub open_jobs: Arc<OpenJobs>,
    /// The migrations among them.
    pub open_migrations: OpenMigrations,
    /// Pods by `namespace/job` and name.
    pub pods: Cache<PodView>,
    /// Deployments by namespace and name.
    pub deployments: Cache<Candidate>,
    /// PodTemplates by namespace and name.
    pub pod_templates: Cache<Candidate>,
    /// Those of both that say something of the gate.
    pub gated: GatedTemplates,
}

/// The watches of one namespace, or of all, that fill its caches: to be polled.
pub struct Watches {
    /// Each runs for ever; with the resource that it watches.
    pub futures: Vec<(String, BoxFuture<'static, ()>)>,
    /// Tell when each has its first listing.
    pub synced: Vec<Receiver<bool>>,
}

impl Watches {
    /// Of everything that tasks depend on. What changes triggers the tasks that it concerns.
    pub fn new(
        context: &WatchContext,
        watch_namespace: &WatchNamespace,
        caches: &Arc<Caches>,
        triggers: &Arc<ReconcileTriggers>,
    ) -> Self {
        let mut watches = Self { futures: Vec::new(), synced: Vec::new() };
        let client = &context.client;
        let managed_by_operator = context.config().labels(&format!("{}={}", names::MANAGED_BY_LABEL, names::OPERATOR));
        let api = watch_namespace.api::<JobObject>(client);
        watches.add(context, api, managed_by_operator.clone(), {
            let (caches, triggers) = (caches.clone(), triggers.clone());
            move |event| {
                let keyed = map_event(event, |job: JobObject| {
                    let job = JobView::from(job);
                    (job_key(&job), job)
                });
                for change in caches.jobs.apply_event(keyed) {
                    if let Change { now: None, before: Some(gone) } = &change {
                        caches.unrecorded_jobs.record_gone(gone);
                    }
                    caches.open_jobs.apply_change(&change);
                    caches.open_migrations.apply_change(&change);
                    trigger_owner(&triggers, &change, |job| &job.meta);
                }
            }
        });
        let api = watch_namespace.api::<PodObject>(client);
        watches.add(context, api, managed_by_operator, {
            let (caches, triggers) = (caches.clone(), triggers.clone());
            move |event| {
                let keyed = map_event(event, |pod: PodObject| {
                    let pod = PodView::from(pod);
                    (pod_key(&pod), pod)
                });
                for change in caches.pods.apply_event(keyed) {
                    if let Change { now: None, before: Some(gone) } = &change {
                        caches.started_containers.record_gone(gone);
                    }
                    trigger_owner(&triggers, &change, |pod| &pod.meta);
                }
            }
        });
        let api = watch_namespace.api::<DeploymentView>(client);
        watches.add(context, api, context.config(), {
            let (caches, triggers) = (caches.clone(), triggers.clone());
            move |event| {
                let keyed = map_event(event, |deployment: DeploymentView| {
                    let has_unavailable_replicas =
                        deployment.status.unavailable_replicas.is_some_and(|count| count > 0);
                    candidate(
                        TargetKind::Deployment,
                        deployment.metadata,
                        deployment.spec.template,
                        has_unavailable_replicas,
                    )
                });
                let changes = caches.deployments.apply_event(keyed);
                changes.iter().for_each(|change| caches.gated.apply_change(change));
                triggers.trigger_targets(&changes);
            }
        });
        let api = watch_namespace.api::<PodTemplateView>(client);
        watches.add(context, api, context.config(), {
            let (caches, triggers) = (caches.clone(), triggers.clone());
            move |event| {
                let keyed = map_event(event, |pod_template: PodTemplateView| {
                    candidate(TargetKind::PodTemplate, pod_template.metadata, pod_template.template, false)
                });
                let changes = caches.pod_templates.apply_event(keyed);
                changes.iter().for_each(|change| caches.gated.apply_change(change));
                triggers.trigger_targets(&changes);
            }
        });
        watches
    }

    fn add<K>(
        &mut self,
        context: &WatchContext,
        api: Api<K>,
        config: watcher::Config,
        mut apply: impl FnMut(Event<K>) + Send + 'static,
    ) where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let (listed, synced) = channel(false);
        let running = context.watch(api, config).for_each(move |event| {
            let initial_list_done = matches!(event, Event::InitDone);
            apply(event);
            if initial_list_done {
                listed.send_replace(true);
            }
            std::future::ready(())
        });
        self.futures.push((K::plural(&()).into_owned(), running.boxed()));
        self.synced.push(synced);
    }
}

fn candidate(
    kind: TargetKind,
    metadata: ObjectMeta,
    mut template: TemplateSummary,
    has_unavailable_replicas: bool,
) -> (CacheKey, Candidate) {
    if let Some(annotations) = &mut template.metadata.annotations {
        annotations.retain(|name, _| name == names::DEFAULT_CONTAINER_ANNOTATION || name.starts_with(names::PREFIX));
    }
    if !asks_for_gate(template.metadata.annotations.as_ref()) {
        template.spec.init_containers = None;
    }
    let own = metadata.annotations.into_iter().flatten().filter(|(name, _)| name.starts_with(names::PREFIX));
    let metadata = ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        labels: metadata.labels,
        annotations: Some(own.collect()),
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    };
    (CacheKey::of(&metadata), Candidate { kind, metadata, template, has_unavailable_replicas })
}

/// Has the task of a Job or pod reconciled, unless a new listing only repeats what was known.
fn trigger_owner<V>(triggers: &ReconcileTriggers, change: &Change<V>, meta: fn(&V) -> &OwnedMeta) {
    let (now, before) = (change.now.as_deref().map(meta), change.before.as_deref().map(meta));
    if now.map(|meta| meta.version) != before.map(|meta| meta.version) {
        now.or(before).into_iter().for_each(|meta| triggers.trigger_owner(meta));
    }
}

/// A Deployment without anything that the choice of a target does not need.
#[derive(Resource, Clone, Debug, Deserialize, Serialize)]
#[resource(inherit = "k8s_openapi::api::apps::v1::Deployment")]
struct DeploymentView {
    #[serde(deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: DeploymentSpecView,
    #[serde(default)]
    status: DeploymentStatusView,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeploymentStatusView {
    #[serde(default)]
    unavailable_replicas: Option<i32>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct DeploymentSpecView {
    #[serde(default)]
    template: TemplateSummary,
}

/// The same of a PodTemplate.
#[derive(Resource, Clone, Debug, Deserialize, Serialize)]
#[resource(inherit = "k8s_openapi::api::core::v1::PodTemplate")]
struct PodTemplateView {
    #[serde(deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    template: TemplateSummary,
}
