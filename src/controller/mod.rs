//! The running operator: one context for each watched namespace, in it one controller for each kind.

mod background_tasks;
mod backoff;
mod blocked_since;
mod context;
mod controllers;
mod event_reader;
mod fair_queue;
mod gates;
mod helper_namespaces;
mod job_limit;
mod known_jobs;
mod object_key;
mod own_writes;
mod pruning;
mod reconciler;
mod task;
mod work_queue;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::Client;
use kube::runtime::events::Reporter;
use tokio::sync::watch::{Receiver, channel};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::background_tasks::BackgroundTasks;
use self::blocked_since::BlockedSince;
use self::context::NamespaceContext;
use self::controllers::{ControllerWatch, Controllers};
use self::event_reader::EventReader;
use self::gates::Gates;
use self::helper_namespaces::HelperNamespaces;
use self::job_limit::JobLimit;
use self::known_jobs::KnownJobs;
use self::object_key::ObjectKey;
use self::pruning::Pruning;
use self::reconciler::Reconcile;
use self::task::{DependencyGraph, DependencyReaders};
use self::work_queue::{Urgency, WorkQueue};
use crate::cluster::caches::{Caches, Watches};
use crate::cluster::connection::{ConnectError, Connections};
use crate::cluster::events::EventPublisher;
use crate::cluster::health::ApiHealth;
use crate::cluster::lease;
use crate::cluster::open_jobs::OpenJobs;
use crate::cluster::tasks::TaskIndex;
use crate::cluster::triggers::ReconcileTriggers;
use crate::cluster::watch::{self, WatchContext, WatchNamespace};
use crate::metrics::Metrics;
use crate::names;
use crate::server::{self, Health};
use crate::settings::Settings;
use crate::task::Task;
use crate::task::kinds::{self, KindVisitor};

/// How many namespaces' watches share a connection, of which an API server allows it a hundred by default.
const NAMESPACES_OF_A_CONNECTION: usize = 8;
/// How long nothing begins, where the number of Jobs is limited, until all that run are known: a namespace in which Jobs
/// cannot be listed does not hold up the others for ever.
const COUNTING_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the operator ended before it was told to, or did not end when it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no cluster.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The lease cannot be asked for.
    #[error("lease: {0}")]
    Lease(#[from] kube_lease_manager::LeaseManagerError),
    /// Another process took the lease.
    #[error("the lease is lost to another process")]
    LeaseLost,
    /// The HTTP server ended.
    #[error("{address}: {problem}")]
    Server { address: SocketAddr, problem: String },
    /// A part that has to work until the stop ended before.
    #[error("{part} ended: {problem}")]
    Ended { part: String, problem: String },
    /// What was under way took too long to end.
    #[error("work under way did not end in time")]
    StopTimeout,
}

/// Works until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::default());
    let address = settings.metrics_address;
    let api_health = ApiHealth::default();
    let watch_timeout = Duration::from_secs(settings.watch_seconds.into());
    let health = Health::new(api_health.clone(), watch_timeout);
    let mut server =
        tokio::spawn(server::serve(settings.metrics_address, metrics.clone(), health.clone(), stop.clone()));
    let mut connections = Connections::infer(&api_health, watch_timeout).await?;
    let client = connections.client()?;

    let mut lease = None;
    if settings.leader_election {
        health.mark_ready(); // a stand-by is ready to take over
        metrics.set_leading(false);
        let acquired = lease::acquire(client.clone(), &settings.lease_namespace, &settings.identity);
        tokio::select! {
            acquired = acquired => lease = Some(acquired?.ok_or(Error::LeaseLost)?),
            served = &mut server => return Err(server_ended(address, served)),
            () = stop.cancelled() => return Ok(()),
        }
    }
    metrics.set_leading(true);

    if settings.watch_namespace.0.len() > 1 {
        match stop.run_until_cancelled(connections.negotiate()).await {
            Some(negotiated) => negotiated?,
            None => return Ok(()),
        }
    }
    let reporter = Reporter { controller: names::OPERATOR.into(), instance: Some(settings.identity.clone()) };
    let events = Arc::new(EventPublisher::start(client.clone(), reporter));
    let parts =
        Parts { connections, client, api_health, metrics, events: events.clone(), settings: Arc::new(settings) };
    let mut tasks = start_controllers(&parts, &health, &stop)?;
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = lease::lost(&mut lease) => {
            stop.cancel();
            return Err(Error::LeaseLost);
        }
        served = &mut server => {
            stop.cancel();
            return Err(server_ended(address, served));
        }
        ended = tasks.next_end() => {
            stop.cancel();
            return Err(ended);
        }
    }
    info!("stopping");
    tasks.wait().await;
    events.finish().await;
    if let Some(lease) = lease {
        lease::release(lease).await;
    }
    Ok(())
}

/// The HTTP server is there for as long as the process; whatever its end says, it is a failure.
fn server_ended<E: ToString>(address: SocketAddr, end: Result<Result<(), E>, JoinError>) -> Error {
    let end = end.map_err(|error| error.to_string()).and_then(|served| served.map_err(|error| error.to_string()));
    Error::Server { address, problem: end.err().unwrap_or_default() }
}

/// What everything is made of.
struct Parts {
    connections: Connections,
    client: Client,
    api_health: ApiHealth,
    metrics: Arc<Metrics>,
    events: Arc<EventPublisher>,
    settings: Arc<Settings>,
}

