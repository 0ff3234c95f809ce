//! observe -> decide -> act, for every task kind: calls in order. What to do is decided in `task/`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::runtime::controller::Action;
use kube::{Api, ResourceExt};
use tracing::{info, warn};

use crate::api::{Outcome, TaskStatus};
use crate::cluster::client::{self, JobCreation};
use crate::cluster::events;
use crate::cluster::watch::job_pods_partition;
use crate::controller::context::NamespaceContext;
use crate::controller::reconciler::{Context, Error};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason};
use crate::helper;
use crate::task::decide::{self, Decision, StatusIntent};
use crate::task::job::{self, BuiltJob};
use crate::task::observe::{CacheReader, observe};
use crate::task::observed::{Lookups, Observed, ObservedJob};
use crate::task::progress::{self, Obstacle, Progress};
use crate::task::run_cause::needs_run;
use crate::task::run_result::{self, RunResult};
use crate::task::source::{self, TemplateSource};
use crate::task::target::{Candidate, TargetKind};
use crate::task::{Task, notices, status};

/// More steps than any task needs in one reconcile.
const MAX_STEPS: usize = 16;
/// After which something that just changed is looked at again.
const SOON: Duration = Duration::from_secs(1);

/// One task on its way through a reconcile.
pub struct Reconciliation<'a, T: Task> {
    context: &'a Context<T>,
    shared: &'a NamespaceContext,
    api: Api<T>,
    namespace: String,
    task: T,
}

/// What became of an attempt to start a run.
enum StartOutcome {
    /// Its Job exists.
    JobExists(Arc<JobView>),
    /// Something is in the way; to be looked at again after that long.
    Blocked(Blocked, Duration),
    /// No run is due, as seen with the live target.
    NoLongerDue,
}

impl<'a, T: Task> Reconciliation<'a, T> {
    pub fn new(context: &'a Context<T>, task: T) -> Self {
        let namespace = task.namespace().unwrap_or_default();
        let api = Api::namespaced(context.shared.client.clone(), &namespace);
        Self { context, shared: &context.shared, api, namespace, task }
    }

    /// Takes one step after the other until there is nothing to do but to wait.
    pub async fn execute(mut self) -> Result<Action, Error> {
        let mut lookups = Lookups::default();
        for _ in 0..MAX_STEPS {
            let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
            let observed = observe(&self.task, &self, &lookups, labels, Timestamp::now());
            match decide::decide(&observed) {
                Decision::SetStatus(intent, after) => {
                    self.update_status(&observed, &intent).await?;
                    return Ok(after.map_or_else(Action::await_change, Action::requeue));
                }
                Decision::GetJob => lookups.job = Some(self.get_job(&observed).await?),
                Decision::ReadEvents => {
                    lookups.event_obstacle = self.read_events(&observed).await?;
                    lookups.events_read = true;
                }
                Decision::StartRun(number) => match self.start(&observed, number).await? {
                    StartOutcome::JobExists(job) => lookups.job = Some(ObservedJob::Present(job)),
                    StartOutcome::NoLongerDue => return Ok(Action::requeue(SOON)),
                    StartOutcome::Blocked(blocked, after) => {
                        // Upon what was written since: a recorded run must not be taken back.
                        let observed = Observed { status: self.task.status().clone(), ..observed };
                        self.update_status(&observed, &StatusIntent::Blocked(blocked)).await?;
                        return Ok(Action::requeue(after));
                    }
                },
                Decision::ReadResult(job) => {
                    let pods = self.list_pods(&job).await?;
                    self.record_result(&observed, &run_result::from_job(&job, &pods)).await?;
                }
                Decision::RecordResult(result) => {
                    if result.outcome == Outcome::Superseded && self.has_started(&observed).await? {
                        return Ok(Action::requeue(SOON));
                    }
                    self.record_result(&observed, &result).await?;
                    lookups.job = None;
                }
                Decision::DeleteJob(uid) => {
                    let name = observed.status.last_run.as_ref().map(|r| r.job_name.clone()).unwrap_or_default();
                    client::delete_job(&self.shared.client, &self.namespace, &name, &uid).await?;
                    self.shared.known_jobs.record_deleted(&self.namespace, &name);
                    lookups.job = Some(self.get_job(&observed).await?);
                }
            }
        }
        warn!(kind = T::KIND, name = self.task.name_any(), "more steps than a task needs; looking again later");
        Ok(Action::requeue(Duration::from_secs(5)))
    }

