//! Which tasks wait for which, as the watches know: who is to be told of a change, and who waits in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::controller::object_key::ObjectKey;
use crate::task::Task;

/// The tasks that depend on others, and those on which others depend.
#[derive(Default)]
pub struct DependencyGraph(Mutex<Edges>);

#[derive(Default)]
struct Edges {
    depends_on: BTreeMap<ObjectKey, Vec<ObjectKey>>,
    dependents: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// Of listings that are still coming in, by kind.
    incoming: HashMap<&'static str, BTreeMap<ObjectKey, Vec<ObjectKey>>>,
}

impl Edges {
    fn set(&mut self, task: ObjectKey, depends_on: Vec<ObjectKey>) {
        for before in self.depends_on.remove(&task).unwrap_or_default() {
            if let Some(dependents) = self.dependents.get_mut(&before) {
                dependents.remove(&task);
                if dependents.is_empty() {
                    self.dependents.remove(&before);
                }
            }
        }
        for dependency in &depends_on {
            self.dependents.entry(dependency.clone()).or_default().insert(task.clone());
        }
        if !depends_on.is_empty() {
            self.depends_on.insert(task, depends_on);
        }
    }

    /// The shortest way from a task along what it depends on to itself.
    fn cycle(&self, task: &ObjectKey) -> Option<Vec<&ObjectKey>> {
        let mut reached_from: HashMap<&ObjectKey, &ObjectKey> = HashMap::new();
        let (start, _) = self.depends_on.get_key_value(task)?;
        let mut next = vec![start];
        while !next.is_empty() {
            let mut further = Vec::new();
            for at in next {
                for dependency in self.depends_on.get(at).into_iter().flatten() {
                    if dependency == task {
                        let mut cycle = vec![at];
                        while let Some(before) = cycle.last().and_then(|last| reached_from.get(last)) {
                            cycle.push(before);
                        }
                        cycle.reverse();
                        return Some(cycle);
                    }
                    if dependency != start && !reached_from.contains_key(dependency) {
                        reached_from.insert(dependency, at);
                        further.push(dependency);
                    }
                }
            }
            next = further;
        }
        None
    }
}

impl DependencyGraph {
    /// Applies an event of the watch of a kind.
    pub fn apply_event<T: Task>(&self, event: &Event<DeserializeGuard<T>>) {
        let mut edges = self.edges();
        match event {
            Event::Init => {
                edges.incoming.remove(T::KIND);
            }
            Event::InitApply(object) => {
                let depends_on = depends_on(object);
                if !depends_on.is_empty() {
                    edges.incoming.entry(T::KIND).or_default().insert(key::<T>(object), depends_on);
                }
            }
            Event::InitDone => {
                let listed = edges.incoming.remove(T::KIND).unwrap_or_default();
                let known = edges.depends_on.keys().filter(|task| task.kind == T::KIND && !listed.contains_key(task));
                let gone: Vec<ObjectKey> = known.cloned().collect();
                gone.into_iter().for_each(|task| edges.set(task, Vec::new()));
                listed.into_iter().for_each(|(task, depends_on)| edges.set(task, depends_on));
            }
            Event::Apply(object) => edges.set(key::<T>(object), depends_on(object)),
            Event::Delete(object) => edges.set(key::<T>(object), Vec::new()),
        }
    }

    /// The tasks that depend on one.
    pub fn dependents(&self, task: &ObjectKey) -> Vec<ObjectKey> {
        self.edges().dependents.get(task).into_iter().flatten().cloned().collect()
    }

    /// Whether a task depends on this one.
    pub fn has_dependents(&self, task: &ObjectKey) -> bool {
        self.edges().dependents.contains_key(task)
    }

    /// The circle that a task is part of, in the same words for each of its members.
    pub fn cycle(&self, task: &ObjectKey) -> Option<String> {
        let edges = self.edges();
        let mut cycle = edges.cycle(task)?;
        let first = cycle.iter().enumerate().min_by_key(|(_, member)| **member).map_or(0, |(index, _)| index);
        cycle.rotate_left(first);
        let names: Vec<String> =
            cycle.iter().chain(cycle.first()).map(|member| format!("{} {}", member.kind, member.name)).collect();
        Some(names.join(" -> "))
    }

