//! Which labelled object a task runs on: pure, over what the watches know.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{Selector, SelectorExt};
use serde::{Deserialize, Serialize};

use super::Task;
use super::own_migration::migrates;
use crate::api::{RunPolicy, Target, non_empty};
use crate::core::{APPLY_PERIOD, Blocked, RELEASE_PERIOD, Reason, condition};
use crate::names;

/// How many names a message lists.
const NAMES_SHOWN: usize = 5;

/// Where a pod template can come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetKind {
    Deployment,
    PodTemplate,
}

impl TargetKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::PodTemplate => "PodTemplate",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Deployment, Self::PodTemplate].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A container, as far as the choice needs it, and the gate.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(from = "ContainerFields")]
pub struct ContainerSummary {
    pub name: String,
    pub image: String,
    /// Whether its own command migrates.
    pub migrates: bool,
    /// Whether it is an init container that goes on beside those that follow.
    pub is_native_sidecar: bool,
}

/// A container as it is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerFields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    command: Option<Vec<String>>,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    restart_policy: Option<String>,
}

impl From<ContainerFields> for ContainerSummary {
    fn from(fields: ContainerFields) -> Self {
        let mut words = fields.command.unwrap_or_default();
        words.extend(fields.args.unwrap_or_default());
        Self {
            migrates: migrates(&words),
            is_native_sidecar: fields.restart_policy.as_deref() == Some("Always"),
            name: fields.name,
            image: fields.image,
        }
    }
}

/// The trimmed pod template of a candidate.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub struct TemplateSummary {
    #[serde(default)]
    pub metadata: TemplateMeta,
    #[serde(default)]
    pub spec: TemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
pub struct TemplateMeta {
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// Annotations.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq, Hash)]
#[serde(rename_all = "camelCase")]
pub struct TemplateSpec {
    #[serde(default)]
    pub containers: Vec<ContainerSummary>,
    /// Only where its pods are to wait for migrations.
    #[serde(default)]
    pub init_containers: Option<Vec<ContainerSummary>>,
}

/// A Deployment or PodTemplate, trimmed.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub kind: TargetKind,
    /// Name, UID, labels, annotations.
    pub metadata: ObjectMeta,
    pub template: TemplateSummary,
    /// Whether pods of it are not available.
    pub has_unavailable_replicas: bool,
}

impl Candidate {
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    pub fn uid(&self) -> &str {
        self.metadata.uid.as_deref().unwrap_or_default()
    }

    /// A hash of the annotations by which its owner says how tasks run: those of the object, over those of its template.
    pub fn settings_hash(&self) -> String {
        let mut annotations = self.template.metadata.annotations.clone().unwrap_or_default();
        annotations.extend(self.metadata.annotations.clone().unwrap_or_default());
        settings_hash(&annotations)
    }

    /// Whether the template carries one of the labels.
    pub fn labelled(&self, labels: &[(String, String)]) -> bool {
        let own = self.template.metadata.labels.as_ref();
        own.is_some_and(|own| carries(own, labels))
    }

    /// The image of the Django container.
    pub fn image(&self, wanted: Option<&str>) -> Result<&str, Blocked> {
        let names: Vec<&str> = self.template.spec.containers.iter().map(|c| c.name.as_str()).collect();
        let default =
            self.template.metadata.annotations.as_ref().and_then(|a| a.get(names::DEFAULT_CONTAINER_ANNOTATION));
        let chosen = choose_container(&names, wanted, default.map(String::as_str), self.name())?;
        Ok(self.template.spec.containers.iter().find(|c| c.name == chosen).map_or("", |c| c.image.as_str()))
    }
}

/// A hash of the annotations that are the operator's; empty where there are none.
pub fn settings_hash(annotations: &BTreeMap<String, String>) -> String {
    let own = annotations.iter().filter(|(name, _)| name.starts_with(names::PREFIX));
    let parts: Vec<&str> = own.flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect();
    if parts.is_empty() { String::new() } else { names::hash(&parts, 8) }
}

/// Whether one of the configured labels is among an object's own.
pub fn carries(own: &BTreeMap<String, String>, labels: &[(String, String)]) -> bool {
    labels.iter().any(|(key, value)| own.get(key) == Some(value))
}

