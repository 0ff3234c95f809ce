//! What metrics tell of the tasks of a kind, from what the watches know.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;

use crate::cluster::cache::CacheKey;
use crate::cluster::caches::Caches;
use crate::cluster::object_store::Summarize;
use crate::controller::reconciler::Context;
use crate::metrics::{SchemaSample, TaskSample, TaskSource};
use crate::task::Task;
use crate::task::summary::{MigrationSummary, TaskSummary};
use crate::task::target::TargetKind;

impl<T: Task> Summarize for T {
    type Summary = TaskSummary;

    fn summarize(task: Option<&Self>) -> TaskSummary {
        TaskSummary::of(task)
    }
}

impl<T: Task> TaskSource for Context<T> {
    fn kind(&self) -> &'static str {
        T::KIND
    }

    fn visit_tasks(&self, visit: &mut dyn FnMut(TaskSample<'_>) -> fmt::Result) -> fmt::Result {
        self.objects.try_for_each(|key, summary| {
            let not_ready = summary.not_ready.as_ref();
            visit(TaskSample {
                namespace: &key.partition,
                name: &key.name,
                not_ready: not_ready.map(|not_ready| (not_ready.state.as_str(), &*not_ready.reason)),
                succeeded_at: summary.succeeded_at.map(|time| time.as_second()),
            })
        })
    }

    fn schemas(&self) -> Vec<SchemaSample> {
        let mut migrations = NewestMigrations::default();
        let Ok(()) = self.objects.try_for_each::<Infallible>(|key, summary| {
            summary.migration.as_ref().into_iter().for_each(|migration| migrations.add(&key.partition, migration));
            Ok(())
        });
        migrations.schemas(&self.shared.caches)
    }
}

/// A target by namespace, kind and name.
type TargetKey = (String, TargetKind, Box<str>);

/// Of each target and database the migration that succeeded last.
#[derive(Default)]
struct NewestMigrations(BTreeMap<(TargetKey, Box<str>), MigrationSummary>);

impl NewestMigrations {
    fn add(&mut self, namespace: &str, migration: &MigrationSummary) {
        let target = (namespace.to_owned(), migration.target_kind, migration.target.clone());
        let key = (target, migration.database.clone());
        if self.0.get(&key).is_none_or(|newest| newest.migrated_at < migration.migrated_at) {
            self.0.insert(key, migration.clone());
        }
    }

    /// Those of targets that are there.
    fn schemas(&self, caches: &Caches) -> Vec<SchemaSample> {
        let mut behind = BTreeMap::<&TargetKey, bool>::new();
        for ((target, _), migration) in &self.0 {
            if let Some(image) = image_of(target, migration.container.as_deref(), caches) {
                *behind.entry(target).or_default() |= migration.image.as_deref() != Some(&image);
            }
        }
        let schema = |((namespace, kind, name), behind): (&TargetKey, bool)| SchemaSample {
            namespace: namespace.clone(),
            target: format!("{}/{name}", kind.as_str()),
            behind,
        };
        behind.into_iter().map(schema).collect()
    }
}

/// The image that the target has now, if it is there.
fn image_of((namespace, kind, name): &TargetKey, container: Option<&str>, caches: &Caches) -> Option<String> {
    let targets = match kind {
        TargetKind::Deployment => &caches.deployments,
        TargetKind::PodTemplate => &caches.pod_templates,
    };
    let target = targets.get(&CacheKey { partition: namespace.clone(), name: name.to_string() })?.object;
    target.image(container).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::target::Candidate;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    fn migration(target: &str, database: &str, migrated: Option<(&str, i64)>) -> MigrationSummary {
        MigrationSummary {
            target_kind: TargetKind::Deployment,
            target: target.into(),
            container: None,
            database: database.into(),
            image: migrated.map(|(image, _)| image.into()),
            migrated_at: migrated.map(|(_, second)| k8s_openapi::jiff::Timestamp::from_second(second).unwrap()),
        }
    }

    #[test]
    fn a_schema_is_behind_unless_the_newest_migration_of_each_database_ran_the_targets_image() {
        let caches = Caches::default();
        let web = Candidate {
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(json!({"namespace": "shop", "name": "web"})).unwrap(),
            template: serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "image": "i:2"}]}})).unwrap(),
        };
        caches.deployments.apply_event(Event::Apply((CacheKey::of(&web.metadata), web)));
        for (migrations, expected) in [
            (vec![], None),
            (vec![migration("gone", "default", Some(("i:2", 1)))], None),
            (vec![migration("web", "default", None)], Some(true)),
            (vec![migration("web", "default", Some(("i:1", 1)))], Some(true)),
            (vec![migration("web", "default", Some(("i:2", 1)))], Some(false)),
            // The newer one counts, in whichever order they are seen; one that never succeeded is older than all.
            (
                vec![
                    migration("web", "default", Some(("i:2", 2))),
                    migration("web", "default", Some(("i:1", 1))),
                    migration("web", "default", None),
                ],
                Some(false),
            ),
            (
                vec![migration("web", "default", Some(("i:2", 1))), migration("web", "default", Some(("i:1", 2)))],
                Some(true),
            ),
            (
                vec![migration("web", "default", Some(("i:2", 1))), migration("web", "other", Some(("i:1", 2)))],
                Some(true),
            ),
        ] {
            let mut newest = NewestMigrations::default();
            migrations.iter().for_each(|migration| newest.add("shop", migration));
            let found = newest.schemas(&caches);
            assert!(found.iter().all(|schema| (&*schema.namespace, &*schema.target) == ("shop", "Deployment/web")));
            assert_eq!(found.first().map(|schema| schema.behind), expected, "{migrations:?}");
        }
    }
}
