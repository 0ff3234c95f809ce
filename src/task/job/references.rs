//! References within the template to what a Job leaves out.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::core::Blocked;
use crate::core::json::{items, name_of, text};
use crate::names;
use crate::task::source::TemplateSource;

/// A reference to something that was left out would be empty, or keep the pod from starting.
pub fn check(
    kept: &[Value],
    volumes: &BTreeMap<String, Value>,
    source: &TemplateSource,
    labels: &BTreeMap<String, String>,
) -> Result<(), Blocked> {
    let containers: BTreeSet<&str> = kept.iter().map(name_of).collect();
    let env = kept.iter().flat_map(|c| {
        let place = format!("container {}: env", name_of(c));
        items(&c["env"]).into_iter().map(move |e| (format!("{place} {}", name_of(&e)), e["valueFrom"].clone()))
    });
    let items = volumes.values().flat_map(|v| {
        let own = items(&v["downwardAPI"]["items"]);
        let projected = items(&v["projected"]["sources"]).into_iter().flat_map(|s| items(&s["downwardAPI"]["items"]));
        let place = format!("volume {}", name_of(v));
        own.into_iter()
            .chain(projected)
            .map(move |item| (format!("{place} {}", text(&item["path"])), item))
            .collect::<Vec<_>>()
    });
    for (place, reference) in env.chain(items) {
        if let Some(name) = reference["resourceFieldRef"]["containerName"].as_str()
            && !containers.contains(name)
        {
            return Err(source.unusable(format!(
                    "{place}: resourceFieldRef names container {name:?}, which the Job leaves out; keep it by the annotation {}, or remove the reference",
                    names::KEEP_CONTAINERS_ANNOTATION
                ),
            ));
        }
        let label = reference["fieldRef"]["fieldPath"]
            .as_str()
            .and_then(|path| path.strip_prefix("metadata.labels['"))
            .and_then(|rest| rest.strip_suffix("']"));
        if let Some(label) = label
            && !labels.contains_key(label)
        {
            return Err(source.unusable(format!(
                    "{place}: fieldRef names the label {label:?}, which the Job's pod does not carry; add it by the annotation {}, or remove the reference",
                    names::JOB_LABELS_ANNOTATION
                ),
            ));
        }
    }
    Ok(())
}
