//! Each situation with its step.

use super::*;
use crate::api::{Outcome, Run, TaskStatus};
use crate::core::views::PodView;
use crate::task::observed::ObservedJob;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

fn job_with(change: impl Fn(&mut Value)) -> JobView {
    let mut job = json!({
        "metadata": {
            "name": "j", "uid": "job", "generation": 1, "annotations": {"django.my.domain/container": "c"},
            "ownerReferences": [{"apiVersion": "g/v", "kind": "K", "name": "t", "uid": "task", "controller": true}],
        },
        "spec": {},
        "status": {"conditions": []},
    });
    change(&mut job);
    serde_json::from_value(job).unwrap()
}

fn job(end: Option<&str>) -> JobView {
    job_with(|job| {
        job["status"]["conditions"] = end.iter().map(|end| json!({"type": end, "status": "True"})).collect();
    })
}

fn held() -> JobView {
    job_with(|job| {
        job["metadata"]["annotations"]["django.my.domain/held"] = json!("true");
        job["spec"]["suspend"] = json!(true);
    })
}

fn suspended() -> JobView {
    job_with(|job| job["spec"]["suspend"] = json!(true))
}

fn deleting() -> JobView {
    job_with(|job| job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"))
}

fn running() -> PodView {
    let state = json!({"running": {}});
    let status = json!({"name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": state});
    serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [status]}})).unwrap()
}

fn run(job_uid: Option<&str>, result: Option<Outcome>) -> Run {
    Run {
        number: 3,
        key: "v2:k".into(),
        generation: 1,
        job_name: "j".into(),
        job_uid: job_uid.map(str::to_owned),
        result,
        ..Run::default()
    }
}

fn observed(last_run: Option<Run>, job: ObservedJob) -> Observed {
    Observed {
        uid: "task".into(),
        generation: 1,
        job_uid_stored: last_run.as_ref().is_some_and(|run| run.job_uid.is_some()),
        status: TaskStatus { last_run, ..TaskStatus::default() },
        job,
        ..Observed::default()
    }
}

/// The decision in a word.
fn word(observed: &Observed) -> String {
    match decide(observed) {
        Decision::SetStatus(StatusIntent::Blocked(blocked), _) => format!("blocked {}", blocked.reason.as_str()),
        Decision::SetStatus(StatusIntent::InProgress { reason, .. }, _) => format!("under way {}", reason.as_str()),
        Decision::SetStatus(StatusIntent::Settled, _) => "settled".into(),
        Decision::SetStatus(StatusIntent::Suspended, _) => "suspended".into(),
        Decision::TakeOver => "take over".into(),
        Decision::GetJob => "look up".into(),
        Decision::ReadEvents => "ask events".into(),
        Decision::StartRun(number) => format!("start {number}"),
        Decision::RecordJobUid => "record uid".into(),
        Decision::ReleaseJob(uid) => format!("release {uid}"),
        Decision::ReadResult(_) => "read end".into(),
        Decision::RecordResult(end) => format!("record {:?} {}", end.outcome, end.reason),
        Decision::Supersede(generation) => format!("supersede by {generation}"),
        Decision::DeleteSuperseded(job) => format!("delete superseded {}", job.uid()),
        Decision::DeleteLate(job) => format!("delete late {}", job.uid()),
    }
}

fn changed(mut observed: Observed, change: impl Fn(&mut Observed)) -> Observed {
    change(&mut observed);
    observed
}

#[track_caller]
fn assert_words(rows: impl IntoIterator<Item = (&'static str, Observed, &'static str)>) {
    for (situation, observed, expected) in rows {
        assert_eq!(word(&observed), expected, "{situation}");
    }
}

fn present(job: JobView) -> ObservedJob {
    ObservedJob::Present(Arc::new(job))
}

fn edited(o: &mut Observed) {
    (o.spec_changed, o.generation) = (true, 2);
}

fn marked(o: &mut Observed) {
    if let Some(run) = &mut o.status.last_run {
        run.superseded_by = Some(2);
    }
}

fn started(o: &mut Observed) {
    if let Some(run) = &mut o.status.last_run {
        run.command_started_at = Some(Time(Timestamp::UNIX_EPOCH));
    }
}

