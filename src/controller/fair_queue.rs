//! Who is next among many: in the order of their coming, and the flows in turn, so that a thousand of one flow do not
//! keep another waiting.

use std::collections::{HashMap, VecDeque};

use super::object_key::{Flow, ObjectKey};

/// Objects in line, each once.
#[derive(Default)]
pub struct FairQueue {
    /// The place in line of each.
    places: HashMap<ObjectKey, u64>,
    /// In the order of their coming; what no longer has that place is skipped.
    flows: HashMap<Flow, VecDeque<(u64, ObjectKey)>>,
    turns: VecDeque<Flow>,
    last_place: u64,
}

impl FairQueue {
    /// Puts an object at the end of its flow's line, unless it is in line.
    pub fn push(&mut self, key: ObjectKey) {
        self.last_place += 1;
        self.push_at(self.last_place, key);
    }

    /// Puts an object where it was in its flow's line, unless it is in line.
    pub fn push_at(&mut self, place: u64, key: ObjectKey) {
        if self.places.contains_key(&key) {
            return;
        }
        self.places.insert(key.clone(), place);
        let flow = key.flow();
        let line = self.flows.entry(flow.clone()).or_insert_with(|| {
            self.turns.push_back(flow);
            VecDeque::new()
        });
        line.insert(line.partition_point(|(before, _)| *before < place), (place, key));
    }

    /// Takes the next one of a flow that is allowed one.
    pub fn pop(&mut self, allowed: impl Fn(&Flow) -> bool) -> Option<ObjectKey> {
        self.pop_with_place(allowed).map(|(_, key)| key)
    }

    /// The same, with its place.
    pub fn pop_with_place(&mut self, allowed: impl Fn(&Flow) -> bool) -> Option<(u64, ObjectKey)> {
        for _ in 0..self.turns.len() {
            let flow = self.turns.pop_front()?;
            let Some(line) = self.flows.get_mut(&flow) else { continue };
            while line.front().is_some_and(|(place, key)| self.places.get(key) != Some(place)) {
                line.pop_front();
            }
            if line.is_empty() {
                self.flows.remove(&flow);
                continue;
            }
            let next = if allowed(&flow) { line.pop_front() } else { None };
            if line.is_empty() {
                self.flows.remove(&flow);
            } else {
                self.turns.push_back(flow);
            }
            if let Some((place, key)) = next {
                self.places.remove(&key);
                return Some((place, key));
            }
        }
        None
    }

    /// Takes an object out of the line; whether it was there.
    pub fn remove(&mut self, key: &ObjectKey) -> bool {
        self.places.remove(key).is_some()
    }

    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.places.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { kind: "K", namespace: namespace.into(), name: name.into() }
    }

    fn names(queue: &mut FairQueue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop(|_| true)).map(|key| key.name.to_string()).collect()
    }

    #[test]
    fn flows_take_turns_and_each_keeps_its_order() {
        let mut queue = FairQueue::default();
        for (namespace, name) in [("a", "a1"), ("a", "a2"), ("a", "a3"), ("b", "b1"), ("a", "a1"), ("b", "b2")] {
            queue.push(key(namespace, name));
        }
        assert_eq!(names(&mut queue), ["a1", "b1", "a2", "b2", "a3"]);
        assert!(queue.places.is_empty() && queue.flows.is_empty() && queue.turns.is_empty());
    }

    #[test]
    fn who_left_and_came_again_is_the_last() {
        let mut queue = FairQueue::default();
        for name in ["1", "2", "3"] {
            queue.push(key("a", name));
        }
        assert!(queue.remove(&key("a", "1")) && !queue.remove(&key("a", "1")));
        queue.push(key("a", "1"));
        assert!(queue.contains(&key("a", "1")));
        assert_eq!(names(&mut queue), ["2", "3", "1"]);
    }

    #[test]
    fn who_comes_back_to_their_place_is_before_those_who_came_later() {
        let mut queue = FairQueue::default();
        for name in ["1", "2", "3", "4"] {
            queue.push(key("a", name));
        }
        let mut next = || queue.pop_with_place(|_| true).unwrap();
        let (first, second) = (next(), next());
        queue.push_at(second.0, second.1.clone());
        queue.push_at(first.0, first.1);
        queue.push_at(second.0, second.1);
        assert_eq!(names(&mut queue), ["1", "2", "3", "4"]);
    }

    #[test]
    fn a_flow_that_is_allowed_nothing_holds_up_nobody_and_keeps_its_line() {
        let mut queue = FairQueue::default();
        for (namespace, name) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
            queue.push(key(namespace, name));
        }
        let b = |queue: &mut FairQueue| queue.pop(|flow| *flow == key("b", "").flow()).map(|key| key.name.to_string());
        assert_eq!(b(&mut queue).as_deref(), Some("b1"));
        assert_eq!(b(&mut queue), None);
        assert_eq!(names(&mut queue), ["a1", "a2"]);
        queue.push(key("a", "a1"));
        queue.remove(&key("a", "a1"));
        assert_eq!(queue.pop(|_| true), None);
        assert!(queue.flows.is_empty() && queue.turns.is_empty(), "nothing is left behind");
    }
}