/// The Django container among `names`.
pub fn choose_container(
    names: &[&str],
    wanted: Option<&str>,
    default: Option<&str>,
    target: &str,
) -> Result<String, Blocked> {
    let listed = || names.join(", ");
    if let Some(wanted) = wanted.filter(|w| !w.is_empty()) {
        return match names.contains(&wanted) {
            true => Ok(wanted.to_owned()),
            false => Err(Blocked::stalls_after(
                APPLY_PERIOD,
                Reason::ContainerNotFound,
                format!("spec.target.container: {target} has no container {wanted:?}; write one of: {}", listed()),
            )),
        };
    }
    match (default.filter(|d| names.contains(d)), names) {
        (Some(default), _) => Ok(default.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, []) => {
            Err(Blocked::stalls_after(APPLY_PERIOD, Reason::ContainerNotFound, format!("{target} has no containers")))
        }
        (None, _) => Err(Blocked::stalls_after(
            APPLY_PERIOD,
            Reason::ContainerAmbiguous,
            format!(
                "spec.target.container: {target} has several containers; name one of: {}, or set the annotation {} on its pod template",
                listed(),
                names::DEFAULT_CONTAINER_ANNOTATION
            ),
        )),
    }
}

/// Whether a change of what can be a target concerns a task: it waits for one, or follows its image.
pub fn concerns<T: Task>(task: &T) -> bool {
    !condition::is_true(&task.status().conditions, condition::READY)
        || task.policy().run_policy == RunPolicy::OnImageChange
}

/// The kind of object that a task names as its target, and the name.
pub fn wanted(target: Option<&Target>) -> (TargetKind, Option<&str>) {
    let named = |of: fn(&Target) -> &Option<String>| target.and_then(|target| non_empty(of(target)));
    match named(|target| &target.pod_template) {
        Some(name) => (TargetKind::PodTemplate, Some(name)),
        None => (TargetKind::Deployment, named(|target| &target.deployment)),
    }
}

