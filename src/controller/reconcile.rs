//! gather -> decide -> apply -> status, for every task kind.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, DeserializeGuard};
use kube::runtime::controller::Action;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use tracing::{debug, info, warn};

use super::{Context, NamespaceContext, retention};
use crate::api::{Outcome, Run, RunPolicy, TargetStatus, TaskStatus, filled};
use crate::cluster::calls::{self, Creation};
use crate::cluster::events;
use crate::cluster::watch::pods_of;
use crate::core::Reason;
use crate::core::observed::{JobView, PodView};
use crate::core::{Blocked, condition};
use crate::names;
use crate::task::decide::{self, Decision, Observed, ObservedJob, StatusIntent};
use crate::task::job::{self, BuiltJob, PlannedJob};
use crate::task::outcome::{self, RunResult};
use crate::task::progress::{self, Obstacle, Progress};
use crate::task::source::TemplateSource;
use crate::task::status::{self, Stamp};
use crate::task::target::{self, Candidate};
use crate::task::{Task, key};

/// Longest time for one reconcile: a call that is never answered must not hold a task for ever.
const RECONCILE_TIMEOUT: Duration = Duration::from_secs(30);
/// More steps than any task needs in one reconcile.
const MAX_STEPS: usize = 16;

/// What went wrong; all of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call failed.
    #[error("{0}")]
    Call(#[from] kube::Error),
    /// A call was not answered.
    #[error("no answer from the API server within {} s", RECONCILE_TIMEOUT.as_secs())]
    Timeout,
    /// A defect of this program.
    #[error("panicked; this is a bug")]
    Panic,
}

/// Reconciles one task; nothing that happens in it reaches another.
pub async fn reconcile<T: Task>(object: Arc<DeserializeGuard<T>>, context: Arc<Context<T>>) -> Result<Action, Error> {
    let started = Instant::now();
    let metrics = context.shared.metrics.clone();
    let work = AssertUnwindSafe(reconcile_object(&object, &context)).catch_unwind();
    let result = match tokio::time::timeout(RECONCILE_TIMEOUT, work).await {
        Err(_) => Err(Error::Timeout),
        Ok(Err(_)) => Err(Error::Panic),
        Ok(Ok(Err(Error::Call(error)))) if calls::conflict(&error) => {
            debug!(kind = T::KIND, name = object.name_any(), "overtaken by a newer version");
            Ok(Action::requeue(Duration::from_millis(100)))
        }
        // The task itself, then nobody looks again; or something that the next look finds otherwise.
        Ok(Ok(Err(Error::Call(error)))) if calls::gone(&error) => Ok(Action::requeue(Duration::from_secs(1))),
        Ok(Ok(result)) => result,
    };
    let word = if result.is_ok() { "ok" } else { "error" };
    metrics.reconciled(T::KIND, word, started.elapsed());
    if result.is_ok() {
        context.shared.reset_failures(&object_key(object.as_ref()));
    }
    result
}

/// Waits longer after each failure in a row.
pub fn error_policy<T: Task>(object: Arc<DeserializeGuard<T>>, error: &Error, context: Arc<Context<T>>) -> Action {
    let wait = context.shared.next_delay(&object_key(object.as_ref()));
    warn!(kind = T::KIND, ns = object.namespace(), name = object.name_any(), %error, ?wait, "reconcile failed; trying again");
    Action::requeue(wait)
}

fn object_key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}/{}", K::kind(&()), object.namespace().unwrap_or_default(), object.name_any())
}

async fn reconcile_object<T: Task>(object: &DeserializeGuard<T>, context: &Context<T>) -> Result<Action, Error> {
    let shared = &context.shared;
    match &object.0 {
        Err(invalid) => undecodable::<T>(shared, &invalid.metadata, &invalid.error).await,
        Ok(task) if task.meta().deletion_timestamp.is_some() => Ok(Action::await_change()),
        Ok(task) => {
            let task = context.latest(task);
            let api = Api::namespaced(shared.client.clone(), &task.namespace().unwrap_or_default());
            let action = Reconciliation { context, shared, api, task: task.clone() }.execute().await?;
            retention::prune(context, &task).await?;
            Ok(action)
        }
    }
}

/// One task on its way through a reconcile.
struct Reconciliation<'a, T: Task> {
    context: &'a Context<T>,
    shared: &'a NamespaceContext,
    api: Api<T>,
    task: T,
}

