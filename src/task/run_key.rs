//! The run key: a hash of everything in a spec whose change asks for a new run.

use serde_json::{Map, Value, json};

use super::Task;
use crate::api::{Run, TaskPolicy};
use crate::names;

/// Version of the way the key is made.
const VERSION: &str = "v2";

/// Maps whose keys are the user's: there an empty text says something.
const USER_KEYED_MAPS: &[&str] = &["attributes", "matchLabels"];

/// The key of a task's spec.
pub fn for_task<T: Task>(task: &T) -> String {
    compute(T::KIND, &triggering_spec(task), T::defaults())
}

/// Whether the spec is another one than that of the run. A key is compared with what its own version makes of the
/// spec, so that an upgrade of the operator reruns nothing; one of a version that this operator does not know says
/// nothing, and counts as equal while the generation is the run's.
pub fn spec_changed<T: Task>(task: &T, run: &Run) -> bool {
    let (spec, defaults) = (triggering_spec(task), T::defaults());
    match run.key.split_once(':').map(|(version, _)| version) {
        Some(VERSION) => run.key != compute(T::KIND, &spec, defaults),
        Some("v1") => {
            [None, Some(run.image.as_str())].iter().all(|image| run.key != compute_v1(T::KIND, &spec, defaults, *image))
        }
        _ => Some(run.generation) != task.meta().generation,
    }
}

/// The spec without the kind's own fields whose change asks for no run.
fn triggering_spec<T: Task>(task: &T) -> Value {
    let mut spec = task.spec();
    for name in T::NON_TRIGGERING_FIELDS {
        spec.as_object_mut().and_then(|fields| fields.remove(*name));
    }
    spec
}

/// The key of a spec, without the fields that only repeat a default.
fn compute(kind: &str, spec: &Value, defaults: &Value) -> String {
    versioned(VERSION, &json!({ "kind": kind, "spec": triggering_fields(spec, defaults) }))
}

/// As the first version made it: with the image where a change of that asked for a run.
fn compute_v1(kind: &str, spec: &Value, defaults: &Value, image: Option<&str>) -> String {
    versioned("v1", &json!({ "kind": kind, "spec": triggering_fields(spec, defaults), "image": image }))
}

fn versioned(version: &str, canonical: &Value) -> String {
    format!("{version}:{}", names::hash(&[&canonical.to_string()], 16))
}

fn triggering_fields(spec: &Value, defaults: &Value) -> Map<String, Value> {
    let mut fields = normalise(spec, defaults);
    for name in TaskPolicy::NON_TRIGGERING_FIELDS {
        fields.remove(*name);
    }
    fields
}

/// The fields that say something: neither empty nor the default. So a field that a later version adds
/// leaves the keys of those who do not use it as they were.
fn normalise(spec: &Value, defaults: &Value) -> Map<String, Value> {
    let Some(fields) = spec.as_object() else { return Map::new() };
    fields
        .iter()
        .filter_map(|(name, value)| {
            let default = &defaults[name];
            let value = match value {
                Value::Object(_) if !USER_KEYED_MAPS.contains(&name.as_str()) => {
                    Value::Object(normalise(value, default))
                }
                other => other.clone(),
            };
            (!is_empty(&value) && &value != default).then(|| (name.clone(), value))
        })
        .collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.is_empty(),
        Value::Number(_) | Value::Bool(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoMigrate, TaskResource};

    fn key(spec: Value) -> String {
        let defaults = json!({ "fake": false, "database": "default", "lock": { "id": 1000, "mode": "Auto" } });
        compute("DjangoMigrate", &spec, &defaults)
    }

    #[test]
    fn what_says_nothing_and_what_only_steers_leaves_the_key_as_it_is() {
        let plain = key(json!({}));
        for same in [
            json!({ "fake": false, "database": "default", "app": "", "migration": null, "ignore": [], "target": {} }),
            json!({ "lock": { "id": 1000, "mode": "Auto" } }),
            json!({ "suspend": true, "timeoutSeconds": 9, "retries": 1, "historyLimit": 0, "runPolicy": "OnImageChange" }),
            json!({ "resources": { "limits": { "memory": "1Gi" } } }),
        ] {
            assert_eq!(key(same.clone()), plain, "{same}");
        }
    }

    #[test]
    fn whatever_says_something_makes_another_key() {
        let mut keys: Vec<String> = [
            json!({}),
            json!({ "fake": true }),
            json!({ "superuser": false }),
            json!({ "superuser": true }),
            json!({ "app": "a" }),
            json!({ "migration": "a" }),
            json!({ "trigger": "a" }),
            json!({ "attributes": { "team": "" } }),
            json!({ "target": { "selector": { "matchLabels": { "tier": "" } } } }),
            json!({ "image": "a" }),
            json!({ "target": { "deployment": "a" } }),
            json!({ "target": { "container": "a" } }),
            json!({ "lock": { "timeoutSeconds": 300 } }),
        ]
        .into_iter()
        .map(key)
        .collect();
        keys.push(compute("DjangoStatic", &json!({}), &json!({})));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_stored_key_is_compared_in_its_own_version() {
        let task = |spec: Value, generation: i64| -> DjangoMigrate {
            serde_json::from_value(json!({
                "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
                "metadata": {"name": "m", "generation": generation}, "spec": spec,
            }))
            .unwrap()
        };
        let (plain, edited) = (task(json!({}), 2), task(json!({"app": "a"}), 2));
        let defaults = DjangoMigrate::defaults();
        let v1 = |image| compute_v1("DjangoMigrate", &TaskResource::spec(&plain), defaults, image);
        for (situation, key, generation, of_plain, of_edited) in [
            ("the present version", for_task(&plain), 1, false, true),
            ("v1, run once", v1(None), 1, false, true),
            ("v1, that followed the image", v1(Some("i:1")), 1, false, true),
            ("v1, of another image", v1(Some("i:2")), 1, true, true),
            ("unknown, of this generation", "v9:x".into(), 2, false, false),
            ("unknown, of another generation", "v9:x".into(), 1, true, true),
        ] {
            let run = Run { key, generation, image: "i:1".into(), ..Run::default() };
            assert_eq!((spec_changed(&plain, &run), spec_changed(&edited, &run)), (of_plain, of_edited), "{situation}");
        }
    }

    #[test]
    fn the_keys_of_the_samples_stay_as_they_are() {
        let stored = compute_v1("DjangoMigrate", &json!({"app": "myapp"}), DjangoMigrate::defaults(), None);
        assert_eq!(stored, "v1:21343ef239ff8da08e2787efe2629e93");
        assert_eq!(
            compute("DjangoMigrate", &json!({"app": "myapp"}), DjangoMigrate::defaults()),
            "v2:4963c2c62d535783d1989162fb85765a"
        );
    }
}
