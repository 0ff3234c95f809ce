//! The running operator: the only place that spawns. One scope a watched namespace, one controller a kind.

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

use crate::api::common::RunPolicy;
use crate::api::{DjangoCelery, DjangoMigrate, DjangoStatic, DjangoUser};
use crate::cluster::lease;
use crate::cluster::watch::{self, Caches, Reach, Wake, Wakers};
use crate::metrics::Metrics;
use crate::names;
use crate::server::{self, Readiness};
use crate::settings::Settings;
use crate::task::Task;
use crate::task::progress::JobView;

/// How many tasks of one kind are worked on at once.
const CONCURRENCY: u16 = 64;
/// How long giving back the lease may take.
const GIVING_BACK: Duration = Duration::from_secs(3);
/// How long a Job that was just created counts as existing though no watch has brought it.
const FRESH: Duration = Duration::from_secs(30);

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
    fn slot(&self) -> Option<Slot<'_>> {
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
        Some(Slot(&self.starting))
    }
}

/// What the tasks of one scope share.
pub struct Scope {
    client: Client,
    settings: Arc<Settings>,
    caches: Arc<Caches>,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    jobs: Arc<Jobs>,
    /// Failures in a row, by object.
    failures: Mutex<HashMap<String, usize>>,
}

impl Scope {
    /// The Job, if a watch or this process knows it.
    fn job(&self, namespace: &str, name: &str) -> Option<JobView> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut fresh = self.jobs.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(job) = self.caches.jobs.get(namespace, name) {
            fresh.remove(&key);
            return Some((*job).clone());
        }
        fresh.retain(|_, (since, _)| since.elapsed() < FRESH);
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
    fn failed(&self, key: &str) -> Duration {
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

    fn succeeded(&self, key: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

/// Leave to start one Job.
struct Slot<'a>(&'a Mutex<usize>);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    }
}

/// A scope, and the tasks of one kind in it.
struct Context<T: Task> {
    scope: Arc<Scope>,
    tasks: Store<DeserializeGuard<T>>,
    written: Mutex<HashMap<String, Written<T>>>,
}

/// What this process last wrote of a task, and the versions that it replaced.
struct Written<T> {
    replaced: Vec<String>,
    task: T,
    since: Instant,
}

impl<T: Task> Context<T> {
    /// The task as this process knows it: as it wrote it, where the watch still brings what it replaced.
    fn newest(&self, seen: &T) -> T {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = seen.uid().unwrap_or_default();
        match (written.get(&uid), seen.resource_version()) {
            (Some(own), Some(version)) if own.replaced.contains(&version) => own.task.clone(),
            _ => {
                written.remove(&uid);
                seen.clone()
            }
        }
    }

    fn wrote(&self, replaced: Option<String>, task: &T) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.retain(|_, own| own.since.elapsed() < FRESH);
        let own = written.entry(task.uid().unwrap_or_default()).or_insert_with(|| Written {
            replaced: Vec::new(),
            task: task.clone(),
            since: Instant::now(),
        });
        own.replaced.extend(replaced);
        own.task = task.clone();
    }
}

