//! The controller of any kind of resource: watch, triggers, time limit, back-off, own writes. It knows nothing of
//! tasks.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, DeserializeGuard, NamespaceResourceScope};
use kube::runtime::watcher::Event;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::{debug, warn};

use super::backoff::{self, Backoff};
use super::context::NamespaceContext;
use super::object_key::ObjectKey;
use super::own_writes::OwnWrites;
use super::work_queue::Urgency;
use crate::cluster::cache::CacheKey;
use crate::cluster::client;
use crate::cluster::lean_object::LeanObject;
use crate::cluster::object_store::{ObjectStore, Summarize};
use crate::core::condition;

/// Longest time for one reconcile: a call that is never answered must not hold an object for ever.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often in a row somebody else may be faster, or what is written to be gone, before it counts as a failure.
const QUICK_RETRIES: usize = 3;
/// How many failures in a row an error that is shown was preceded by; one or two pass by themselves.
const FAILURES_BEFORE_SHOWN: usize = 3;
/// Before such a quick retry, for which the newest version was asked for.
const QUICK_RETRY_DELAY: Duration = Duration::from_millis(10);

/// A kind of resource that the operator reconciles.
pub trait Reconcile:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Summarize
    + Send
    + Sync
    + 'static
{
    const KIND: &'static str;

    /// Does what is to be done now for one object, and says when to look again at the latest.
    fn reconcile(self, context: &Context<Self>) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;

    /// Shows an error that has happened several times in a row, where it keeps the object from going on.
    fn show_error(self, error: &str, context: &Context<Self>) -> impl Future<Output = Result<(), Error>> + Send;

    /// The conditions of an object that this version cannot read.
    fn undecodable(error: &str, generation: i64, now: Timestamp) -> Vec<Condition>;

    /// Whether something has begun that is to be brought to its end. Such objects and those that may begin take turns.
    fn is_under_way(&self) -> bool;

    /// Names of the objects of a namespace that a change of its targets concerns, some of which are, or were, to wait for
    /// migrations.
    fn affected_by_targets(namespace: &str, gated: bool, context: &NamespaceContext) -> BTreeSet<String>;

    /// Is called once, before anything is reconciled.
    fn on_start(_context: &Arc<Context<Self>>) {}

    /// Forgets an object that is gone, is about to be, or cannot be read.
    fn on_gone(_key: &ObjectKey, _context: &NamespaceContext) {}

    /// Sees each event of the kind's watch before the controller does; which other objects it concerns.
    fn on_watch_event(_event: &Event<DeserializeGuard<Self>>, _context: &NamespaceContext) -> Vec<ObjectKey> {
        Vec::new()
    }
}

/// What went wrong in a reconcile; all of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error("{}", client::describe(.0))]
    Call(#[from] kube::Error),
    /// Somebody else wrote a newer version of the object.
    #[error("overtaken by a newer version")]
    Overtaken,
    /// The reconcile took too long, most likely for a call that was not answered.
    #[error("no answer from the API server within {} s", RECONCILE_TIMEOUT.as_secs())]
    Timeout,
    /// A defect of this program.
    #[error("panicked; this is a bug")]
    Panic,
}

impl Error {
    /// Whether somebody else was faster: not a failure, but to be tried again upon the newest version.
    fn is_conflict(&self) -> bool {
        match self {
            Self::Overtaken => true,
            Self::Call(error) => client::is_conflict(error),
            Self::Timeout | Self::Panic => false,
        }
    }

    /// Whether the next attempt, upon the newest version, may well succeed at once.
    fn may_pass_at_once(&self) -> bool {
        // If what is gone is the object itself, its deletion is on its way.
        self.is_conflict() || matches!(self, Self::Call(error) if client::is_not_found(error))
    }

    /// Whether there was no answer at all.
    fn is_unanswered(&self) -> bool {
        matches!(self, Self::Call(kube::Error::Service(_) | kube::Error::HyperError(_)))
    }

    /// What kind of failure it is, for the metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Call(error) => client::category(error),
            Self::Overtaken => "conflict",
            Self::Timeout => "timeout",
            Self::Panic => "panic",
        }
    }
}

/// What the reconciles of one kind share.
pub struct Context<K: Reconcile> {
    pub shared: Arc<NamespaceContext>,
    /// What the watch knows.
    pub objects: ObjectStore<K>,
    /// What this process wrote or asked for beside the watch.
    pub own_writes: OwnWrites<K>,
    backoff: Backoff,
    /// Attempts in a row in which somebody else was faster.
    contended: Backoff,
}

impl<K: Reconcile> Context<K> {
    pub fn new(shared: Arc<NamespaceContext>) -> Self {
        let (backoff, contended) = (Backoff::default(), Backoff::default());
        Self { shared, objects: ObjectStore::default(), own_writes: OwnWrites::default(), backoff, contended }
    }
}

/// Reconciles one object as it is now; nothing that happens in it reaches another. When to look again at the latest.
pub async fn reconcile<K: Reconcile>(key: ObjectKey, context: Arc<Context<K>>) -> Option<(Duration, Urgency)> {
    let place = CacheKey { partition: key.namespace.to_string(), name: key.name.to_string() };
    let Some(object) = context.objects.get(&place) else {
        context.backoff.succeeded(&key);
        context.contended.succeeded(&key);
        K::on_gone(&key, &context.shared);
        return None;
    };
    let again = match attempt(&key, &object, &context).await {
        Ok(again) => again,
        Err(error) => Some(wait_after(&key, &object, &error, &context)),
    }?;
    let latest = object.0.as_ref().ok().map(|object| context.own_writes.latest(object));
    Some((again, urgency(latest.as_ref())))
}

