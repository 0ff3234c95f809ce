//! The running operator: the only place that spawns. One watched namespace a watched namespace, one controller a kind.

mod reconcile;
mod retention;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use kube::core::DeserializeGuard;
use kube::runtime::controller;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, reflector, watcher};
use kube::{Client, Config, ResourceExt};
use tokio::sync::watch::{Sender, channel as watch_channel};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::RunPolicy;
use crate::cluster::lease;
use crate::cluster::watch::{self, Caches, ReconcileTrigger, ReconcileTriggers, WatchNamespace};
use crate::core::condition;
use crate::core::observed::JobView;
use crate::metrics::Metrics;
use crate::names;
use crate::server::{self, Readiness};
use crate::settings::Settings;
use crate::task::Task;
use crate::task::kinds::{self, ForEachKind};

/// How many tasks of one kind are worked on at once.
const CONCURRENCY: u16 = 64;
/// How long giving back the lease may take.
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a Job that was just created counts as existing though no watch has brought it.
const OWN_WRITE_TTL: Duration = Duration::from_secs(30);

/// Jobs of all scopes, as far as their number and their novelty matter.
struct Jobs {
    limit: usize,
    caches: Vec<Arc<Caches>>,
    /// Jobs that this process just created: the watch may be behind.
    fresh: Mutex<HashMap<(String, String), (Instant, JobView)>>,
    /// How many Jobs are being created just now.
    starting: Mutex<usize>,
}

impl Jobs {
    fn seen(&self, namespace: &str, name: &str) -> bool {
        self.caches.iter().any(|caches| caches.jobs.get(namespace, name).is_some())
    }

    /// Leave to start one Job, unless as many run as the settings allow. Kept until the Job is known.
    fn permit(&self) -> Option<JobPermit<'_>> {
        let mut starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner);
        if self.limit > 0 {
            let fresh = self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
            let unseen = fresh.keys().filter(|(namespace, name)| !self.seen(namespace, name)).count();
            let running: usize = self.caches.iter().map(|c| c.jobs.count(|job| job.end().is_none())).sum();
            if running + unseen + *starting >= self.limit {
                return None;
            }
        }
        *starting += 1;
        Some(JobPermit(&self.starting))
    }
}

/// What the tasks of one watched namespace share.
pub struct NamespaceContext {
    client: Client,
    settings: Arc<Settings>,
    caches: Arc<Caches>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    jobs: Arc<Jobs>,
    /// Failures in a row, by object.
    failures: Mutex<HashMap<String, usize>>,
}

impl NamespaceContext {
    /// The Job, if a watch or this process knows it.
    fn job(&self, namespace: &str, name: &str) -> Option<JobView> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut fresh = self.jobs.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = self.caches.jobs.get(namespace, name) {
            fresh.remove(&key);
            return Some((*job).clone());
        }
        fresh.retain(|_, (since, _)| since.elapsed() < OWN_WRITE_TTL);
        fresh.get(&key).map(|(_, job)| job.clone())
    }

    fn remember(&self, namespace: &str, job: &JobView) {
        let mut fresh = self.jobs.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.insert((namespace.to_owned(), job.name().to_owned()), (Instant::now(), job.clone()));
    }

    fn forget(&self, namespace: &str, name: &str) {
        let mut fresh = self.jobs.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        fresh.remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Counts a failure and says how long to wait before the next attempt.
    fn next_delay(&self, key: &str) -> Duration {
        use backon::BackoffBuilder;
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(key.to_owned()).or_default();
        *count += 1;
        let delays = backon::ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(60))
            .with_factor(2.0)
            .with_max_times(*count)
            .build();
        delays.last().unwrap_or(Duration::from_secs(60))
    }

    fn reset_failures(&self, key: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Leave to start one Job.
struct JobPermit<'a>(&'a Mutex<usize>);

impl Drop for JobPermit<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// A watched namespace, and the tasks of one kind in it.
struct Context<T: Task> {
    shared: Arc<NamespaceContext>,
    tasks: Store<DeserializeGuard<T>>,
    own_writes: Mutex<HashMap<String, OwnWrite<T>>>,
}

/// What this process last wrote of a task, and the versions that it replaced.
struct OwnWrite<T> {
    replaced: Vec<String>,
    task: T,
    since: Instant,
}

