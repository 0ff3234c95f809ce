//! Watches that go on whatever happens to them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::core::{DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch::{Receiver, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use super::health::ApiHealth;
use super::lean_object::LeanObject;
use crate::core::lean::version;
use crate::core::text::one_line;
use crate::metrics::Metrics;

/// How many objects a page of a listing has: several kinds are listed at once, and a page is in memory as text and as
/// objects.
const PAGE_SIZE: u32 = 250;

/// Which namespaces the watches cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchNamespace {
    All,
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

/// What every watch needs.
#[derive(Clone)]
pub struct WatchContext {
    pub client: Client,
    pub health: ApiHealth,
    pub metrics: Arc<Metrics>,
    /// Seconds after which the API server ends a watch, which is then begun anew.
    seconds: u32,
    /// Those that may list now.
    listing: Arc<Semaphore>,
}

impl WatchContext {
    pub fn new(client: Client, health: ApiHealth, metrics: Arc<Metrics>, seconds: u32) -> Self {
        Self { client, health, metrics, seconds, listing: Arc::new(Semaphore::new(LISTINGS)) }
    }

    pub(super) fn config(&self) -> watcher::Config {
        watcher::Config::default().timeout(self.seconds).page_size(PAGE_SIZE)
    }

    /// Watches for ever: an error is counted, logged and backed off from, and never ends the stream.
    pub(super) fn watch<K>(&self, api: Api<K>, config: watcher::Config) -> impl Stream<Item = Event<K>> + Send + use<K>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    {
        let watch = EndlessWatch {
            api,
            config,
            health: self.health.clone(),
            metrics: self.metrics.clone(),
            may_list: self.listing.clone(),
            listing: None,
            events: None,
            order: EventOrder::default(),
            delays: Delays::new(),
        };
        futures::stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) })
    }
}

/// A watch that begins anew whatever happens to it.
struct EndlessWatch<K: Clone + Debug + Send + 'static> {
    api: Api<K>,
    config: watcher::Config,
    health: ApiHealth,
    metrics: Arc<Metrics>,
    may_list: Arc<Semaphore>,
    /// While it lists.
    listing: Option<OwnedSemaphorePermit>,
    /// None: to be begun with a new listing.
    events: Option<BoxStream<'static, watcher::Result<Event<K>>>>,
    order: EventOrder,
    delays: Delays,
}

impl<K> EndlessWatch<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    async fn next(&mut self) -> Option<Event<K>> {
        loop {
            if self.events.is_none() {
                self.health.expect_watch(self.api.resource_url());
            }
            let events = self.events.get_or_insert_with(|| watcher(self.api.clone(), self.config.clone()).boxed());
            let (error, list_again) = match events.next().await? {
                Ok(event) if self.order.accepts(&event) => {
                    match event {
                        // Before it lists, for the first time or again.
                        Event::Init if self.listing.is_none() => {
                            self.listing = self.may_list.clone().acquire_owned().await.ok();
                        }
                        Event::InitDone => self.listing = None,
                        _ => {}
                    }
                    return Some(event);
                }
                // Who repeats what is old may also have left something out, and would go on from there.
                Ok(_) => ("an event is older than one before it".to_owned(), true),
                Err(error) => (one_line(&error.to_string()), must_list_again(&error)),
            };
            let resource = K::plural(&());
            self.metrics.record_watch_error(&resource);
            warn!(%resource, error, "watch failed; trying again");
            self.listing = None;
            if list_again {
                self.events = None;
            }
            tokio::time::sleep(self.delays.next().max(self.health.pause().unwrap_or_default())).await;
        }
    }
}

/// The order of a watch's events. Each has a higher version than those before it; one that is older would be believed
/// until something else happens to its object.
#[derive(Default)]
struct EventOrder {
    /// Of the last listing and since.
    latest: u64,
}

