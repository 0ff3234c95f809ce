//! The index of tasks: which of them a change elsewhere concerns, so that nobody goes through all of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::task::prunable::{Prunable, PrunableTasks};
use crate::task::{Task, target};

/// All tasks, by kind and namespace.
pub struct TaskIndex {
    kinds: Mutex<HashMap<&'static str, KindIndex>>,
    /// Whether finished tasks are thrown away.
    prunes: bool,
}

#[derive(Default)]
struct KindIndex {
    namespaces: HashMap<String, NamespaceIndex>,
    /// Of a listing that is still coming in.
    incoming: HashMap<String, NamespaceIndex>,
}

#[derive(Default)]
struct NamespaceIndex {
    /// Names of those that a change of what can be a target concerns.
    waiting_for_targets: BTreeSet<String>,
    /// Names of those for whose migrations pods may wait.
    migrations: BTreeSet<String>,
    prunable: PrunableTasks,
}

impl NamespaceIndex {
    fn apply<T: Task>(&mut self, object: &DeserializeGuard<T>, prunes: bool) {
        let Ok(task) = &object.0 else { return self.remove(object.meta()) }; // it cannot be read
        let name = task.meta().name.clone().unwrap_or_default();
        let sort = |names: &mut BTreeSet<String>, is_one: bool| match is_one {
            true => names.insert(name.clone()),
            false => names.remove(&name),
        };
        sort(&mut self.waiting_for_targets, target::concerns(task));
        sort(&mut self.migrations, task.migrates_everything_in().is_some());
        if prunes {
            self.prunable.apply(task);
        }
    }

    fn remove(&mut self, meta: &ObjectMeta) {
        let name = meta.name.as_deref().unwrap_or_default();
        self.waiting_for_targets.remove(name);
        self.migrations.remove(name);
        self.prunable.remove(meta);
    }
}

impl TaskIndex {
    pub fn new(prunes: bool) -> Self {
        Self { kinds: Mutex::default(), prunes }
    }

    /// Names of the tasks that a change of what can be a target concerns.
    pub fn waiting_for_targets(&self, kind: &str, namespace: &str) -> BTreeSet<String> {
        self.names(kind, namespace, |index| &index.waiting_for_targets)
    }

    /// Names of the tasks for whose migrations pods may wait.
    pub fn migrations(&self, kind: &str, namespace: &str) -> BTreeSet<String> {
        self.names(kind, namespace, |index| &index.migrations)
    }

    fn names(&self, kind: &str, namespace: &str, of: fn(&NamespaceIndex) -> &BTreeSet<String>) -> BTreeSet<String> {
        let index = self.index();
        let found = index.get(kind).and_then(|kind| kind.namespaces.get(namespace));
        found.map(|found| of(found).clone()).unwrap_or_default()
    }

    /// Finished tasks beyond the newest `keep`: at most so many of those that satisfy `test`.
    pub fn prunable(
        &self,
        kind: &str,
        namespace: &str,
        keep: usize,
        test: impl Fn(&Prunable) -> bool,
        most: usize,
    ) -> Vec<Prunable> {
        let index = self.index();
        let Some(found) = index.get(kind).and_then(|kind| kind.namespaces.get(namespace)) else { return Vec::new() };
        found.prunable.beyond(keep).filter(|task| test(task)).take(most).cloned().collect()
    }

    /// Applies an event of the watch of a kind.
    pub fn apply_event<T: Task>(&self, event: &Event<DeserializeGuard<T>>) {
        let mut index = self.index();
        let kind = index.entry(T::KIND).or_default();
        let namespace = |object: &DeserializeGuard<T>| object.meta().namespace.clone().unwrap_or_default();
        match event {
            Event::Init => kind.incoming.clear(),
            Event::InitApply(object) => kind.incoming.entry(namespace(object)).or_default().apply(object, self.prunes),
            Event::InitDone => kind.namespaces = std::mem::take(&mut kind.incoming),
            Event::Apply(object) => kind.namespaces.entry(namespace(object)).or_default().apply(object, self.prunes),
            Event::Delete(object) => kind.namespaces.entry(namespace(object)).or_default().remove(object.meta()),
        }
    }

    fn index(&self) -> MutexGuard<'_, HashMap<&'static str, KindIndex>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoMigrate, TaskResource};
    use serde_json::{Value, json};

    fn task(name: &str, spec: Value) -> DeserializeGuard<DjangoMigrate> {
        serde_json::from_value(json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
            "metadata": {"name": name, "namespace": "ns"}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn it_has_the_tasks_that_can_be_read() {
        let index = TaskIndex::new(true);
        let names = || index.waiting_for_targets(DjangoMigrate::KIND, "ns");
        let broken = || json!({"fake": "perhaps"});
        for event in [
            Event::Init,
            Event::InitApply(task("a", json!({}))),
            Event::InitApply(task("b", broken())),
            Event::InitDone,
            Event::Apply(task("c", json!({}))),
        ] {
            index.apply_event(&event);
        }
        assert_eq!(Vec::from_iter(names()), ["a", "c"]);
        assert_eq!(index.migrations(DjangoMigrate::KIND, "ns"), names());
        let part = || index.migrations(DjangoMigrate::KIND, "ns").len();
        index.apply_event(&Event::Apply(task("c", json!({"app": "shop"}))));
        assert_eq!(part(), 1, "pods wait for everything");
        index.apply_event(&Event::Apply(task("a", broken())));
        index.apply_event(&Event::Delete(task("c", json!({}))));
        assert!(names().is_empty());
        assert!(index.waiting_for_targets("DjangoUser", "ns").is_empty());
        assert!(index.prunable(DjangoMigrate::KIND, "ns", 0, |_| true, 1).is_empty());
    }
}
