//! What to do next about one task: pure, with the time handed in. A chain of questions, each answered
//! from what was gathered; the first that has an answer decides.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::key;
use super::outcome::End;
use super::progress::{self, JobView, Obstacle, PodView, Progress};
use super::reason::Reason;
use super::target::Hold;
use crate::api::common::{Outcome, Run, TaskStatus};

/// How long a container may take to start before events are read for the reason.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// How often something that no watch reports is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(120);

/// A run whose command is about to start, in words.
pub const STARTING: &str = "the command has not started yet";

/// What is known of the newest run's Job.
#[derive(Clone, Debug)]
pub enum JobSeen {
    /// No watch has it; that says nothing.
    NotYet,
    /// The API server says that it, and every pod of it, is gone.
    Absent,
    /// The API server says that it is gone, with pods still ending.
    Ending,
    /// It exists.
    Present(Box<JobView>),
}

/// Everything that the decision depends on.
#[derive(Clone, Debug)]
pub struct Facts {
    /// UID of the task.
    pub uid: String,
    /// Its generation.
    pub generation: i64,
    /// `spec.suspend`
    pub suspend: bool,
    /// Value of the request annotation, if it says something.
    pub requested: Option<String>,
    /// A rule that the spec breaks.
    pub broken_rule: Option<String>,
    /// The status as last seen.
    pub status: TaskStatus,
    /// The key of the spec as it is.
    pub key: String,
    /// The chosen target in words, or why there is none; absent while it does not matter.
    pub target: Option<Result<String, Hold>>,
    /// The newest run's Job.
    pub job: JobSeen,
    /// Its pods.
    pub pods: Vec<PodView>,
    /// What events said about a pod that does not start.
    pub told: Option<Obstacle>,
    /// When events were read, for this look.
    pub asked_events: bool,
    /// The time.
    pub now: Timestamp,
}

/// What the status shall say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// The newest run's end, or nothing yet.
    Settled,
    /// Something holds a run back.
    Held(Hold),
    /// `spec.suspend` holds a run back.
    Suspended,
    /// A run is under way.
    UnderWay(Obstacle),
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Show this, and look again after that long at the latest.
    Show(View, Option<Duration>),
    /// Ask the API server for the newest run's Job.
    LookUpJob,
    /// Ask the API server for events about a pod that does not start.
    AskEvents,
    /// Start the run of this number.
    Start(i64),
    /// The newest run's Job has ended: read its pods and record the end.
    ReadEnd(Box<JobView>),
    /// Record this end of the newest run.
    Record(End),
    /// Delete the superseded Job of this UID.
    Remove(String),
}

/// Decides.
pub fn decide(facts: &Facts) -> Decision {
    let run = facts.status.last_run.as_ref();
    if let Some(run) = run.filter(|run| run.result.is_none())
        && let Some(decision) = under_way(facts, run)
    {
        return decision;
    }
    if let Some(rule) = &facts.broken_rule {
        return hold(Hold::stop(Reason::InvalidSpec, rule.clone()), None);
    }
    if !due(facts) {
        return Decision::Show(View::Settled, None);
    }
    if facts.suspend {
        return Decision::Show(View::Suspended, None);
    }
    if let Some(run) = run.filter(|run| run.result == Some(Outcome::Superseded)) {
        match &facts.job {
            JobSeen::NotYet => return Decision::LookUpJob,
            JobSeen::Present(job)
                if job.metadata.deletion_timestamp.is_none() && Some(job.uid()) == run.job_uid.as_deref() =>
            {
                return Decision::Remove(job.uid().to_owned());
            }
            JobSeen::Present(_) | JobSeen::Ending => {
                let message = format!("waiting for the pods of Job {}, which never started, to go", run.job_name);
                return hold(Hold::wait(Reason::Superseding, message), Some(Duration::from_secs(1)));
            }
            JobSeen::Absent => {}
        }
    }
    if let Some(Err(why)) = &facts.target {
        return hold(why.clone(), Some(LOOK_AGAIN));
    }
    Decision::Start(match run {
        None => 1,
        Some(run) if run.result.is_none() => run.number, // an intent whose Job was never made
        Some(run) => run.number + 1,
    })
}

/// A run that is not over. None: its Job does not exist, so nothing has started.
fn under_way(facts: &Facts, run: &Run) -> Option<Decision> {
    let job = match &facts.job {
        JobSeen::NotYet => return Some(Decision::LookUpJob),
        JobSeen::Absent | JobSeen::Ending => {
            return run.job_uid.is_some().then(|| Decision::Record(End::lost(&run.job_name)));
        }
        JobSeen::Present(job) => job,
    };
    if !job.owned_by(&facts.uid) {
        return Some(hold(
            Hold::stop(
                Reason::JobNameTaken,
                format!("Job {} belongs to somebody else; delete it, and this run starts", run.job_name),
            ),
            Some(LOOK_AGAIN),
        ));
    }
    match run.job_uid.as_deref() {
        Some(uid) if uid != job.uid() => return Some(Decision::Record(End::lost(&run.job_name))),
        _ => {}
    }
    let under_way = |reason, message: &str| View::UnderWay(Obstacle { reason, message: message.to_owned() });
    Some(match progress::read(job, &facts.pods) {
        Progress::Ended => Decision::ReadEnd(job.clone()),
        Progress::Running => Decision::Show(under_way(Reason::Running, "the command runs"), Some(LOOK_AGAIN)),
        Progress::Held(obstacle) => Decision::Show(View::UnderWay(obstacle), Some(LOOK_AGAIN)),
        Progress::NotStarted(seen) => {
            let age = age(job, facts.now);
            let waited = age >= PATIENCE;
            let rest = PATIENCE.saturating_sub(age).max(Duration::from_millis(100));
            if due(facts) && facts.broken_rule.is_none() && !facts.suspend {
                return Some(match waited || seen.is_some() {
                    true => Decision::Record(End::superseded(facts.generation)),
                    false => Decision::Show(under_way(Reason::Starting, STARTING), Some(rest)),
                });
            }
            match seen.or_else(|| facts.told.clone()) {
                Some(obstacle) => Decision::Show(View::UnderWay(obstacle), Some(LOOK_AGAIN)),
                None if !waited => Decision::Show(under_way(Reason::Starting, STARTING), Some(rest)),
                None if !facts.asked_events => Decision::AskEvents,
                None => Decision::Show(
                    under_way(Reason::Starting, STARTING),
                    Some(age.clamp(PATIENCE, Duration::from_secs(60))),
                ),
            }
        }
    })
}

/// Whether something asks for a run that the newest one was not.
pub fn due(facts: &Facts) -> bool {
    let Some(run) = &facts.status.last_run else { return true };
    let requested = facts.requested.is_some() && facts.requested != facts.status.last_handled_request;
    let intent_only = run.result.is_none() && run.job_uid.is_none();
    intent_only
        || requested
        || run.result == Some(Outcome::Superseded)
        || key::differs(&run.key, run.generation, &facts.key, facts.generation)
}

fn age(job: &JobView, now: Timestamp) -> Duration {
    let created = job.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0);
    Duration::try_from(now.duration_since(created)).unwrap_or_default()
}

fn hold(hold: Hold, again: Option<Duration>) -> Decision {
    Decision::Show(View::Held(hold), again)
}