/// The one candidate that matches: exactly one, or the reason why not.
pub fn resolve<'a>(
    candidates: &'a [impl Borrow<Candidate>],
    labels: &[(String, String)],
    target: Option<&Target>,
) -> Result<&'a Candidate, Blocked> {
    let (kind, wanted) = wanted(target);
    let nothing = Target::default();
    let target = target.unwrap_or(&nothing);
    let selector = match target.selector.clone().map(Selector::try_from).transpose() {
        Ok(selector) => selector.unwrap_or_default(),
        Err(error) => {
            return Err(Blocked::stalled(
                Reason::InvalidSpec,
                format!("spec.target.selector: {error}; write it as a Deployment's selector is written"),
            ));
        }
    };
    let label_text = || labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" or ");
    let none = BTreeMap::new();
    let mut matching: Vec<&Candidate> = candidates
        .iter()
        .map(Borrow::borrow)
        .filter(|c: &&Candidate| c.kind == kind && c.metadata.deletion_timestamp.is_none())
        .filter(|c| wanted.is_none_or(|name| c.name() == name))
        .filter(|c| selector.matches(c.metadata.labels.as_ref().unwrap_or(&none)))
        .collect();
    let matched_by_name = matching.len();
    matching.retain(|c| c.labelled(labels));
    matching.sort_by(|a, b| a.name().cmp(b.name()));
    match matching.as_slice() {
        [one] => Ok(one),
        [] if wanted.is_some() && matched_by_name > 0 => Err(Blocked::reconciling(
            Reason::TargetNotFound,
            format!(
                "{} {} exists, but its pod template does not carry the label {}; add it there",
                kind.as_str(),
                wanted.unwrap_or_default(),
                label_text()
            ),
        )),
        [] => Err(Blocked::reconciling(
            Reason::TargetNotFound,
            format!(
                "waiting for a {}{} of this namespace whose pod template carries the label {}{}",
                kind.as_str(),
                wanted.map(|name| format!(" {name}")).unwrap_or_default(),
                label_text(),
                if target.selector.is_some() { " and which spec.target.selector selects" } else { "" }
            ),
        )),
        several => {
            let names: Vec<&str> = several.iter().take(NAMES_SHOWN).map(|c| c.name()).collect();
            let more = several.len().saturating_sub(NAMES_SHOWN);
            Err(Blocked::stalls_after(
                RELEASE_PERIOD,
                Reason::TargetAmbiguous,
                format!(
                    "spec.target: {} Deployments carry the label {}: {}{}; set spec.target.deployment to one of them",
                    several.len(),
                    label_text(),
                    names.join(", "),
                    if more > 0 { format!(" and {more} more") } else { String::new() }
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn candidate(name: &str, labels: Value) -> Candidate {
        Candidate {
            has_unavailable_replicas: false,
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(json!({"name": name, "uid": name, "labels": {"tier": name}})).unwrap(),
            template: serde_json::from_value(
                json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "i"}]}}),
            )
            .unwrap(),
        }
    }

    fn labels() -> Vec<(String, String)> {
        vec![("app".into(), "django".into())]
    }

    fn outcome(candidates: &[Candidate], target: Value) -> Result<String, (Reason, String)> {
        let target: Option<Target> = serde_json::from_value(target).unwrap();
        resolve(candidates, &labels(), target.as_ref()).map(|c| c.name().to_owned()).map_err(|h| (h.reason, h.message))
    }

    #[test]
    fn exactly_one_labelled_deployment_is_taken_and_never_one_of_several() {
        let web = candidate("web", json!({"app": "django"}));
        let two = candidate("two", json!({"app": "django"}));
        let plain = candidate("plain", json!({"app": "nginx"}));
        assert_eq!(outcome(&[web.clone(), plain.clone()], Value::Null), Ok("web".into()));
        let (reason, message) = outcome(&[web.clone(), two.clone()], Value::Null).unwrap_err();
        assert_eq!(reason, Reason::TargetAmbiguous);
        assert!(message.contains("two, web"), "{message}");
        assert_eq!(outcome(&[web.clone(), two.clone()], json!({"deployment": "two"})), Ok("two".into()));
        let two_by_label = json!({"selector": {"matchLabels": {"tier": "two"}}});
        assert_eq!(outcome(&[web.clone(), two], two_by_label), Ok("two".into()));
        assert_eq!(outcome(&[], Value::Null).unwrap_err().0, Reason::TargetNotFound);
        let (reason, message) = outcome(&[plain], json!({"deployment": "plain"})).unwrap_err();
        assert_eq!(reason, Reason::TargetNotFound);
        assert!(message.contains("does not carry the label app=django"), "{message}");
        let bad = json!({"selector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}});
        assert_eq!(outcome(&[web], bad).unwrap_err().0, Reason::InvalidSpec);
    }

    #[test]
    fn a_change_concerns_who_waits_for_a_target_or_follows_its_image() {
        let task = |ready: &str, policy: &str| -> crate::api::DjangoMigrate {
            let condition = json!({"type": "Ready", "status": ready, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            serde_json::from_value(json!({
                "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "metadata": {"name": "m"},
                "spec": {"runPolicy": policy}, "status": {"conditions": [condition]},
            }))
            .unwrap()
        };
        for (ready, policy, expected) in [
            ("False", "Once", true),
            ("False", "OnImageChange", true),
            ("True", "OnImageChange", true),
            ("True", "Once", false),
        ] {
            assert_eq!(concerns(&task(ready, policy)), expected, "{ready} {policy}");
        }
    }

    #[test]
    fn many_matches_are_named_up_to_five() {
        let many: Vec<_> = (0..500).map(|i| candidate(&format!("web-{i:03}"), json!({"app": "django"}))).collect();
        let (_, message) = outcome(&many, Value::Null).unwrap_err();
        assert!(message.contains("500 Deployments") && message.contains("web-004 and 495 more"), "{message}");
    }

    #[test]
    fn the_container_is_the_named_the_default_or_the_only_one() {
        let both = ["web", "proxy"];
        assert_eq!(choose_container(&both, Some("proxy"), Some("web"), "t"), Ok("proxy".into()));
        assert_eq!(choose_container(&both, None, Some("web"), "t"), Ok("web".into()));
        assert_eq!(choose_container(&["web"], None, None, "t"), Ok("web".into()));
        assert_eq!(choose_container(&both, None, Some("gone"), "t").unwrap_err().reason, Reason::ContainerAmbiguous);
        assert_eq!(choose_container(&both, Some("x"), None, "t").unwrap_err().reason, Reason::ContainerNotFound);
    }
}
