//! From the target's pod template to the Job's, as raw JSON from end to end: a field that no rule names
//! is kept, also one that is newer than this program.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::changes::TemplateChanges;
use super::{containers, metadata, references, volumes};
use crate::core::Blocked;
use crate::core::json::{items, name_of};
use crate::task::source::TemplateSource;

/// Fields of a pod that mean nothing, or harm, in a Job.
const POD_FIELDS_DROPPED: &[&str] = &[
    "topologySpreadConstraints",
    "nodeName",
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "readinessGates",
    "schedulingGates",
    "activeDeadlineSeconds",
];
/// Fields of the Django container that belong to serving requests.
const SERVING_FIELDS: &[&str] = &[
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "restartPolicy",
    "restartPolicyRules",
    "resizePolicy",
];
/// The template with everything decided that does not depend on the command.
#[derive(Clone, Debug)]
pub struct CopiedTemplate {
    /// Metadata and spec; the Django container is the only one left in `containers`.
    pub template: Value,
    /// What became of the parts.
    pub changes: TemplateChanges,
    /// Where the Django container sees volumes, and which of them outlive the pod.
    pub mounts: BTreeMap<String, bool>,
}

/// Copies the template for a Job whose Django container is `django`.
pub fn copy(
    source: &TemplateSource,
    django: &Value,
    own_labels: &BTreeMap<String, String>,
) -> Result<CopiedTemplate, Blocked> {
    let mut changes = TemplateChanges::default();
    let main_name = django["name"].as_str().unwrap_or_default();
    let mut spec = source.template["spec"].as_object().cloned().unwrap_or_default();

    let mut kept_main = django.clone();
    containers::drop_fields(&mut kept_main, SERVING_FIELDS, &format!("container {main_name}"), &mut changes);
    changes.copied.push(format!("container {main_name}"));

    let selection = containers::ContainerSelection::of(source, django)?;
    let mut inits = Vec::new();
    for init in items(&source.template["spec"]["initContainers"]) {
        if selection.keeps(&init) {
            changes.copied.push(format!("init container {}", name_of(&init)));
            inits.push(containers::drop_host_ports_and_resize_policy(init, &mut changes));
        } else {
            changes.dropped.push(format!("init container {}", name_of(&init)));
        }
    }
    for container in items(&source.template["spec"]["containers"]) {
        if name_of(&container) == main_name {
            continue;
        }
        if selection.keeps(&container) {
            changes.converted.push(format!("container {} to a native sidecar", name_of(&container)));
            inits.push(containers::drop_host_ports_and_resize_policy(
                containers::native_sidecar(container),
                &mut changes,
            ));
        } else {
            changes.dropped.push(format!("container {}", name_of(&container)));
        }
    }

    for field in POD_FIELDS_DROPPED {
        if spec.remove(*field).is_some() {
            changes.dropped.push((*field).to_owned());
        }
    }
    spec.insert("restartPolicy".into(), json!("Never"));
    spec.insert("containers".into(), json!([kept_main]));
    match inits.is_empty() {
        true => spec.remove("initContainers"),
        false => spec.insert("initContainers".into(), json!(inits)),
    };
    let kept: Vec<Value> = inits.into_iter().chain([kept_main]).collect();
    let kept_volumes = volumes::keep_volumes(&mut spec, &kept, &mut changes);
    volumes::job_affinity(&mut spec, source, &kept_volumes, &mut changes);

    let labels = metadata::pod_labels(source, own_labels, &mut changes)?;
    references::check(&kept, &kept_volumes, source, &labels)?;
    let pod_metadata =
        json!({ "labels": labels, "annotations": metadata::pod_annotations(source, main_name, &mut changes) });
    Ok(CopiedTemplate {
        mounts: volumes::mount_persistence(django, &kept_volumes),
        template: json!({ "metadata": pod_metadata, "spec": spec }),
        changes,
    })
}
