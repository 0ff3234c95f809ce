//! Volumes of a Job's pod: which go along, which outlive it, and where it is best placed for them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::changes::TemplateChanges;
use crate::core::json::{items, name_of, text};
use crate::task::source::TemplateSource;

/// Volumes that outlive a pod; all others, known or not, are taken to end with it.
const PERSISTENT_VOLUME_TYPES: &[&str] = &[
    "persistentVolumeClaim",
    "hostPath",
    "nfs",
    "iscsi",
    "fc",
    "rbd",
    "cephfs",
    "glusterfs",
    "cinder",
    "azureDisk",
    "azureFile",
    "awsElasticBlockStore",
    "gcePersistentDisk",
    "vsphereVolume",
    "portworxVolume",
    "flexVolume",
];

/// Volumes that a kept container mounts, by name.
pub fn keep_volumes(
    spec: &mut Map<String, Value>,
    kept: &[Value],
    changes: &mut TemplateChanges,
) -> BTreeMap<String, Value> {
    let mounted: BTreeSet<String> = kept
        .iter()
        .flat_map(|c| [items(&c["volumeMounts"]), items(&c["volumeDevices"])].concat())
        .map(|mount| name_of(&mount).to_owned())
        .collect();
    let (volumes, unused): (Vec<Value>, Vec<Value>) =
        items(&spec.remove("volumes").unwrap_or_default()).into_iter().partition(|v| mounted.contains(name_of(v)));
    changes.copied.extend(volumes.iter().map(|v| format!("volume {}", name_of(v))));
    changes.dropped.extend(unused.iter().map(|v| format!("volume {}", name_of(v))));
    if !volumes.is_empty() {
        spec.insert("volumes".into(), json!(volumes));
    }
    volumes.into_iter().map(|v| (name_of(&v).to_owned(), v)).collect()
}

/// Node affinity stays; affinity to pods goes, as the Job's pod is not one of the target's. With a claim
/// that only one node may mount, the pod is best placed where the target's pods are.
pub fn job_affinity(
    spec: &mut Map<String, Value>,
    source: &TemplateSource,
    volumes: &BTreeMap<String, Value>,
    changes: &mut TemplateChanges,
) {
    let mut affinity = spec.remove("affinity").and_then(|a| a.as_object().cloned()).unwrap_or_default();
    for field in ["podAffinity", "podAntiAffinity"] {
        if affinity.remove(field).is_some() {
            changes.dropped.push(format!("affinity.{field}"));
        }
    }
    if let Some(selector) = &source.selector
        && volumes.values().any(|v| v.get("persistentVolumeClaim").is_some())
    {
        affinity.insert(
            "podAffinity".into(),
            json!({"preferredDuringSchedulingIgnoredDuringExecution": [{
                "weight": 100,
                "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector},
            }]}),
        );
        changes.converted.push("persistentVolumeClaim to a preference for the node of the target's pods".into());
    }
    if !affinity.is_empty() {
        spec.insert("affinity".into(), Value::Object(affinity));
    }
}

/// Where the Django container sees volumes, and which of them outlive the pod.
pub fn mount_persistence(django: &Value, volumes: &BTreeMap<String, Value>) -> BTreeMap<String, bool> {
    let is_persistent = |mount: &Value| {
        mount["readOnly"] != json!(true)
            && volumes
                .get(name_of(mount))
                .is_some_and(|v| PERSISTENT_VOLUME_TYPES.iter().any(|kind| v.get(*kind).is_some()))
    };
    items(&django["volumeMounts"]).iter().map(|mount| (text(&mount["mountPath"]), is_persistent(mount))).collect()
}
