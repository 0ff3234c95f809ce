//! Environment variables of the Django container, and text in which the kubelet expands nothing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::core::json::{items, text};
use crate::names;
use crate::task::{Command, EnvValue};

/// The copied variables, untouched, then the command's own; a namesake gives way, as the command needs
/// the value that it asked for.
pub fn variables(
    django: &Value,
    command: &Command,
    mounts: &BTreeMap<String, bool>,
    bypasses_entrypoint: bool,
) -> Value {
    let mut facts = secret_env_facts(django, &command.env);
    facts["mounts"] = json!(mounts);
    facts["bypassesEntrypoint"] = json!(bypasses_entrypoint);
    let own: Vec<Value> = command
        .env
        .iter()
        .map(|(name, value)| match value {
            EnvValue::Text(text) => json!({ "name": name, "value": without_reference(text) }),
            EnvValue::Secret { name: secret, key } => {
                json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
            }
        })
        .chain([json!({ "name": names::HELPER_ENV, "value": without_reference(&facts.to_string()) })])
        .collect();
    let taken: Vec<&Value> = own.iter().map(|variable| &variable["name"]).collect();
    let copied = items(&django["env"]).into_iter().filter(|variable| !taken.contains(&&variable["name"]));
    Value::Array(copied.chain(own.clone()).collect())
}

/// What the helper has to know of the variables to keep secret values out of its report: which variables
/// refer to Secrets, which are known to be plain, and whether whole Secrets came along unseen.
pub fn secret_env_facts(django: &Value, own: &[(&str, EnvValue)]) -> Value {
    let (mut secret, mut plain) = (Vec::new(), Vec::new());
    for variable in items(&django["env"]) {
        let name = text(&variable["name"]);
        match variable["valueFrom"]["secretKeyRef"].is_object() {
            true => secret.push(name),
            false => plain.push(name),
        }
    }
    for (name, value) in own {
        match value {
            EnvValue::Secret { .. } => secret.push((*name).to_owned()),
            EnvValue::Text(_) => plain.push((*name).to_owned()),
        }
    }
    let whole = items(&django["envFrom"]).iter().any(|from| from["secretRef"].is_object());
    json!({ "secretEnv": secret, "plainEnv": plain, "wholeSecrets": whole })
}

/// Text in which the kubelet finds no reference to a variable.
pub fn without_reference(text: &str) -> String {
    text.replace('$', "$$")
}

/// The same for each argument of a command.
pub fn without_references(words: impl IntoIterator<Item = String>) -> Vec<String> {
    words.into_iter().map(|word| without_reference(&word)).collect()
}