impl EventOrder {
    /// Whether the event is no older than those before it.
    fn accepts<K: Resource>(&mut self, event: &Event<K>) -> bool {
        let (object, listed) = match event {
            Event::Init => {
                self.latest = 0; // whatever a new listing says is so
                return true;
            }
            Event::InitDone => return true,
            Event::InitApply(object) => (object, true),
            Event::Apply(object) | Event::Delete(object) => (object, false),
        };
        let Some(version) = version(object.meta()) else { return true };
        let in_order = listed || version >= self.latest;
        self.latest = self.latest.max(version);
        in_order
    }
}

/// How many watches list at once: more would be answered that there are too many.
const LISTINGS: usize = 16;
/// How long a failed watch waits. The limit is low, as there are few watches, and all work waits for them.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(200))
    .with_max_delay(MAX_DELAY)
    .with_factor(2.0)
    .without_max_times()
    .with_jitter();
const MAX_DELAY: Duration = Duration::from_secs(3);
/// After how long without an error the next is the first again. An event says little: a new listing begins with one.
const QUIET_TIME: Duration = Duration::from_secs(60);

/// How long a watch waits after each error.
struct Delays {
    delays: backon::ExponentialBackoff,
    last_error: Instant,
}

impl Delays {
    fn new() -> Self {
        Self { delays: BACKOFF.build(), last_error: Instant::now() }
    }

    fn next(&mut self) -> Duration {
        if self.last_error.elapsed() > QUIET_TIME {
            self.delays = BACKOFF.build();
        }
        self.last_error = Instant::now();
        self.delays.next().unwrap_or(MAX_DELAY)
    }
}

/// Whether a watch cannot begin at the version that it asks for. The watcher itself would ask for the same for ever.
fn must_list_again(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            status.code == 410 || status.message.contains("Too large resource version")
        }
        _ => false,
    }
}

/// The stream of the objects of a kind that has a controller, and a receiver that tells when it has its first listing.
pub fn watch_objects<K>(
    context: &WatchContext,
    watch_namespace: &WatchNamespace,
) -> (impl Stream<Item = Event<DeserializeGuard<K>>> + Send + use<K>, Receiver<bool>)
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let (listed, synced) = channel(false);
    let stream = context.watch(watch_namespace.api::<LeanObject<K>>(&context.client), context.config());
    let stream = stream.map(move |event| {
        if matches!(event, Event::InitDone) {
            listed.send_replace(true);
        }
        map_event(event, |LeanObject(object)| object)
    });
    (stream, synced)
}

/// An event of something made of the objects.
pub fn map_event<K, V>(event: Event<K>, map: impl Fn(K) -> V) -> Event<V> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(map(object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(map(object)),
        Event::Delete(object) => Event::Delete(map(object)),
    }
}

/// Waits until every watch has its first listing.
pub async fn synced(receivers: Vec<Receiver<bool>>) {
    let waits = receivers.into_iter().map(|mut receiver| async move {
        let _ = receiver.wait_for(|synced| *synced).await;
    });
    futures::stream::iter(waits).for_each(|wait| wait).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.resource_version = Some(version.into());
        object
    }

    #[test]
    fn an_event_that_is_older_than_one_before_it_is_none() {
        let mut order = EventOrder::default();
        let mut accepts = |event| order.accepts(&event);
        let apply = |version| Event::Apply(object(version));
        for event in [Event::Init, Event::InitApply(object("9")), Event::InitApply(object("7")), Event::InitDone] {
            assert!(accepts(event), "a listing has its objects in any order");
        }
        assert!(!accepts(apply("8")), "the listing has something newer");
        assert!(accepts(apply("11")));
        assert!(accepts(apply("11")), "told twice");
        assert!(!accepts(apply("9")) && !accepts(Event::Delete(object("10"))));
        assert!(accepts(Event::Delete(object("12"))));
        assert!(!accepts(apply("11")), "it is gone");
        assert!(accepts(apply("100")) && !accepts(apply("99")), "by number");
        assert!(accepts(apply("unknown")));
        assert!(accepts(Event::Init) && accepts(apply("3")), "a new listing begins anew");
    }
}