/// What was asked of the API server beyond what the watches know.
#[derive(Default)]
struct Lookups {
    job: Option<ObservedJob>,
    events_read: bool,
    event_obstacle: Option<Obstacle>,
}

impl<T: Task> Reconciliation<'_, T> {
    async fn execute(mut self) -> Result<Action, Error> {
        let mut lookups = Lookups::default();
        for _ in 0..MAX_STEPS {
            let (observed, candidate) = self.gather(&lookups);
            match decide::decide(&observed) {
                Decision::SetStatus(view, again) => {
                    self.show(&view, &observed).await?;
                    return Ok(again.map_or_else(Action::await_change, Action::requeue));
                }
                Decision::GetJob => lookups.job = Some(self.look_up(&observed).await?),
                Decision::ReadEvents => {
                    lookups.event_obstacle = self.ask_events(&observed).await?;
                    lookups.events_read = true;
                }
                Decision::StartRun(number) => {
                    let Some(candidate) = candidate else { return Ok(Action::requeue(Duration::from_secs(1))) };
                    match self.start(&observed, &candidate, number).await? {
                        StartOutcome::Job(job) => lookups.job = Some(ObservedJob::Present(job)),
                        StartOutcome::NotStarted(blocked, again) => {
                            // Upon what was written since: an intent must not be taken back.
                            let observed = Observed { status: self.task.status().clone(), ..observed };
                            self.show(&StatusIntent::Blocked(blocked), &observed).await?;
                            return Ok(Action::requeue(again));
                        }
                        StartOutcome::Stale => return Ok(Action::requeue(Duration::from_secs(1))),
                    }
                }
                Decision::ReadResult(job) => {
                    let pods = self.live_pods(&job).await?;
                    self.conclude(&outcome::read(&job, &pods), &observed).await?;
                }
                Decision::RecordResult(end) => {
                    if end.outcome == Outcome::Superseded && self.started_after_all(&observed).await? {
                        return Ok(Action::requeue(Duration::from_secs(1)));
                    }
                    self.conclude(&end, &observed).await?;
                    lookups.job = None;
                }
                Decision::DeleteJob(uid) => {
                    let name = observed.status.last_run.as_ref().map(|r| r.job_name.clone()).unwrap_or_default();
                    calls::delete_job(&self.shared.client, &self.namespace(), &name, &uid).await?;
                    self.shared.forget(&self.namespace(), &name);
                    lookups.job = Some(self.look_up(&observed).await?);
                }
            }
        }
        warn!(kind = T::KIND, name = self.task.name_any(), "more steps than a task needs; looking again later");
        Ok(Action::requeue(Duration::from_secs(5)))
    }

    fn namespace(&self) -> String {
        self.task.namespace().unwrap_or_default()
    }

    /// What the watches know, and what was asked beyond that.
    fn gather(&self, lookups: &Lookups) -> (Observed, Option<Arc<Candidate>>) {
        let namespace = self.namespace();
        let mut status = self.task.status().clone();
        let policy = self.task.policy();
        let generation = self.task.meta().generation.unwrap_or_default();
        let job = lookups.job.clone().unwrap_or_else(|| {
            let known = status.last_run.as_ref().and_then(|run| self.shared.job(&namespace, &run.job_name));
            known.map_or(ObservedJob::Unknown, |job| ObservedJob::Present(Box::new(job)))
        });
        if let ObservedJob::Present(job) = &job
            && job.owned_by(&self.task.uid().unwrap_or_default())
        {
            status::adopt(&mut status, job);
        }
        let pods = match &job {
            ObservedJob::Present(job) => self
                .shared
                .caches
                .pods
                .group(&pods_of(&namespace, job.name()))
                .iter()
                .filter(|pod| pod.belongs_to(job.uid()))
                .map(|pod| (**pod).clone())
                .collect(),
            _ => Vec::new(),
        };
        let mut observed = Observed {
            uid: self.task.uid().unwrap_or_default(),
            generation,
            suspend: policy.suspend,
            requested: self.task.annotations().get(names::REQUESTED_AT).filter(|v| !v.is_empty()).cloned(),
            broken_rule: None,
            key: String::new(),
            target: None,
            status,
            job,
            pods,
            event_obstacle: lookups.event_obstacle.clone(),
            events_read: lookups.events_read,
            now: Timestamp::now(),
        };
        let on_image = policy.run_policy == RunPolicy::OnImageChange;
        observed.key = self.key(None);
        let mut candidate = None;
        if on_image || decide::needs_run(&observed) {
            let found = self.candidate();
            if on_image {
                observed.key = match &found {
                    Ok((_, image)) => self.key(Some(image)),
                    // Without a target there is no image, and so no change of one.
                    Err(_) => observed.status.last_run.as_ref().map_or_else(|| self.key(None), |run| run.key.clone()),
                };
            }
            observed.target = Some(match found {
                Ok((found, _)) => {
                    let words = format!("{} {}", found.kind.as_str(), found.name());
                    candidate = Some(found);
                    Ok(words)
                }
                Err(blocked) => Err(blocked),
            });
        }
        if decide::needs_run(&observed) {
            observed.broken_rule = self.task.broken_rules();
        }
        (observed, candidate)
    }

    fn key(&self, image: Option<&str>) -> String {
        key::of_task(&self.task, image)
    }

    /// The target that the watches know, and its image.
    fn candidate(&self) -> Result<(Arc<Candidate>, String), Blocked> {
        let caches = &self.shared.caches;
        let namespace = self.namespace();
        let target = self.task.policy().target.as_ref();
        let candidates = match target.and_then(|t| filled(&t.pod_template)) {
            Some(_) => caches.pod_templates.group(&namespace),
            None => caches.deployments.group(&namespace),
        };
        let chosen = target::resolve(&candidates, self.shared.settings.labels(T::LABEL), target)?.uid().to_owned();
        let chosen = candidates.into_iter().find(|c| c.uid() == chosen);
        let chosen = chosen.ok_or_else(|| Blocked::reconciling(Reason::TargetGone, "the target is gone"))?;
        let image = chosen.image(target.and_then(|t| filled(&t.container)))?.to_owned();
        Ok((chosen, image))
    }

    /// The newest run's Job as the API server has it; for a superseded run, with its pods.
    async fn look_up(&self, observed: &Observed) -> Result<ObservedJob, Error> {
        let Some(run) = &observed.status.last_run else { return Ok(ObservedJob::Absent) };
        let namespace = self.namespace();
        if let Some(job) = calls::job(&self.shared.client, &namespace, &run.job_name).await? {
            return Ok(ObservedJob::Present(Box::new(job)));
        }
        let superseded = run.result == Some(Outcome::Superseded);
        let ending = superseded && !calls::pods(&self.shared.client, &namespace, &run.job_name).await?.is_empty();
        Ok(if ending { ObservedJob::Terminating } else { ObservedJob::Absent })
    }

    async fn ask_events(&self, observed: &Observed) -> Result<Option<Obstacle>, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(None) };
        let pod = observed.pods.iter().filter_map(|p| p.metadata.uid.as_deref()).next();
        // A Job's events tell of pods that could not be made; once there is one, they are of the past.
        let uid = pod.unwrap_or_else(|| job.uid());
        Ok(calls::obstacle_in_events(&self.shared.client, &self.namespace(), uid).await?)
    }

    /// The last look before a run is given up for a newer one: at the pods themselves.
    async fn started_after_all(&self, observed: &Observed) -> Result<bool, Error> {
        let ObservedJob::Present(job) = &observed.job else { return Ok(false) };
        let pods = self.live_pods(job).await?;
        Ok(!matches!(progress::read(job, &pods), Progress::NotStarted(_)))
    }

    /// The Job's pods as the API server has them, without those of a namesake.
    async fn live_pods(&self, job: &JobView) -> Result<Vec<PodView>, Error> {
        let pods = calls::pods(&self.shared.client, &self.namespace(), job.name()).await?;
        Ok(pods.into_iter().filter(|pod| pod.belongs_to(job.uid())).collect())
    }

    /// Intent, then Job. The intent is written against the version that was decided upon, so that of two
    /// operators, or of two lives of one, only one goes on from it.
    async fn start(&mut self, observed: &Observed, candidate: &Candidate, number: i64) -> Result<StartOutcome, Error> {
        let Some(_permit) = self.shared.jobs.permit() else {
            let message = "as many Jobs run as the operator's settings allow; this run follows when one ends";
            return Ok(StartOutcome::NotStarted(
                Blocked::reconciling(Reason::ConcurrencyLimit, message),
                Duration::from_secs(5),
            ));
        };
        let client = &self.shared.client;
        let namespace = self.namespace();
        let (source, helper) = tokio::try_join!(
            calls::target(client, &namespace, candidate.kind, candidate.name()),
            calls::helper(client, &namespace),
        )?;
        let soon = Duration::from_secs(1);
        let Some(source) = source.filter(|s| s.uid == candidate.uid()) else {
            let blocked =
                Blocked::reconciling(Reason::TargetGone, format!("{} is gone; choosing again", candidate.name()));
            return Ok(StartOutcome::NotStarted(blocked, soon));
        };
        if !target::carries(&source.labels(), self.shared.settings.labels(T::LABEL)) {
            let blocked = Blocked::reconciling(
                Reason::TargetGone,
                format!("{} lost its label; choosing again", candidate.name()),
            );
            return Ok(StartOutcome::NotStarted(blocked, soon));
        }
        if let Err(blocked) = helper {
            return Ok(StartOutcome::NotStarted(blocked, Duration::from_secs(30)));
        }
        let PlannedJob { built, key } = match job::plan(&self.task, &source, number, crate::helper::name()) {
            Ok(planned) => planned,
            Err(blocked) => return Ok(StartOutcome::NotStarted(blocked, Duration::from_secs(120))),
        };
        let live = Observed { key: key.clone(), ..observed.clone() };
        if !decide::needs_run(&live) {
            return Ok(StartOutcome::Stale); // the watch is behind the target
        }
        self.intend(&source, &built, key, number, &live).await?;
        match calls::create_job(client, &namespace, &built.name, &built.job).await? {
            Creation::Refused(blocked) => Ok(StartOutcome::NotStarted(blocked, Duration::from_secs(30))),
            Creation::Exists(job) => {
                if job.owned_by(&observed.uid) {
                    self.shared.remember(&namespace, &job);
                }
                info!(
                    kind = T::KIND,
                    ns = namespace,
                    name = self.task.name_any(),
                    run = number,
                    job = built.name,
                    "job created"
                );
                Ok(StartOutcome::Job(job))
            }
        }
    }

    async fn intend(
        &mut self,
        source: &TemplateSource,
        built: &BuiltJob,
        key: String,
        number: i64,
        observed: &Observed,
    ) -> Result<(), Error> {
        let started_at = match &observed.status.last_run {
            Some(run) if run.number == number => run.started_at.clone(),
            _ => None,
        };
        let run = Run {
            number,
            key,
            generation: observed.generation,
            job_name: built.name.clone(),
            image: built.image.clone(),
            trigger: filled(&self.task.policy().trigger).map(str::to_owned),
            target: TargetStatus {
                kind: source.kind.as_str().to_owned(),
                name: source.name.clone(),
                uid: source.uid.clone(),
                container: built.container.clone(),
            },
            started_at: started_at.or(Some(Time(observed.now))),
            ..Run::default()
        };
        let intended = status::intend(&observed.status, run, observed.requested.as_deref());
        let view = starting(decide::STARTING_MESSAGE);
        let shown = status::show(&intended, &view, observed.target.as_ref(), &self.stamp(observed));
        if shown.last_run == observed.status.last_run {
            // A life before this one wrote the same intent. Nothing vouches that this copy is the newest.
            let newest = self.api.get(&self.task.name_any()).await?;
            if newest.resource_version() != self.task.resource_version() {
                let overtaken = kube::core::Status::failure("overtaken by a newer version", "Conflict").with_code(409);
                return Err(Error::Call(kube::Error::Api(overtaken.boxed())));
            }
            return Ok(());
        }
        self.write(shown).await
    }

    /// Records the end of the newest run: outcome, timestamp and conditions in one write. If something
    /// asks for another run already, nobody is told that the newest spec was carried out.
    async fn conclude(&mut self, end: &RunResult, observed: &Observed) -> Result<(), Error> {
        let sentence = (end.outcome == Outcome::Succeeded).then(|| self.task.success(end.report.as_ref()).1);
        let concluded = status::conclude(&observed.status, end, sentence, observed.now);
        let after = Observed { status: concluded, ..observed.clone() };
        let view = match decide::needs_run(&after) {
            true => starting("the spec asks for another run"),
            false => StatusIntent::Settled,
        };
        let shown = status::show(&after.status, &view, observed.target.as_ref(), &self.stamp(observed));
        let run = shown.last_run.clone().unwrap_or_default();
        self.write(shown).await?;
        self.shared.metrics.ran(T::KIND, &format!("{:?}", end.outcome), run.duration_seconds);
        info!(
            kind = T::KIND, ns = self.namespace(), name = self.task.name_any(), run = run.number, job = run.job_name,
            outcome = ?end.outcome, reason = end.reason, "run over"
        );
        Ok(())
    }

    fn stamp(&self, observed: &Observed) -> Stamp {
        Stamp { generation: observed.generation, suspend: observed.suspend, now: observed.now }
    }

    async fn show(&mut self, view: &StatusIntent, observed: &Observed) -> Result<(), Error> {
        let status = status::show(&observed.status, view, observed.target.as_ref(), &self.stamp(observed));
        let late =
            matches!(&observed.job, ObservedJob::Present(job) if decide::age(job, observed.now) >= decide::START_GRACE);
        if late || status::worth_writing(self.task.status(), &status) {
            self.write(status).await?;
        }
        Ok(())
    }

    /// Writes the status if it differs, and tells people what changed.
    async fn write(&mut self, status: TaskStatus) -> Result<(), Error> {
        let old = self.task.status().clone();
        if status == old {
            return Ok(());
        }
        let success = self.task.success(status.report.as_ref()).0;
        let notices = events::notices(&old, &status, success);
        let job = status.last_run.as_ref().and_then(|run| {
            run.job_uid.as_ref().map(|uid| k8s_openapi::api::core::v1::ObjectReference {
                api_version: Some("batch/v1".into()),
                kind: Some("Job".into()),
                namespace: self.task.namespace(),
                name: Some(run.job_name.clone()),
                uid: Some(uid.clone()),
                ..Default::default()
            })
        });
        let replaced = self.task.resource_version();
        let completed_at = status::completed_at(&status, self.task.completed_at());
        self.task.set_status(status, completed_at);
        self.task = self.api.replace_status(&self.task.name_any(), &PostParams::default(), &self.task).await?;
        self.context.record_write(replaced, &self.task);
        if !notices.is_empty() {
            let (recorder, about) = (self.shared.recorder.clone(), self.task.object_ref(&()));
            tokio::spawn(async move { events::publish(&recorder, &about, job, notices).await });
        }
        Ok(())
    }
}

