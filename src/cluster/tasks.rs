//! The index of tasks: what the watches know of every task, for those that depend on others.

use std::collections::HashMap;
use std::sync::Arc;

use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use super::cache::{Cache, CacheKey};
use crate::task::Task;
use crate::task::kinds::{self, KindVisitor};
use crate::task::view::TaskView;

/// All tasks, by kind and namespace.
pub struct TaskIndex {
    kinds: HashMap<&'static str, Cache<TaskView>>,
}

impl Default for TaskIndex {
    fn default() -> Self {
        let mut index = Self { kinds: HashMap::new() };
        kinds::visit_kinds(&mut index);
        index
    }
}

impl KindVisitor for TaskIndex {
    fn visit<T: Task>(&mut self) {
        self.kinds.insert(T::KIND, Cache::default());
    }
}

impl TaskIndex {
    /// The tasks of one kind in a namespace.
    pub fn of_kind(&self, kind: &str, namespace: &str) -> Vec<Arc<TaskView>> {
        self.kinds.get(kind).map(|tasks| tasks.partition(namespace)).unwrap_or_default()
    }

    /// Applies an event of the watch of a kind. An object that cannot be read is not in the index.
    pub fn apply_event<T: Task>(&self, event: &Event<DeserializeGuard<T>>) {
        let Some(tasks) = self.kinds.get(T::KIND) else { return };
        match event {
            Event::Init => tasks.apply_event(Event::Init),
            Event::InitDone => tasks.apply_event(Event::InitDone),
            Event::InitApply(object) => match entry(object) {
                Some(entry) => tasks.apply_event(Event::InitApply(entry)),
                None => return,
            },
            Event::Apply(object) => match entry(object) {
                Some(entry) => tasks.apply_event(Event::Apply(entry)),
                None => tasks.remove(&CacheKey::of(object.meta())),
            },
            Event::Delete(object) => tasks.remove(&CacheKey::of(object.meta())),
        };
    }
}

fn entry<T: Task>(object: &DeserializeGuard<T>) -> Option<(CacheKey, TaskView)> {
    object.0.as_ref().ok().map(|task| (CacheKey::of(object.meta()), TaskView::of(task)))
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
        let index = TaskIndex::default();
        let names = || -> Vec<String> {
            index.of_kind(DjangoMigrate::KIND, "ns").iter().map(|task| task.name.clone()).collect()
        };
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
        assert_eq!(names(), ["a", "c"]);
        index.apply_event(&Event::Apply(task("a", broken())));
        index.apply_event(&Event::Delete(task("c", json!({}))));
        assert!(names().is_empty());
        assert!(index.of_kind("DjangoUser", "ns").is_empty());
    }
}
