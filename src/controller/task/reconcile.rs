//! observe -> decide -> act, for every task kind: calls in order. What to do is decided in `task/`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use tracing::{info, warn};

use super::start::StartOutcome;
use crate::api::TaskStatus;
use crate::cluster::cache::CacheKey;
use crate::cluster::client::{self, Deletion};
use crate::cluster::job_keys::{job_key, job_pods_partition, task_jobs_partition};
use crate::cluster::lean_object::LeanObject;
use crate::controller::context::NamespaceContext;
use crate::controller::event_reader::Subject;
use crate::controller::object_key::ObjectKey;
use crate::controller::reconciler::{Context, Error};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason};
use crate::helper;
use crate::task::decide::{self, Decision, StatusIntent};
use crate::task::observe::observe;
use crate::task::observed::{Lookups, Observed, ObservedJob};
use crate::task::progress::{self, Obstacle, Progress};
use crate::task::run_cause::needs_run;
use crate::task::run_result::{self, RunResult};
use crate::task::target_change::after_result;
use crate::task::{Task, notices, status};

/// More steps than any task needs in one reconcile.
const MAX_STEPS: usize = 16;
/// How long a container may take to start before what usually passes by itself is shown.
const LONG_START: Duration = Duration::from_secs(60);
/// After which what the API server refused is asked for again.
pub(super) const REJECTION_INTERVAL: Duration = Duration::from_secs(30);
/// After which something that just changed is looked at again.
pub(super) const SOON: Duration = Duration::from_secs(1);

/// One task on its way through a reconcile.
pub struct Reconciliation<'a, T: Task> {
    context: &'a Context<T>,
    pub(super) shared: &'a NamespaceContext,
    pub(super) api: Api<LeanObject<T>>,
    pub(super) namespace: String,
    pub(super) task: T,
}

impl<'a, T: Task> Reconciliation<'a, T> {
    pub fn new(context: &'a Context<T>, task: T) -> Self {
        let namespace = task.namespace().unwrap_or_default();
        let api = Api::namespaced(context.shared.client.clone(), &namespace);
        Self { context, shared: &context.shared, api, namespace, task }
    }

    /// Where the task's Jobs are in the caches.
    pub(super) fn jobs_partition(&self) -> String {
        task_jobs_partition(&self.namespace, T::KIND, &self.task.name_any())
    }

    pub(super) fn job_key(&self, name: &str) -> CacheKey {
        CacheKey { partition: self.jobs_partition(), name: name.to_owned() }
    }

    pub(super) fn object_key(&self) -> ObjectKey {
        ObjectKey::new(T::KIND, &self.namespace, &self.task.name_any())
    }

