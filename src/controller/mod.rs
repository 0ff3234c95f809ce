//! The running operator: one context for each watched namespace, in it one controller for each kind.

mod background_tasks;
mod backoff;
mod blocked_since;
mod context;
mod helper_namespaces;
mod limits;
mod own_writes;
mod reconciler;
mod task;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::watch::Receiver;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::background_tasks::BackgroundTasks;
use self::blocked_since::BlockedSince;
use self::context::NamespaceContext;
use self::helper_namespaces::HelperNamespaces;
use self::limits::{JobLimit, KnownJobs};
use self::reconciler::Reconcile;
use crate::cluster::client::{self, ConnectError};
use crate::cluster::health::ApiHealth;
use crate::cluster::lease;
use crate::cluster::tasks::TaskIndex;
use crate::cluster::triggers::ReconcileTriggers;
use crate::cluster::watch::{self, Caches, WatchContext, WatchNamespace, Watches};
use crate::metrics::Metrics;
use crate::names;
use crate::server::{self, Health};
use crate::settings::Settings;
use crate::task::Task;
use crate::task::kinds::{self, KindVisitor};

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
    let client = client::connect(&api_health, watch_timeout).await?;

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

    let watches =
        WatchContext { client, health: api_health, metrics: metrics.clone(), seconds: settings.watch_seconds };
    let mut tasks = start_controllers(&watches, settings, &health, &stop);
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

/// Starts the watches and controllers of every watched namespace.
fn start_controllers(
    watches: &WatchContext,
    settings: Settings,
    health: &Health,
    stop: &CancellationToken,
) -> BackgroundTasks {
    let WatchContext { client, metrics, .. } = watches;
    let namespaces: Vec<WatchNamespace> = match settings.watch_namespace.0.as_slice() {
        [] => vec![WatchNamespace::All],
        namespaces => namespaces.iter().cloned().map(WatchNamespace::Namespace).collect(),
    };
    let reporter = Reporter { controller: names::OPERATOR.into(), instance: Some(settings.identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let caches: Vec<Arc<Caches>> = namespaces.iter().map(|_| Arc::default()).collect();
    let known_jobs = Arc::new(KnownJobs::new(caches.clone()));
    let job_limit = Arc::new(JobLimit::new(settings.max_concurrent_jobs));
    let settings = Arc::new(settings);
    let (mut all_synced, mut tasks) = (Vec::new(), BackgroundTasks::default());
    for (watch_namespace, caches) in namespaces.into_iter().zip(caches) {
        info!(?watch_namespace, "working in");
        let context = Arc::new(NamespaceContext {
            client: client.clone(),
            health: watches.health.clone(),
            settings: settings.clone(),
            caches,
            tasks: TaskIndex::default(),
            known_jobs: known_jobs.clone(),
            blocked_since: BlockedSince::default(),
            helper_namespaces: HelperNamespaces::default(),
            job_limit: job_limit.clone(),
            recorder: recorder.clone(),
            metrics: metrics.clone(),
        });
        let mut starting = StartingControllers {
            context: &context,
            watches,
            watch_namespace: &watch_namespace,
            stop,
            triggers: ReconcileTriggers::default(),
            controllers: Vec::new(),
        };
        kinds::visit_kinds(&mut starting);
        let StartingControllers { triggers, controllers, .. } = starting;
        let cached = Watches::new(watches, &watch_namespace, &context.caches, &triggers);
        for (resource, watch) in cached.futures {
            let watch = stop.clone().run_until_cancelled_owned(watch).map(|_| ());
            tasks.spawn(format!("the watch of {resource}"), watch);
        }
        all_synced.extend(cached.synced.iter().cloned());
        for (kind, controller, synced) in controllers {
            all_synced.push(synced);
            let caches_synced = watch::synced(cached.synced.clone());
            tasks.spawn(format!("the controller of {kind}"), caches_synced.then(move |()| controller));
        }
    }
    let health = health.clone();
    tokio::spawn(async move {
        watch::synced(all_synced).await;
        info!("every watch has its first listing");
        health.mark_ready();
    });
    tasks
}

/// The controllers of one context: each with its kind, and a receiver that tells when its watch has its first listing.
struct StartingControllers<'a> {
    context: &'a Arc<NamespaceContext>,
    watches: &'a WatchContext,
    watch_namespace: &'a WatchNamespace,
    stop: &'a CancellationToken,
    triggers: ReconcileTriggers,
    controllers: Vec<(&'static str, BoxFuture<'static, ()>, Receiver<bool>)>,
}

impl StartingControllers<'_> {
    fn add<K: Reconcile>(&mut self) {
        let triggered = self.triggers.subscribe(K::KIND);
        let (context, stop) = (self.context.clone(), self.stop.clone());
        let (running, synced) =
            reconciler::run_controller::<K>(context, self.watches, self.watch_namespace, triggered, stop);
        self.controllers.push((K::KIND, running, synced));
    }
}

impl KindVisitor for StartingControllers<'_> {
    fn visit<T: Task>(&mut self) {
        self.add::<T>();
    }
}
