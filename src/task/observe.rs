//! What is known of a task before anything is decided: pure, over what the watches know and what was asked of the
//! API server beyond that.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::decide::RESYNC_INTERVAL;
use super::observed::{Lookups, Observed, ObservedJob};
use super::run_cause::{failed_because_of_target, needs_run};
use super::status;
use super::target::{self, Candidate, TargetKind};
use super::target_change::target_changed;
use super::{Task, run_key};
use crate::api::{Run, RunPolicy, Target, TaskStatus, non_empty};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason};
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

/// What the watches know; asked only for what matters.
pub trait CacheReader {
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
    /// The names of the DjangoMigrate resources that are under way on a target, given as kind and name.
    fn open_migrations(&self, target: &str) -> Vec<String>;
    /// The object of that name that can be a target, or those that carry one of the labels.
    fn candidates(&self, kind: TargetKind, named: Option<&str>, labels: &[(String, String)]) -> Vec<Arc<Candidate>>;
}

/// Gathers what the decision about `task` depends on. `labels` mark its targets.
pub fn observe<T: Task>(
    task: &T,
    cache: &impl CacheReader,
    lookups: &Lookups,
    labels: &[(String, String)],
    now: Timestamp,
) -> Observed {
    let policy = task.policy();
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
    let spec_changed = status.last_run.as_ref().is_some_and(|run| run_key::spec_changed(task, run));
    let mut observed = Observed {
        uid,
        generation: task.meta().generation.unwrap_or_default(),
        suspend: policy.suspend,
        requested: task.annotations().get(names::REQUESTED_AT_ANNOTATION).filter(|v| !v.is_empty()).cloned(),
        broken_rule: None,
        status,
        completed_at: task.completed_at().cloned(),
        spec_changed,
        follows_image: policy.run_policy == RunPolicy::OnImageChange,
        target_changed: false,
        target_image: None,
        target: None,
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
        now,
    };
    let may_rerun = observed.status.last_run.as_ref().is_some_and(failed_because_of_target);
    if observed.follows_image || may_rerun || needs_run(&observed).is_some() {
        let found = choose_target(policy.target.as_ref(), cache, labels);
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
    if needs_run(&observed).is_some() {
        observed.broken_rule = task.broken_rules().or_else(|| request_too_long(observed.requested.as_deref()));
    }
    observed
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
    cache: &impl CacheReader,
    labels: &[(String, String)],
) -> Result<(Arc<Candidate>, String), Blocked> {
    let (kind, named) = target::wanted(target);
    let candidates = cache.candidates(kind, named, labels);
    let chosen = target::resolve(&candidates, labels, target)?.uid().to_owned();
    let chosen = candidates.into_iter().find(|candidate| candidate.uid() == chosen);
    let chosen = chosen.ok_or_else(|| Blocked::reconciling(Reason::TargetGone, "the target is gone"))?;
    let image = chosen.image(target.and_then(|t| non_empty(&t.container)))?.to_owned();
    Ok((chosen, image))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoMigrate;
    use crate::api::RunCause;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Known {
        job: Option<Value>,
        confirmed_ago: Duration,
        remembered: Option<Value>,
        jobs: Vec<Value>,
        pods: Vec<Value>,
        image: Option<&'static str>,
    }

    impl CacheReader for Known {
        fn job(&self, _: &str) -> Option<KnownJob> {
            let job = Arc::new(serde_json::from_value(self.job.clone()?).unwrap());
            Some(KnownJob { job, age: Duration::ZERO, confirmed_ago: self.confirmed_ago })
        }

        fn remembered_job(&self, _: &str) -> Option<Arc<JobView>> {
            self.remembered.clone().map(|job| Arc::new(serde_json::from_value(job).unwrap()))
        }

        fn ran_in_gone_pod(&self, _: &str, _: &str) -> bool {
            false
        }

        fn jobs(&self) -> Vec<Arc<JobView>> {
            self.jobs.iter().map(|job| Arc::new(serde_json::from_value(job.clone()).unwrap())).collect()
        }

        fn pods(&self, _: &str) -> Vec<Arc<PodView>> {
            self.pods.iter().map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap())).collect()
        }

        fn open_migrations(&self, _: &str) -> Vec<String> {
            Vec::new()
        }

        fn candidates(&self, kind: TargetKind, _: Option<&str>, _: &[(String, String)]) -> Vec<Arc<Candidate>> {
            let template = |image| json!({"metadata": {"labels": {"app": "django"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
            let candidate = |image| Candidate {
                kind,
                metadata: serde_json::from_value(json!({"name": "web", "uid": "web"})).unwrap(),
                template: serde_json::from_value(template(image)).unwrap(),
            };
            self.image.map(|image| Arc::new(candidate(image))).into_iter().collect()
        }
    }

    fn task(spec: Value, run: Value) -> DjangoMigrate {
        let status = match run {
            Value::Null => json!({}),
            run => json!({"lastRun": run}),
        };
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
            "metadata": {"name": "m", "namespace": "ns", "uid": "task", "generation": 1},
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    fn run(key: &str, uid: Option<&str>, result: Option<&str>) -> Value {
        let target = json!({"kind": "", "name": "", "uid": "", "container": ""});
        json!({
            "number": 1, "key": key, "generation": 1, "jobName": "j", "jobUid": uid, "image": "i:1",
            "result": result, "target": target,
        })
    }

    fn observed(task: &DjangoMigrate, known: &Known) -> Observed {
        let labels = [("app".to_owned(), "django".to_owned())];
        observe(task, known, &Lookups::default(), &labels, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_target_is_chosen_only_where_it_matters() {
        let plain = run_key::for_task(&task(json!({}), Value::Null));
        let done = || run(&plain, Some("job"), Some("Succeeded"));
        let with_image = Known { image: Some("i:2"), ..Known::default() };
        let reason = |o: &Observed| o.target.as_ref().map(|t| t.as_ref().err().map(|b| b.reason));
        for (situation, spec, last_run, known, cause, target) in [
            ("new", json!({}), Value::Null, &with_image, Some(RunCause::First), Some(None)),
            (
                "new, no target",
                json!({}),
                Value::Null,
                &Known::default(),
                Some(RunCause::First),
                Some(Some(Reason::TargetNotFound)),
            ),
            ("done", json!({}), done(), &with_image, None, None),
            ("edited", json!({"app": "a"}), done(), &with_image, Some(RunCause::Spec), Some(None)),
            (
                "follows another image",
                json!({"runPolicy": "OnImageChange"}),
                done(),
                &with_image,
                Some(RunCause::Image),
                Some(None),
            ),
            (
                "follows the image that it ran",
                json!({"runPolicy": "OnImageChange"}),
                done(),
                &Known { image: Some("i:1"), ..Known::default() },
                None,
                Some(None),
            ),
            (
                "follows an image that is gone",
                json!({"runPolicy": "OnImageChange"}),
                done(),
                &Known::default(),
                None,
                Some(Some(Reason::TargetNotFound)),
            ),
        ] {
            let observed = observed(&task(spec, last_run), known);
            assert_eq!(needs_run(&observed), cause, "{situation}");
            assert_eq!(reason(&observed), target, "{situation}");
        }
    }

    #[test]
    fn a_job_is_adopted_by_its_owner_alone_and_so_are_its_pods() {
        let recorded = task(json!({}), run("v1:k", None, None));
        let owner =
            |uid: &str| json!([{"apiVersion": "g/v", "kind": "K", "name": "m", "uid": uid, "controller": true}]);
        let pods = vec![
            json!({"metadata": {"name": "a", "ownerReferences": owner("job")}}),
            json!({"metadata": {"name": "b", "ownerReferences": owner("other")}}),
        ];
        for (uid, adopted) in [("task", Some("job")), ("somebody", None)] {
            let job = json!({"metadata": {"name": "j", "uid": "job", "ownerReferences": owner(uid)}});
            let seen = observed(&recorded, &Known { job: Some(job), pods: pods.clone(), ..Known::default() });
            let run = seen.status.last_run.unwrap();
            assert_eq!(run.job_uid.as_deref(), adopted);
            assert_eq!(seen.pods.iter().map(|p| &*p.meta.name).collect::<Vec<_>>(), ["a"]);
        }
        assert!(matches!(observed(&recorded, &Known::default()).job, ObservedJob::Unknown));
    }

    #[test]
    fn what_an_adopted_job_runs_is_what_its_maker_said() {
        let recorded = task(json!({}), run("v1:k", None, None));
        let job = json!({"metadata": {
            "name": "j", "uid": "job",
            "ownerReferences": [{"apiVersion": "g/v", "kind": "K", "name": "m", "uid": "task", "controller": true}],
            "annotations": {
                "django.my.domain/run-key": "v1:other", "django.my.domain/generation": "7",
                "django.my.domain/image": "other:1", "django.my.domain/container": "other",
                "django.my.domain/target": "PodTemplate/other",
            },
        }});
        let seen = observed(&recorded, &Known { job: Some(job), ..Known::default() });
        let run = seen.status.last_run.unwrap();
        assert_eq!((run.key.as_str(), run.generation, run.image.as_str()), ("v1:other", 7, "other:1"));
        let target = run.target;
        assert_eq!(
            [&*target.kind, &*target.name, &*target.uid, &*target.container],
            ["PodTemplate", "other", "", "other"]
        );
    }

    fn job(uid: &str, number: i64, end: Option<&str>, owner: &str) -> Value {
        let conditions: Vec<Value> = end.iter().map(|end| json!({"type": end, "status": "True"})).collect();
        json!({
            "metadata": {
                "name": "j", "uid": uid, "annotations": {"django.my.domain/run": number.to_string()},
                "ownerReferences": [{"apiVersion": "g/v", "kind": "K", "name": "m", "uid": owner, "controller": true}],
            },
            "status": {"conditions": conditions},
        })
    }

    #[test]
    fn a_job_that_this_process_knew_counts_though_it_is_gone() {
        let recorded = task(json!({}), run("v1:k", None, None));
        let uid = |remembered| {
            let known = Known { remembered: Some(remembered), ..Known::default() };
            observed(&recorded, &known).status.last_run.unwrap().job_uid
        };
        assert_eq!(uid(job("gone", 1, None, "task")).as_deref(), Some("gone"));
        assert_eq!(uid(job("gone", 1, None, "somebody")), None);
    }

    #[test]
    fn what_the_api_server_said_long_ago_is_stale() {
        let running = task(json!({}), run("v1:k", Some("job"), None));
        let known = |confirmed_ago| Known { job: Some(job("job", 1, None, "task")), confirmed_ago, ..Known::default() };
        assert!(!observed(&running, &known(RESYNC_INTERVAL - Duration::from_secs(1))).job_is_stale);
        assert!(observed(&running, &known(RESYNC_INTERVAL)).job_is_stale);
    }

    #[test]
    fn a_job_of_a_run_that_is_over_is_late() {
        for (situation, uid, result, job, late) in [
            ("the run's own", Some("job"), None, job("job", 1, None, "task"), false),
            ("not yet recorded", None, None, job("job", 1, None, "task"), false),
            ("another of the same run", Some("job"), None, job("other", 1, None, "task"), true),
            ("of a run that is over", Some("job"), Some("Succeeded"), job("other", 1, None, "task"), true),
            (
                "of a run that is over, ended",
                Some("job"),
                Some("Succeeded"),
                job("job", 1, Some("Complete"), "task"),
                false,
            ),
            ("of a run before", Some("job"), None, job("other", 0, None, "task"), true),
            ("of a run that this copy does not know yet", Some("job"), None, job("other", 2, None, "task"), false),
            ("somebody else's", Some("job"), None, job("other", 1, None, "somebody"), false),
        ] {
            let known = Known { jobs: vec![job], ..Known::default() };
            let seen = observed(&task(json!({}), run("v1:k", uid, result)), &known);
            assert_eq!(!seen.late_jobs.is_empty(), late, "{situation}");
        }
    }

    #[test]
    fn what_another_operator_ran_is_followed_from_the_first_image_that_is_seen() {
        let key = run_key::for_task(&task(json!({}), Value::Null));
        let mut taken_over = run(&key, Some("job"), Some("Succeeded"));
        taken_over["image"] = json!("");
        let seen = |image| {
            let known = Known { image, ..Known::default() };
            observed(&task(json!({"runPolicy": "OnImageChange"}), taken_over.clone()), &known)
        };
        for image in [None, Some("i:1")] {
            let seen = seen(image);
            assert_eq!(needs_run(&seen), None);
            assert_eq!(seen.status.last_run.unwrap().image, image.unwrap_or_default());
        }
    }

    #[test]
    fn a_rule_is_judged_only_where_a_run_is_due() {
        let broken = json!({"migration": "0002"});
        let seen = observed(&task(broken.clone(), Value::Null), &Known::default());
        assert!(seen.broken_rule.is_some_and(|rule| rule.contains("needs app as well")));
        let mut asked = task(json!({}), Value::Null);
        asked.metadata.annotations = Some([(names::REQUESTED_AT_ANNOTATION.into(), "x".repeat(254))].into());
        let seen = observed(&asked, &Known::default());
        assert!(seen.broken_rule.is_some_and(|rule| rule.contains("requestedAt]: has 254 bytes; write at most 253")));
        let key = run_key::for_task(&task(broken.clone(), Value::Null));
        let seen = observed(&task(broken, run(&key, Some("job"), Some("Succeeded"))), &Known::default());
        assert_eq!(seen.broken_rule, None);
    }
}
