//! What keeps the work queue filled and emptied: for each kind and watched namespace a watch that adds what changed, and
//! one loop that reconciles, each object in a task of its own.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::context::NamespaceContext;
use super::object_key::ObjectKey;
use super::reconciler::{self, Context, Reconcile, urgency};
use super::work_queue::{Urgency, WorkQueue};
use crate::cluster::triggers::{ReconcileTrigger, ReconcileTriggers};
use crate::cluster::watch::{self, WatchContext, WatchNamespace};

/// After which an object is looked at again whose reconcile never said when: a defect of this program.
const AFTER_A_PANIC: Duration = Duration::from_secs(30);

type ReconcileFn = Arc<dyn Fn(ObjectKey) -> BoxFuture<'static, Option<(Duration, Urgency)>> + Send + Sync>;

/// How to reconcile each kind in each watched namespace.
#[derive(Default)]
pub struct Controllers(HashMap<(&'static str, Option<String>), ReconcileFn>);

/// The watch of one kind, to be polled, and a receiver that tells when it has its first listing.
pub struct ControllerWatch {
    pub running: BoxFuture<'static, ()>,
    pub synced: Receiver<bool>,
}

impl Controllers {
    /// Adds the controller of a kind; what its watch and the triggers tell of goes into the queue.
    ///
    /// `caches_synced`: whether everything that its objects depend on has been listed.
    pub fn add<K: Reconcile>(
        &mut self,
        shared: &Arc<NamespaceContext>,
        watches: &WatchContext,
        watch_namespace: &WatchNamespace,
        triggers: &mut ReconcileTriggers,
        mut caches_synced: Receiver<bool>,
    ) -> ControllerWatch {
        let context = Arc::new(Context::<K>::new(shared.clone()));
        K::on_start(&context);
        let reconciling = context.clone();
        self.insert(K::KIND, watch_namespace, move |key| reconciler::reconcile(key, reconciling.clone()).boxed());
        let triggered = shared.clone();
        triggers.subscribe(K::KIND, move |trigger| {
            for (key, urgency) in objects_for_trigger::<K>(trigger, &triggered) {
                triggered.queue.add(key, urgency);
            }
        });
        let (events, synced) = watch::watch_objects::<K>(watches, watch_namespace);
        let path = watch_namespace.api::<K>(&watches.client).resource_url().to_owned();
        let running = async move {
            let (mut events, mut changes) = (pin!(events), Changes::default());
            while let Some(event) = events.next().await {
                if matches!(event, Event::InitDone) && !*caches_synced.borrow() {
                    // Listed beside the rest, and looked at when the rest is known. Until then it is not to speak.
                    context.shared.health.forget_watch(&path);
                    let _ = caches_synced.wait_for(|synced| *synced).await;
                    context.shared.health.expect_watch(&path);
                }
                let concerned = K::on_watch_event(&event, &context.shared);
                let changed = changes.of(&event, &context);
                context.objects.apply_event(event); // before anybody looks
                changed.into_iter().for_each(|(key, urgency)| context.shared.queue.add(key, urgency));
                concerned.into_iter().for_each(|key| context.shared.queue.add(key, Urgency::New));
            }
        };
        ControllerWatch { running: running.boxed(), synced }
    }

    /// Has what is in the queue under this kind reconciled so.
    pub fn insert(
        &mut self,
        kind: &'static str,
        watch_namespace: &WatchNamespace,
        reconcile: impl Fn(ObjectKey) -> BoxFuture<'static, Option<(Duration, Urgency)>> + Send + Sync + 'static,
    ) {
        let watched_namespace = match watch_namespace {
            WatchNamespace::All => None,
            WatchNamespace::Namespace(namespace) => Some(namespace.clone()),
        };
        self.0.insert((kind, watched_namespace), Arc::new(reconcile));
    }

    fn get(&self, key: &ObjectKey) -> Option<&ReconcileFn> {
        self.0.get(&(key.kind, None)).or_else(|| self.0.get(&(key.kind, Some(key.namespace.to_string()))))
    }

    /// Reconciles what comes in the queue until the stop, and then waits for what is under way.
    pub async fn run(self, queue: Arc<WorkQueue>, stop: CancellationToken) {
        let under_way = TaskTracker::new();
        while let Some(key) = stop.run_until_cancelled(queue.next()).await {
            let processing = Processing { key, queue: queue.clone(), again: Some((AFTER_A_PANIC, Urgency::New)) };
            let Some(reconcile) = self.get(&processing.key).cloned() else {
                processing.end(None);
                continue;
            };
            under_way.spawn(async move {
                let again = reconcile(processing.key.clone()).await;
                processing.end(again);
            });
        }
        under_way.close();
        under_way.wait().await;
    }
}

/// An object that has its place in the queue until this is dropped.
struct Processing {
    key: ObjectKey,
    queue: Arc<WorkQueue>,
    again: Option<(Duration, Urgency)>,
}

impl Processing {
    fn end(mut self, again: Option<(Duration, Urgency)>) {
        self.again = again;
    }
}

impl Drop for Processing {
    fn drop(&mut self) {
        self.queue.done(&self.key, self.again);
    }
}

/// The objects that a trigger concerns.
fn objects_for_trigger<K: Reconcile>(
    trigger: ReconcileTrigger,
    context: &NamespaceContext,
) -> Vec<(ObjectKey, Urgency)> {
    let key =
        |namespace: &Arc<str>, name: &str| ObjectKey { kind: K::KIND, namespace: namespace.clone(), name: name.into() };
    match trigger {
        ReconcileTrigger::Object { namespace, name } => vec![(key(&namespace.into(), &name), Urgency::UnderWay)],
        ReconcileTrigger::Targets { namespace, gated } => {
            let names = K::affected_by_targets(&namespace, gated, context);
            let namespace = namespace.into();
            names.iter().map(|name| (key(&namespace, name), Urgency::New)).collect()
        }
    }
}

/// What the events of a watch change. Objects of a listing that are what they were before concern nobody: whatever was
/// to be done about them is done, or waits for its time.
#[derive(Default)]
struct Changes {
    /// Of a listing that is still coming in.
    listed: Vec<Listed>,
}

struct Listed {
    created: Option<k8s_openapi::jiff::Timestamp>,
    key: ObjectKey,
    urgency: Urgency,
}

impl Changes {
    /// What is to be reconciled now; the store has not seen the event yet.
    fn of<K: Reconcile>(
        &mut self,
        event: &Event<DeserializeGuard<K>>,
        context: &Context<K>,
    ) -> Vec<(ObjectKey, Urgency)> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                if !context.objects.has(object) {
                    let created = object.meta().creation_timestamp.as_ref().map(|time| time.0);
                    let urgency = urgency(object.0.as_ref().ok());
                    self.listed.push(Listed { created, key: ObjectKey::of(K::KIND, object), urgency });
                }
                Vec::new()
            }
            Event::InitDone => {
                // In the order of their creation, which the names say nothing about.
                let mut listed = std::mem::take(&mut self.listed);
                listed.sort_by_key(|listed| listed.created);
                listed.into_iter().map(|listed| (listed.key, listed.urgency)).collect()
            }
            Event::Apply(object) => vec![(ObjectKey::of(K::KIND, object), urgency(object.0.as_ref().ok()))],
            Event::Delete(object) => {
                context.own_writes.forget_until(object.meta()); // nobody looks at it again
                vec![(ObjectKey::of(K::KIND, object), urgency(object.0.as_ref().ok()))]
            }
        }
    }
}