#[test]
fn a_run_starts_when_one_is_due() {
    let new = || observed(None, ObservedJob::Unknown);
    let done = |result| observed(Some(run(Some("job"), Some(result))), ObservedJob::Unknown);
    assert_words([
        ("new", new(), "start 1"),
        ("new, suspended", changed(new(), |o| o.suspend = true), "suspended"),
        (
            "new, no target",
            changed(new(), |o| o.target = Some(Err(Blocked::reconciling(Reason::TargetNotFound, "")))),
            "blocked TargetNotFound",
        ),
        ("new, broken", changed(new(), |o| o.broken_rule = Some("x".into())), "blocked InvalidSpec"),
        (
            "done by another operator",
            changed(new(), |o| o.completed_at = Some(Time(Timestamp::UNIX_EPOCH))),
            "take over",
        ),
        ("intent, job unknown", observed(Some(run(None, None)), ObservedJob::Unknown), "look up"),
        ("intent, no job", observed(Some(run(None, None)), ObservedJob::Absent), "start 3"),
        ("done", done(Outcome::Succeeded), "settled"),
        ("failed", done(Outcome::Failed), "settled"),
        ("lost", done(Outcome::Lost), "settled"),
        ("done, edited", changed(done(Outcome::Succeeded), edited), "start 4"),
        ("superseded", changed(done(Outcome::Superseded), edited), "start 4"),
        ("superseded, and edited back", done(Outcome::Superseded), "start 4"),
        ("done, asked", changed(done(Outcome::Succeeded), |o| o.requested = Some("now".into())), "start 4"),
        (
            "done, asked before",
            changed(done(Outcome::Succeeded), |o| {
                o.requested = Some("now".into());
                o.status.last_handled_request = Some("now".into());
            }),
            "settled",
        ),
        (
            "another image, not followed",
            changed(done(Outcome::Succeeded), |o| o.target_image = Some("i:2".into())),
            "settled",
        ),
        (
            "another image, followed",
            changed(done(Outcome::Succeeded), |o| {
                o.follows_image = true;
                o.target_image = Some("i:2".into());
            }),
            "start 4",
        ),
    ]);
}

#[test]
fn a_run_that_is_under_way_goes_on() {
    let seen = |job| observed(Some(run(Some("job"), None)), present(job));
    let old = |o: &mut Observed| o.job_age = START_GRACE;
    assert_words([
        ("young", seen(job(None)), "under way Starting"),
        ("old, no reason known", changed(seen(job(None)), old), "ask events"),
        ("running", changed(seen(job(None)), |o| o.pods = vec![Arc::new(running())]), "under way Running"),
        ("old news", changed(seen(job(None)), |o| o.job_is_stale = true), "look up"),
        ("complete", seen(job(Some("Complete"))), "read end"),
        ("about to fail", seen(job(Some("FailureTarget"))), "under way Starting"),
        (
            "without its owner reference",
            changed(seen(job_with(|job| job["metadata"]["ownerReferences"] = json!([]))), old),
            "ask events",
        ),
        (
            "somebody else's under its name",
            observed(Some(run(None, None)), present(job_with(|job| job["metadata"]["ownerReferences"] = json!([])))),
            "blocked JobNameTaken",
        ),
        ("another job of its name", observed(Some(run(Some("other"), None)), present(job(None))), "record Lost Lost"),
        ("gone", observed(Some(run(Some("job"), None)), ObservedJob::Absent), "record Lost Lost"),
        (
            "gone, with pods",
            observed(Some(run(Some("job"), None)), ObservedJob::PodsTerminating),
            "under way JobDeleted",
        ),
        ("being deleted", seen(deleting()), "under way JobDeleted"),
        ("suspended by somebody", seen(suspended()), "under way JobSuspended"),
    ]);
}

#[test]
fn a_run_that_has_not_started_gives_way() {
    let seen = |job| observed(Some(run(Some("job"), None)), present(job));
    let old = |o: &mut Observed| o.job_age = START_GRACE;
    let gone = || observed(Some(run(Some("job"), None)), ObservedJob::Absent);
    assert_words([
        ("young, edited", changed(seen(job(None)), edited), "under way Starting"),
        ("old, edited", changed(changed(seen(job(None)), edited), old), "supersede by 2"),
        (
            "old, edited, suspended",
            changed(changed(changed(seen(job(None)), edited), old), |o| {
                o.suspend = true;
                o.events_read = true;
            }),
            "under way Starting",
        ),
        (
            "its pod was drained after it had started",
            changed(changed(changed(seen(job(None)), edited), old), started),
            "ask events",
        ),
        (
            "marked, started, and drained",
            changed(changed(changed(seen(job(None)), marked), started), old),
            "ask events",
        ),
        ("marked", changed(changed(seen(job(None)), edited), marked), "delete superseded job"),
        (
            "marked, then suspended and edited back",
            changed(changed(seen(job(None)), marked), |o| o.suspend = true),
            "delete superseded job",
        ),
        (
            "marked, but started before its deletion",
            changed(changed(seen(job(None)), marked), |o| o.pods = vec![Arc::new(running())]),
            "under way Running",
        ),
        ("being removed", changed(changed(seen(deleting()), edited), marked), "under way Superseding"),
        (
            "being removed, pods there",
            changed(observed(Some(run(Some("job"), None)), ObservedJob::PodsTerminating), marked),
            "under way Superseding",
        ),
        ("removed", changed(changed(gone(), edited), marked), "record Superseded Superseded"),
        ("removed, suspended", changed(changed(gone(), marked), |o| o.suspend = true), "record Superseded Superseded"),
        ("removed, and had started", changed(changed(gone(), marked), started), "record Failed Interrupted"),
        ("its end came first", changed(seen(job(Some("Complete"))), marked), "read end"),
    ]);
}

