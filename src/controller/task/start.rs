//! The start of a run: the last look at everything that it depends on, its record, its Job.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use tracing::info;

use super::dependency_reader::live_dependencies;
use super::reconcile::{REJECTION_INTERVAL, Reconciliation, SOON};
use crate::api::RunCause;
use crate::cluster::client::{self, JobCreation};
use crate::controller::reconciler::Error;
use crate::core::views::JobView;
use crate::core::{Blocked, Reason};
use crate::helper;
use crate::task::decide::RESYNC_INTERVAL;
use crate::task::dependency;
use crate::task::job::{self, BuiltJob};
use crate::task::observed::Observed;
use crate::task::run_cause::needs_run;
use crate::task::source::{self, TemplateSource};
use crate::task::target_change::with_live_target;
use crate::task::{Task, status};

/// What became of an attempt to start a run.
pub(super) enum StartOutcome {
    /// Its Job exists.
    JobExists(Arc<JobView>),
    /// Something is in the way; to be looked at again after that long.
    Blocked(Blocked, Duration),
    /// No run is due, as seen with the live target.
    NoLongerDue,
}

impl<T: Task> Reconciliation<'_, T> {
    /// Records the run, then creates its Job. The record is written against the version that was decided upon, so that
    /// of two operators, or of one and its successor, only one goes on from it.
    pub(super) async fn start(&mut self, observed: &Observed, number: i64) -> Result<StartOutcome, Error> {
        let Some(Ok(candidate)) = &observed.target else { return Ok(StartOutcome::NoLongerDue) };
        let Some(permit) = self.shared.job_limit.acquire(&self.object_key()) else {
            let message = "as many Jobs run as the operator's settings allow; this run follows when one ends";
            let blocked = Blocked::reconciling(Reason::ConcurrencyLimit, message);
            return Ok(StartOutcome::Blocked(blocked, RESYNC_INTERVAL));
        };
        let client = &self.shared.client;
        let (live, helper) = tokio::try_join!(
            client::get_target(client, &self.namespace, candidate.kind, candidate.name()),
            self.ensure_helper(),
        )?;
        let source = match source::confirm(live, candidate, self.shared.settings.target_labels(T::TARGET_LABEL)) {
            Ok(source) => source,
            Err(blocked) => return Ok(StartOutcome::Blocked(blocked, SOON)),
        };
        if let Err(blocked) = helper {
            return Ok(StartOutcome::Blocked(blocked, REJECTION_INTERVAL));
        }
        // Not where something else asks for a run as well: a due time, or what it depends on.
        let is_rerun =
            matches!(needs_run(observed), Some(RunCause::Request | RunCause::Unfinished | RunCause::Interpreter));
        let may_resume = is_rerun && !observed.is_due_by_schedule() && !observed.dependency_reran();
        let built = match job::build(&self.task, &source, number, may_resume, helper::source()) {
            Ok(built) => built,
            Err(blocked) => return Ok(StartOutcome::Blocked(blocked, Duration::from_secs(120))),
        };
        let mut observed = with_live_target(observed, &self.task, &source, &built.image);
        // After the target was read: whoever follows the image that this run is to have is seen to need a run as well.
        observed.dependencies = live_dependencies(self.shared, &self.namespace, &observed.dependencies, 0).await?;
        let Some(cause) = needs_run(&observed) else {
            return Ok(StartOutcome::NoLongerDue); // the watch is behind the target
        };
        if let Some(blocked) = dependency::blocked(&observed) {
            return Ok(StartOutcome::Blocked(blocked, RESYNC_INTERVAL));
        }
        self.record_run_start(&observed, number, &built, &source).await?;
        let job = match client::create_job(client, &self.namespace, &built.name, &built.job).await? {
            JobCreation::Created(job) => {
                if !job.owned_by(&observed.uid) {
                    self.record_unowned(&job).await?;
                }
                job
            }
            JobCreation::Found(job) => job,
            JobCreation::Rejected(blocked) => {
                return Ok(StartOutcome::Blocked(blocked, REJECTION_INTERVAL));
            }
        };
        if job.owned_by(&observed.uid) {
            self.shared.caches.unrecorded_jobs.record(&job);
        }
        let name = self.task.name_any();
        info!(kind = T::KIND, ns = self.namespace, name, run = number, ?cause, job = built.name, "job created");
        let job = self.now_known(job);
        permit.used();
        Ok(StartOutcome::JobExists(job))
    }

    /// Stores the UID of a Job that was just created, and whose owner reference something took away: it is this run's all
    /// the same.
    async fn record_unowned(&mut self, job: &JobView) -> Result<(), Error> {
        let mut status = self.task.status().clone();
        status::record_job_uid(&mut status, job);
        self.write(status).await
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

    /// The helper's ConfigMap is there, as far as this process knows.
    pub(super) async fn ensure_helper(&self) -> Result<Result<(), Blocked>, kube::Error> {
        let create = client::create_helper(&self.shared.client, &self.namespace);
        self.shared.helper_namespaces.ensure(&self.namespace, create).await
    }
}
