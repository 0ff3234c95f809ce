//! How many Jobs may run at once: who waits for one to end is in line, and is reconciled when it is next.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::fair_queue::FairQueue;
use super::object_key::{Flow, ObjectKey};
use super::work_queue::{Urgency, WorkQueue};
use crate::api::{DjangoMigrate, TaskResource};
use crate::cluster::health::ApiHealth;
use crate::cluster::open_jobs::OpenJobs;
use crate::cluster::recent::Recent;

/// How long one who is next has to begin; meanwhile a Job less may begin.
const TURN: Duration = Duration::from_secs(10);
/// For how long who could not begin at their turn keep their place in line.
const PLACE_KEPT: Duration = Duration::from_secs(300);

/// How many Jobs may run at once; 0: any number.
pub struct JobLimit {
    limit: usize,
    open: Arc<OpenJobs>,
    queue: Arc<WorkQueue>,
    health: ApiHealth,
    state: Mutex<State>,
}

struct State {
    /// Whose Jobs are being created.
    permits: HashSet<ObjectKey>,
    line: FairQueue,
    /// Whose turn it is.
    next: Recent<ObjectKey, ()>,
    /// The places in line of those whose turn it was.
    places: Recent<ObjectKey, u64>,
}

impl JobLimit {
    pub fn new(limit: usize, open: Arc<OpenJobs>, queue: Arc<WorkQueue>, health: ApiHealth) -> Self {
        let state = State {
            permits: HashSet::new(),
            line: FairQueue::default(),
            next: Recent::new(TURN),
            places: Recent::new(PLACE_KEPT),
        };
        Self { limit, open, queue, health, state: Mutex::new(state) }
    }

