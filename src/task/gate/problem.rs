//! Why pods whose template asks for the gate start without it, or not as it says.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{
    DEFAULT_TIMEOUT_SECONDS, TIMEOUT_PATTERN, asks_for_gate, classic_sidecars, databases_of, django_container,
    has_native_sidecars,
};
use crate::api::{DEFAULT_DATABASE, Database};
use crate::core::Reason;
use crate::names;
use crate::task::job::keeps_entrypoint;
use crate::task::job::launcher::Launcher;
use crate::task::target::{Candidate, TargetKind, TemplateSummary};

/// How many words the annotation may have that says how commands start.
pub const MOST_WORDS: usize = 32;
/// Blanks other than the space, and control characters.
pub const UNCOMMON_BLANKS: &str =
    r"[\x00-\x1f\x7f-\x9f\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]";

static TIMEOUT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(TIMEOUT_PATTERN).ok());
static BLANKS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(UNCOMMON_BLANKS).ok());

/// Something for the owner of a pod template to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateProblem {
    pub reason: Reason,
    /// What is wrong, what comes of it, and what to write instead.
    pub message: String,
}

/// How its sentence begins where the pods are not held back.
const UNGATED: &str = "its pods do not wait for migrations";
/// Where a Deployment has its pod template, as messages name it.
pub const TEMPLATE_OF_A_DEPLOYMENT: &str = "spec.template";
/// Where annotations of pods stand.
const POD_ANNOTATIONS: &str = "spec.template.metadata.annotations";

/// What is wrong about the gate of a Deployment, as far as its template tells.
pub fn problem_of(candidate: &Candidate) -> Option<GateProblem> {
    if candidate.kind != TargetKind::Deployment {
        return None; // nothing makes pods of it
    }
    let none = BTreeMap::new();
    let of_object = candidate.metadata.annotations.as_ref().unwrap_or(&none);
    let of_template = candidate.template.metadata.annotations.as_ref().unwrap_or(&none);
    if let Some(problem) = unanswered(of_object, of_template) {
        return Some(problem);
    }
    if !asks_for_gate(Some(of_template)) {
        return None;
    }
    require_readable(&candidate.template).err().or_else(|| ignored_annotations(of_object, of_template))
}

/// That something is asked for that nothing answers: an annotation in the wrong place, or with another value.
pub fn unanswered(of_object: &BTreeMap<String, String>, of_template: &BTreeMap<String, String>) -> Option<GateProblem> {
    let problem = match of_template.get(names::WAIT_ANNOTATION).map(String::as_str) {
        None if of_object.get(names::WAIT_ANNOTATION).is_some_and(|value| value == "true") => {
            format!("stands on the Deployment alone, so that {UNGATED}; write it here")
        }
        None | Some("true" | "false") => return None,
        Some(other) => format!("is {other:?}, so that {UNGATED}; write \"true\", or leave it out"),
    };
    Some(invalid_annotation(names::WAIT_ANNOTATION, &problem))
}

/// What of the annotations is not done as it says: those of an object, and those of its pod template, which pods have.
pub fn ignored_annotations(
    of_object: &BTreeMap<String, String>,
    of_template: &BTreeMap<String, String>,
) -> Option<GateProblem> {
    let own = [
        names::WAIT_TIMEOUT_ANNOTATION,
        names::WAIT_DATABASES_ANNOTATION,
        names::MANAGE_ANNOTATION,
        names::ENTRYPOINT_ANNOTATION,
    ];
    if let Some(name) = own.iter().find(|name| !of_template.contains_key(**name) && of_object.contains_key(**name)) {
        let problem =
            "stands on the object alone, of which its pods know nothing, and they wait without it; write it here";
        return Some(invalid_annotation(name, &problem));
    }
    of_template.get(names::WAIT_TIMEOUT_ANNOTATION).filter(|text| !is_timeout(text)).map(|text| {
        let problem = format!(
            "is {text:?}, so that its pods wait {DEFAULT_TIMEOUT_SECONDS} s; write a number of seconds from 1 to 9999999"
        );
        invalid_annotation(names::WAIT_TIMEOUT_ANNOTATION, &problem)
    })
}

