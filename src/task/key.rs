//! The run key: a hash of everything whose change asks for a new run.

use serde_json::{Map, Value, json};

use crate::names;

/// Version of the way the key is made. A stored key of another version says nothing about a change.
const VERSION: &str = "v1";

/// Fields of the spec that steer runs and never cause one.
const STEERING: &[&str] = &["suspend", "timeoutSeconds", "retries", "resources", "historyLimit", "runPolicy"];

/// The key of a spec, given the spec that a user gets who writes only what is required. `image` is the
/// image that would run, where a change of it alone asks for a run.
pub fn of(kind: &str, spec: &Value, defaults: &Value, image: Option<&str>) -> String {
    let mut fields = normalise(spec, defaults);
    for name in STEERING {
        fields.remove(*name);
    }
    let canonical = json!({ "kind": kind, "spec": fields, "image": image });
    format!("{VERSION}:{}", names::hash(&[&canonical.to_string()], 16))
}

/// Whether a stored key and the present one ask for a new run. A key of another version counts as equal
/// while the generation is unchanged, so that an upgrade of the operator reruns nothing.
pub fn differs(stored: &str, stored_generation: i64, present: &str, generation: i64) -> bool {
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
                Value::Object(_) => Value::Object(normalise(value, default)),
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
