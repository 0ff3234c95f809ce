//! Labels and annotations of a Job's pod.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};

use super::changes::TemplateChanges;
use crate::core::Blocked;
use crate::core::json::string_map;
use crate::names;
use crate::task::source::TemplateSource;

/// What admission reads from a pod's labels, and so has to stay.
const ADMISSION_LABELS: &[&str] = &["azure.workload.identity/use", "sidecar.istio.io/inject", "istio.io/rev"];
/// Label prefix of Kueue, which admission reads as well.
const KUEUE: &str = "kueue.x-k8s.io/";
/// Injectors whose sidecar ends with a Job only if they are told: what shows them, and what tells them.
const INJECTORS: &[(&str, &str, &str)] = &[
    ("vault.hashicorp.com/agent-inject", "vault.hashicorp.com/agent-pre-populate-only", "true"),
    ("linkerd.io/inject", "config.beta.linkerd.io/proxy-enable-native-sidecar", "true"),
    ("sidecar.istio.io/inject", "sidecar.istio.io/nativeSidecar", "true"),
    ("istio.io/rev", "sidecar.istio.io/nativeSidecar", "true"),
];

/// Own labels, those that admission reads, and those that the target's owner asks for: never a set by
/// which a Service, PodDisruptionBudget or autoscaler of the application would take the Job's pod.
pub fn pod_labels(
    source: &TemplateSource,
    own: &BTreeMap<String, String>,
    changes: &mut TemplateChanges,
) -> Result<BTreeMap<String, String>, Blocked> {
    let template = source.labels();
    let selecting: BTreeSet<&String> = source.selector.iter().flat_map(selector_keys).collect();
    let mut labels = BTreeMap::new();
    for (key, value) in &template {
        let read = ADMISSION_LABELS.contains(&key.as_str()) || key.starts_with(KUEUE);
        if read && !selecting.contains(key) {
            labels.insert(key.clone(), value.clone());
        } else {
            changes.dropped.push(format!("label {key}"));
        }
    }
    for word in source.annotation_list(names::JOB_LABELS_ANNOTATION) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (word.clone(), template.get(&word).cloned()),
        };
        let Some(value) = value else {
            return Err(source.unusable(format!(
                "annotation {}: the pod template has no label {key:?}; write one of its labels, or key=value",
                names::JOB_LABELS_ANNOTATION
            )));
        };
        changes.dropped.retain(|d| *d != format!("label {key}"));
        labels.insert(key, value);
    }
    labels.extend(own.clone());
    if let Some(selector) = &source.selector
        && Selector::try_from(selector.clone()).is_ok_and(|s| s.matches(&labels))
    {
        return Err(source.unusable(format!(
            "annotation {}: with these labels the {}'s own selector would take the Job's pod; leave out one of: {}",
            names::JOB_LABELS_ANNOTATION,
            source.kind.as_str(),
            selecting.iter().map(|k| k.as_str()).collect::<Vec<_>>().join(", ")
        )));
    }
    changes.copied.extend(labels.keys().filter(|k| !own.contains_key(*k)).map(|k| format!("label {k}")));
    Ok(labels)
}

fn selector_keys(selector: &LabelSelector) -> Vec<&String> {
    let exact = selector.match_labels.iter().flat_map(BTreeMap::keys);
    let others = selector.match_expressions.iter().flatten().map(|e| &e.key);
    exact.chain(others).collect()
}

/// All annotations, with the injectors told that this is a Job.
pub fn pod_annotations(
    source: &TemplateSource,
    django: &str,
    changes: &mut TemplateChanges,
) -> BTreeMap<String, String> {
    let mut annotations = string_map(&source.template["metadata"]["annotations"]);
    let labels = source.labels();
    for (shown_by, tell, value) in INJECTORS {
        let injected = annotations.get(*shown_by).or_else(|| labels.get(*shown_by));
        if injected.is_some_and(|v| v != "false" && v != "disabled")
            && annotations.insert((*tell).to_owned(), (*value).to_owned()).as_deref() != Some(*value)
        {
            changes.converted.push(format!("annotation {tell} for {shown_by}"));
        }
    }
    for wait in names::POD_ANNOTATIONS.iter().map(|(name, ..)| *name) {
        if annotations.remove(wait).is_some() {
            changes.dropped.push(format!("annotation {wait}")); // a migration would wait for itself
        }
    }
    annotations.insert(names::DEFAULT_CONTAINER_ANNOTATION.to_owned(), django.to_owned());
    annotations
}
