//! The running operator: one context for each watched namespace, in it one controller for each kind.

mod backoff;
mod context;
mod limits;
mod own_writes;
mod reconciler;
mod task;

use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;
use tracing::info;

use self::context::NamespaceContext;
use self::limits::{JobLimit, KnownJobs};
use self::reconciler::Reconcile;
use crate::cluster::client::{self, ConnectError};
use crate::cluster::lease;
use crate::cluster::tasks::TaskIndex;
use crate::cluster::triggers::ReconcileTriggers;
use crate::cluster::watch::{self, Caches, WatchNamespace, Watches};
use crate::metrics::Metrics;
use crate::names;
use crate::server::{self, Readiness};
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
    Server { address: std::net::SocketAddr, problem: String },
    /// What was under way took too long to end.
    #[error("work under way did not end in time")]
    StopTimeout,
}

/// Works until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::default());
    let ready = Readiness::default();
    let server = tokio::spawn(server::serve(settings.metrics_address, metrics.clone(), ready.clone(), stop.clone()));
    let client = client::connect().await?;

    let mut lease = None;
    if settings.leader_election {
        ready.mark_ready(); // a stand-by is ready to take over
        metrics.set_leading(false);
        let acquired = lease::acquire(client.clone(), &settings.lease_namespace, &settings.identity);
        tokio::select! {
            acquired = acquired => lease = Some(acquired?),
            () = stop.cancelled() => return Ok(()),
        }
    }
    metrics.set_leading(true);

    let address = settings.metrics_address;
    let controllers = start_controllers(client, settings, &metrics, &ready, &stop);
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = lease::lost(&mut lease) => {
            stop.cancel();
            return Err(Error::LeaseLost);
        }
        served = server => {
            stop.cancel();
            let error = served.map_err(|e| e.to_string()).and_then(|s| s.map_err(|e| e.to_string()));
            return Err(Error::Server { address, problem: error.err().unwrap_or_default() });
        }
    }
    info!("stopping");
    let _ = controllers.await;
    if let Some(lease) = lease {
        lease::release(lease).await;
    }
    Ok(())
}

/// Starts the watches and controllers of every watched namespace. The task that is returned ends with the controllers.
fn start_controllers(
    client: Client,
    settings: Settings,
    metrics: &Arc<Metrics>,
    ready: &Readiness,
    stop: &CancellationToken,
) -> tokio::task::JoinHandle<Vec<()>> {
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
    let (mut all_synced, mut controllers) = (Vec::new(), Vec::new());
    for (watch_namespace, caches) in namespaces.into_iter().zip(caches) {
        info!(?watch_namespace, "working in");
        let context = Arc::new(NamespaceContext {
            client: client.clone(),
            settings: settings.clone(),
            caches,
            tasks: TaskIndex::default(),
            known_jobs: known_jobs.clone(),
            job_limit: job_limit.clone(),
            recorder: recorder.clone(),
            metrics: metrics.clone(),
        });
        let mut starting = StartingControllers {
            context: &context,
            watch_namespace: &watch_namespace,
            stop,
            triggers: ReconcileTriggers::default(),
            controllers: Vec::new(),
        };
        kinds::visit_kinds(&mut starting);
        let StartingControllers { triggers, controllers: starting, .. } = starting;
        let watches = Watches::new(&client, &watch_namespace, &context.caches, &triggers, metrics);
        for watch in watches.futures {
            tokio::spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        all_synced.extend(watches.synced.iter().cloned());
        for (controller, synced) in starting {
            all_synced.push(synced);
            let caches_synced = watch::synced(watches.synced.clone());
            controllers.push(caches_synced.then(move |()| controller));
        }
    }
    let ready = ready.clone();
    tokio::spawn(async move {
        watch::synced(all_synced).await;
        info!("every watch has its first listing");
        ready.mark_ready();
    });
    tokio::spawn(join_all(controllers))
}

/// The controllers of one context, each with a receiver that tells when its watch has its first listing.
struct StartingControllers<'a> {
    context: &'a Arc<NamespaceContext>,
    watch_namespace: &'a WatchNamespace,
    stop: &'a CancellationToken,
    triggers: ReconcileTriggers,
    controllers: Vec<(BoxFuture<'static, ()>, Receiver<bool>)>,
}

impl StartingControllers<'_> {
    fn add<K: Reconcile>(&mut self) {
        let triggered = self.triggers.subscribe(K::KIND);
        let (context, stop) = (self.context.clone(), self.stop.clone());
        self.controllers.push(reconciler::run_controller::<K>(context, self.watch_namespace, triggered, stop));
    }
}

impl KindVisitor for StartingControllers<'_> {
    fn visit<T: Task>(&mut self) {
        self.add::<T>();
    }
}