/// Works until `stop`.
pub async fn run(settings: Settings, stop: CancellationToken) -> Result<(), String> {
    let metrics = Arc::new(Metrics::default());
    let ready = Readiness::default();
    let serving = tokio::spawn(server::serve(settings.metrics_address, metrics.clone(), ready.clone(), stop.clone()));

    let mut config = Config::infer().await.map_err(|error| format!("no cluster to talk to: {error}"))?;
    config.default_retry = false; // every reconcile is tried again, with a back-off that it can be seen in
    let client = Client::try_from(config).map_err(|error| format!("no client for the cluster: {error}"))?;

    let mut leading = None;
    if settings.leader_election {
        ready.set(); // a stand-by is ready to take over
        metrics.leading(false);
        let lease = lease::acquire(client.clone(), &settings.lease_namespace, &settings.identity);
        tokio::select! {
            lease = lease => leading = Some(lease.map_err(|error| format!("lease: {error}"))?),
            () = stop.cancelled() => return Ok(()),
        }
    }
    metrics.leading(true);

    let namespaces = settings.watch_namespace.0.clone();
    let reaches = match namespaces.is_empty() {
        true => vec![Reach::All],
        false => namespaces.into_iter().map(Reach::Namespace).collect(),
    };
    let settings = Arc::new(settings);
    let reporter = Reporter { controller: names::OPERATOR.into(), instance: Some(settings.identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let (mut signs, mut controllers) = (Vec::new(), Vec::new());
    let caches: Vec<Arc<Caches>> = reaches.iter().map(|_| Arc::default()).collect();
    let jobs = Arc::new(Jobs {
        limit: settings.max_concurrent_jobs,
        caches: caches.clone(),
        fresh: Mutex::default(),
        starting: Mutex::default(),
    });
    for (reach, caches) in reaches.into_iter().zip(caches) {
        info!(?reach, "working in");
        let scope = Arc::new(Scope {
            client: client.clone(),
            settings: settings.clone(),
            caches,
            recorder: recorder.clone(),
            metrics: metrics.clone(),
            jobs: jobs.clone(),
            failures: Mutex::default(),
        });
        let mut wakers = Wakers::new();
        let mut starts: Vec<Start> = vec![
            prepare::<DjangoUser>(&mut wakers),
            prepare::<DjangoMigrate>(&mut wakers),
            prepare::<DjangoStatic>(&mut wakers),
            prepare::<DjangoCelery>(&mut wakers),
        ];
        let (watches, synced) = watch::all(&client, &reach, &scope.caches, &wakers, &metrics);
        for watch in watches {
            tokio::spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        signs.extend(synced.iter().cloned());
        for start in starts.drain(..) {
            let (listed, sign) = watch_channel(false);
            signs.push(sign);
            let running = start(scope.clone(), reach.clone(), stop.clone(), listed);
            let synced = synced.clone();
            controllers.push(async move {
                watch::synced(synced).await;
                running.await;
            });
        }
    }
    tokio::spawn(async move {
        watch::synced(signs).await;
        info!("every watch has its first listing");
        ready.set();
    });

    let controllers = tokio::spawn(join_all(controllers));
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = lost(&mut leading) => {
            stop.cancel();
            return Err("the lease is lost to another process".into());
        }
        served = serving => {
            stop.cancel();
            let error = served.map_err(|e| e.to_string()).and_then(|s| s.map_err(|e| e.to_string()));
            return Err(format!("{}: {}", settings.metrics_address, error.err().unwrap_or_default()));
        }
    }
    info!("stopping");
    let _ = controllers.await;
    if let Some((leading, lease)) = leading {
        drop(leading); // gives the lease back, so that a stand-by need not wait for its end
        let _ = tokio::time::timeout(GIVING_BACK, lease).await;
    }
    Ok(())
}

/// Ends when another process has the lease.
async fn lost(leading: &mut Option<lease::LeaseHandle>) {
    match leading {
        None => std::future::pending().await,
        Some((leading, _)) => {
            let _ = leading.wait_for(|leads| !leads).await;
        }
    }
}

type Start = Box<dyn FnOnce(Arc<Scope>, Reach, CancellationToken, Sender<bool>) -> BoxFuture<'static, ()> + Send>;

/// Makes room for a kind among the wakers; the rest follows when the scope is there.
fn prepare<T: Task>(wakers: &mut Wakers) -> Start {
    let (waker, woken) = unbounded();
    wakers.insert(T::KIND, waker);
    Box::new(move |scope, reach, stop, listed| control::<T>(scope, reach, woken, stop, listed).boxed())
}

/// One kind's controller.
async fn control<T: Task>(
    scope: Arc<Scope>,
    reach: Reach,
    woken: UnboundedReceiver<Wake>,
    stop: CancellationToken,
    listed: Sender<bool>,
) {
    // The store's own `wait_until_ready` wakes only one waiter, which has to be the controller.
    let (tasks, writer) = reflector::store();
    let changed = watcher(reach.api::<DeserializeGuard<T>>(&scope.client), watch::config())
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
    let wake = {
        let tasks = tasks.clone();
        woken.flat_map(move |wake| futures::stream::iter(meant(&wake, &tasks)))
    };
    let metrics = scope.metrics.clone();
    let context = Arc::new(Context { scope, tasks, written: Mutex::default() });
    controller
        .reconcile_on(wake)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile::reconcile::<T>, reconcile::failed::<T>, context)
        .for_each(|result| {
            if let Err(error @ controller::Error::QueueError(_)) = result {
                metrics.watch_error(T::KIND);
                warn!(kind = T::KIND, %error, "watch failed; trying again");
            }
            std::future::ready(())
        })
        .await;
}

/// The tasks that a wake is about.
fn meant<T: Task>(wake: &Wake, tasks: &Store<DeserializeGuard<T>>) -> Vec<ObjectRef<DeserializeGuard<T>>> {
    match wake {
        Wake::Task { namespace, name } => vec![ObjectRef::new(name).within(namespace)],
        Wake::Targets(changed) => tasks
            .state()
            .iter()
            .filter(|task| task.namespace().as_deref() == Some(changed))
            .filter(|task| {
                task.0.as_ref().is_ok_and(|task| {
                    let ready = task.status().conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True");
                    !ready || task.policy().run_policy == RunPolicy::OnImageChange
                })
            })
            .map(|task| ObjectRef::from_obj(task.as_ref()))
            .collect(),
    }
}