    /// Takes one step after the other until there is nothing to do but to wait; for how long at most.
    pub async fn execute(mut self) -> Result<Option<Duration>, Error> {
        let mut lookups = Lookups::default();
        for _ in 0..MAX_STEPS {
            let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
            let observed = observe(&self.task, &self, &lookups, labels, Timestamp::now());
            match decide::decide(&observed) {
                Decision::SetStatus(intent, after) => {
                    return self.update_status(&observed, intent, after).await;
                }
                Decision::TakeOver => self.write(status::record_taken_over(&self.task, &observed)).await?,
                Decision::GetJob => self.get_job(&observed, &mut lookups).await?,
                Decision::ReadEvents => {
                    lookups.event_obstacle = self.read_events(&observed).await?;
                    lookups.events_read = true;
                }
                Decision::StartRun(number) => match self.start(&observed, number).await? {
                    StartOutcome::JobExists(job) => {
                        lookups = Lookups { job: Some(ObservedJob::Present(job)), ..Lookups::default() };
                    }
                    StartOutcome::NoLongerDue => return Ok(Some(SOON)),
                    StartOutcome::Blocked(blocked, after) => {
                        // Upon what was written since: a recorded run must not be taken back.
                        let observed = Observed { status: self.task.status().clone(), ..observed };
                        return self.update_status(&observed, StatusIntent::Blocked(blocked), Some(after)).await;
                    }
                },
                Decision::ReadResult(job) => {
                    let pods = newest_of_each(self.list_pods(job.name(), job.uid()).await?, &observed.pods);
                    let mut ended = observed;
                    status::record_command_start(&mut ended.status, &pods, ended.now);
                    self.record_result(&ended, &run_result::from_job(&job, &pods)).await?;
                    lookups = Lookups::default();
                }
                Decision::RecordResult(result) => {
                    self.record_result(&observed, &result).await?;
                    lookups = Lookups::default();
                }
                Decision::RecordJobUid => {
                    self.write(status::build(&observed, &StatusIntent::starting())).await?;
                }
                Decision::ReleaseJob(uid) => {
                    let name = job_name(&observed);
                    match client::release_job(&self.shared.client, &self.namespace, name, &uid).await {
                        Ok(Ok(job)) => lookups.job = Some(ObservedJob::Present(self.now_known(Arc::new(job)))),
                        Ok(Err(blocked)) => {
                            return self
                                .update_status(&observed, StatusIntent::Blocked(blocked), Some(REJECTION_INTERVAL))
                                .await;
                        }
                        Err(error) if client::is_inapplicable(&error) => {
                            self.get_job(&observed, &mut lookups).await?;
                            // Not as the watch had it, else there is something else about it.
                            if matches!(&lookups.job, Some(ObservedJob::Present(job)) if job.is_held() && job.uid() == uid)
                            {
                                return Err(error.into());
                            }
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Decision::Supersede(generation) => {
                    if !self.has_started(&observed, &mut lookups).await? {
                        self.write(status::record_superseding(&observed, generation)).await?;
                    }
                }
                Decision::DeleteSuperseded(job) => {
                    if !self.has_started(&observed, &mut lookups).await? {
                        self.delete_job(&job).await?;
                        self.get_job(&observed, &mut lookups).await?;
                    }
                }
                Decision::DeleteLate(job) => {
                    self.delete_late(&job).await?;
                    lookups.deleted_jobs.insert(job.uid().to_owned());
                }
            }
        }
        warn!(kind = T::KIND, name = self.task.name_any(), "more steps than a task needs; looking again later");
        Ok(Some(Duration::from_secs(5)))
    }

    /// The newest run's Job and pods as the API server has them.
    async fn get_job(&self, observed: &Observed, lookups: &mut Lookups) -> Result<(), Error> {
        let Some(run) = &observed.status.last_run else { return Ok(()) };
        let job = client::get_job(&self.shared.client, &self.namespace, &run.job_name).await?;
        let uid = run.job_uid.as_deref().or(job.as_ref().map(JobView::uid)).unwrap_or_default().to_owned();
        let pods = match uid.as_str() {
            "" => Vec::new(), // never created
            uid => self.list_pods(&run.job_name, uid).await?,
        };
        if job.is_none() {
            self.shared.caches.open_jobs.record_gone(&uid);
        }
        let mut still_running = pods.iter().any(|pod| !pod.has_ended());
        if job.is_none() && run.superseded_by.is_some() {
            // What the watch is about to tell of a pod that is gone may be that its command had started.
            let cached = self.shared.caches.pods.partition(&job_pods_partition(&self.namespace, &run.job_name));
            still_running |= cached.iter().any(|pod| pod.belongs_to(&uid));
        }
        lookups.job = Some(match job {
            Some(job) if job.uid() == uid || !still_running => ObservedJob::Present(self.now_known(Arc::new(job))),
            None if !still_running => ObservedJob::Absent,
            _ => ObservedJob::PodsTerminating,
        });
        lookups.pods = Some(pods.into_iter().map(Arc::new).collect());
        Ok(())
    }

    /// A Job that the API server just answered with.
    pub(super) fn now_known(&self, job: Arc<JobView>) -> Arc<JobView> {
        if job.owned_by(&self.task.uid().unwrap_or_default()) {
            self.shared.known_jobs.record(&self.shared.caches, &job);
            self.shared.caches.jobs.confirm(&job_key(&job));
        }
        job
    }

    /// Deletes a Job of a run that is over, unless it has ended, of which the watch may not know yet.
    async fn delete_late(&self, job: &JobView) -> Result<(), Error> {
        match client::get_job(&self.shared.client, &self.namespace, job.name()).await? {
            Some(now) if now.uid() == job.uid() && now.end().is_none() => {
                warn!(kind = T::KIND, ns = self.namespace, job = job.name(), "deleting a Job of a run that is over");
                self.delete_job(job).await
            }
            Some(now) if now.uid() == job.uid() => {
                self.now_known(Arc::new(now));
                Ok(())
            }
            _ => {
                self.shared.caches.open_jobs.record_gone(job.uid());
                self.shared.caches.jobs.remove(&job_key(job));
                Ok(())
            }
        }
    }

    async fn delete_job(&self, job: &JobView) -> Result<(), Error> {
        let deletion = client::delete_job(&self.shared.client, &self.namespace, job.name(), job.uid()).await?;
        self.shared.known_jobs.record_deleted(&job_key(job));
        if deletion == Deletion::NotThere {
            self.shared.caches.open_jobs.record_gone(job.uid());
            self.shared.caches.jobs.remove(&job_key(job)); // a watch that lags behind brings what is there
        }
        Ok(())
    }

    async fn read_events(&self, observed: &Observed) -> Result<Option<Obstacle>, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(None) };
        let newest = observed.pods.iter().max_by_key(|pod| pod.meta.created);
        let pod = newest.map(|pod| &*pod.meta.uid);
        // A Job's events tell of pods that could not be made; once there is one, they are of the past.
        let uid = pod.unwrap_or_else(|| job.uid());
        let waited = observed.job_age >= LONG_START;
        let subject = if pod.is_some() { Subject::Pod } else { Subject::Job };
        let obstacle = self.shared.event_reader.obstacle(self.object_key(), subject, uid, waited);
        if obstacle.as_ref().is_some_and(|obstacle| obstacle.message.contains(helper::config_map_name())) {
            self.shared.helper_namespaces.forget(&self.namespace);
            let _ = self.ensure_helper().await?; // the pod waits for it, and says so meanwhile
        }
        Ok(obstacle)
    }

    /// The last look before a run is given up for a newer one: at the pods themselves.
    async fn has_started(&self, observed: &Observed, lookups: &mut Lookups) -> Result<bool, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(false) };
        let pods = self.list_pods(job.name(), job.uid()).await?;
        let started = !matches!(progress::of_run(job, &pods), Progress::NotStarted(_));
        lookups.pods = Some(pods.into_iter().map(Arc::new).collect());
        Ok(started)
    }

    /// The Job's pods as the API server has them, without those of a namesake.
    async fn list_pods(&self, job: &str, uid: &str) -> Result<Vec<PodView>, Error> {
        let pods = client::list_pods(&self.shared.client, &self.namespace, job).await?;
        Ok(pods.into_iter().filter(|pod| pod.belongs_to(uid)).collect())
    }

    async fn record_result(&mut self, observed: &Observed, result: &RunResult) -> Result<(), Error> {
        let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
        let ended = after_result(status::with_end(&self.task, observed, result), &self.task, self, labels);
        let concluded = status::build_settled(&ended);
        let run = concluded.last_run.clone().unwrap_or_default();
        self.write(concluded).await?;
        self.shared.metrics.record_run(
            T::KIND,
            &self.namespace,
            &format!("{:?}", result.outcome),
            run.duration_seconds,
        );
        info!(
            kind = T::KIND, ns = self.namespace, name = self.task.name_any(), run = run.number, job = run.job_name,
            outcome = ?result.outcome, reason = result.reason, "run over"
        );
        Ok(())
    }

    /// Shows what is known; when to look again.
    async fn update_status(
        &mut self,
        observed: &Observed,
        intent: StatusIntent,
        after: Option<Duration>,
    ) -> Result<Option<Duration>, Error> {
        if !matches!(&intent, StatusIntent::Blocked(blocked) if blocked.reason == Reason::ConcurrencyLimit) {
            self.shared.job_limit.leave(&self.object_key());
        }
        let (intent, after) = match intent {
            StatusIntent::Blocked(blocked) => {
                let waited = self.shared.blocked_since.waited(&observed.uid, blocked.reason);
                let shown_stalled = status::shows_stalled(observed, blocked.reason);
                let (blocked, after) = decide::after_waiting(blocked, after, waited, shown_stalled);
                (StatusIntent::Blocked(blocked), after)
            }
            other => {
                self.shared.blocked_since.clear(&observed.uid);
                (other, after)
            }
        };
        let status = status::build(observed, &intent);
        if status::needs_write(observed, self.task.status(), &status) {
            self.write(status).await?;
        }
        Ok(after)
    }

    /// Shows an error that persists, where it keeps a run from going on.
    pub async fn show_error(mut self, error: &str) -> Result<(), Error> {
        let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
        let observed = observe(&self.task, &self, &Lookups::default(), labels, Timestamp::now());
        if needs_run(&observed).is_none() && observed.status.last_run.as_ref().is_some_and(|run| run.result.is_some()) {
            return Ok(());
        }
        let blocked = Blocked::reconciling(Reason::ApiError, format!("{error}; trying again"));
        self.write(status::build(&observed, &StatusIntent::Blocked(blocked))).await
    }

    /// Writes the status if it differs, and tells people what changed.
    pub(super) async fn write(&mut self, status: TaskStatus) -> Result<(), Error> {
        if status == *self.task.status() {
            return Ok(());
        }
        let success = self.task.success(status.report.as_ref()).0;
        let notices = notices::notices(self.task.status(), &status, success);
        let job = job_reference(&self.namespace, &status);
        let completed_at = status::completed_at(&status, self.task.completed_at());
        self.task.set_status(status, completed_at);
        let written = client::replace_status(&self.shared.client, &self.task).await?;
        self.task = written.readable().ok_or(Error::Overtaken)?; // another version than was written
        self.context.own_writes.record(&self.task);
        if let Some(run) = self.task.status().last_run.as_ref().filter(|run| run.job_uid.is_some()) {
            let (unrecorded, key) = (&self.shared.caches.unrecorded_jobs, self.job_key(&run.job_name));
            match run.result {
                Some(_) => unrecorded.end_recorded(&key),
                None => unrecorded.uid_recorded(&key),
            }
        }
        if !notices.is_empty() {
            self.shared.event_publisher.publish(&self.task.object_ref(&()), job.as_ref(), "RunTask", notices);
        }
        Ok(())
    }
}

/// The pods that the API server listed, and those that the watch knew and that may be gone by now; of each the newest.
fn newest_of_each(mut listed: Vec<PodView>, watched: &[Arc<PodView>]) -> Vec<PodView> {
    for pod in watched {
        match listed.iter_mut().find(|listed| listed.meta.uid == pod.meta.uid) {
            Some(listed) if pod.meta.version > listed.meta.version => listed.clone_from(pod),
            Some(_) => {}
            None => listed.push(PodView::clone(pod)),
        }
    }
    listed
}

fn job_name(observed: &Observed) -> &str {
    observed.status.last_run.as_ref().map_or("", |run| run.job_name.as_str())
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
