//! Which tasks wait for which, as the watches know: who is to be told of a change, and who waits in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::controller::object_key::ObjectKey;
use crate::core::condition;
use crate::names;
use crate::task::Task;

/// The tasks that depend on others, and those on which others depend.
#[derive(Default)]
pub struct DependencyGraph(Mutex<Edges>);

#[derive(Default)]
struct Edges {
    depends_on: BTreeMap<ObjectKey, Vec<ObjectKey>>,
    dependents: HashMap<ObjectKey, BTreeSet<ObjectKey>>,
    /// What was last seen of those on which others depend.
    looks: HashMap<ObjectKey, u64>,
    /// The kinds of which there was a listing.
    listed: BTreeSet<&'static str>,
    /// Of listings that are still coming in, by kind.
    incoming: HashMap<&'static str, Incoming>,
}

#[derive(Default)]
struct Incoming {
    changed: Vec<ObjectKey>,
    /// Those on which others depend.
    depended_upon: BTreeSet<ObjectKey>,
    depends_on: BTreeMap<ObjectKey, Vec<ObjectKey>>,
}

impl Edges {
    fn set(&mut self, task: ObjectKey, depends_on: Vec<ObjectKey>) {
        for before in self.depends_on.remove(&task).unwrap_or_default() {
            if let Some(dependents) = self.dependents.get_mut(&before) {
                dependents.remove(&task);
                if dependents.is_empty() {
                    self.dependents.remove(&before);
                    self.looks.remove(&before);
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

    /// Whether others depend on a task, and what matters to them is not as it was.
    fn concerns_dependents<T: Task>(&mut self, key: &ObjectKey, object: &DeserializeGuard<T>) -> bool {
        if !self.dependents.contains_key(key) {
            return false; // as of most
        }
        let look = look_at(object);
        self.looks.insert(key.clone(), look) != Some(look)
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
    /// Applies an event of the watch of a kind; the tasks that it concerns, as they depend on what changed.
    pub fn apply_event<T: Task>(&self, event: &Event<DeserializeGuard<T>>) -> Vec<ObjectKey> {
        let mut edges = self.edges();
        let changed: Vec<ObjectKey> = match event {
            Event::Init => {
                edges.incoming.remove(T::KIND);
                Vec::new()
            }
            Event::InitApply(object) => {
                let key = key::<T>(object);
                let (is_depended_upon, changed) =
                    (edges.dependents.contains_key(&key), edges.concerns_dependents(&key, object));
                let incoming = edges.incoming.entry(T::KIND).or_default();
                incoming.changed.extend(changed.then(|| key.clone()));
                incoming.depended_upon.extend(is_depended_upon.then(|| key.clone()));
                let depends_on = depends_on(object);
                if !depends_on.is_empty() {
                    incoming.depends_on.insert(key, depends_on);
                }
                Vec::new()
            }
            Event::InitDone => {
                let Incoming { mut changed, depended_upon, depends_on } =
                    edges.incoming.remove(T::KIND).unwrap_or_default();
                let of_kind = edges.depends_on.keys().filter(|task| task.kind == T::KIND);
                let gone: Vec<ObjectKey> = of_kind.filter(|task| !depends_on.contains_key(task)).cloned().collect();
                gone.into_iter().for_each(|task| edges.set(task, Vec::new()));
                depends_on.into_iter().for_each(|(task, depends_on)| edges.set(task, depends_on));
                let first = edges.listed.insert(T::KIND);
                // Also who waits for one that is not there, or no longer.
                let waited_for = edges.dependents.keys().filter(|task| task.kind == T::KIND);
                let missing = waited_for.filter(|task| !depended_upon.contains(task));
                let missing: Vec<ObjectKey> =
                    missing.filter(|task| first || edges.looks.contains_key(task)).cloned().collect();
                for task in &missing {
                    edges.looks.remove(task);
                }
                changed.extend(missing);
                changed
            }
            Event::Apply(object) => {
                let key = key::<T>(object);
                edges.set(key.clone(), depends_on(object));
                edges.concerns_dependents(&key, object).then_some(key).into_iter().collect()
            }
            Event::Delete(object) => {
                let key = key::<T>(object);
                edges.set(key.clone(), Vec::new());
                edges.looks.remove(&key);
                vec![key]
            }
        };
        let dependents: BTreeSet<&ObjectKey> =
            changed.iter().filter_map(|task| edges.dependents.get(task)).flatten().collect();
        dependents.into_iter().cloned().collect()
    }

    /// Whether the tasks of a kind have been listed.
    pub fn is_listed(&self, kind: &str) -> bool {
        self.edges().listed.contains(kind)
    }

    /// Whether those of so many kinds have been.
    pub fn are_listed(&self, kinds: usize) -> bool {
        self.edges().listed.len() >= kinds
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

/// What others, which depend on a task, go by.
fn look_at<T: Task>(object: &DeserializeGuard<T>) -> u64 {
    let mut hasher = DefaultHasher::new();
    let meta = object.meta();
    (&meta.uid, meta.generation, meta.annotations.as_ref().and_then(|all| all.get(names::REQUESTED_AT_ANNOTATION)))
        .hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    if let Ok(task) = &object.0 {
        let status = task.status();
        let run = status.last_run.as_ref();
        run.map(|run| (run.number, run.result, run.job_uid.is_some(), &run.image)).hash(&mut hasher);
        let stalled = condition::find(&status.conditions, condition::STALLED);
        stalled.map(|stalled| (&stalled.reason, stalled.observed_generation)).hash(&mut hasher);
        let ready = condition::find(&status.conditions, condition::READY);
        ready.map(|ready| ready.status == "True").hash(&mut hasher);
        status.last_handled_request.hash(&mut hasher);
    }
    hasher.finish()
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
    use crate::api::{DjangoCommand, DjangoMigrate, TaskResource};
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
        let names = |task: &ObjectKey| {
            let edges = graph.edges();
            edges.dependents.get(task).into_iter().flatten().map(|key| key.name.to_string()).collect::<Vec<_>>()
        };
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
    fn who_depends_on_what_changed_is_told_and_nobody_else() {
        let graph = DependencyGraph::default();
        let told = |event: Event<DeserializeGuard<DjangoMigrate>>| {
            let told = graph.apply_event(&event);
            told.iter().map(|key| key.name.to_string()).collect::<Vec<_>>().join(" ")
        };
        let migrate = |name: &str, version: &str, result: Option<&str>| {
            let mut object = object::<DjangoMigrate>(name, json!([]));
            let target = json!({"kind": "", "name": "", "uid": "", "container": ""});
            let run = json!({
                "number": 1, "key": "k", "generation": 1, "jobName": "j", "image": "i", "target": target, "result": result,
            });
            let task = object.0.as_mut().unwrap();
            task.metadata.resource_version = Some(version.to_owned());
            task.status = serde_json::from_value(json!({"lastRun": run})).unwrap();
            object
        };
        graph.apply_event(&Event::Apply(object::<DjangoCommand>("c", on(&[("DjangoMigrate", "m")]))));
        assert!(!graph.is_listed(DjangoMigrate::KIND));
        told(Event::Init);
        assert_eq!(told(Event::InitDone), "c", "there is none of that name");
        assert!(graph.is_listed(DjangoMigrate::KIND) && graph.are_listed(1) && !graph.are_listed(2));
        for (situation, event, expected) in [
            ("it came", Event::Apply(migrate("m", "1", None)), "c"),
            ("of no concern", Event::Apply(migrate("m", "2", None)), ""),
            ("it ended", Event::Apply(migrate("m", "3", Some("Succeeded"))), "c"),
            ("another one", Event::Apply(migrate("other", "4", Some("Succeeded"))), ""),
            ("a new listing", Event::Init, ""),
            ("as it was", Event::InitApply(migrate("m", "3", Some("Succeeded"))), ""),
            ("that is all", Event::InitDone, ""),
            ("a new listing", Event::Init, ""),
            ("without it", Event::InitDone, "c"),
            ("a new listing", Event::Init, ""),
            ("still without it", Event::InitDone, ""),
            ("it came again", Event::Apply(migrate("m", "5", None)), "c"),
            ("it went", Event::Delete(migrate("m", "6", None)), "c"),
        ] {
            assert_eq!(told(event), expected, "{situation}");
        }
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
