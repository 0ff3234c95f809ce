//! What Argo CD needs to know of the kinds, as a patch of its ConfigMap: the scripts that lie beside it as Argo CD's own
//! repository wants them.

use serde_json::{Map, Value, json};

use super::{GENERATED, GENERATED_HEADER, yaml};
use crate::api::GROUP;

const DIRECTORY: &str = "config/argo-cd/resource_customizations/django.my.domain";
const HEALTH: &str = include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/health.lua");

/// A file of the actions, by its path below `actions/`.
macro_rules! action_file {
    ($path:literal) => {
        (
            $path,
            include_str!(concat!("../../config/argo-cd/resource_customizations/django.my.domain/_/actions/", $path)),
        )
    };
}

const DISCOVERY: (&str, &str) = action_file!("discovery.lua");
const ACTIONS: &[(&str, (&str, &str))] = &[
    ("rerun", action_file!("rerun/action.lua")),
    ("suspend", action_file!("suspend/action.lua")),
    ("resume", action_file!("resume/action.lua")),
];
/// With the kind of the objects that they are about.
const TESTS: &[(&str, &str)] = &[
    action_file!("action_test.yaml"),
    action_file!("testdata/succeeded.yaml"),
    action_file!("testdata/succeeded_suspended.yaml"),
    action_file!("testdata/suspended.yaml"),
    action_file!("testdata/suspended_resumed.yaml"),
];
const TESTED_KIND: &str = "kind: DjangoMigrate\n";

/// Path and text of the actions of each kind: Argo CD's own repository has a place for all kinds of a group for health checks
/// alone.
pub fn action_files(kinds: &[&str]) -> Vec<(String, String)> {
    let scripts = || ACTIONS.iter().map(|(_, file)| file).chain([&DISCOVERY]);
    let mut files = Vec::new();
    for kind in kinds {
        let mut add = |path: &str, text: String| files.push((format!("{DIRECTORY}/{kind}/actions/{path}"), text));
        for (path, script) in scripts() {
            add(path, format!("-- {GENERATED}\n{script}"));
        }
        for (path, text) in TESTS {
            add(path, format!("{GENERATED_HEADER}{}", text.replace(TESTED_KIND, &format!("kind: {kind}\n"))));
        }
    }
    files
}

/// The patch, given the kinds. A key for each, so that it stands beside what others add.
pub fn config_map(kinds: &[&str]) -> Result<Value, String> {
    let definitions: Vec<Value> =
        ACTIONS.iter().map(|(name, (_, script))| json!({ "name": name, "action.lua": script })).collect();
    let actions = yaml(&json!({ "discovery.lua": DISCOVERY.1, "definitions": definitions }))?;
    let mut data = Map::new();
    for kind in kinds {
        data.insert(format!("resource.customizations.health.{GROUP}_{kind}"), json!(HEALTH));
        data.insert(format!("resource.customizations.actions.{GROUP}_{kind}"), json!(actions));
    }
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "argocd-cm", "namespace": "argocd", "labels": { "app.kubernetes.io/part-of": "argocd" } },
        "data": data,
    }))
}
