//! What is to be reconciled, and in which order. In the terms of client-go's work queue: an object that is added while it
//! waits is added once; while it is reconciled, it comes again afterwards, and never beside itself.
//!
//! In place of kube's `Controller`, which takes what comes next from a hash set, goes through all that waits whenever
//! something happens, and lets one namespace that hangs hold every place.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::fair_queue::FairQueue;
use super::object_key::{Flow, ObjectKey};

/// How many objects are reconciled at once by those flows that have some already.
const PLACES: usize = 64;
/// How many of these one flow may hold.
const PLACES_OF_A_FLOW: usize = 48;
/// How many objects are reconciled at once at all: a flow that has none gets one beyond the others, so that some flows
/// that hang do not hold up the rest. Each takes a connection or two, and memory.
const MAX_PLACES: usize = 256;

/// Two lines, which take turns: a thousand that may begin do not keep those waiting that have begun, nor these them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Something may begin.
    New,
    /// Something has begun, and is to be brought to its end.
    UnderWay,
}

/// Objects that wait to be reconciled, shared by all controllers.
#[derive(Default)]
pub struct WorkQueue {
    state: Mutex<State>,
    changed: Notify,
}

impl WorkQueue {
    /// Asks for an object to be reconciled, now or once it is not any more.
    pub fn add(&self, key: ObjectKey, urgency: Urgency) {
        self.state().add(key, urgency);
        self.changed.notify_one();
    }

    /// Waits for the next object. It has its place until [`Self::done`].
    pub async fn next(&self) -> ObjectKey {
        loop {
            let (next, due) = {
                let mut state = self.state();
                let now = Instant::now();
                (state.next(now), state.next_due())
            };
            if let Some(key) = next {
                return key;
            }
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = due => {}
            }
        }
    }

    /// An object was reconciled, and is to be again after that long at the latest.
    pub fn done(&self, key: &ObjectKey, again: Option<(Duration, Urgency)>) {
        let again = again.map(|(wait, urgency)| (later(wait), urgency));
        self.state().done(key, again);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So far in the future that nobody sees it, rather than none.
const FAR: Duration = Duration::from_secs(30 * 86_400);

fn later(wait: Duration) -> Instant {
    Instant::now() + wait.min(FAR)
}

#[derive(Default)]
struct State {
    under_way: FairQueue,
    new: FairQueue,
    /// Whose turn it is not.
    last: Option<Urgency>,
    /// Being reconciled; with what was added meanwhile.
    processing: HashMap<ObjectKey, Option<Urgency>>,
    places: HashMap<Flow, usize>,
    delayed: BTreeMap<(Instant, u64), (ObjectKey, Urgency)>,
    delays: HashMap<ObjectKey, (Instant, u64)>,
    last_delay: u64,
}

impl State {
    fn add(&mut self, key: ObjectKey, urgency: Urgency) {
        if let Some(meanwhile) = self.processing.get_mut(&key) {
            *meanwhile = (*meanwhile).max(Some(urgency));
            return;
        }
        match urgency {
            Urgency::UnderWay => {
                self.new.remove(&key);
                self.under_way.push(key);
            }
            Urgency::New if self.under_way.contains(&key) => {}
            Urgency::New => self.new.push(key),
        }
    }

    fn next(&mut self, now: Instant) -> Option<ObjectKey> {
        while let Some(delay) = self.delayed.first_entry().filter(|delay| delay.key().0 <= now) {
            let (key, urgency) = delay.remove();
            self.delays.remove(&key);
            self.add(key, urgency);
        }
        let allowed = |flow: &Flow| match self.places.get(flow) {
            None => self.processing.len() < MAX_PLACES,
            Some(held) => self.processing.len() < PLACES && *held < PLACES_OF_A_FLOW,
        };
        let (key, urgency) = match self.last {
            Some(Urgency::UnderWay) => pop(&mut self.new, Urgency::New, allowed)
                .or_else(|| pop(&mut self.under_way, Urgency::UnderWay, allowed)),
            _ => pop(&mut self.under_way, Urgency::UnderWay, allowed)
                .or_else(|| pop(&mut self.new, Urgency::New, allowed)),
        }?;
        self.last = Some(urgency);
        if let Some(delay) = self.delays.remove(&key) {
            self.delayed.remove(&delay); // decided anew by what comes of it now
        }
        *self.places.entry(key.flow()).or_default() += 1;
        self.processing.insert(key.clone(), None);
        Some(key)
    }

    fn next_due(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((due, _), _)| *due)
    }

    fn done(&mut self, key: &ObjectKey, again: Option<(Instant, Urgency)>) {
        let Some(meanwhile) = self.processing.remove(key) else { return };
        let flow = key.flow();
        if let Some(held) = self.places.get_mut(&flow) {
            *held -= 1;
            if *held == 0 {
                self.places.remove(&flow);
            }
        }
        if let Some((due, urgency)) = again {
            self.last_delay += 1;
            let delay = (due, self.last_delay);
            self.delayed.insert(delay, (key.clone(), urgency));
            self.delays.insert(key.clone(), delay);
        }
        if let Some(urgency) = meanwhile {
            self.add(key.clone(), urgency);
        }
    }
}