impl<T: Task> Context<T> {
    /// The task as this process knows it: as it wrote it, where the watch still brings what it replaced.
    fn latest(&self, seen: &T) -> T {
        let mut own_writes = self.own_writes.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = seen.uid().unwrap_or_default();
        match (own_writes.get(&uid), seen.resource_version()) {
            (Some(own), Some(version)) if own.replaced.contains(&version) => own.task.clone(),
            _ => {
                own_writes.remove(&uid);
                seen.clone()
            }
        }
    }

    fn record_write(&self, replaced: Option<String>, task: &T) {
        let mut own_writes = self.own_writes.lock().unwrap_or_else(PoisonError::into_inner);
        own_writes.retain(|_, own| own.since.elapsed() < OWN_WRITE_TTL);
        let own = own_writes.entry(task.uid().unwrap_or_default()).or_insert_with(|| OwnWrite {
            replaced: Vec::new(),
            task: task.clone(),
            since: Instant::now(),
        });
        own.replaced.extend(replaced);
        own.task = task.clone();
    }
}

/// Why the operator ended before it was told to, or did not end when it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no configuration for a cluster.
    #[error("no cluster to talk to: {0}")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// The configuration cannot be used.
    #[error("no client for the cluster: {0}")]
    NoClient(kube::Error),
    /// The lease cannot be asked for.
    #[error("lease: {0}")]
    Lease(#[from] kube_lease_manager::LeaseManagerError),
    /// Another process took the lease.
    #[error("the lease is lost to another process")]
    LeaseLost,
    /// The HTTP server ended.
    #[error("{address}: {problem}")]
    Server {
        /// Where it served.
        address: std::net::SocketAddr,
        /// What went wrong.
        problem: String,
    },
    /// What was under way took too long to end.
    #[error("work under way did not end in time")]
    StopTimeout,
}