    /// A permit to start one Job, to be kept until the Job is known. None: the object is in line, and is reconciled when
    /// it is its turn.
    pub fn acquire(&self, key: &ObjectKey) -> Option<JobPermit<'_>> {
        if self.limit > 0 {
            let mut state = self.state();
            if self.is_awaited(key, &state) {
                state.line.remove(key);
                state.next.remove(key);
            } else if state.next.remove(key).is_none() {
                match state.places.get(key).copied() {
                    Some(place) => state.line.push_at(place, key.clone()),
                    None => state.line.push(key.clone()),
                }
                self.call_next(&mut state, Some(key));
                state.next.remove(key)?;
            }
            state.permits.insert(key.clone());
        }
        Some(JobPermit { jobs: self, key: key.clone() })
    }

    /// Whether it is a migration, and the places are taken by Jobs that may wait for it.
    fn is_awaited(&self, key: &ObjectKey, state: &State) -> bool {
        let full = self.open.count() + state.permits.len() >= self.limit;
        key.kind == DjangoMigrate::KIND && full && self.open.count_at_work() + state.permits.len() < self.limit
    }

    /// The object waits for nothing, or is gone.
    pub fn leave(&self, key: &ObjectKey) {
        if self.limit > 0 {
            let mut state = self.state();
            state.line.remove(key);
            state.places.remove(key);
            if state.next.remove(key).is_some() {
                self.call_next(&mut state, None);
            }
        }
    }

    /// Calls who is next whenever a Job ends, or a turn.
    pub async fn run(&self) {
        loop {
            let _ = tokio::time::timeout(TURN, self.open.ended.notified()).await;
            self.call_next(&mut self.state(), None);
        }
    }

    /// Gives those a turn for whom there is room, and has them reconciled, but for the one that asks itself.
    fn call_next(&self, state: &mut State, asking: Option<&ObjectKey>) {
        if self.health.pause().is_some() {
            return; // nobody could begin
        }
        // One that cannot begin, as a webhook hangs, leaves room for those of other namespaces.
        let most = (self.limit * 3 / 4).max(1);
        while self.open.count() + state.permits.len() + state.next.count() < self.limit {
            let State { permits, line, next, .. } = state;
            let beginning = |flow: &Flow| permits.iter().chain(next.keys()).filter(|key| key.flow() == *flow).count();
            let allowed = |flow: &Flow| beginning(flow) < most;
            let Some((place, key)) = line.pop_with_place(allowed) else { return };
            state.places.insert(key.clone(), place);
            state.next.insert(key.clone(), ());
            if asking != Some(&key) {
                self.queue.add(key, Urgency::UnderWay);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A permit to start one Job. Who does not use it keeps their place in line.
pub struct JobPermit<'a> {
    jobs: &'a JobLimit,
    key: ObjectKey,
}

impl JobPermit<'_> {
    /// The Job has begun, and is counted.
    pub fn used(self) {
        self.jobs.state().places.remove(&self.key);
    }
}

impl Drop for JobPermit<'_> {
    fn drop(&mut self) {
        if self.jobs.limit > 0 {
            let mut state = self.jobs.state();
            state.permits.remove(&self.key);
            self.jobs.call_next(&mut state, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;
    use crate::core::views::JobView;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { kind: "K", namespace: namespace.into(), name: name.into() }
    }

    fn job(uid: &str) -> JobView {
        serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}})).unwrap()
    }

    fn limit(limit: usize) -> JobLimit {
        JobLimit::new(limit, Arc::default(), Arc::default(), ApiHealth::default())
    }

    fn called(limit: &JobLimit) -> Vec<String> {
        let next = std::iter::from_fn(|| limit.queue.next().now_or_never());
        next.map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn a_permit_counts_until_its_job_does() {
        let jobs = limit(1);
        let permit = jobs.acquire(&key("a", "1"));
        assert!(permit.is_some() && jobs.acquire(&key("a", "2")).is_none());
        jobs.open.record_created(&job("j"));
        drop(permit);
        assert!(jobs.acquire(&key("a", "2")).is_none());
        jobs.open.record_gone("j");
        assert!(jobs.acquire(&key("a", "2")).is_some());
        let unlimited = limit(0);
        let permits: Vec<_> = (0..9).map(|n| unlimited.acquire(&key("a", &n.to_string()))).collect();
        assert!(permits.iter().all(Option::is_some));
    }

    #[test]
    fn a_migration_does_not_wait_for_those_who_may_wait_for_it() {
        let jobs = limit(2);
        let of_kind = |kind: &str, uid: &str| -> JobView {
            let labels = json!({"django.my.domain/kind": kind});
            serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid, "labels": labels}})).unwrap()
        };
        let migration = |name: &str| ObjectKey { kind: "DjangoMigrate", namespace: "a".into(), name: name.into() };
        ["u1", "u2"].iter().for_each(|uid| jobs.open.record_created(&of_kind("DjangoUser", uid)));
        assert!(jobs.acquire(&key("a", "1")).is_none());
        let first = jobs.acquire(&migration("m1"));
        let second = jobs.acquire(&migration("m2"));
        assert!(first.is_some() && second.is_some(), "as many as if the users were not there");
        assert!(jobs.acquire(&migration("m3")).is_none());
        drop((first, second));
        ["m1", "m2"].iter().for_each(|uid| jobs.open.record_created(&of_kind("DjangoMigrate", uid)));
        assert!(jobs.acquire(&migration("m3")).is_none());
    }

    #[test]
    fn who_came_first_is_first_and_namespaces_take_turns() {
        let jobs = limit(1);
        let held = jobs.acquire(&key("a", "0"));
        for (namespace, name) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("a", "a1"), ("a", "a3")] {
            assert!(jobs.acquire(&key(namespace, name)).is_none());
        }
        jobs.leave(&key("a", "a2"));
        drop(held);
        assert_eq!(called(&jobs), ["a1"], "one place, one turn");
        assert!(jobs.acquire(&key("a", "a3")).is_none(), "not before those who are in line, though a place is kept");
        drop(jobs.acquire(&key("a", "a1")));
        assert_eq!(called(&jobs), ["b1"]);
        jobs.leave(&key("b", "b1"));
        assert_eq!(called(&jobs), ["a3"], "a turn that nobody takes is the next one's");
    }

    #[test]
    fn who_could_not_begin_keeps_their_place() {
        let jobs = limit(1);
        let held = jobs.acquire(&key("a", "1"));
        assert!(jobs.acquire(&key("a", "2")).is_none() && jobs.acquire(&key("a", "3")).is_none());
        drop(held); // it failed
        assert_eq!(called(&jobs), ["2"]);
        assert!(jobs.acquire(&key("a", "1")).is_none());
        jobs.acquire(&key("a", "2")).unwrap().used();
        assert_eq!(called(&jobs), ["1"], "before who came later");
        jobs.acquire(&key("a", "1")).unwrap().used();
        assert_eq!(called(&jobs), ["3"]);
        jobs.leave(&key("a", "3"));
        assert!(jobs.state().places.keys().next().is_none() && jobs.state().permits.is_empty());
    }

    #[test]
    fn a_namespace_in_which_nothing_can_begin_leaves_room_to_the_others() {
        let jobs = limit(4);
        let hanging: Vec<_> = (0..9).filter_map(|n| jobs.acquire(&key("a", &n.to_string()))).collect();
        assert_eq!(hanging.len(), 3);
        assert!(jobs.acquire(&key("b", "1")).is_some());
        let alone = limit(1);
        assert!(alone.acquire(&key("a", "1")).is_some());
    }

    #[test]
    fn nobody_begins_while_nothing_may_be_asked() {
        let jobs = limit(1);
        jobs.health.record_answer(Some(Duration::from_secs(60)));
        assert!(jobs.acquire(&key("a", "1")).is_none() && called(&jobs).is_empty());
    }

    #[tokio::test]
    async fn the_end_of_a_job_calls_the_next() {
        let jobs = limit(2);
        ["j1", "j2"].iter().for_each(|uid| jobs.open.record_created(&job(uid)));
        assert!(jobs.acquire(&key("a", "1")).is_none() && jobs.acquire(&key("a", "2")).is_none());
        let mut running = Box::pin(jobs.run());
        assert!(running.as_mut().now_or_never().is_none() && called(&jobs).is_empty());
        jobs.open.record_gone("j1");
        assert!(running.as_mut().now_or_never().is_none());
        assert_eq!(called(&jobs), ["1"]);
    }
}