fn pop(line: &mut FairQueue, urgency: Urgency, allowed: impl Fn(&Flow) -> bool) -> Option<(ObjectKey, Urgency)> {
    Some((line.pop(allowed)?, urgency))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { kind: "K", namespace: namespace.into(), name: name.into() }
    }

    fn taken(state: &mut State, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| state.next(now)).map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn an_object_is_never_beside_itself_and_comes_again_if_something_happened_meanwhile() {
        let (mut state, now) = (State::default(), Instant::now());
        state.add(key("a", "1"), Urgency::New);
        state.add(key("a", "1"), Urgency::New);
        assert_eq!(taken(&mut state, now), ["1"]);
        state.add(key("a", "1"), Urgency::New);
        state.add(key("a", "1"), Urgency::UnderWay);
        assert!(taken(&mut state, now).is_empty());
        state.done(&key("a", "1"), None);
        assert!(state.under_way.contains(&key("a", "1")), "as the most urgent of them");
        assert_eq!(taken(&mut state, now), ["1"]);
        state.done(&key("a", "1"), None);
        assert!(taken(&mut state, now).is_empty() && state.places.is_empty());
    }

    #[test]
    fn what_is_under_way_and_what_may_begin_take_turns() {
        let (mut state, now) = (State::default(), Instant::now());
        for name in ["1", "2", "3", "4", "5"] {
            state.add(key("a", name), Urgency::New);
        }
        for name in ["4", "5"] {
            state.add(key("a", name), Urgency::UnderWay);
            state.add(key("a", name), Urgency::New);
        }
        assert_eq!(taken(&mut state, now), ["4", "1", "5", "2", "3"]);
    }

    #[test]
    fn what_is_to_come_later_comes_once_unless_it_came_before() {
        let (mut state, start) = (State::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for name in ["1", "2"] {
            state.add(key("a", name), Urgency::New);
        }
        taken(&mut state, start);
        state.done(&key("a", "1"), Some((at(5), Urgency::New)));
        state.done(&key("a", "2"), Some((at(3), Urgency::New)));
        assert_eq!(state.next_due(), Some(at(3)));
        assert!(taken(&mut state, at(2)).is_empty());
        state.add(key("a", "1"), Urgency::New);
        assert_eq!(taken(&mut state, at(2)), ["1"]);
        state.done(&key("a", "1"), None);
        assert_eq!(taken(&mut state, at(9)), ["2"], "the first was decided anew");
        assert_eq!(state.next_due(), None);
    }

    #[test]
    fn flows_that_hang_leave_places_to_the_others() {
        let (mut state, now) = (State::default(), Instant::now());
        for namespace in ["a", "b", "c"] {
            (0..100).for_each(|n| state.add(key(namespace, &n.to_string()), Urgency::UnderWay));
        }
        assert_eq!(taken(&mut state, now).len(), PLACES);
        assert!(state.places.values().all(|held| *held <= PLACES_OF_A_FLOW), "{:?}", state.places);
        for _ in 0..2 {
            state.add(key("d", "x"), Urgency::New);
            state.add(key("d", "y"), Urgency::New);
            let next = taken(&mut state, now);
            assert_eq!(next.len(), 1, "one though all places are taken: {next:?}");
            state.done(&key("d", &next[0]), None);
        }
        (0..1_000).for_each(|n| state.add(key(&format!("many-{n}"), "x"), Urgency::New));
        taken(&mut state, now);
        assert_eq!(state.processing.len(), MAX_PLACES, "however many there are");
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_what_is_added_and_by_the_time() {
        let queue = std::sync::Arc::new(WorkQueue::default());
        let waiting = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.next().await, queue.next().await) }
        });
        tokio::task::yield_now().await;
        queue.add(key("a", "1"), Urgency::New);
        while queue.state().processing.is_empty() {
            tokio::task::yield_now().await;
        }
        queue.done(&key("a", "1"), Some((Duration::from_millis(1), Urgency::New)));
        assert_eq!(waiting.await.unwrap(), (key("a", "1"), key("a", "1")));
    }
}
