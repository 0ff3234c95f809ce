//! What the answers say of the API server: whether it can be reached, whether it asks for patience, and which watches
//! get anywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many calls in a row are not answered before it counts as unreachable: one may be a connection that just closed.
const UNREACHABLE_AFTER: u32 = 3;
/// How long nothing is asked of an unreachable API server, but for the watches.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(2);
/// Shortest time between two beginnings of a watch, should each end at once.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Longest `Retry-After` that is followed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);

/// What is known of the API server, shared by everything that asks it.
#[derive(Clone, Default)]
pub struct ApiHealth(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Nothing is to be asked before.
    not_before: Option<Instant>,
    /// Calls in a row that were not answered.
    unanswered: u32,
    /// When a call was last answered.
    answered: Option<Instant>,
    /// The watches that are to run, by the path of their resource.
    watches: BTreeMap<String, WatchTimes>,
}

struct WatchTimes {
    wanted: Instant,
    /// When it last began.
    began: Option<Instant>,
    /// When something last came of it: an event, a bookmark, or its end, after which it begins anew.
    spoke: Option<Instant>,
    /// When it, or its listing, was last refused, or found nobody, which a new process would mend as little.
    refused: Option<Instant>,
}

/// A watch that gets nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentWatch {
    /// Path of its resource.
    pub path: String,
    /// Since when.
    pub silent_for: Duration,
}

