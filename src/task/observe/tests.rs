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

    fn gated_candidates(&self) -> Vec<Arc<Candidate>> {
        Vec::new()
    }

    fn open_migrations(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

impl NamespaceReader for Known {
    fn candidates(&self, kind: TargetKind, _: Option<&str>, _: &[(String, String)]) -> Vec<Arc<Candidate>> {
        let template = |image| json!({"metadata": {"labels": {"app": "django"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let candidate = |image| Candidate {
            has_unavailable_replicas: false,
            kind,
            metadata: serde_json::from_value(json!({"name": "web", "uid": "web"})).unwrap(),
            template: serde_json::from_value(template(image)).unwrap(),
        };
        self.image.map(|image| Arc::new(candidate(image))).into_iter().collect()
    }

    fn dependencies(&self, _: &[Dependency]) -> Vec<ObservedDependency> {
        Vec::new()
    }

    fn dependency_cycle(&self, _: &'static str, _: &str) -> Option<String> {
        None
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
    let owner = |uid: &str| json!([{"apiVersion": "g/v", "kind": "K", "name": "m", "uid": uid, "controller": true}]);
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
    assert_eq!([&*target.kind, &*target.name, &*target.uid, &*target.container], ["PodTemplate", "other", "", "other"]);
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
