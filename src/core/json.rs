//! Reading raw JSON, of which any part may be absent.

use std::collections::BTreeMap;

use serde_json::Value;

/// The items of a list; none for anything else.
pub fn items(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A text; empty for anything else.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The field `name`; empty where there is none.
pub fn name_of(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

/// A map of texts; what is no text is left out.
pub fn string_map(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(k, v)| v.as_str().map(|v| (k.clone(), v.to_owned()))).collect()
}
