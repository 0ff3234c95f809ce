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

use super::cache::{Cache, Change, Place};
use crate::metrics::Metrics;
use crate::names;
use crate::task::progress::{JobView, PodView};
use crate::task::target::{Candidate, TargetKind, TemplateSummary};

/// Seconds after which the API server ends a watch. Some load balancers drop what is silent for 240.
const WATCH_SECONDS: u32 = 200;

/// What to look at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
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
pub type Wakers = HashMap<&'static str, UnboundedSender<Wake>>;

/// What the watches of one scope know.
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

/// Which namespaces a scope covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// All.
    All,
    /// This one.
    Namespace(String),
}

impl Reach {
    /// An API over the scope.
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

/// The watches of one scope, to be polled, and a sign that all have their first listing.
pub fn all(
    client: &Client,
    reach: &Reach,
    caches: &Arc<Caches>,
    wakers: &Wakers,
    metrics: &Arc<Metrics>,
) -> (Vec<BoxFuture<'static, ()>>, Vec<Receiver<bool>>) {
    let ours = || config().labels(&format!("{}={}", names::MANAGED_BY, names::OPERATOR));
    let wakers = || wakers.clone();
    let mut signs = Vec::new();
    let mut sign = || {
        let (sender, receiver) = channel(false);
        signs.push(receiver);
        sender
    };
    let jobs = {
        let (caches, wakers) = (caches.clone(), wakers());
        follow(reach.api::<JobView>(client), ours(), sign(), metrics.clone(), "jobs", move |event| {
            let event = placed(event, |job: &JobView| place(&job.metadata, job.name()));
            for change in caches.jobs.take_in(event) {
                wake_owner(&wakers, change.now.as_ref().or(change.before.as_ref()).map(|job| &job.metadata));
            }
        })
    };
    let pods = {
        let (caches, wakers) = (caches.clone(), wakers());
        follow(reach.api::<PodView>(client), ours(), sign(), metrics.clone(), "pods", move |event| {
            let event = placed(event, |pod: &PodView| {
                let job = pod.metadata.owner_references.iter().flatten().next().map_or("", |o| o.name.as_str());
                let group = pods_of(pod.metadata.namespace.as_deref().unwrap_or_default(), job);
                Place { group, name: pod.metadata.name.clone().unwrap_or_default() }
            });
            for change in caches.pods.take_in(event) {
                wake_owner(&wakers, change.now.as_ref().or(change.before.as_ref()).map(|pod| &pod.metadata));
            }
        })
    };
    let deployments = {
        let (caches, wakers) = (caches.clone(), wakers());
        follow(reach.api::<DeploymentView>(client), config(), sign(), metrics.clone(), "deployments", move |event| {
            let event = candidates(event, TargetKind::Deployment, |d: DeploymentView| (d.metadata, d.spec.template));
            wake_for_targets(&wakers, &caches.deployments.take_in(event));
        })
    };
    let pod_templates = {
        let (caches, wakers) = (caches.clone(), wakers());
        follow(reach.api::<PodTemplateView>(client), config(), sign(), metrics.clone(), "podtemplates", move |event| {
            let event = candidates(event, TargetKind::PodTemplate, |t: PodTemplateView| (t.metadata, t.template));
            wake_for_targets(&wakers, &caches.pod_templates.take_in(event));
        })
    };
    let all: Vec<BoxFuture<'static, ()>> =
        vec![Box::pin(jobs), Box::pin(pods), Box::pin(deployments), Box::pin(pod_templates)];
    (all, signs)
}

/// Follows one watch for ever: errors are counted, told and backed off from, and never end it.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    sign: Sender<bool>,
    metrics: Arc<Metrics>,
    resource: &'static str,
    mut take_in: impl FnMut(watcher::Event<K>) + Send,
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
                take_in(event);
                if whole {
                    sign.send_replace(true);
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

fn place(meta: &ObjectMeta, name: &str) -> Place {
    Place { group: meta.namespace.clone().unwrap_or_default(), name: name.to_owned() }
}

fn placed<K>(event: watcher::Event<K>, place: impl Fn(&K) -> Place) -> watcher::Event<(Place, K)> {
    mapped(event, |object| (place(&object), object))
}

fn candidates<K>(
    event: watcher::Event<K>,
    kind: TargetKind,
    parts: impl Fn(K) -> (ObjectMeta, TemplateSummary),
) -> watcher::Event<(Place, Candidate)> {
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
        let place = place(&metadata, metadata.name.as_deref().unwrap_or_default());
        (place, Candidate { kind, metadata, template })
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

fn wake_owner(wakers: &Wakers, meta: Option<&ObjectMeta>) {
    let none = BTreeMap::new();
    let Some(meta) = meta else { return };
    let kind = meta.labels.as_ref().unwrap_or(&none).get(names::KIND);
    let name = meta.annotations.as_ref().unwrap_or(&none).get(names::TASK);
    if let (Some(waker), Some(name)) = (kind.and_then(|kind| wakers.get(kind.as_str())), name) {
        let namespace = meta.namespace.clone().unwrap_or_default();
        // The receiver is gone only while the operator stops.
        let _ = waker.unbounded_send(Wake::Task { namespace, name: name.clone() });
    }
}

/// Deployments change their status all the time; only what the choice depends on wakes anybody.
fn wake_for_targets(wakers: &Wakers, changes: &[Change<Candidate>]) {
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
        for waker in wakers.values() {
            let _ = waker.unbounded_send(Wake::Targets(namespace.clone()));
        }
    }
}

/// Waits until every sign is up.
pub async fn synced(signs: Vec<Receiver<bool>>) {
    let waits = signs.into_iter().map(|mut sign| async move {
        let _ = sign.wait_for(|up| *up).await;
    });
    futures::stream::iter(waits).for_each(|wait| wait).await;
}
