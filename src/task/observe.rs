//! What is known of a task before anything is decided: pure, over what the watches know and what was asked of the
//! API server beyond that.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::observed::{Lookups, Observed, ObservedJob};
use super::run_cause::needs_run;
use super::status;
use super::target::{self, Candidate, TargetKind};
use super::{Task, run_key};
use crate::api::{RunPolicy, Target, non_empty};
use crate::core::views::{JobView, PodView};
use crate::core::{Blocked, Reason};
use crate::names;

/// What the watches know; asked only for what matters.
pub trait CacheReader {
    /// A Job of the task's namespace.
    fn job(&self, name: &str) -> Option<Arc<JobView>>;
    /// Pods of a Job of that name.
    fn pods(&self, job: &str) -> Vec<Arc<PodView>>;
    /// Objects of the task's namespace that can be a target.
    fn candidates(&self, kind: TargetKind) -> Vec<Arc<Candidate>>;
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
    let job = lookups.job.clone().unwrap_or_else(|| {
        let run = status.last_run.as_ref();
        run.and_then(|run| cache.job(&run.job_name)).map_or(ObservedJob::Unknown, ObservedJob::Present)
    });
    let mut pods = Vec::new();
    if let ObservedJob::Present(job) = &job {
        if job.owned_by(&uid) {
            status::record_job_uid(&mut status, job);
        }
        pods = cache.pods(job.name());
        pods.retain(|pod| pod.belongs_to(job.uid()));
    }
    let mut observed = Observed {
        uid,
        generation: task.meta().generation.unwrap_or_default(),
        suspend: policy.suspend,
        requested: task.annotations().get(names::REQUESTED_AT_ANNOTATION).filter(|v| !v.is_empty()).cloned(),
        broken_rule: None,
        status,
        key: run_key::for_task(task, None),
        followed_image: None,
        target: None,
        job,
        pods,
        event_obstacle: lookups.event_obstacle.clone(),
        events_read: lookups.events_read,
        now,
    };
    let follows_image = policy.run_policy == RunPolicy::OnImageChange;
    if follows_image || needs_run(&observed).is_some() {
        let found = choose_target(policy.target.as_ref(), cache, labels);
        if follows_image {
            observed.key = match (&found, &observed.status.last_run) {
                (Ok((_, image)), _) => run_key::for_task(task, Some(image)),
                // Without a target there is no image, and so no change of one.
                (Err(_), Some(run)) => run.key.clone(),
                (Err(_), None) => observed.key,
            };
        }
        if follows_image {
            observed.followed_image = found.as_ref().ok().map(|(_, image)| image.clone());
        }
        observed.target = Some(found.map(|(candidate, _)| candidate));
    }
    if needs_run(&observed).is_some() {
        observed.broken_rule = task.broken_rules();
    }
    observed
}

/// The target that the watches know, and the image that it runs.
fn choose_target(
    target: Option<&Target>,
    cache: &impl CacheReader,
    labels: &[(String, String)],
) -> Result<(Arc<Candidate>, String), Blocked> {
    let kind = match target.and_then(|t| non_empty(&t.pod_template)) {
        Some(_) => TargetKind::PodTemplate,
        None => TargetKind::Deployment,
    };
    let candidates = cache.candidates(kind);
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
    use crate::task::run_cause::RunCause;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Known {
        job: Option<Value>,
        pods: Vec<Value>,
        image: Option<&'static str>,
    }

    impl CacheReader for Known {
        fn job(&self, _: &str) -> Option<Arc<JobView>> {
            self.job.clone().map(|job| Arc::new(serde_json::from_value(job).unwrap()))
        }

        fn pods(&self, _: &str) -> Vec<Arc<PodView>> {
            self.pods.iter().map(|pod| Arc::new(serde_json::from_value(pod.clone()).unwrap())).collect()
        }

        fn candidates(&self, kind: TargetKind) -> Vec<Arc<Candidate>> {
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
        let plain = run_key::for_task(&task(json!({}), Value::Null), None);
        let done = || run(&plain, Some("job"), Some("Succeeded"));
        let follows = json!({"runPolicy": "OnImageChange"});
        let followed = || {
            let key = run_key::for_task(&task(follows.clone(), Value::Null), Some("i:1"));
            run(&key, Some("job"), Some("Succeeded"))
        };
        let with_image = Known { image: Some("i:2"), ..Known::default() };
        let reason = |o: &Observed| o.target.as_ref().map(|t| t.as_ref().err().map(|b| b.reason));
        for (situation, spec, last_run, known, cause, target) in [
            ("new", json!({}), Value::Null, &with_image, Some(RunCause::FirstRun), Some(None)),
            (
                "new, no target",
                json!({}),
                Value::Null,
                &Known::default(),
                Some(RunCause::FirstRun),
                Some(Some(Reason::TargetNotFound)),
            ),
            ("done", json!({}), done(), &with_image, None, None),
            ("edited", json!({"app": "a"}), done(), &with_image, Some(RunCause::KeyChanged), Some(None)),
            (
                "follows another image",
                json!({"runPolicy": "OnImageChange"}),
                followed(),
                &with_image,
                Some(RunCause::ImageChanged),
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
            let seen = observed(&recorded, &Known { job: Some(job), pods: pods.clone(), image: None });
            let run = seen.status.last_run.unwrap();
            assert_eq!(run.job_uid.as_deref(), adopted);
            assert_eq!(seen.pods.iter().map(|p| p.metadata.name.as_deref()).collect::<Vec<_>>(), [Some("a")]);
        }
        assert!(matches!(observed(&recorded, &Known::default()).job, ObservedJob::Unknown));
    }

    #[test]
    fn a_rule_is_judged_only_where_a_run_is_due() {
        let broken = json!({"migration": "0002"});
        let seen = observed(&task(broken.clone(), Value::Null), &Known::default());
        assert!(seen.broken_rule.is_some_and(|rule| rule.contains("needs app as well")));
        let key = run_key::for_task(&task(broken.clone(), Value::Null), None);
        let seen = observed(&task(broken, run(&key, Some("job"), Some("Succeeded"))), &Known::default());
        assert_eq!(seen.broken_rule, None);
    }
}
