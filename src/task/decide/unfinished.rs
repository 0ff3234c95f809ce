//! What to do about a run that is not over.

use std::sync::Arc;
use std::time::Duration;

use super::{DELETION_INTERVAL, Decision, RESYNC_INTERVAL, START_GRACE, StatusIntent, blocked};
use crate::api::Run;
use crate::core::views::JobView;
use crate::core::{Blocked, RELEASE_PERIOD, Reason};
use crate::task::observed::{Observed, ObservedJob};
use crate::task::progress::{self, Obstacle, Progress};
use crate::task::run_result::RunResult;

/// How soon is looked again which migrations are under way, of whose begin and end other tasks are not told.
const MIGRATIONS_INTERVAL: Duration = Duration::from_secs(5);

/// The next step. None: its Job does not exist, so nothing has started.
pub fn decide(observed: &Observed, run: &Run) -> Option<Decision> {
    let job = match &observed.job {
        ObservedJob::Unknown => return Some(Decision::GetJob),
        ObservedJob::Absent => return run.job_uid.is_some().then(|| Decision::RecordResult(end_of_deleted(run))),
        ObservedJob::PodsTerminating => return Some(being_removed(run)),
        ObservedJob::Present(_) if observed.job_is_stale => return Some(Decision::GetJob),
        ObservedJob::Present(job) => job,
    };
    match run.job_uid.as_deref() {
        Some(uid) if uid != job.uid() => return Some(Decision::RecordResult(end_of_deleted(run))),
        Some(_) => {} // its own, whatever has become of its owner reference
        None if !job.owned_by(&observed.uid) => {
            let message = format!("Job {} belongs to somebody else; delete it, and this run starts", run.job_name);
            return Some(blocked(
                Blocked::stalls_after(RELEASE_PERIOD, Reason::JobNameTaken, message),
                Some(RESYNC_INTERVAL),
            ));
        }
        None => {}
    }
    Some(match progress::of_run(job, &observed.pods) {
        Progress::Ended => Decision::ReadResult(job.clone()),
        _ if job.is_deleting() => being_removed(run),
        Progress::Running => running(observed),
        Progress::KeptAlive(obstacle) => Decision::SetStatus(obstacle.into(), Some(RESYNC_INTERVAL)),
        Progress::NotStarted(seen) => not_started(observed, run, job, seen),
    })
}

/// A run whose command runs.
fn running(observed: &Observed) -> Decision {
    let (migrations, again) = match observed.open_migrations.as_deref() {
        None => (String::new(), RESYNC_INTERVAL),
        Some([]) => (String::new(), MIGRATIONS_INTERVAL),
        Some(names) => {
            let message = "is under way on the same target, and what it brings is waited for where it is needed";
            (format!("; DjangoMigrate {} {message}", names.join(", ")), MIGRATIONS_INTERVAL)
        }
    };
    let intent = StatusIntent::InProgress { reason: Reason::Running, message: format!("the command runs{migrations}") };
    Decision::SetStatus(intent, Some(again))
}

/// A run whose Job exists, and whose command has not started.
fn not_started(observed: &Observed, run: &Run, job: &Arc<JobView>, seen: Option<Obstacle>) -> Decision {
    let waited = observed.job_age >= START_GRACE;
    let rest = START_GRACE.saturating_sub(observed.job_age).max(Duration::from_millis(100));
    // One whose pod was drained has started, and is to finish.
    let started = run.command_started_at.is_some();
    let intent = if started { StatusIntent::starting_again() } else { StatusIntent::starting() };
    let starting = |again| Decision::SetStatus(intent.clone(), Some(again));
    if run.superseded_by.is_some() && !started {
        return Decision::DeleteSuperseded(job.clone());
    }
    let newer = observed.spec_changed || observed.image_changed() || observed.has_open_request();
    if newer && !started && observed.broken_rule.is_none() && !observed.suspend {
        return match waited || seen.is_some() || job.is_held() {
            true => Decision::Supersede(observed.generation),
            false => starting(rest),
        };
    }
    if job.is_held() && !started {
        return match observed.job_uid_stored {
            _ if observed.suspend => Decision::SetStatus(StatusIntent::Suspended, None),
            true => Decision::ReleaseJob(job.uid().to_owned()),
            false => Decision::RecordJobUid,
        };
    }
    if job.is_suspended() {
        let message = format!("Job {} is suspended; it goes on when whoever suspended it resumes it", run.job_name);
        let intent = StatusIntent::InProgress { reason: Reason::JobSuspended, message };
        return Decision::SetStatus(intent, Some(RESYNC_INTERVAL));
    }
    match seen.or_else(|| observed.event_obstacle.clone()) {
        Some(obstacle) => Decision::SetStatus(obstacle.into(), Some(RESYNC_INTERVAL)),
        None if !waited => starting(rest),
        None if !observed.events_read => Decision::ReadEvents,
        None => starting(observed.job_age.clamp(START_GRACE, Duration::from_secs(60))),
    }
}

/// What is on its way out is waited for.
fn being_removed(run: &Run) -> Decision {
    Decision::SetStatus(StatusIntent::being_removed(run), Some(DELETION_INTERVAL))
}

/// The end of a run whose Job is gone, with its pods.
fn end_of_deleted(run: &Run) -> RunResult {
    match (run.superseded_by, &run.command_started_at) {
        (Some(generation), None) => RunResult::superseded(generation),
        (Some(generation), Some(_)) => RunResult::interrupted(generation),
        (None, _) => RunResult::lost(&run.job_name),
    }
}
