//! Which containers of the target a Job keeps, and in what form.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::changes::TemplateChanges;
use super::image::is_same;
use crate::core::Blocked;
use crate::core::json::{items, name_of, text};
use crate::names;
use crate::task::source::TemplateSource;

/// Which of the other containers are kept.
pub struct ContainerSelection {
    main_image: String,
    keep: BTreeSet<String>,
    drop: BTreeSet<String>,
}

impl ContainerSelection {
    /// By the images, and by the annotations of the target.
    pub fn of(source: &TemplateSource, django: &Value) -> Result<Self, Blocked> {
        let spec = &source.template["spec"];
        let all: BTreeSet<String> = [&spec["containers"], &spec["initContainers"]]
            .into_iter()
            .flat_map(items)
            .map(|c| name_of(&c).to_owned())
            .collect();
        let named = |annotation: &str| -> Result<BTreeSet<String>, Blocked> {
            let names: BTreeSet<String> = source.annotation_list(annotation).collect();
            match names.iter().find(|name| !all.contains(*name) || *name == name_of(django)) {
                None => Ok(names),
                Some(name) => Err(source.unusable(format!(
                    "annotation {annotation} names {name:?}; write names of containers other than {:?}, of these: {}",
                    name_of(django),
                    all.iter().cloned().collect::<Vec<_>>().join(", ")
                ))),
            }
        };
        let (keep, drop) = (named(names::KEEP_CONTAINERS_ANNOTATION)?, named(names::DROP_CONTAINERS_ANNOTATION)?);
        if let Some(both) = keep.intersection(&drop).next() {
            return Err(source.unusable(format!(
                "annotations {} and {} both name {both:?}; name it in one of them",
                names::KEEP_CONTAINERS_ANNOTATION,
                names::DROP_CONTAINERS_ANNOTATION
            )));
        }
        Ok(Self { main_image: text(&django["image"]), keep, drop })
    }

    /// A container of Django's own image would work twice, or wait for itself.
    pub fn keeps(&self, container: &Value) -> bool {
        let name = name_of(container);
        if name == names::WAIT_CONTAINER {
            return false; // a migration would wait for itself, whatever the image that was pasted
        }
        self.keep.contains(name)
            || (!is_same(&text(&container["image"]), &self.main_image) && !self.drop.contains(name))
    }
}

/// A container that Kubernetes starts before Django and stops after it. It counts as started when it is
/// ready, so that Django finds it working.
pub fn native_sidecar(mut container: Value) -> Value {
    container["restartPolicy"] = json!("Always");
    if let Some(fields) = container.as_object_mut() {
        let readiness = fields.remove("readinessProbe");
        if !fields.contains_key("startupProbe")
            && let Some(mut probe) = readiness
        {
            if let Some(probe) = probe.as_object_mut() {
                probe.remove("successThreshold"); // a startup probe knows only 1
            }
            fields.insert("startupProbe".into(), probe);
        }
    }
    container
}

/// Host ports belong to the target's pods, and a pod that never restarts may not ask for restarts on resizing.
pub fn drop_host_ports_and_resize_policy(mut container: Value, changes: &mut TemplateChanges) -> Value {
    let name = name_of(&container).to_owned();
    drop_fields(&mut container, &["resizePolicy"], &format!("container {name}"), changes);
    if let Some(ports) = container.get_mut("ports").and_then(Value::as_array_mut) {
        for port in ports.iter_mut().filter_map(Value::as_object_mut) {
            if port.remove("hostPort").is_some() | port.remove("hostIP").is_some() {
                changes.dropped.push(format!("host port of container {name}"));
            }
        }
    }
    container
}

/// Removes fields, and says so.
pub fn drop_fields(container: &mut Value, fields: &[&str], place: &str, changes: &mut TemplateChanges) {
    if let Some(map) = container.as_object_mut() {
        for field in fields {
            if map.remove(*field).is_some() {
                changes.dropped.push(format!("{field} of {place}"));
            }
        }
    }
}
