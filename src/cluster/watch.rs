//! The watches beside those of the tasks themselves: Jobs, their pods, and what can be a target.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::pin;
use std::sync::Arc;

use futures::channel::mpsc::UnboundedSender;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::watch::{Receiver, Sender, channel};
use tracing::warn;

use super::cache::{Cache, Change, ObjectKey};
use crate::core::observed::{JobView, PodView};
use crate::metrics::Metrics;
use crate::names;
use crate::task::target::{Candidate, TargetKind, TemplateSummary};

/// Seconds after which the API server ends a watch. Some load balancers drop what is silent for 240.
const WATCH_SECONDS: u32 = 200;

/// What to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileTrigger {
    /// One task.
    Task {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The tasks of a namespace for which a target matters.
    Targets(String),
}

/// Who is to be woken, by kind.
pub type ReconcileTriggers = HashMap<&'static str, UnboundedSender<ReconcileTrigger>>;

/// What the watches know.
#[derive(Default)]
pub struct Caches {
    /// Jobs by namespace and name.
    pub jobs: Cache<JobView>,
    /// Pods by `namespace/job` and name.
    pub pods: Cache<PodView>,
    /// Deployments by namespace and name.
    pub deployments: Cache<Candidate>,
    /// PodTemplates by namespace and name.
    pub pod_templates: Cache<Candidate>,
}

/// The group of a Job's pods.
pub fn pods_of(namespace: &str, job: &str) -> String {
    format!("{namespace}/{job}")
}

/// A Deployment without anything that the choice of a target does not need.
#[derive(Resource, Clone, Debug, Deserialize, Serialize)]
#[resource(inherit = "k8s_openapi::api::apps::v1::Deployment")]
struct DeploymentView {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: DeploymentSpecView,
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
    metadata: ObjectMeta,
    #[serde(default)]
    template: TemplateSummary,
}

/// Which namespaces the watches cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchNamespace {
    /// All.
    All,
    /// This one.
    Namespace(String),
}

impl WatchNamespace {
    /// An API over them.
    pub fn api<K>(&self, client: &Client) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::All => Api::all(client.clone()),
            Self::Namespace(namespace) => Api::namespaced(client.clone(), namespace),
        }
    }
}

/// How every watch is made.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// The watches, to be polled, and receivers that tell when all have their first listing.
pub fn all(
    client: &Client,
    watch_namespace: &WatchNamespace,
    caches: &Arc<Caches>,
    triggers: &ReconcileTriggers,
    metrics: &Arc<Metrics>,
) -> (Vec<BoxFuture<'static, ()>>, Vec<Receiver<bool>>) {
    let ours = || config().labels(&format!("{}={}", names::MANAGED_BY, names::OPERATOR));
    let triggers = || triggers.clone();
    let mut synced = Vec::new();
    let mut synced_sender = || {
        let (sender, receiver) = channel(false);
        synced.push(receiver);
        sender
    };
    let jobs = {
        let (caches, triggers) = (caches.clone(), triggers());
        run_watch(
            watch_namespace.api::<JobView>(client),
            ours(),
            synced_sender(),
            metrics.clone(),
            "jobs",
            move |event| {
                let event = keyed(event, |job: &JobView| object_key(&job.metadata, job.name()));
                for change in caches.jobs.apply_event(event) {
                    trigger_owner(&triggers, change.now.as_ref().or(change.before.as_ref()).map(|job| &job.metadata));
                }
            },
        )
    };
    let pods = {
        let (caches, triggers) = (caches.clone(), triggers());
        run_watch(
            watch_namespace.api::<PodView>(client),
            ours(),
            synced_sender(),
            metrics.clone(),
            "pods",
            move |event| {
                let event = keyed(event, |pod: &PodView| {
                    let job = pod.metadata.owner_references.iter().flatten().next().map_or("", |o| o.name.as_str());
                    let group = pods_of(pod.metadata.namespace.as_deref().unwrap_or_default(), job);
                    ObjectKey { group, name: pod.metadata.name.clone().unwrap_or_default() }
                });
                for change in caches.pods.apply_event(event) {
                    trigger_owner(&triggers, change.now.as_ref().or(change.before.as_ref()).map(|pod| &pod.metadata));
                }
            },
        )
    };
    let deployments = {
        let (caches, triggers) = (caches.clone(), triggers());
        run_watch(
            watch_namespace.api::<DeploymentView>(client),
            config(),
            synced_sender(),
            metrics.clone(),
            "deployments",
            move |event| {
                let event =
                    candidates(event, TargetKind::Deployment, |d: DeploymentView| (d.metadata, d.spec.template));
                trigger_for_targets(&triggers, &caches.deployments.apply_event(event));
            },
        )
    };
    let pod_templates = {
        let (caches, triggers) = (caches.clone(), triggers());
        run_watch(
            watch_namespace.api::<PodTemplateView>(client),
            config(),
            synced_sender(),
            metrics.clone(),
            "podtemplates",
            move |event| {
                let event = candidates(event, TargetKind::PodTemplate, |t: PodTemplateView| (t.metadata, t.template));
                trigger_for_targets(&triggers, &caches.pod_templates.apply_event(event));
            },
        )
    };
    let all: Vec<BoxFuture<'static, ()>> =
        vec![Box::pin(jobs), Box::pin(pods), Box::pin(deployments), Box::pin(pod_templates)];
    (all, synced)
}