impl ApiHealth {
    /// How much longer the API server is to be left alone; `None`: it can be asked.
    pub fn pause(&self) -> Option<Duration> {
        self.state().not_before?.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero())
    }

    /// Whether several calls in a row were not answered.
    pub fn is_unreachable(&self) -> bool {
        self.state().unanswered >= UNREACHABLE_AFTER
    }

    /// A call that began then was not answered. Where others were meanwhile, that says nothing of the API server: a
    /// webhook, say, keeps it waiting.
    pub fn record_no_answer(&self, began: Instant) {
        let mut state = self.state();
        if state.answered.is_some_and(|answered| answered > began) {
            return;
        }
        state.unanswered = state.unanswered.saturating_add(1);
        if state.unanswered >= UNREACHABLE_AFTER {
            state.pause_for(UNREACHABLE_PAUSE);
        }
    }

    /// A call was answered, perhaps with the request to wait before the next.
    pub fn record_answer(&self, retry_after: Option<Duration>) {
        let mut state = self.state();
        state.unanswered = 0;
        state.answered = Some(Instant::now());
        if let Some(wait) = retry_after {
            state.pause_for(wait.min(MAX_RETRY_AFTER));
        }
    }

    /// A watch is wanted from now on.
    pub fn expect_watch(&self, path: &str) {
        let wanted = WatchTimes { wanted: Instant::now(), began: None, spoke: None, refused: None };
        self.state().watches.entry(path.to_owned()).or_insert(wanted);
    }

    /// A watch is not wanted for now.
    pub fn forget_watch(&self, path: &str) {
        self.state().watches.remove(path);
    }

    /// The API server began to answer a watch, which says nothing yet: a proxy may have, and keep the rest to itself.
    pub fn record_watch_began(&self, path: &str) {
        self.note(path, |times| times.began = Some(Instant::now()));
    }

    /// Something came of a watch.
    pub fn record_watch_spoke(&self, path: &str) {
        self.note(path, |times| times.spoke = Some(Instant::now()));
    }

    /// How long to wait before a watch begins again.
    pub fn watch_pause(&self, path: &str) -> Duration {
        let began = self.state().watches.get(path).and_then(|times| times.began);
        began.map_or(Duration::ZERO, |began| WATCH_INTERVAL.saturating_sub(began.elapsed()))
    }

    /// The API server refused a watch or its listing, or was not there.
    pub fn record_refusal(&self, path: &str) {
        self.note(path, |times| times.refused = Some(Instant::now()));
    }

    /// The watch of which nothing has come for longest, if that is longer than `limit`.
    pub fn silent_watch(&self, limit: Duration) -> Option<SilentWatch> {
        self.longest_since(limit, |times| times.spoke.unwrap_or(times.wanted))
    }

    /// The same of those that were not refused either.
    pub fn stuck_watch(&self, limit: Duration) -> Option<SilentWatch> {
        self.longest_since(limit, |times| times.spoke.max(times.refused).unwrap_or(times.wanted))
    }

    fn note(&self, path: &str, note: impl FnOnce(&mut WatchTimes)) {
        if let Some(times) = self.state().watches.get_mut(path) {
            note(times);
        }
    }

    fn longest_since(&self, limit: Duration, since: impl Fn(&WatchTimes) -> Instant) -> Option<SilentWatch> {
        let state = self.state();
        let (path, times) = state.watches.iter().min_by_key(|(_, times)| since(times))?;
        let silent_for = since(times).elapsed();
        (silent_for > limit).then(|| SilentWatch { path: path.clone(), silent_for })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn pause_for(&mut self, wait: Duration) {
        self.not_before = self.not_before.max(Some(Instant::now() + wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_that_was_asked_for_counts() {
        let health = ApiHealth::default();
        assert_eq!(health.pause(), None);
        health.record_answer(Some(Duration::from_secs(60)));
        health.record_answer(Some(Duration::from_secs(1)));
        let pause = health.pause().unwrap();
        assert!(pause > Duration::from_secs(50) && pause <= Duration::from_secs(60), "{pause:?}");
        health.record_answer(Some(Duration::from_secs(86_400)));
        assert!(health.pause().unwrap() <= MAX_RETRY_AFTER, "bounded");
    }

    #[test]
    fn only_several_calls_in_a_row_without_an_answer_hold_up_the_others() {
        let health = ApiHealth::default();
        for _ in 0..UNREACHABLE_AFTER {
            health.record_no_answer(Instant::now());
            health.record_answer(None);
        }
        assert_eq!(health.pause(), None);
        let before = Instant::now();
        std::thread::sleep(Duration::from_millis(2));
        health.record_answer(None);
        for _ in 0..2 * UNREACHABLE_AFTER {
            health.record_no_answer(before);
        }
        assert_eq!(health.pause(), None, "others were answered meanwhile");
        std::thread::sleep(Duration::from_millis(2));
        for _ in 0..UNREACHABLE_AFTER {
            health.record_no_answer(Instant::now());
        }
        assert!(health.pause().is_some());
    }

    #[test]
    fn a_watch_of_which_nothing_comes_is_named() {
        let health = ApiHealth::default();
        assert_eq!(health.silent_watch(Duration::ZERO), None);
        health.expect_watch("/apis/a/jobs");
        std::thread::sleep(Duration::from_millis(2));
        health.expect_watch("/apis/a/pods");
        assert_eq!(health.silent_watch(Duration::ZERO).unwrap().path, "/apis/a/jobs");
        assert_eq!(health.silent_watch(Duration::from_secs(60)), None);
        assert_eq!(health.watch_pause("/apis/a/jobs"), Duration::ZERO);
        health.record_watch_began("/apis/a/jobs");
        assert_eq!(health.silent_watch(Duration::ZERO).unwrap().path, "/apis/a/jobs", "which says nothing yet");
        health.record_watch_spoke("/apis/a/jobs");
        health.record_watch_spoke("/apis/nobody-waits-for");
        assert_eq!(health.silent_watch(Duration::ZERO).unwrap().path, "/apis/a/pods");
        assert!(health.watch_pause("/apis/a/jobs") > Duration::ZERO, "not at once again");
        std::thread::sleep(Duration::from_millis(2));
        health.record_refusal("/apis/a/pods");
        assert_eq!(health.stuck_watch(Duration::ZERO).unwrap().path, "/apis/a/jobs");
        assert_eq!(health.silent_watch(Duration::ZERO).unwrap().path, "/apis/a/pods");
    }
}
