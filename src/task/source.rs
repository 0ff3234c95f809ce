//! Where a pod template comes from.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use super::target::{self, Candidate, TargetKind, carries, choose_container};
use crate::core::json::{items, string_map};
use crate::core::{APPLY_PERIOD, Blocked, Reason};
use crate::names;

/// The object that a pod template was read from.
#[derive(Clone, Debug)]
pub struct TemplateSource {
    /// Which of the two it is.
    pub kind: TargetKind,
    pub name: String,
    pub uid: String,
    /// Its annotations, over those of its template.
    pub annotations: BTreeMap<String, String>,
    /// What selects the target's own pods; none for a PodTemplate.
    pub selector: Option<LabelSelector>,
    pub template: Value,
}

/// A Deployment or PodTemplate as it is read, with its pod template whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TargetObject {
    metadata: TargetMeta,
    spec: TargetSpec,
    template: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetMeta {
    name: String,
    uid: String,
    annotations: Value,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetSpec {
    selector: Value,
    template: Value,
}

impl TemplateSource {
    /// From a Deployment or PodTemplate.
    pub fn from_object(kind: TargetKind, object: TargetObject) -> Self {
        let template = match kind {
            TargetKind::Deployment => object.spec.template,
            TargetKind::PodTemplate => object.template,
        };
        let mut annotations = string_map(&template["metadata"]["annotations"]);
        annotations.extend(string_map(&object.metadata.annotations));
        Self {
            kind,
            name: object.metadata.name,
            uid: object.metadata.uid,
            annotations,
            selector: serde_json::from_value(object.spec.selector).ok(),
            template,
        }
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        string_map(&self.template["metadata"]["labels"])
    }

    /// One annotation of the target.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// A hash of the annotations by which the target's owner says how tasks run.
    pub fn settings_hash(&self) -> String {
        target::settings_hash(&self.annotations)
    }

    /// The items of an annotation that is a list with commas.
    pub fn annotation_list(&self, name: &str) -> impl Iterator<Item = String> + '_ {
        let text = self.annotation(name).unwrap_or_default();
        text.split(',').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty())
    }

    /// That the template cannot be copied.
    pub fn unusable(&self, problem: impl std::fmt::Display) -> Blocked {
        Blocked::stalls_after(APPLY_PERIOD, Reason::TemplateUnusable, format!("{self}: {problem}"))
    }

    /// The Django container.
    pub fn django_container(&self, wanted: Option<&str>) -> Result<Value, Blocked> {
        let containers = items(&self.template["spec"]["containers"]);
        let names: Vec<&str> = containers.iter().filter_map(|c| c["name"].as_str()).collect();
        let target = self.to_string();
        let default = self.template["metadata"]["annotations"][names::DEFAULT_CONTAINER_ANNOTATION].as_str();
        let chosen = choose_container(&names, wanted, default, &target)?;
        containers.into_iter().find(|c| c["name"] == chosen.as_str()).ok_or_else(|| {
            Blocked::stalls_after(
                APPLY_PERIOD,
                Reason::ContainerNotFound,
                format!("{target} has no container {chosen:?}"),
            )
        })
    }
}

impl std::fmt::Display for TemplateSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

/// The target as it is now, if it still is the one that was chosen.
pub fn confirm(
    live: Option<TemplateSource>,
    chosen: &Candidate,
    labels: &[(String, String)],
) -> Result<TemplateSource, Blocked> {
    let gone =
        |what: &str| Blocked::reconciling(Reason::TargetGone, format!("{} {what}; choosing again", chosen.name()));
    let source = live.filter(|source| source.uid == chosen.uid()).ok_or_else(|| gone("is gone"))?;
    match carries(&source.labels(), labels) {
        true => Ok(source),
        false => Err(gone("lost its label")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_target_that_went_or_lost_its_label_is_chosen_again() {
        let chosen = Candidate {
            has_unavailable_replicas: false,
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(json!({"name": "web", "uid": "web"})).unwrap(),
            template: Default::default(),
        };
        let labels = [("app".to_owned(), "django".to_owned())];
        let live = |uid: &str, label: &str| {
            let template = json!({"metadata": {"labels": {"app": label}}});
            let object = json!({"metadata": {"name": "web", "uid": uid}, "spec": {"template": template}});
            TemplateSource::from_object(TargetKind::Deployment, serde_json::from_value(object).unwrap())
        };
        for (live, expected) in [
            (Some(live("web", "django")), None),
            (None, Some("web is gone; choosing again")),
            (Some(live("another", "django")), Some("web is gone; choosing again")),
            (Some(live("web", "nginx")), Some("web lost its label; choosing again")),
        ] {
            let found = confirm(live, &chosen, &labels);
            assert_eq!(found.as_ref().err().map(|b| b.message.as_str()), expected);
            assert!(found.err().is_none_or(|b| b.reason == Reason::TargetGone && !b.is_stalled()));
        }
    }
}