/// Starts the watches and controllers of every watched namespace.
fn start_controllers(parts: &Parts, health: &Health, stop: &CancellationToken) -> Result<BackgroundTasks, Error> {
    let Parts { client, settings, .. } = parts;
    let namespaces: Vec<WatchNamespace> = match settings.watch_namespace.0.as_slice() {
        [] => vec![WatchNamespace::All],
        namespaces => namespaces.iter().cloned().map(WatchNamespace::Namespace).collect(),
    };
    let (open_jobs, queue) = (Arc::<OpenJobs>::default(), Arc::<WorkQueue>::default());
    let job_limit =
        JobLimit::new(settings.max_concurrent_jobs, open_jobs.clone(), queue.clone(), parts.api_health.clone());
    let job_limit = Arc::new(job_limit);
    let event_reader = Arc::new(EventReader::new(client.clone(), queue.clone()));
    let (mut caches_listed, mut kinds_listed) = (Vec::new(), Vec::new());
    let mut tasks = BackgroundTasks::default();
    let mut controllers = Controllers::default();
    let mut watches = WatchContext::new(
        parts.connections.watch_client()?,
        parts.api_health.clone(),
        parts.metrics.clone(),
        settings.watch_seconds,
    );
    for (number, watch_namespace) in namespaces.into_iter().enumerate() {
        info!(?watch_namespace, "working in");
        if number > 0 && number % NAMESPACES_OF_A_CONNECTION == 0 {
            watches.client = parts.connections.watch_client()?;
        }
        let context = Arc::new(NamespaceContext {
            client: client.clone(),
            health: parts.api_health.clone(),
            settings: settings.clone(),
            queue: queue.clone(),
            caches: Arc::new(Caches { open_jobs: open_jobs.clone(), ..Caches::default() }),
            tasks: TaskIndex::new(settings.num_old_crs > 0),
            dependencies: DependencyGraph::default(),
            dependency_readers: DependencyReaders::default(),
            known_jobs: KnownJobs::default(),
            blocked_since: BlockedSince::default(),
            helper_namespaces: HelperNamespaces::default(),
            pruning: Pruning::default(),
            job_limit: job_limit.clone(),
            event_reader: event_reader.clone(),
            event_publisher: parts.events.clone(),
            metrics: parts.metrics.clone(),
        });
        let (caches_synced, when_synced) = channel(false);
        let mut adding = AddingControllers {
            controllers: &mut controllers,
            context: &context,
            watches: &watches,
            watch_namespace: &watch_namespace,
            triggers: ReconcileTriggers::default(),
            caches_synced: when_synced,
            added: Vec::new(),
        };
        kinds::visit_kinds(&mut adding);
        let AddingControllers { mut triggers, added, .. } = adding;
        let (gates, gate_queue) = (Arc::new(Gates::new(context.clone())), queue.clone());
        controllers.insert(gates::KIND, &watch_namespace, move |key| {
            let gates = gates.clone();
            async move { gates.reconcile(key).await }.boxed()
        });
        triggers
            .subscribe_gates(move |namespace| gate_queue.add(ObjectKey::new(gates::KIND, namespace, ""), Urgency::New));
        let cached = Watches::new(&watches, &watch_namespace, &context.caches, &Arc::new(triggers));
        for (resource, watch) in cached.futures {
            tasks.spawn_until(stop, format!("the watch of {resource}"), watch);
        }
        caches_listed.extend(cached.synced.iter().cloned());
        for (kind, ControllerWatch { running, synced }) in added {
            kinds_listed.push(synced);
            tasks.spawn_until(stop, format!("the watch of {kind}"), running);
        }
        tokio::spawn(async move {
            watch::synced(cached.synced).await;
            caches_synced.send_replace(true);
        });
    }
    let jobs_counted = watch::synced(caches_listed.clone());
    let (is_limited, stopped) = (settings.max_concurrent_jobs > 0, stop.clone());
    tasks.spawn("the work queue".into(), async move {
        if is_limited {
            let _ = stopped.run_until_cancelled(tokio::time::timeout(COUNTING_TIMEOUT, jobs_counted)).await;
        }
        controllers.run(queue, stopped).await;
    });
    if is_limited {
        tasks.spawn_until(stop, "the limit of Jobs".into(), async move { job_limit.run().await });
    }
    tasks.spawn_until(stop, "the reader of events".into(), async move { event_reader.run().await });
    let health = health.clone();
    tokio::spawn(async move {
        watch::synced(caches_listed).await;
        watch::synced(kinds_listed).await;
        info!("every watch has its first listing");
        health.mark_ready();
    });
    Ok(tasks)
}

/// Adds the controllers of one context: each with its kind, and its watch.
struct AddingControllers<'a> {
    controllers: &'a mut Controllers,
    context: &'a Arc<NamespaceContext>,
    watches: &'a WatchContext,
    watch_namespace: &'a WatchNamespace,
    triggers: ReconcileTriggers,
    caches_synced: Receiver<bool>,
    added: Vec<(&'static str, ControllerWatch)>,
}

impl AddingControllers<'_> {
    fn add<K: Reconcile>(&mut self) {
        let Self { context, watches, watch_namespace, triggers, caches_synced, .. } = self;
        let watch = self.controllers.add::<K>(context, watches, watch_namespace, triggers, caches_synced.clone());
        self.added.push((K::KIND, watch));
    }
}

impl KindVisitor for AddingControllers<'_> {
    fn visit<T: Task>(&mut self) {
        self.add::<T>();
    }
}