/// How urgent it is to reconcile an object.
pub fn urgency<K: Reconcile>(object: Option<&K>) -> Urgency {
    if object.is_some_and(Reconcile::is_under_way) { Urgency::UnderWay } else { Urgency::New }
}

async fn attempt<K: Reconcile>(
    key: &ObjectKey,
    object: &DeserializeGuard<K>,
    context: &Context<K>,
) -> Result<Option<Duration>, Error> {
    let pause = context.shared.health.pause().map(backoff::spread);
    if let Some(wait) = pause.or_else(|| context.backoff.rest(key, || version(object))) {
        return Ok(Some(wait));
    }
    let started = Instant::now();
    if object.0.as_ref().map_or(true, |object| object.meta().deletion_timestamp.is_some()) {
        K::on_gone(key, &context.shared); // nothing of it begins any more
    }
    let reconciling = AssertUnwindSafe(reconcile_object(object, context)).catch_unwind();
    let result = match tokio::time::timeout(RECONCILE_TIMEOUT, reconciling).await {
        Err(_) => Err(Error::Timeout),
        Ok(Err(_)) => Err(Error::Panic),
        Ok(Ok(result)) => result,
    };
    let label = result.as_ref().map_or_else(Error::category, |_| "ok");
    context.shared.metrics.record_reconcile(K::KIND, label, started.elapsed());
    match (&result, &object.0) {
        (Ok(_), _) => {
            context.backoff.succeeded(key);
            context.contended.succeeded(key);
        }
        (Err(error), _) if error.may_pass_at_once() => {
            let attempts = context.contended.failures(key);
            let wait = context.contended.failed(key, version(object));
            debug!(kind = K::KIND, name = object.name_any(), %error, "trying again at once");
            let quick = backoff::jittered(QUICK_RETRY_DELAY * (1 << (2 * attempts.min(QUICK_RETRIES))));
            return Ok(Some(if attempts < QUICK_RETRIES { quick } else { wait }));
        }
        (Err(error), Ok(object))
            if context.backoff.failures(key) >= FAILURES_BEFORE_SHOWN && context.shared.health.pause().is_none() =>
        {
            let (latest, error) = (context.own_writes.latest(object), error.to_string());
            let showing = AssertUnwindSafe(latest.show_error(&error, context)).catch_unwind();
            // If that fails as well, there is the log, and the next attempt.
            let _ = tokio::time::timeout(RECONCILE_TIMEOUT, showing).await;
        }
        _ => {}
    }
    result
}

/// How long to wait after a failure: longer after each in a row.
fn wait_after<K: Reconcile>(
    key: &ObjectKey,
    object: &DeserializeGuard<K>,
    error: &Error,
    context: &Context<K>,
) -> Duration {
    // While nothing is answered nobody is to be waited for longer: the first answer lets all go on.
    let wait = match error.is_unanswered() && context.shared.health.is_unreachable() {
        true => backoff::spread(context.shared.health.pause().unwrap_or_default()),
        false => context.backoff.failed(key, version(object)),
    };
    warn!(kind = K::KIND, ns = &*key.namespace, name = &*key.name, %error, ?wait, "reconcile failed; trying again");
    wait
}

/// What makes an object worth an attempt before its time: not its status.
fn version(object: &impl Resource) -> u64 {
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    (&meta.uid, meta.generation, &meta.annotations, meta.deletion_timestamp.is_some()).hash(&mut hasher);
    hasher.finish()
}

async fn reconcile_object<K: Reconcile>(
    object: &DeserializeGuard<K>,
    context: &Context<K>,
) -> Result<Option<Duration>, Error> {
    match &object.0 {
        Err(invalid) => show_undecodable::<K>(context, &invalid.metadata, &invalid.error).await,
        Ok(object) if object.meta().deletion_timestamp.is_some() => Ok(None),
        Ok(object) => match context.own_writes.latest(object).reconcile(context).await {
            Err(error) if error.is_conflict() => {
                let api: Api<LeanObject<K>> =
                    Api::namespaced(context.shared.client.clone(), &object.namespace().unwrap_or_default());
                let newest = client::optional(api.get(&object.name_any()).await)?;
                if let Some(newest) = newest.and_then(LeanObject::readable) {
                    context.own_writes.record(&newest);
                }
                Err(error)
            }
            result => result,
        },
    }
}

/// An object that this version cannot read gets a condition of its own, and stops nobody else.
async fn show_undecodable<K: Reconcile>(
    context: &Context<K>,
    meta: &ObjectMeta,
    error: &str,
) -> Result<Option<Duration>, Error> {
    let resource = ApiResource::erase::<K>(&());
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    let generation = meta.generation.unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(context.shared.client.clone(), namespace, &resource);
    let Some(mut object) = client::optional(api.get(name).await)? else { return Ok(None) };
    let conditions = K::undecodable(error, generation, Timestamp::now());
    if !is_current(&object.data["status"]["conditions"], &conditions) {
        object.data["status"]["conditions"] = json!(conditions);
        object.data["status"]["observedGeneration"] = json!(generation);
        api.replace_status(name, &PostParams::default(), &object).await?;
    }
    Ok(None)
}

/// Whether the stored Ready says the same of the same generation already.
fn is_current(stored: &serde_json::Value, conditions: &[Condition]) -> bool {
    let Some(ready) = condition::find(conditions, condition::READY) else { return false };
    let stored = stored.as_array().into_iter().flatten().find(|c| c["type"] == condition::READY);
    stored.is_some_and(|stored| {
        stored["message"].as_str() == Some(&ready.message)
            && stored["observedGeneration"].as_i64() == ready.observed_generation
    })
}