enum StartOutcome {
    Job(Box<JobView>),
    NotStarted(Blocked, Duration),
    Stale,
}

fn starting(message: &str) -> StatusIntent {
    StatusIntent::InProgress(Obstacle { reason: Reason::Starting, message: message.to_owned() })
}

/// An object that this version cannot read gets a condition of its own, and stops nobody else.
async fn undecodable<T: Task>(shared: &NamespaceContext, meta: &ObjectMeta, error: &str) -> Result<Action, Error> {
    let resource = ApiResource::erase::<T>(&());
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let name = meta.name.as_deref().unwrap_or_default();
    let generation = meta.generation.unwrap_or_default();
    let api: Api<DynamicObject> = Api::namespaced_with(shared.client.clone(), namespace, &resource);
    let Some(mut object) = api.get_opt(name).await? else { return Ok(Action::await_change()) };
    let view = StatusIntent::Blocked(Blocked::stalled(Reason::Undecodable, crate::core::text::one_line(error)));
    let stamp = Stamp { generation, suspend: false, now: Timestamp::now() };
    let shown = status::show(&TaskStatus::default(), &view, None, &stamp);
    let same = object.data["status"]["conditions"].as_array().is_some_and(|conditions| {
        let ready = condition::find(&shown.conditions, condition::READY);
        conditions
            .iter()
            .any(|c| c["type"] == condition::READY && ready.is_some_and(|r| c["message"] == r.message.as_str()))
    });
    if !same {
        object.data["status"]["conditions"] = json!(shown.conditions);
        object.data["status"]["observedGeneration"] = json!(generation);
        api.replace_status(name, &PostParams::default(), &object).await?;
    }
    Ok(Action::await_change())
}