#[test]
fn what_must_not_run_twice_begins_only_with_its_uid_stored() {
    let seen = |job_uid, stored| {
        let mut observed = observed(Some(run(job_uid, None)), present(held()));
        observed.job_uid_stored = stored;
        observed
    };
    assert_words([
        ("seen", seen(Some("job"), false), "record uid"),
        ("stored", seen(Some("job"), true), "release job"),
        ("stored, suspended", changed(seen(Some("job"), true), |o| o.suspend = true), "suspended"),
        ("stored, edited", changed(seen(Some("job"), true), edited), "supersede by 2"),
        (
            "suspended again by somebody",
            observed(Some(run(Some("job"), None)), present(suspended())),
            "under way JobSuspended",
        ),
        ("of another", observed(Some(run(Some("other"), None)), present(held())), "record Lost Lost"),
    ]);
}

#[test]
fn a_late_job_goes_before_anything_starts() {
    let done = || changed(observed(Some(run(Some("job"), Some(Outcome::Succeeded))), ObservedJob::Unknown), edited);
    let late = |job: JobView| move |o: &mut Observed| o.late_jobs = vec![Arc::new(job.clone())];
    assert_words([
        ("found", changed(done(), late(job(None))), "delete late job"),
        ("on its way out", changed(done(), late(deleting())), "blocked Superseding"),
        (
            "just deleted",
            changed(changed(done(), late(job(None))), |o| o.deleted_jobs = ["job".to_owned()].into()),
            "blocked Superseding",
        ),
    ]);
}

#[test]
fn what_may_mend_itself_stalls_after_a_while_and_stays_stalled() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let after = |make: &dyn Fn(Reason, &'static str) -> Blocked, waited, shown| {
        let (blocked, again) = after_waiting(make(Reason::TargetAmbiguous, "m"), Some(minutes(2)), waited, shown);
        (blocked.is_stalled(), again)
    };
    let time = &|reason, message| Blocked::reconciling(reason, message);
    let person = &|reason, message| Blocked::stalled(reason, message);
    let either = &|reason, message| Blocked::stalls_after(minutes(10), reason, message);
    assert_eq!(after(time, minutes(60), true), (false, Some(minutes(2))));
    assert_eq!(after(person, minutes(0), false), (true, Some(minutes(2))), "what a person changed elsewhere is found");
    assert_eq!(after(either, minutes(0), false), (false, Some(minutes(2))));
    assert_eq!(after(either, minutes(9), false), (false, Some(minutes(1))));
    assert_eq!(after(either, minutes(10), false), (true, Some(RESYNC_INTERVAL)));
    assert_eq!(after(either, minutes(0), true), (true, Some(RESYNC_INTERVAL)), "also over a restart");
}

proptest! {
    #[test]
    fn nothing_starts_while_suspended_broken_or_without_a_target(
        number in 0..3i64, uid in any::<bool>(), result in 0..5usize, seen in 0..5usize, spec_changed in any::<bool>(),
        why in 0..3usize, age in 0..20u64, mark in any::<bool>(),
    ) {
        let result = [None, Some(Outcome::Succeeded), Some(Outcome::Failed), Some(Outcome::Superseded), Some(Outcome::Lost)][result];
        let last = (number > 0).then(|| run(uid.then_some("job"), result));
        let seen = [ObservedJob::Unknown, ObservedJob::Absent, ObservedJob::PodsTerminating, present(job(None)), present(held())][seen].clone();
        let mut observed = observed(last, seen);
        observed.job_age = Duration::from_secs(age);
        if spec_changed {
            edited(&mut observed);
        }
        if mark {
            marked(&mut observed);
        }
        match why {
            0 => observed.suspend = true,
            1 => observed.broken_rule = Some("broken".into()),
            _ => observed.target = Some(Err(Blocked::reconciling(Reason::TargetNotFound, "none"))),
        }
        prop_assert!(!matches!(decide(&observed), Decision::StartRun(_)), "{:?}", decide(&observed));
        prop_assert!(why > 0 || !matches!(decide(&observed), Decision::ReleaseJob(_)), "{:?}", decide(&observed));
    }
}
