//! What metrics tell of the tasks of a kind, from what the watches know.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;

use crate::cluster::cache::CacheKey;
use crate::cluster::caches::Caches;
use crate::cluster::object_store::Summarize;
use crate::controller::reconciler::Context;
use crate::metrics::{SchemaSample, TaskSample, TaskSource};
use crate::task::Task;
use crate::task::summary::{self, MigrationSummary, TaskSummary};
use crate::task::target::{Candidate, TargetKind};

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
        let mut migrating = Vec::new();
        let Ok(()) = self.objects.try_for_each::<Infallible>(|key, summary| {
            migrating.extend(summary.has_migrations.then(|| key.clone()));
            Ok(())
        });
        let mut schemas = Schemas::default();
        for key in migrating {
            let Some(DeserializeGuard(Ok(task))) = self.objects.get(&key) else { continue };
            for migration in summary::migrations(&task) {
                schemas.add(&key.partition, &migration, &self.shared.caches);
            }
        }
        schemas.samples()
    }
}

/// Of each Deployment, by namespace and name, and database: the migration that succeeded last.
#[derive(Default)]
struct Schemas(BTreeMap<(String, String, Box<str>), Schema>);

struct Schema {
    migrated: Option<(Box<str>, Timestamp)>,
    /// Of the Deployment, now.
    image: String,
}

impl Schemas {
    fn add(&mut self, namespace: &str, migration: &MigrationSummary, caches: &Caches) {
        for deployment in deployments(namespace, migration, caches) {
            let Ok(image) = deployment.image(migration.container.as_deref()) else { continue };
            let key = (namespace.to_owned(), deployment.name().to_owned(), migration.database.clone());
            let at = |migrated: &Option<(Box<str>, Timestamp)>| migrated.as_ref().map(|(_, at)| *at);
            if self.0.get(&key).is_none_or(|known| at(&known.migrated) < at(&migration.migrated)) {
                self.0.insert(key, Schema { migrated: migration.migrated.clone(), image: image.to_owned() });
            }
        }
    }

    fn samples(self) -> Vec<SchemaSample> {
        let sample = |((namespace, deployment, database), schema): (_, Schema)| SchemaSample {
            namespace,
            target: format!("{}/{deployment}", TargetKind::Deployment.as_str()),
            database: String::from(database),
            behind: schema.migrated.is_none_or(|(image, _)| *image != *schema.image),
        };
        self.0.into_iter().map(sample).collect()
    }
}

/// The Deployments that a migration is for: its target, or those whose pods are as those of its PodTemplate.
fn deployments(namespace: &str, migration: &MigrationSummary, caches: &Caches) -> Vec<Arc<Candidate>> {
    let key = CacheKey { partition: namespace.to_owned(), name: migration.target.to_string() };
    match migration.target_kind {
        TargetKind::Deployment => caches.deployments.get(&key).map(|cached| cached.object).into_iter().collect(),
        TargetKind::PodTemplate => caches.pod_templates.get(&key).map_or_else(Vec::new, |cached| {
            let labels = &cached.object.template.metadata.labels;
            caches.deployments.filter(namespace, |deployment| deployment.template.metadata.labels == *labels)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    fn candidate(kind: TargetKind, name: &str, image: &str, app: &str) -> (CacheKey, Candidate) {
        let candidate = Candidate {
            has_unavailable_replicas: false,
            kind,
            metadata: serde_json::from_value(json!({"namespace": "shop", "name": name})).unwrap(),
            template: serde_json::from_value(json!({
                "metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "c", "image": image}]},
            }))
            .unwrap(),
        };
        (CacheKey::of(&candidate.metadata), candidate)
    }

    fn migration(target: &str, database: &str, migrated: Option<(&str, i64)>) -> MigrationSummary {
        let (kind, target) = match target.strip_prefix("PodTemplate/") {
            Some(name) => (TargetKind::PodTemplate, name),
            None => (TargetKind::Deployment, target),
        };
        MigrationSummary {
            target_kind: kind,
            target: target.into(),
            container: None,
            database: database.into(),
            migrated: migrated.map(|(image, second)| (image.into(), Timestamp::from_second(second).unwrap())),
        }
    }

    #[test]
    fn a_schema_is_behind_unless_its_newest_migration_ran_the_deployments_image() {
        let caches = Caches::default();
        for (key, made) in [
            candidate(TargetKind::Deployment, "web", "i:2", "web"),
            candidate(TargetKind::Deployment, "other", "o", "o"),
        ] {
            caches.deployments.apply_event(Event::Apply((key, made)));
        }
        let next = candidate(TargetKind::PodTemplate, "next", "i:3", "web");
        caches.pod_templates.apply_event(Event::Apply(next));
        for (migrations, expected) in [
            (vec![], vec![]),
            (vec![migration("gone", "default", Some(("i:2", 1)))], vec![]),
            (vec![migration("PodTemplate/gone", "default", Some(("i:2", 1)))], vec![]),
            (vec![migration("web", "default", None)], vec![("default", true)]),
            (vec![migration("web", "default", Some(("i:1", 1)))], vec![("default", true)]),
            (vec![migration("web", "default", Some(("i:2", 1)))], vec![("default", false)]),
            // Before the rollout of what the PodTemplate has, and where its migration failed.
            (vec![migration("PodTemplate/next", "default", Some(("i:3", 1)))], vec![("default", true)]),
            (
                vec![
                    migration("PodTemplate/next", "default", Some(("i:2", 1))),
                    migration("PodTemplate/next", "default", None),
                ],
                vec![("default", false)],
            ),
            // The newer one counts, in whichever order they are seen; one that never succeeded is older than all.
            (
                vec![
                    migration("web", "default", Some(("i:2", 2))),
                    migration("web", "default", Some(("i:1", 1))),
                    migration("web", "default", None),
                ],
                vec![("default", false)],
            ),
            (
                vec![migration("web", "default", Some(("i:2", 1))), migration("web", "default", Some(("i:1", 2)))],
                vec![("default", true)],
            ),
            (
                vec![migration("web", "default", Some(("i:2", 1))), migration("web", "other", Some(("i:1", 2)))],
                vec![("default", false), ("other", true)],
            ),
        ] {
            let mut schemas = Schemas::default();
            migrations.iter().for_each(|migration| schemas.add("shop", migration, &caches));
            let samples = schemas.samples();
            assert!(samples.iter().all(|schema| (&*schema.namespace, &*schema.target) == ("shop", "Deployment/web")));
            let found: Vec<(&str, bool)> = samples.iter().map(|schema| (&*schema.database, schema.behind)).collect();
            assert_eq!(found, expected, "{migrations:?}");
        }
    }
}
