//! The gate: no pod starts before its database has the migrations that its image knows. Pure.
//!
//! A pod template asks for it by an annotation. An admission policy, which `manifests/policies/gate` makes, puts an init
//! container into its pods as they are created, or its owner pastes what `django-operator gate` prints: the same lines.

mod init_container;
mod problem;

use std::collections::BTreeMap;

pub use init_container::{COPIED_FIELDS, Gate, STABLE_SECONDS, WAIT_COMMAND, build};
pub use problem::{
    GateProblem, MOST_WORDS, TEMPLATE_OF_A_DEPLOYMENT, UNCOMMON_BLANKS, ignored_annotations, problem_of,
    problem_of_database, unanswered,
};

use super::target::{Candidate, TemplateSummary, choose_container};
use crate::names;

/// How long a pod waits where its template does not say.
pub const DEFAULT_TIMEOUT_SECONDS: &str = "1800";
/// How an annotation may say it.
pub const TIMEOUT_PATTERN: &str = "^[1-9][0-9]{0,6}$";

/// Whether the pods of a template are to wait, given its annotations.
pub fn asks_for_gate(annotations: Option<&BTreeMap<String, String>>) -> bool {
    annotations.and_then(|annotations| annotations.get(names::WAIT_ANNOTATION)).is_some_and(|value| value == "true")
}

/// Whether a Deployment says anything of the gate, in whichever place.
pub fn mentions_gate(candidate: &Candidate) -> bool {
    let places = [&candidate.metadata.annotations, &candidate.template.metadata.annotations];
    places.into_iter().flatten().any(|annotations| annotations.contains_key(names::WAIT_ANNOTATION))
}

/// Name of the Django container of a template's pods; none where they do not tell.
fn django_container(template: &TemplateSummary) -> Option<String> {
    let names: Vec<&str> = template.spec.containers.iter().map(|c| c.name.as_str()).collect();
    let annotations = template.metadata.annotations.as_ref();
    let default = annotations.and_then(|annotations| annotations.get(names::DEFAULT_CONTAINER_ANNOTATION));
    choose_container(&names, None, default.map(String::as_str), "").ok()
}

/// The databases that an annotation names; none: Django's default.
fn databases_of(annotation: Option<&str>) -> Vec<&str> {
    let words = annotation.unwrap_or_default().split(|c: char| c == ',' || c.is_ascii_whitespace());
    words.filter(|name| !name.is_empty()).collect()
}

/// The other containers that start after the gate, by which a database may be reached.
fn classic_sidecars(template: &TemplateSummary, django: &str) -> Vec<String> {
    template.spec.containers.iter().map(|c| c.name.clone()).filter(|name| name != django).collect()
}

/// Whether others start before the gate and go on, by which a database may be reached as well.
fn has_native_sidecars(template: &TemplateSummary) -> bool {
    template.spec.init_containers.iter().flatten().any(|c| c.is_native_sidecar)
}