/// Works until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::default());
    let ready = Readiness::default();
    let server = tokio::spawn(server::serve(settings.metrics_address, metrics.clone(), ready.clone(), stop.clone()));

    let mut config = Config::infer().await?;
    config.default_retry = false; // every reconcile is tried again, with a back-off that it can be seen in
    let client = Client::try_from(config).map_err(Error::NoClient)?;

    let mut leading = None;
    if settings.leader_election {
        ready.set(); // a stand-by is ready to take over
        metrics.leading(false);
        let lease = lease::acquire(client.clone(), &settings.lease_namespace, &settings.identity);
        tokio::select! {
            lease = lease => leading = Some(lease?),
            () = stop.cancelled() => return Ok(()),
        }
    }
    metrics.leading(true);

    let namespaces = settings.watch_namespace.0.clone();
    let namespaces_watched = match namespaces.is_empty() {
        true => vec![WatchNamespace::All],
        false => namespaces.into_iter().map(WatchNamespace::Namespace).collect(),
    };
    let settings = Arc::new(settings);
    let reporter = Reporter { controller: names::OPERATOR.into(), instance: Some(settings.identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (mut synced_all, mut controllers) = (Vec::new(), Vec::new());
    let caches: Vec<Arc<Caches>> = namespaces_watched.iter().map(|_| Arc::default()).collect();
    let jobs = Arc::new(Jobs {
        limit: settings.max_concurrent_jobs,
        caches: caches.clone(),
        fresh: Mutex::default(),
        starting: Mutex::default(),
    });
    for (watch_namespace, caches) in namespaces_watched.into_iter().zip(caches) {
        info!(?watch_namespace, "working in");
        let shared = Arc::new(NamespaceContext {
            client: client.clone(),
            settings: settings.clone(),
            caches,
            recorder: recorder.clone(),
            metrics: metrics.clone(),
            jobs: jobs.clone(),
            failures: Mutex::default(),
        });
        let mut starters = Starters::default();
        kinds::for_each(&mut starters);
        let Starters { triggers, controllers: mut starters } = starters;
        let (watches, synced) = watch::all(&client, &watch_namespace, &shared.caches, &triggers, &metrics);
        for watch in watches {
            tokio::spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        synced_all.extend(synced.iter().cloned());
        for starter in starters.drain(..) {
            let (listed, synced_one) = watch_channel(false);
            synced_all.push(synced_one);
            let running = starter(shared.clone(), watch_namespace.clone(), stop.clone(), listed);
            let synced = synced.clone();
            controllers.push(async move {
                watch::synced(synced).await;
                running.await;
            });
        }
    }
    tokio::spawn(async move {
        watch::synced(synced_all).await;
        info!("every watch has its first listing");
        ready.set();
    });

    let controllers = tokio::spawn(join_all(controllers));
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = lease_lost(&mut leading) => {
            stop.cancel();
            return Err(Error::LeaseLost);
        }
        served = server => {
            stop.cancel();
            let error = served.map_err(|e| e.to_string()).and_then(|s| s.map_err(|e| e.to_string()));
            let problem = error.err().unwrap_or_default();
            return Err(Error::Server { address: settings.metrics_address, problem });
        }
    }
    info!("stopping");
    let _ = controllers.await;
    if let Some((leading, lease)) = leading {
        drop(leading); // gives the lease back, so that a stand-by need not wait for its end
        let _ = tokio::time::timeout(LEASE_RELEASE_TIMEOUT, lease).await;
    }
    Ok(())
}

/// Ends when another process has the lease.
async fn lease_lost(leading: &mut Option<lease::LeaseHandle>) {
    match leading {
        None => std::future::pending().await,
        Some((leading, _)) => {
            let _ = leading.wait_for(|leads| !leads).await;
        }
    }
}

type ControllerStarter = Box<
    dyn FnOnce(Arc<NamespaceContext>, WatchNamespace, CancellationToken, Sender<bool>) -> BoxFuture<'static, ()> + Send,
>;

#[derive(Default)]
struct Starters {
    triggers: ReconcileTriggers,
    controllers: Vec<ControllerStarter>,
}

impl ForEachKind for Starters {
    fn kind<T: Task>(&mut self) {
        self.controllers.push(controller_starter::<T>(&mut self.triggers));
    }
}

/// Makes room for a kind among the triggers; the rest follows when the watched namespace is there.
fn controller_starter<T: Task>(triggers: &mut ReconcileTriggers) -> ControllerStarter {
    let (trigger, triggered) = unbounded();
    triggers.insert(T::KIND, trigger);
    Box::new(move |shared, watch_namespace, stop, listed| {
        run_controller::<T>(shared, watch_namespace, triggered, stop, listed).boxed()
    })
}

/// One kind's controller.
async fn run_controller<T: Task>(
    shared: Arc<NamespaceContext>,
    watch_namespace: WatchNamespace,
    triggered: UnboundedReceiver<ReconcileTrigger>,
    stop: CancellationToken,
    listed: Sender<bool>,
) {
    // The store's own `wait_until_ready` wakes only one waiter, which has to be the controller.
    let (tasks, writer) = reflector::store();
    let changed = watcher(watch_namespace.api::<DeserializeGuard<T>>(&shared.client), watch::config())
        .default_backoff()
        .reflect(writer)
        .inspect(move |event| {
            if matches!(event, Ok(watcher::Event::InitDone)) {
                listed.send_replace(true);
            }
        })
        .applied_objects();
    let controller = Controller::for_stream(changed, tasks.clone())
        .with_config(controller::Config::default().concurrency(CONCURRENCY));
    let trigger = {
        let tasks = tasks.clone();
        triggered.flat_map(move |trigger| futures::stream::iter(tasks_for_trigger(&trigger, &tasks)))
    };
    let metrics = shared.metrics.clone();
    let context = Arc::new(Context { shared, tasks, own_writes: Mutex::default() });
    controller
        .reconcile_on(trigger)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile::<T>, reconcile::error_policy::<T>, context)
        .for_each(|result| {
            if let Err(error @ controller::Error::QueueError(_)) = result {
                metrics.watch_error(T::KIND);
                warn!(kind = T::KIND, %error, "watch failed; trying again");
            }
            std::future::ready(())
        })
        .await;
}

/// The tasks that a trigger is about.
fn tasks_for_trigger<T: Task>(
    trigger: &ReconcileTrigger,
    tasks: &Store<DeserializeGuard<T>>,
) -> Vec<ObjectRef<DeserializeGuard<T>>> {
    match trigger {
        ReconcileTrigger::Task { namespace, name } => vec![ObjectRef::new(name).within(namespace)],
        ReconcileTrigger::Targets(changed) => tasks
            .state()
            .iter()
            .filter(|task| task.namespace().as_deref() == Some(changed))
            .filter(|task| {
                task.0.as_ref().is_ok_and(|task| {
                    let ready = condition::is_true(&task.status().conditions, condition::READY);
                    !ready || task.policy().run_policy == RunPolicy::OnImageChange
                })
            })
            .map(|task| ObjectRef::from_obj(task.as_ref()))
            .collect(),
    }
}
