//! The init container that waits, and its volume.

use serde_json::{Map, Value, json};

use super::problem::{GateProblem, invalid_annotation, is_timeout, require_readable};
use super::{DEFAULT_TIMEOUT_SECONDS, classic_sidecars, databases_of, has_native_sidecars};
use crate::core::Reason;
use crate::core::json::{items, string_map};
use crate::names;
use crate::task::Runner;
use crate::task::job::env::{secret_env_facts, without_reference, without_references};
use crate::task::job::launcher::Launcher;
use crate::task::job::{HELPER_DIR, HelperSource, TERMINATION_LOG, keeps_entrypoint};
use crate::task::target::TemplateSummary;

/// The helper's command.
pub const WAIT_COMMAND: &str = "wait4db";
/// For how many seconds a database has to answer without interruption.
pub const STABLE_SECONDS: u32 = 1;
/// Fields of the Django container that it has as well.
pub const COPIED_FIELDS: &[&str] =
    &["image", "imagePullPolicy", "workingDir", "envFrom", "volumeDevices", "securityContext", "resources"];

/// What a pod template needs for its pods to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// After the template's own init containers.
    pub container: Value,
    pub volume: Value,
}

/// The gate of a pod template, or why its pods start without one.
pub fn build(template: &Value, helper: HelperSource) -> Result<Gate, GateProblem> {
    let summary: TemplateSummary = serde_json::from_value(template.clone())
        .map_err(|error| GateProblem { reason: Reason::Undecodable, message: format!("its pod template: {error}") })?;
    let name = require_readable(&summary)?;
    let django =
        items(&template["spec"]["containers"]).into_iter().find(|c| c["name"] == name.as_str()).unwrap_or_default();
    let annotations = string_map(&template["metadata"]["annotations"]);
    let annotation = |name: &str| annotations.get(name).map(String::as_str);
    let launcher = Launcher::of(annotation(names::MANAGE_ANNOTATION), &django)
        .map_err(|error| invalid_annotation(names::MANAGE_ANNOTATION, &error))?;
    let keeps_entrypoint = keeps_entrypoint(annotation(names::ENTRYPOINT_ANNOTATION))
        .map_err(|error| invalid_annotation(names::ENTRYPOINT_ANNOTATION, &error))?;

    let interpreter = launcher.interpreters.first().cloned().unwrap_or_default();
    let command = without_references(helper.start(&interpreter));
    let options = launcher.options(Runner::Manage).into_iter().chain(["--".to_owned()]);
    let args = without_references(options.chain(wait_command(annotation)));
    let mut container = Map::new();
    container.insert("name".into(), json!(names::WAIT_CONTAINER));
    for field in COPIED_FIELDS {
        if let Some(value) = django.get(*field) {
            container.insert((*field).to_owned(), value.clone());
        }
    }
    match keeps_entrypoint {
        true => {
            if let Some(own) = django.get("command") {
                container.insert("command".into(), own.clone());
            }
            container.insert("args".into(), json!([command, args].concat()));
        }
        false => {
            container.insert("command".into(), json!(command));
            container.insert("args".into(), json!(args));
        }
    }
    let mut facts = secret_env_facts(&django, &[]);
    facts["bypassesEntrypoint"] = json!(!keeps_entrypoint && items(&django["command"]).is_empty());
    facts["classicSidecars"] = json!(classic_sidecars(&summary, &name));
    facts["nativeSidecars"] = json!(has_native_sidecars(&summary));
    let own = json!({ "name": names::HELPER_ENV, "value": without_reference(&facts.to_string()) });
    let copied = items(&django["env"]).into_iter().filter(|variable| variable["name"] != names::HELPER_ENV);
    container.insert("env".into(), Value::Array(copied.chain([own]).collect()));
    let mount = json!({ "name": names::WAIT_VOLUME, "mountPath": HELPER_DIR, "readOnly": true });
    let mounts = items(&django["volumeMounts"]).into_iter().chain([mount]);
    container.insert("volumeMounts".into(), Value::Array(mounts.collect()));
    container.insert("terminationMessagePath".into(), json!(TERMINATION_LOG));
    container.insert("terminationMessagePolicy".into(), json!("FallbackToLogsOnError"));
    let volume =
        json!({ "name": names::WAIT_VOLUME, "configMap": { "name": helper.config_map, "defaultMode": 0o444 } });
    Ok(Gate { container: Value::Object(container), volume })
}

/// What the helper runs.
fn wait_command<'a>(annotation: impl Fn(&str) -> Option<&'a str>) -> Vec<String> {
    let seconds = annotation(names::WAIT_TIMEOUT_ANNOTATION).filter(|text| is_timeout(text));
    let mut words = vec![
        WAIT_COMMAND.to_owned(),
        format!("--timeout={}", seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
        format!("--stable={STABLE_SECONDS}"),
    ];
    let databases = databases_of(annotation(names::WAIT_DATABASES_ANNOTATION));
    words.extend(databases.iter().map(|name| format!("--database={name}")));
    words
}