/// Whether an annotation says for how many seconds pods wait.
pub(super) fn is_timeout(text: &str) -> bool {
    TIMEOUT.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// The name of the Django container, or why the pods of a template start without the gate that it asks for.
pub(super) fn require_readable(template: &TemplateSummary) -> Result<String, GateProblem> {
    let annotations = template.metadata.annotations.as_ref();
    let value = |name: &str| annotations.and_then(|annotations| annotations.get(name)).map(String::as_str);
    let problem = |reason, message: String| Err(GateProblem { reason, message });
    let Some(django) = django_container(template) else {
        let names: Vec<&str> = template.spec.containers.iter().map(|c| c.name.as_str()).collect();
        return problem(
            Reason::ContainerAmbiguous,
            format!(
                "{UNGATED}, as nothing tells which container is Django's; set {POD_ANNOTATIONS}[{}] to one of: {}",
                names::DEFAULT_CONTAINER_ANNOTATION,
                names.join(", ")
            ),
        );
    };
    let containers = &template.spec.containers;
    let image = containers.iter().find(|c| c.name == django).map(|c| c.image.as_str()).unwrap_or_default();
    let all = template.spec.init_containers.iter().flatten().chain(containers);
    if let Some(migrating) = all.into_iter().find(|c| c.migrates && c.image == image) {
        return problem(
            Reason::MigratesItself,
            format!(
                "{UNGATED}, as they migrate themselves, in container {}; take that out of its command, and let a DjangoMigrate do it",
                migrating.name
            ),
        );
    }
    let invalid =
        |name: &str, what: &dyn Display| Err(invalid_annotation(name, &format!("{what}; until then {UNGATED}")));
    let manage = value(names::MANAGE_ANNOTATION).unwrap_or_default().trim();
    if let Some(problem) = unreadable(manage) {
        return invalid(names::MANAGE_ANNOTATION, &problem);
    }
    if let Err(error) = Launcher::of(Some(manage), &Value::Null) {
        return invalid(names::MANAGE_ANNOTATION, &error);
    }
    match keeps_entrypoint(value(names::ENTRYPOINT_ANNOTATION)) {
        Ok(_) => Ok(django),
        Err(error) => invalid(names::ENTRYPOINT_ANNOTATION, &error),
    }
}

/// What of the annotation that says how commands start an admission policy would read otherwise than this program.
fn unreadable(manage: &str) -> Option<String> {
    if BLANKS.as_ref().is_some_and(|pattern| pattern.is_match(manage)) {
        return Some("has blanks other than spaces, or control characters; write it in one line, with spaces".into());
    }
    if manage.starts_with('[') && manage.contains('\\') {
        return Some("has a backslash, which the gate does not read in a list; write it without".into());
    }
    let words: Vec<String> = match manage.starts_with('[') {
        true => serde_json::from_str(manage).unwrap_or_default(),
        false => manage.split_whitespace().map(str::to_owned).collect(),
    };
    if words.len() > MOST_WORDS {
        return Some(format!("has more than {MOST_WORDS} words; write fewer"));
    }
    let takes_value = |word: &String| matches!(word.as_str(), "-X" | "-W");
    let flags = words.windows(2).any(|pair| pair.iter().all(takes_value));
    flags.then(|| "has -X or -W twice in a row; write its value after it".into())
}

/// What is to be changed about an annotation of a pod template.
pub(super) fn invalid_annotation(name: &str, what: &dyn Display) -> GateProblem {
    GateProblem { reason: Reason::InvalidAnnotation, message: format!("{POD_ANNOTATIONS}[{name}]: it {what}") }
}

/// What is wrong about the gate of a Deployment, given the databases that its migration used: one at this pod's own address
/// is reached by something that starts after the gate.
pub fn problem_of_database(candidate: &Candidate, databases: &[Database]) -> Option<GateProblem> {
    let template = &candidate.template;
    let asks = candidate.kind == TargetKind::Deployment && asks_for_gate(template.metadata.annotations.as_ref());
    // One of those that start before may be it.
    if !asks || has_native_sidecars(template) {
        return None;
    }
    let sidecars = classic_sidecars(template, &django_container(template)?);
    let annotation = template.metadata.annotations.as_ref().and_then(|own| own.get(names::WAIT_DATABASES_ANNOTATION));
    let waits_for = databases_of(annotation.map(String::as_str));
    let is_waited_for = |database: &Database| match waits_for.as_slice() {
        [] => database.alias == DEFAULT_DATABASE,
        listed => listed.contains(&database.alias.as_str()),
    };
    let local = databases.iter().find(|database| is_waited_for(database) && is_local(database));
    let local = local.filter(|_| !sidecars.is_empty())?;
    let message = format!(
        "{UNGATED}, as database {:?} is at {:?}, as its last migration told, which only a container serves that starts after \
         init containers ({}); make that one a native sidecar: an init container with restartPolicy Always",
        local.alias,
        local.host,
        sidecars.join(", ")
    );
    Some(GateProblem { reason: Reason::ClassicSidecar, message })
}

/// Whether a server is at the pod's own address, or a socket in its file system. One without a host may be named elsewhere.
fn is_local(database: &Database) -> bool {
    let host = database.host.as_str();
    let is_one = !host.contains(',');
    is_one && (host == "localhost" || host == "::1" || host.starts_with("127.") || host.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is told of a Deployment with these annotations, and this pod.
    fn told(kind: TargetKind, on_object: Value, on_template: Value, pod: Value) -> Option<(&'static str, String)> {
        let candidate = Candidate {
            has_unavailable_replicas: false,
            kind,
            metadata: serde_json::from_value(json!({"name": "web", "annotations": on_object})).unwrap(),
            template: serde_json::from_value(json!({"metadata": {"annotations": on_template}, "spec": pod})).unwrap(),
        };
        problem_of(&candidate).map(|problem| (problem.reason.as_str(), problem.message))
    }

    #[test]
    fn what_keeps_a_pod_from_waiting_is_told_with_what_to_write() {
        let (wait, manage, entrypoint) =
            (names::WAIT_ANNOTATION, names::MANAGE_ANNOTATION, names::ENTRYPOINT_ANNOTATION);
        let asks = || json!({wait: "true"});
        let asks_and = |name: &str, value: &str| json!({wait: "true", name: value});
        let one = || json!({"containers": [{"name": "web", "image": "i"}]});
        let two = json!({"containers": [{"name": "web", "image": "i"}, {"name": "proxy", "image": "p"}]});
        let migrating = |image: &str| {
            json!({
                "initContainers": [{"name": "m", "image": image, "command": ["./manage.py", "migrate"]}],
                "containers": [{"name": "web", "image": "i"}],
            })
        };
        let pasted = json!({
            "initContainers": [{"name": "django-operator-gate", "image": "i", "args": ["--", "wait4db"]}],
            "containers": [{"name": "web", "image": "i"}],
        });
        let nothing = || json!({});
        for (situation, on_object, on_template, pod, expected) in [
            ("asks for nothing", nothing(), nothing(), two.clone(), None),
            ("says no", nothing(), json!({wait: "false"}), two.clone(), None),
            ("asks", nothing(), asks(), one(), None),
            ("pasted", nothing(), asks(), pasted, None),
            ("in both places", asks(), asks(), one(), None),
            (
                "in the wrong place",
                asks(),
                nothing(),
                one(),
                Some(("InvalidAnnotation", "stands on the Deployment alone")),
            ),
            ("says yes", nothing(), json!({wait: "yes"}), one(), Some(("InvalidAnnotation", "write \"true\""))),
            ("two containers", nothing(), asks(), two, Some(("ContainerAmbiguous", "to one of: web, proxy"))),
            ("migrates", nothing(), asks(), migrating("i"), Some(("MigratesItself", "in container m"))),
            ("another thing migrates", nothing(), asks(), migrating("other"), None),
            (
                "a command",
                nothing(),
                asks_and(manage, "sh -c x"),
                one(),
                Some(("InvalidAnnotation", "starts with \"sh\"")),
            ),
            (
                "a list",
                nothing(),
                asks_and(manage, r#"["a\\b"]"#),
                one(),
                Some(("InvalidAnnotation", "has a backslash")),
            ),
            (
                "an entrypoint",
                nothing(),
                asks_and(entrypoint, "keep"),
                one(),
                Some(("InvalidAnnotation", "write Keep")),
            ),
            (
                "how commands start, in the wrong place",
                json!({manage: "pretix"}),
                asks(),
                one(),
                Some(("InvalidAnnotation", "of which its pods know nothing")),
            ),
            (
                "half an hour",
                nothing(),
                asks_and(names::WAIT_TIMEOUT_ANNOTATION, "30m"),
                one(),
                Some(("InvalidAnnotation", "wait 1800 s; write a number of seconds")),
            ),
        ] {
            let found = told(TargetKind::Deployment, on_object.clone(), on_template.clone(), pod.clone());
            match (&found, expected) {
                (None, None) => {}
                (Some((reason, message)), Some((expected, words)))
                    if *reason == expected && message.contains(words) => {}
                _ => panic!("{situation}: {found:?}"),
            }
            assert_eq!(told(TargetKind::PodTemplate, on_object, on_template, pod), None, "{situation}");
        }
    }

    #[test]
    fn a_database_at_the_pods_own_address_is_reached_by_a_container_that_starts_later() {
        let pod = |inits: Value| {
            json!({
                "initContainers": inits,
                "containers": [{"name": "web", "image": "i"}, {"name": "sql-proxy", "image": "p"}, {"name": "celery", "image": "i"}],
            })
        };
        let native = json!([{"name": "mesh", "image": "m", "restartPolicy": "Always"}]);
        let annotations = json!({names::WAIT_ANNOTATION: "true", names::DEFAULT_CONTAINER_ANNOTATION: "web"});
        let candidate = |inits: Value| Candidate {
            has_unavailable_replicas: false,
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(json!({"name": "web"})).unwrap(),
            template: serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": pod(inits)}))
                .unwrap(),
        };
        for (engine, host, inits, expected) in [
            ("postgresql", "127.0.0.1", json!([]), true),
            ("mysql", "localhost", json!([]), true),
            ("postgresql", "/cloudsql/shop", json!([]), true),
            ("postgresql", "", json!([]), false),
            ("postgresql", "127.0.0.1", native, false),
            ("postgresql", "db.shop", json!([]), false),
            ("postgresql", "127.0.0.1,db.shop", json!([]), false),
            ("sqlite3", "", json!([]), false),
            ("", "", json!([]), false),
        ] {
            let database =
                Database { alias: "default".into(), engine: engine.into(), host: host.into(), ..Database::default() };
            let found = problem_of_database(&candidate(inits), std::slice::from_ref(&database));
            assert_eq!(found.is_some(), expected, "{engine} at {host:?}: {found:?}");
            assert!(found.is_none_or(|problem| problem.message.contains("init containers (sql-proxy, celery); make")));
            let other = Database { alias: "other".into(), ..database };
            assert_eq!(problem_of_database(&candidate(json!([])), &[other]), None, "nothing waits for that one");
        }
    }
}
