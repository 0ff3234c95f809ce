//! Waits for several tasks at once, through outages of the API server.

use std::io::{Write, stderr, stdout};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::select_all;
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::time::{Instant, timeout_at};

use super::tasks::TaskName;
use super::verdict::{Verdict, judge};
use super::{Ending, FAILED, FORBIDDEN, FORBIDDEN_PATIENCE, TARGET_UNUSABLE, TIMED_OUT, USAGE, is_forbidden};
use crate::cli::connection::words;

/// How soon the operator notices that the task that another depends on was mended.
const DEPENDENCY_PATIENCE: Duration = Duration::from_secs(5);

/// A task, and which version of it was applied.
pub struct Awaited {
    pub task: TaskName,
    pub uid: Option<String>,
    pub generation: Option<i64>,
}

impl Awaited {
    /// Whether a version is older than the one that was applied.
    fn is_newer_than(&self, object: &DynamicObject) -> bool {
        self.uid == object.metadata.uid && self.generation > object.metadata.generation
    }
}

/// What is known of a task.
struct Known {
    awaited: Awaited,
    seen: bool,
    state: State,
    since: Instant,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    /// As the operator says.
    Judged(Verdict),
    /// There is none, or no more.
    Absent,
    /// The API server does not let it be read.
    Refused(String),
    /// No answer that tells anything.
    Unknown(String),
}

/// Until all have succeeded, at one time, or one of them cannot any more.
pub async fn wait_for_all(
    client: &Client,
    namespace: &str,
    awaited: Vec<Awaited>,
    deadline: Instant,
) -> Result<(), Ending> {
    let watches = awaited.iter().enumerate().map(|(index, awaited)| {
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &awaited.task.resource);
        let versions = watcher::watch_object(api, &awaited.task.name).default_backoff();
        versions.map(move |version| (index, version)).boxed_local()
    });
    let mut watches = select_all(watches);
    let now = Instant::now();
    let mut all: Vec<Known> = awaited
        .into_iter()
        .map(|awaited| Known { awaited, seen: false, state: State::Unknown("no answer yet".into()), since: now })
        .collect();
    loop {
        if let Some(result) = outcome(&all, namespace) {
            return result;
        }
        let patience = all.iter().filter_map(Known::patience_ends).min();
        let until = patience.map_or(deadline, |end| end.min(deadline));
        match timeout_at(until, watches.next()).await {
            Ok(Some((index, version))) => {
                if let Some(known) = all.get_mut(index) {
                    known.observe(version);
                }
            }
            Ok(None) => return Err(timed_out(&all)),
            Err(_) if Instant::now() >= deadline => return Err(timed_out(&all)),
            Err(_) => {}
        }
    }
}

impl Known {
    fn observe(&mut self, version: watcher::Result<Option<DynamicObject>>) {
        let state = match version {
            Ok(Some(object)) if self.awaited.is_newer_than(&object) => return,
            Ok(Some(object)) => {
                self.seen = true;
                State::Judged(judge(&object))
            }
            Ok(None) => State::Absent,
            Err(error) => state_of_error(&error),
        };
        if state == self.state {
            return;
        }
        if let State::Judged(Verdict::Waiting { message, .. }) | State::Unknown(message) | State::Refused(message) =
            &state
        {
            tell(&format!("{} {message}", self.awaited.task));
        }
        (self.state, self.since) = (state, Instant::now());
    }

    /// When what may pass by itself is to have passed.
    fn patience_ends(&self) -> Option<Instant> {
        match self.state {
            State::Refused(_) => Some(self.since + FORBIDDEN_PATIENCE),
            State::Judged(Verdict::DependencyFailed(_)) => Some(self.since + DEPENDENCY_PATIENCE),
            _ => None,
        }
    }

    /// That it cannot succeed any more.
    fn failure(&self, namespace: &str) -> Option<Ending> {
        let task = &self.awaited.task;
        let is_over = self.patience_ends().is_none_or(|end| end <= Instant::now());
        let (code, message) = match &self.state {
            State::Judged(Verdict::Failed(message)) => (FAILED, message.clone()),
            State::Judged(Verdict::DependencyFailed(message)) if is_over => (FAILED, message.clone()),
            State::Judged(Verdict::TargetUnusable(message)) => (TARGET_UNUSABLE, message.clone()),
            State::Absent if self.seen || self.awaited.uid.is_some() => (FAILED, "was deleted".into()),
            State::Absent => (USAGE, format!("does not exist in namespace {namespace}")),
            State::Refused(message) if is_over => (FORBIDDEN, message.clone()),
            _ => return None,
        };
        Some(Ending::new(code, format!("{task} {message}")))
    }
}

/// What came of all, if that is certain.
fn outcome(all: &[Known], namespace: &str) -> Option<Result<(), Ending>> {
    // One that failed because another did may be mended by what the other is at.
    let under_way =
        all.iter().any(|known| matches!(known.state, State::Judged(Verdict::Waiting { .. }) | State::Unknown(_)));
    let is_final = |known: &&Known| !(under_way && matches!(known.state, State::Judged(Verdict::DependencyFailed(_))));
    if let Some(ending) = all.iter().filter(is_final).find_map(|known| known.failure(namespace)) {
        return Some(Err(ending));
    }
    let succeeded: Option<Vec<String>> = all
        .iter()
        .map(|known| match &known.state {
            State::Judged(Verdict::Succeeded(message)) => Some(format!("{} {message}\n", known.awaited.task)),
            _ => None,
        })
        .collect();
    // That nobody reads it is no failure.
    succeeded.map(|lines| stdout().write_all(lines.concat().as_bytes()).or(Ok(())))
}

fn timed_out(all: &[Known]) -> Ending {
    let mut code = TIMED_OUT;
    let mut lines = Vec::new();
    for known in all {
        let message = match &known.state {
            State::Judged(Verdict::Succeeded(_)) => continue,
            State::Judged(Verdict::Waiting { for_target, message }) => {
                code = if *for_target { TARGET_UNUSABLE } else { code };
                message
            }
            State::Judged(
                Verdict::Failed(message) | Verdict::TargetUnusable(message) | Verdict::DependencyFailed(message),
            )
            | State::Unknown(message) => message,
            State::Refused(message) => {
                code = FORBIDDEN;
                message
            }
            State::Absent => "is not there",
        };
        lines.push(format!("{} has not ended in time: {message}", known.awaited.task));
    }
    Ending::new(code, lines.join("\n"))
}

/// What an answer means that is no object.
fn state_of_error(error: &watcher::Error) -> State {
    let error = match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        other => return State::Unknown(other.to_string()),
    };
    match is_forbidden(error) {
        true => State::Refused(words(error)),
        false => State::Unknown(words(error)),
    }
}

/// Progress, for a person. That nobody reads it is no failure.
pub fn tell(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
