//! What is known of a task before anything is decided: pure, over what the watches know and what was asked of the
//! API server beyond that.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::decide::RESYNC_INTERVAL;
use super::dependency::ObservedDependency;
use super::gate::{self, GateProblem};
use super::job::image;
use super::observed::{Lookups, Observed, ObservedJob};
use super::run_cause::{failed_because_of_target, needs_run};
use super::schedule::ObservedSchedule;
use super::status;
use super::target::{self, Candidate, TargetKind};
use super::target_change::target_changed;
use super::{Task, run_key};
use crate::api::{Dependency, Run, RunPolicy, Target, TaskStatus, non_empty};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason, request};
use crate::names;

/// Longest value of the request annotation, which the status repeats.
const REQUEST_LIMIT: usize = 253;

/// A Job that is known without asking.
pub struct KnownJob {
    pub job: Arc<JobView>,
    /// How long this process has known it.
    pub age: Duration,
    /// How long ago the API server said that it is so.
    pub confirmed_ago: Duration,
}

/// What is known of a namespace: what can be a target, and the tasks.
pub trait NamespaceReader {
    /// The object of that name that can be a target, or those that carry one of the labels.
    fn candidates(&self, kind: TargetKind, named: Option<&str>, labels: &[(String, String)]) -> Vec<Arc<Candidate>>;
    /// How the tasks stand that another one depends on.
    fn dependencies(&self, dependencies: &[Dependency]) -> Vec<ObservedDependency>;
    /// The circle that a task is part of, of tasks that wait for each other.
    fn dependency_cycle(&self, kind: &'static str, name: &str) -> Option<String>;
}

/// What the watches know; asked only for what matters.
pub trait CacheReader: NamespaceReader {
    /// A Job of the task's.
    fn job(&self, name: &str) -> Option<KnownJob>;
    /// A Job of the task's that this process knew, whether or not it still is there.
    fn remembered_job(&self, name: &str) -> Option<Arc<JobView>>;
    /// Whether this container was seen to run in a pod of the Job of this UID, which is gone.
    fn ran_in_gone_pod(&self, job_uid: &str, container: &str) -> bool;
    /// All Jobs of the task's.
    fn jobs(&self) -> Vec<Arc<JobView>>;
    /// Pods of a Job of that name.
    fn pods(&self, job: &str) -> Vec<Arc<PodView>>;
    /// What can be a target in the namespace and says something of the gate, in order.
    fn gated_candidates(&self) -> Vec<Arc<Candidate>>;
    /// The names of the DjangoMigrate resources that are under way on a target, given as kind and name.
    fn open_migrations(&self, target: &str) -> Vec<String>;
}

/// Gathers what the decision about `task` depends on. `labels` mark its targets.
pub fn observe<T: Task>(
    task: &T,
    cache: &impl CacheReader,
    lookups: &Lookups,
    labels: &[(String, String)],
    now: Timestamp,
) -> Observed {
    let uid = task.uid().unwrap_or_default();
    let mut status = task.status().clone();
    let job_name = status.last_run.as_ref().map(|run| run.job_name.clone()).unwrap_or_default();
    let known = status.last_run.as_ref().and_then(|_| cache.job(&job_name));
    let (job_age, confirmed_ago) = known.as_ref().map(|known| (known.age, known.confirmed_ago)).unwrap_or_default();
    let job =
        lookups.job.clone().unwrap_or(known.map_or(ObservedJob::Unknown, |known| ObservedJob::Present(known.job)));
    let job_uid_stored = status.last_run.as_ref().is_some_and(|run| run.job_uid.is_some());
    let remembered = cache.remembered_job(&job_name);
    let of_run = match (&job, &remembered) {
        // Whatever has become of its owner reference since.
        (ObservedJob::Present(job), Some(known)) if known.uid() == job.uid() => Some(known),
        (ObservedJob::Present(job), _) => Some(job),
        (_, known) => known.as_ref(),
    };
    if let Some(job) = of_run.filter(|job| job.owned_by(&uid)) {
        status::record_job_uid(&mut status, job);
    }
    let recorded = status.last_run.as_ref().and_then(|run| run.job_uid.as_deref());
    let job = match (job, remembered) {
        // Its end came before it expired.
        (ObservedJob::Absent, Some(last)) if last.end().is_some() && recorded == Some(last.uid()) => {
            ObservedJob::Present(last)
        }
        (job, _) => job,
    };
    let is_another = matches!((&job, recorded), (ObservedJob::Present(job), Some(recorded)) if job.uid() != recorded);
    let pods = lookups.pods.clone().unwrap_or_else(|| match &job {
        ObservedJob::Present(job) => {
            let mut pods = cache.pods(job.name());
            pods.retain(|pod| pod.belongs_to(job.uid()));
            pods
        }
        _ => Vec::new(),
    });
    status::record_command_start(&mut status, &pods, now);
    let ran = |run: &Run| run.job_uid.as_deref().is_some_and(|uid| cache.ran_in_gone_pod(uid, &run.target.container));
    if status.last_run.as_ref().filter(|run| run.result.is_none()).is_some_and(ran) {
        status::set_command_started(&mut status, now);
    }
    if matches!(&job, ObservedJob::Present(job) if !job.is_deleting()) {
        status::forget_superseding_of_started(&mut status);
    }
    let unfinished = status.last_run.as_ref().filter(|run| T::WAITS_FOR_MIGRATIONS && run.result.is_none());
    let open_migrations =
        unfinished.map(|run| cache.open_migrations(&format!("{}/{}", run.target.kind, run.target.name)));
    let mut late_jobs = cache.jobs();
    late_jobs.retain(|job| is_late(job, &uid, &status));
    let mut observed = Observed {
        job,
        job_age,
        job_is_stale: lookups.job.is_none() && (confirmed_ago >= RESYNC_INTERVAL || is_another),
        job_uid_stored,
        pods,
        open_migrations,
        late_jobs,
        deleted_jobs: lookups.deleted_jobs.clone(),
        event_obstacle: lookups.event_obstacle.clone(),
        events_read: lookups.events_read,
        ..of_spec(task, status, now)
    };
    if !task.policy().depends_on.is_empty() {
        observed.dependency_cycle = cache.dependency_cycle(T::KIND, &task.name_any());
    }
    if observed.dependency_cycle.is_none() {
        observed.dependencies = cache.dependencies(&task.policy().depends_on);
    }
    observe_target(&mut observed, task, cache, labels);
    observed.gate_problem = gate_problem(task, &observed, cache);
    if needs_run(&observed).is_some() {
        let broken = task.broken_rules().or_else(|| request_too_long(observed.requested.as_deref()));
        observed.broken_rule = broken.or(observed.broken_rule);
    }
    observed
}

/// What is known of a task that another one depends on: enough to tell whether a run of it is due.
pub fn observe_dependency<T: Task>(
    task: &T,
    namespace: &impl NamespaceReader,
    labels: &[(String, String)],
    now: Timestamp,
) -> Observed {
    let mut observed = of_spec(task, task.status().clone(), now);
    // What it depends on itself tells whether a run is due only where it follows that.
    if observed.reruns_with_dependencies {
        observed.dependencies = namespace.dependencies(&task.policy().depends_on);
    }
    observe_target(&mut observed, task, namespace, labels);
    observed
}

/// What the task itself says, beside its status.
fn of_spec<T: Task>(task: &T, status: TaskStatus, now: Timestamp) -> Observed {
    let policy = task.policy();
    let (schedule, broken_rule) = match ObservedSchedule::of(task, &status, now) {
        Ok(schedule) => (schedule, None),
        Err(problem) => (None, Some(problem)),
    };
    Observed {
        broken_rule,
        schedule,
        uid: task.uid().unwrap_or_default(),
        generation: task.meta().generation.unwrap_or_default(),
        suspend: policy.suspend,
        requested: request::requested(task).cloned(),
        completed_at: task.completed_at().cloned(),
        spec_changed: status.last_run.as_ref().is_some_and(|run| run_key::spec_changed(task, run)),
        follows_image: policy.run_policy == RunPolicy::OnImageChange,
        reruns_with_dependencies: policy.rerun_with_dependencies,
        status,
        now,
        ..Observed::default()
    }
}

/// The target, where it matters.
fn observe_target<T: Task>(
    observed: &mut Observed,
    task: &T,
    namespace: &impl NamespaceReader,
    labels: &[(String, String)],
) {
    let may_rerun = observed.status.last_run.as_ref().is_some_and(failed_because_of_target);
    if observed.follows_image || may_rerun || needs_run(observed).is_some() {
        let found = choose_target(task.policy().target.as_ref(), namespace, labels);
        if let Ok((candidate, _)) = &found {
            let run = observed.status.last_run.as_ref();
            observed.target_changed = target_changed(task, run, candidate.uid(), &candidate.settings_hash());
        }
        observed.target_image = found.as_ref().ok().map(|(_, image)| image.clone());
        // What another operator ran is not known; what the target runs now is where following it begins.
        if let (Some(run), Some(image)) = (&mut observed.status.last_run, &observed.target_image)
            && run.image.is_empty()
        {
            run.image.clone_from(image);
        }
        observed.target = Some(found.map(|(candidate, _)| candidate));
    }
}

/// What is wrong about the gate of pods that wait for what a task migrates: those that run an image of the repository that
/// it runs itself.
fn gate_problem<T: Task>(task: &T, observed: &Observed, cache: &impl CacheReader) -> Option<GateProblem> {
    task.migrates_everything_in()?;
    let run = observed.status.last_run.as_ref();
    let own = run.map(|run| &run.image).filter(|image| !image.is_empty()).or(observed.target_image.as_ref())?;
    let databases = observed.status.report.as_ref().map(|report| report.databases.as_slice()).unwrap_or_default();
    cache.gated_candidates().iter().find_map(|candidate| {
        let problem = gate::problem_of(candidate).or_else(|| gate::problem_of_database(candidate, databases))?;
        let mut images = candidate.template.spec.containers.iter().map(|container| &container.image);
        images.any(|image| image::repository(image) == image::repository(own)).then_some(())?;
        Some(GateProblem { message: format!("Deployment {}: {}", candidate.name(), problem.message), ..problem })
    })
}

/// What is wrong with a request that the status could not hold.
fn request_too_long(request: Option<&str>) -> Option<String> {
    request.filter(|request| request.len() > REQUEST_LIMIT).map(|request| {
        format!(
            "metadata.annotations[{}]: has {} bytes; write at most {REQUEST_LIMIT}, such as the time",
            names::REQUESTED_AT_ANNOTATION,
            request.len()
        )
    })
}

/// Whether a Job of the task's is none that should be: its run is over, or has another Job. An operator that was held up
/// between its record of a run and the Job's creation made it, after another had done both.
fn is_late(job: &JobView, uid: &str, status: &TaskStatus) -> bool {
    let (Some(number), Some(run)) = (job.run_number(), &status.last_run) else { return false };
    let of_the_run =
        number == run.number && run.result.is_none() && run.job_uid.as_deref().is_none_or(|u| u == job.uid());
    job.owned_by(uid) && job.end().is_none() && number <= run.number && !of_the_run
}

/// The target that the watches know, and the image that it runs.
pub(super) fn choose_target(
    target: Option<&Target>,
    namespace: &impl NamespaceReader,
    labels: &[(String, String)],
) -> Result<(Arc<Candidate>, String), Blocked> {
    let (kind, named) = target::wanted(target);
    let candidates = namespace.candidates(kind, named, labels);
    let chosen = target::resolve(&candidates, labels, target)?.uid().to_owned();
    let chosen = candidates.into_iter().find(|candidate| candidate.uid() == chosen);
    let chosen = chosen.ok_or_else(|| Blocked::reconciling(Reason::TargetGone, "the target is gone"))?;
    let image = chosen.image(target.and_then(|t| non_empty(&t.container)))?.to_owned();
    Ok((chosen, image))
}
