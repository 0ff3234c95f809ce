//! What Argo CD needs to know of the kinds, as a patch of its ConfigMap: the scripts that lie beside it as Argo CD's own
//! repository wants them.

use serde_json::{Map, Value, json};

use super::yaml;
use crate::api::GROUP;

const HEALTH: &str = include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/health.lua");
const DISCOVERY: &str =
    include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/actions/discovery.lua");
const ACTIONS: &[(&str, &str)] = &[
    ("rerun", include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/actions/rerun/action.lua")),
    (
        "suspend",
        include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/actions/suspend/action.lua"),
    ),
    (
        "resume",
        include_str!("../../config/argo-cd/resource_customizations/django.my.domain/_/actions/resume/action.lua"),
    ),
];

/// The patch, given the kinds. A key for each, so that it stands beside what others add.
pub fn config_map(kinds: &[&str]) -> Result<Value, String> {
    let definitions: Vec<Value> =
        ACTIONS.iter().map(|(name, script)| json!({ "name": name, "action.lua": script })).collect();
    let actions = yaml(&json!({ "discovery.lua": DISCOVERY, "definitions": definitions }))?;
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