    /// The newest run's Job as the API server has it; for a superseded run, with its pods.
    async fn get_job(&self, observed: &Observed) -> Result<ObservedJob, Error> {
        let Some(run) = &observed.status.last_run else { return Ok(ObservedJob::Absent) };
        let client = &self.shared.client;
        if let Some(job) = client::get_job(client, &self.namespace, &run.job_name).await? {
            return Ok(ObservedJob::Present(Arc::new(job)));
        }
        let superseded = run.result == Some(Outcome::Superseded);
        let ending = superseded && !client::list_pods(client, &self.namespace, &run.job_name).await?.is_empty();
        Ok(if ending { ObservedJob::PodsTerminating } else { ObservedJob::Absent })
    }

    async fn read_events(&self, observed: &Observed) -> Result<Option<Obstacle>, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(None) };
        let pod = observed.pods.iter().filter_map(|p| p.metadata.uid.as_deref()).next();
        // A Job's events tell of pods that could not be made; once there is one, they are of the past.
        let uid = pod.unwrap_or_else(|| job.uid());
        Ok(client::read_event_obstacle(&self.shared.client, &self.namespace, uid).await?)
    }

    /// The last look before a run is given up for a newer one: at the pods themselves.
    async fn has_started(&self, observed: &Observed) -> Result<bool, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(false) };
        let pods = self.list_pods(job).await?;
        Ok(!matches!(progress::of_run(job, &pods), Progress::NotStarted(_)))
    }

    /// The Job's pods as the API server has them, without those of a namesake.
    async fn list_pods(&self, job: &JobView) -> Result<Vec<PodView>, Error> {
        let pods = client::list_pods(&self.shared.client, &self.namespace, job.name()).await?;
        Ok(pods.into_iter().filter(|pod| pod.belongs_to(job.uid())).collect())
    }

    /// Records the run, then creates its Job. The record is written against the version that was decided upon, so that
    /// of two operators, or of one and its successor, only one goes on from it.
    async fn start(&mut self, observed: &Observed, number: i64) -> Result<StartOutcome, Error> {
        let Some(Ok(candidate)) = &observed.target else { return Ok(StartOutcome::NoLongerDue) };
        let Some(_permit) = self.shared.job_limit.acquire(&self.shared.known_jobs) else {
            let message = "as many Jobs run as the operator's settings allow; this run follows when one ends";
            let blocked = Blocked::reconciling(Reason::ConcurrencyLimit, message);
            return Ok(StartOutcome::Blocked(blocked, Duration::from_secs(5)));
        };
        let client = &self.shared.client;
        let (live, helper) = tokio::try_join!(
            client::get_target(client, &self.namespace, candidate.kind, candidate.name()),
            client::ensure_helper(client, &self.namespace),
        )?;
        let source = match source::confirm(live, candidate, self.shared.settings.target_labels(T::TARGET_LABEL)) {
            Ok(source) => source,
            Err(blocked) => return Ok(StartOutcome::Blocked(blocked, SOON)),
        };
        if let Err(blocked) = helper {
            return Ok(StartOutcome::Blocked(blocked, Duration::from_secs(30)));
        }
        let built = match job::build(&self.task, &source, number, helper::config_map_name()) {
            Ok(built) => built,
            Err(blocked) => return Ok(StartOutcome::Blocked(blocked, Duration::from_secs(120))),
        };
        let observed = Observed { key: built.key.clone(), ..observed.clone() };
        let Some(cause) = needs_run(&observed) else {
            return Ok(StartOutcome::NoLongerDue); // the watch is behind the target
        };
        self.record_run_start(&observed, number, &built, &source).await?;
        let job = match client::create_job(client, &self.namespace, &built.name, &built.job).await? {
            JobCreation::Exists(job) => job,
            JobCreation::Rejected(blocked) => {
                return Ok(StartOutcome::Blocked(blocked, Duration::from_secs(30)));
            }
        };
        if job.owned_by(&observed.uid) {
            self.shared.known_jobs.record_created(&self.namespace, &job);
        }
        let name = self.task.name_any();
        info!(kind = T::KIND, ns = self.namespace, name, run = number, ?cause, job = built.name, "job created");
        Ok(StartOutcome::JobExists(job))
    }

    async fn record_run_start(
        &mut self,
        observed: &Observed,
        number: i64,
        built: &BuiltJob,
        source: &TemplateSource,
    ) -> Result<(), Error> {
        let recorded = status::record_run_start(&self.task, observed, number, built, source);
        if recorded.last_run != observed.status.last_run {
            return self.write(recorded).await;
        }
        // An earlier process recorded the same run. Nothing vouches that this copy is the newest.
        let newest = self.api.get(&self.task.name_any()).await?;
        match newest.resource_version() == self.task.resource_version() {
            true => Ok(()),
            false => Err(Error::Overtaken),
        }
    }

    async fn record_result(&mut self, observed: &Observed, result: &RunResult) -> Result<(), Error> {
        let concluded = status::record_result(&self.task, observed, result);
        let run = concluded.last_run.clone().unwrap_or_default();
        self.write(concluded).await?;
        self.shared.metrics.record_run(T::KIND, &format!("{:?}", result.outcome), run.duration_seconds);
        info!(
            kind = T::KIND, ns = self.namespace, name = self.task.name_any(), run = run.number, job = run.job_name,
            outcome = ?result.outcome, reason = result.reason, "run over"
        );
        Ok(())
    }

    async fn update_status(&mut self, observed: &Observed, intent: &StatusIntent) -> Result<(), Error> {
        let status = status::build(observed, intent);
        match status::needs_write(observed, self.task.status(), &status) {
            true => self.write(status).await,
            false => Ok(()),
        }
    }

    /// Writes the status if it differs, and tells people what changed.
    async fn write(&mut self, status: TaskStatus) -> Result<(), Error> {
        if status == *self.task.status() {
            return Ok(());
        }
        let success = self.task.success(status.report.as_ref()).0;
        let notices = notices::notices(self.task.status(), &status, success);
        let job = job_reference(&self.namespace, &status);
        let completed_at = status::completed_at(&status, self.task.completed_at());
        self.task.set_status(status, completed_at);
        self.task = self.api.replace_status(&self.task.name_any(), &PostParams::default(), &self.task).await?;
        self.context.own_writes.record(&self.task);
        if !notices.is_empty() {
            let (recorder, about) = (self.shared.recorder.clone(), self.task.object_ref(&()));
            tokio::spawn(async move { events::publish(&recorder, &about, job, notices).await });
        }
        Ok(())
    }
}

impl<T: Task> CacheReader for Reconciliation<'_, T> {
    fn job(&self, name: &str) -> Option<Arc<JobView>> {
        self.shared.known_jobs.get(&self.shared.caches, &self.namespace, name)
    }

    fn pods(&self, job: &str) -> Vec<Arc<PodView>> {
        self.shared.caches.pods.partition(&job_pods_partition(&self.namespace, job))
    }

    fn candidates(&self, kind: TargetKind) -> Vec<Arc<Candidate>> {
        match kind {
            TargetKind::Deployment => self.shared.caches.deployments.partition(&self.namespace),
            TargetKind::PodTemplate => self.shared.caches.pod_templates.partition(&self.namespace),
        }
    }
}

/// The newest run's Job, for events about it.
fn job_reference(namespace: &str, status: &TaskStatus) -> Option<ObjectReference> {
    let run = status.last_run.as_ref()?;
    Some(ObjectReference {
        api_version: Some("batch/v1".into()),
        kind: Some("Job".into()),
        namespace: Some(namespace.to_owned()),
        name: Some(run.job_name.clone()),
        uid: Some(run.job_uid.clone()?),
        ..ObjectReference::default()
    })
}
