//! The run key: a hash of everything whose change asks for a new run.

use serde_json::{Map, Value, json};

use super::Task;
use crate::api::TaskPolicy;
use crate::names;

/// Version of the way the key is made. A stored key of another version says nothing about a change.
const VERSION: &str = "v1";

/// Maps whose keys are the user's: there an empty text says something.
const USER_KEYED_MAPS: &[&str] = &["attributes", "matchLabels"];

/// The key of a spec, without the fields that only repeat a default. `image` is the image that would run, where a
/// change of it alone asks for a run.
pub fn compute(kind: &str, spec: &Value, defaults: &Value, image: Option<&str>) -> String {
    let mut fields = normalise(spec, defaults);
    for name in TaskPolicy::NON_TRIGGERING_FIELDS {
        fields.remove(*name);
    }
    let canonical = json!({ "kind": kind, "spec": fields, "image": image });
    format!("{VERSION}:{}", names::hash(&[&canonical.to_string()], 16))
}

/// The key of a task's spec.
pub fn for_task<T: Task>(task: &T, image: Option<&str>) -> String {
    compute(T::KIND, &task.spec(), T::defaults(), image)
}

/// Whether a stored key and the present one ask for a new run. A key of another version counts as equal
/// while the generation is unchanged, so that an upgrade of the operator reruns nothing.
pub fn requires_run(stored: &str, stored_generation: i64, present: &str, generation: i64) -> bool {
    let version = |key: &str| key.split(':').next().map(str::to_owned);
    if version(stored) == version(present) { stored != present } else { stored_generation != generation }
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

    fn key(spec: Value) -> String {
        let defaults = json!({ "fake": false, "database": "default", "lock": { "id": 1000, "mode": "Auto" } });
        compute("DjangoMigrate", &spec, &defaults, None)
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
        keys.push(compute("DjangoStatic", &json!({}), &json!({}), None));
        keys.push(compute("DjangoMigrate", &json!({}), &json!({}), Some("a")));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn a_key_of_another_version_asks_for_a_run_only_with_a_new_generation() {
        assert!(!requires_run("v1:a", 1, "v1:a", 2));
        assert!(requires_run("v1:a", 1, "v1:b", 1));
        assert!(!requires_run("v0:a", 1, "v1:b", 1));
        assert!(requires_run("v0:a", 1, "v1:b", 2));
    }
}