    fn edges(&self) -> MutexGuard<'_, Edges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key<T: Task>(object: &DeserializeGuard<T>) -> ObjectKey {
    ObjectKey::of(T::KIND, object)
}

fn depends_on<T: Task>(object: &DeserializeGuard<T>) -> Vec<ObjectKey> {
    let ObjectKey { namespace, .. } = key(object);
    let named = object.0.as_ref().map(|task| task.policy().depends_on.as_slice()).unwrap_or_default();
    let key = |(kind, name): (&'static str, &str)| ObjectKey { kind, namespace: namespace.clone(), name: name.into() };
    named.iter().map(|dependency| key((dependency.kind.as_str(), &dependency.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoCommand, DjangoMigrate};
    use serde_json::{Value, json};

    fn object<T: Task>(name: &str, depends_on: Value) -> DeserializeGuard<T> {
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": T::KIND,
            "metadata": {"name": name, "namespace": "ns"}, "spec": {"commands": [["check"]], "dependsOn": depends_on},
        }))
        .unwrap()
    }

    fn on(names: &[(&str, &str)]) -> Value {
        names.iter().map(|(kind, name)| json!({"kind": kind, "name": name})).collect()
    }

    #[test]
    fn who_waits_for_whom_is_known_both_ways_and_through_listings() {
        let graph = DependencyGraph::default();
        let names =
            |task: &ObjectKey| graph.dependents(task).iter().map(|key| key.name.to_string()).collect::<Vec<_>>();
        let migrate = key(&object::<DjangoMigrate>("m", json!([])));
        graph.apply_event(&Event::Apply(object::<DjangoCommand>("a", on(&[("DjangoMigrate", "m")]))));
        graph.apply_event(&Event::Apply(object::<DjangoCommand>(
            "b",
            on(&[("DjangoMigrate", "m"), ("DjangoCommand", "a")]),
        )));
        assert_eq!(names(&migrate), ["a", "b"]);
        graph.apply_event(&Event::Apply(object::<DjangoCommand>("a", json!([]))));
        assert_eq!(names(&migrate), ["b"]);
        for event in [Event::Init, Event::InitApply(object("c", on(&[("DjangoMigrate", "m")]))), Event::InitDone] {
            graph.apply_event::<DjangoCommand>(&event);
        }
        assert_eq!(names(&migrate), ["c"], "what a listing does not have is gone");
        assert!(graph.has_dependents(&migrate));
        graph.apply_event(&Event::Delete(object::<DjangoCommand>("c", on(&[("DjangoMigrate", "m")]))));
        assert!(!graph.has_dependents(&migrate));
        assert!(graph.edges().dependents.is_empty() && graph.edges().depends_on.is_empty());
    }

    #[test]
    fn a_circle_has_the_same_words_for_each_member_and_none_for_others() {
        let graph = DependencyGraph::default();
        let cycle = |name: &str| graph.cycle(&key(&object::<DjangoCommand>(name, json!([]))));
        for (name, depends_on) in [("a", "b"), ("b", "c"), ("c", "a"), ("outside", "a"), ("self", "self")] {
            graph.apply_event(&Event::Apply(object::<DjangoCommand>(name, on(&[("DjangoCommand", depends_on)]))));
        }
        let expected = "DjangoCommand a -> DjangoCommand b -> DjangoCommand c -> DjangoCommand a";
        for name in ["a", "b", "c"] {
            assert_eq!(cycle(name).as_deref(), Some(expected));
        }
        assert_eq!(cycle("outside"), None);
        assert_eq!(cycle("self").as_deref(), Some("DjangoCommand self -> DjangoCommand self"));
        graph.apply_event(&Event::Apply(object::<DjangoCommand>("c", json!([]))));
        assert_eq!(cycle("a"), None);
    }
}
