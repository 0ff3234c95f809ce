//! Which DjangoMigrate resources have a run under way on which target, as the watch of Jobs knows.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cache::Change;
use crate::api::{DjangoMigrate, TaskResource};
use crate::core::views::JobView;
use crate::names;

/// Their names, by namespace and target, and by the UID of the Job.
#[derive(Default)]
pub struct OpenMigrations(Mutex<HashMap<(String, String), BTreeMap<String, String>>>);

impl OpenMigrations {
    /// A Job came, changed or went.
    pub fn apply_change(&self, change: &Change<JobView>) {
        if let Some((place, uid, _)) = change.before.as_deref().and_then(migration) {
            let mut open = self.inner();
            if let Some(names) = open.get_mut(&place) {
                names.remove(&uid);
                if names.is_empty() {
                    open.remove(&place);
                }
            }
        }
        if let Some(job) = change.now.as_deref().filter(|job| job.end().is_none())
            && let Some((place, uid, name)) = migration(job)
        {
            self.inner().entry(place).or_default().insert(uid, name);
        }
    }

    /// The names of those that are under way on a target, in order.
    pub fn names(&self, namespace: &str, target: &str) -> Vec<String> {
        let open = self.inner();
        let found = open.get(&(namespace.to_owned(), target.to_owned()));
        let mut names: Vec<String> = found.into_iter().flat_map(BTreeMap::values).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    fn inner(&self) -> MutexGuard<'_, HashMap<(String, String), BTreeMap<String, String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Namespace and target, UID, and name of the task, of a Job that migrates.
fn migration(job: &JobView) -> Option<((String, String), String, String)> {
    if job.annotation(names::KIND_LABEL) != Some(DjangoMigrate::KIND) {
        return None;
    }
    let target = job.annotation(names::TARGET_ANNOTATION)?.to_owned();
    let name = job.annotation(names::TASK_ANNOTATION)?.to_owned();
    Some(((job.meta.namespace.to_string(), target), job.uid().to_owned(), name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_migration_is_under_way_until_its_job_ends() {
        let job = |kind: &str, uid: &str, task: &str, ended: bool| -> Option<Arc<JobView>> {
            let annotations = json!({names::TASK_ANNOTATION: task, names::TARGET_ANNOTATION: "Deployment/web"});
            let metadata = json!({
                "namespace": "ns", "name": task, "uid": uid, "labels": {names::KIND_LABEL: kind}, "annotations": annotations,
            });
            let conditions = if ended { json!([{"type": "Complete", "status": "True"}]) } else { json!([]) };
            let job = json!({"metadata": metadata, "status": {"conditions": conditions}});
            Some(Arc::new(serde_json::from_value(job).unwrap()))
        };
        let open = OpenMigrations::default();
        let names = || open.names("ns", "Deployment/web");
        for (kind, uid, task) in [("DjangoMigrate", "1", "b"), ("DjangoMigrate", "2", "a"), ("DjangoUser", "3", "u")] {
            open.apply_change(&Change { now: job(kind, uid, task, false), before: None });
        }
        assert_eq!(names(), ["a", "b"]);
        assert!(open.names("ns", "Deployment/other").is_empty() && open.names("other", "Deployment/web").is_empty());
        open.apply_change(&Change {
            now: job("DjangoMigrate", "1", "b", true),
            before: job("DjangoMigrate", "1", "b", false),
        });
        assert_eq!(names(), ["a"]);
        open.apply_change(&Change { now: None, before: job("DjangoMigrate", "2", "a", false) });
        assert!(names().is_empty());
    }
}