/// Follows one watch for ever: errors are counted, told and backed off from, and never end it.
async fn run_watch<K>(
    api: Api<K>,
    config: watcher::Config,
    synced_sender: Sender<bool>,
    metrics: Arc<Metrics>,
    resource: &'static str,
    mut apply_event: impl FnMut(watcher::Event<K>) + Send,
) where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let stream = watcher(api, config)
        .modify(|object| {
            let meta = object.meta_mut();
            meta.managed_fields = None;
            if let Some(annotations) = &mut meta.annotations {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
                annotations.remove(names::TEMPLATE_CHANGES);
            }
        })
        .default_backoff();
    let mut stream = pin!(stream);
    loop {
        match stream.try_next().await {
            Ok(Some(event)) => {
                let whole = matches!(event, watcher::Event::InitDone);
                apply_event(event);
                if whole {
                    synced_sender.send_replace(true);
                }
            }
            Ok(None) => return,
            Err(error) => {
                metrics.watch_error(resource);
                warn!(resource, %error, "watch failed; trying again");
            }
        }
    }
}

fn object_key(meta: &ObjectMeta, name: &str) -> ObjectKey {
    ObjectKey { group: meta.namespace.clone().unwrap_or_default(), name: name.to_owned() }
}

fn keyed<K>(event: watcher::Event<K>, object_key: impl Fn(&K) -> ObjectKey) -> watcher::Event<(ObjectKey, K)> {
    mapped(event, |object| (object_key(&object), object))
}

fn candidates<K>(
    event: watcher::Event<K>,
    kind: TargetKind,
    parts: impl Fn(K) -> (ObjectMeta, TemplateSummary),
) -> watcher::Event<(ObjectKey, Candidate)> {
    mapped(event, |object| {
        let (metadata, mut template) = parts(object);
        if let Some(annotations) = &mut template.metadata.annotations {
            annotations.retain(|name, _| name == names::DEFAULT_CONTAINER);
        }
        let metadata = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            labels: metadata.labels,
            deletion_timestamp: metadata.deletion_timestamp,
            ..ObjectMeta::default()
        };
        let object_key = object_key(&metadata, metadata.name.as_deref().unwrap_or_default());
        (object_key, Candidate { kind, metadata, template })
    })
}

fn mapped<K, V>(event: watcher::Event<K>, map: impl Fn(K) -> V) -> watcher::Event<V> {
    use watcher::Event;
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
    }
}

fn trigger_owner(triggers: &ReconcileTriggers, meta: Option<&ObjectMeta>) {
    let none = BTreeMap::new();
    let Some(meta) = meta else { return };
    let kind = meta.labels.as_ref().unwrap_or(&none).get(names::KIND);
    let name = meta.annotations.as_ref().unwrap_or(&none).get(names::TASK);
    if let (Some(trigger), Some(name)) = (kind.and_then(|kind| triggers.get(kind.as_str())), name) {
        let namespace = meta.namespace.clone().unwrap_or_default();
        // The receiver is gone only while the operator stops.
        let _ = trigger.unbounded_send(ReconcileTrigger::Task { namespace, name: name.clone() });
    }
}

/// Deployments change their status all the time; only what the choice depends on wakes anybody.
fn trigger_for_targets(triggers: &ReconcileTriggers, changes: &[Change<Candidate>]) {
    let print = |candidate: &Option<Arc<Candidate>>| {
        candidate.as_ref().map(|c| {
            let mut hasher = DefaultHasher::new();
            (&c.template, &c.metadata.uid, &c.metadata.labels, c.metadata.deletion_timestamp.is_some())
                .hash(&mut hasher);
            hasher.finish()
        })
    };
    let mut namespaces: Vec<String> = changes
        .iter()
        .filter(|change| print(&change.now) != print(&change.before))
        .filter_map(|change| change.now.as_ref().or(change.before.as_ref())?.metadata.namespace.clone())
        .collect();
    namespaces.sort();
    namespaces.dedup();
    for namespace in namespaces {
        for trigger in triggers.values() {
            let _ = trigger.unbounded_send(ReconcileTrigger::Targets(namespace.clone()));
        }
    }
}

/// Waits until every signal is up.
pub async fn synced(synced: Vec<Receiver<bool>>) {
    let waits = synced.into_iter().map(|mut synced_sender| async move {
        let _ = synced_sender.wait_for(|up| *up).await;
    });
    futures::stream::iter(waits).for_each(|wait| wait).await;
}
