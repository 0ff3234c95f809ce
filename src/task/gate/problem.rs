//! Why pods whose template asks for the gate start without it, or not as it says.

use std::fmt::Display;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{DEFAULT_TIMEOUT_SECONDS, TIMEOUT_PATTERN, asks_for_gate, classic_sidecars, django_container};
use crate::api::Database;
use crate::core::Reason;
use crate::names;
use crate::task::job::keeps_entrypoint;
use crate::task::job::launcher::Launcher;
use crate::task::target::{Candidate, TargetKind, TemplateSummary};

static TIMEOUT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(TIMEOUT_PATTERN).ok());

/// Something for the owner of a pod template to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateProblem {
    pub reason: Reason,
    /// What is wrong, what comes of it, and what to write instead.
    pub message: String,
}

/// How its sentence begins where the pods are not held back.
const UNGATED: &str = "its pods do not wait for migrations";
/// Where annotations of pods stand.
const POD_ANNOTATIONS: &str = "spec.template.metadata.annotations";

/// What is wrong about the gate of a Deployment, as far as its template tells.
pub fn problem_of(candidate: &Candidate) -> Option<GateProblem> {
    if candidate.kind != TargetKind::Deployment {
        return None; // nothing makes pods of it
    }
    let of_template = candidate.template.metadata.annotations.as_ref();
    let value = |name: &str| of_template.and_then(|annotations| annotations.get(name));
    let misplaced = |name: &&str| {
        let on_object = candidate.metadata.annotations.as_ref().and_then(|annotations| annotations.get(*name));
        on_object.is_some() && on_object != value(name)
    };
    let invalid = |name: &str, problem: String| {
        Some(GateProblem {
            reason: Reason::InvalidAnnotation,
            message: format!("{POD_ANNOTATIONS}[{name}]: {problem}"),
        })
    };
    match value(names::WAIT_ANNOTATION).map(String::as_str) {
        None if misplaced(&names::WAIT_ANNOTATION) => {
            return invalid(
                names::WAIT_ANNOTATION,
                format!("it stands on the Deployment alone, so that {UNGATED}; write it there"),
            );
        }
        None | Some("false") => return None,
        Some("true") => {}
        Some(other) => {
            let problem = format!("it is {other:?}, so that {UNGATED}; write \"true\", or leave it out");
            return invalid(names::WAIT_ANNOTATION, problem);
        }
    }
    if let Some(problem) = ungated(&candidate.template) {
        return Some(problem);
    }
    let own = [
        names::WAIT_TIMEOUT_ANNOTATION,
        names::WAIT_DATABASES_ANNOTATION,
        names::MANAGE_ANNOTATION,
        names::ENTRYPOINT_ANNOTATION,
    ];
    if let Some(name) = own.iter().find(|name| misplaced(name)) {
        return invalid(
            name,
            "what stands on the Deployment is not known to its pods, which wait; write it there".into(),
        );
    }
    let timeout = value(names::WAIT_TIMEOUT_ANNOTATION)?;
    if TIMEOUT.as_ref().is_some_and(|pattern| pattern.is_match(timeout)) {
        return None;
    }
    invalid(
        names::WAIT_TIMEOUT_ANNOTATION,
        format!(
            "it is {timeout:?}, so that its pods wait {DEFAULT_TIMEOUT_SECONDS} s; write a number of seconds from 1 to 9999999"
        ),
    )
}

/// Why the pods of a template start without the gate that it asks for.
pub(super) fn ungated(template: &TemplateSummary) -> Option<GateProblem> {
    let annotations = template.metadata.annotations.as_ref();
    let value = |name: &str| annotations.and_then(|annotations| annotations.get(name)).map(String::as_str);
    let problem = |reason, message: String| Some(GateProblem { reason, message });
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
    if let Some(migrating) = all.into_iter().find(|c| c.migrates && c.image == image && c.name != names::WAIT_CONTAINER)
    {
        return problem(
            Reason::MigratesItself,
            format!(
                "{UNGATED}, as they migrate themselves, in container {}; take that out of its command, and let a DjangoMigrate do it",
                migrating.name
            ),
        );
    }
    let manage = value(names::MANAGE_ANNOTATION);
    if manage.is_some_and(|text| text.trim_start().starts_with('[') && text.contains('\\')) {
        let what = "has a backslash, which the gate does not read in a list; write it without";
        return Some(invalid_annotation(names::MANAGE_ANNOTATION, &what));
    }
    if let Err(error) = Launcher::of(manage, &Value::Null) {
        return Some(invalid_annotation(names::MANAGE_ANNOTATION, &error));
    }
    let entrypoint = keeps_entrypoint(value(names::ENTRYPOINT_ANNOTATION));
    entrypoint.err().map(|error| invalid_annotation(names::ENTRYPOINT_ANNOTATION, &error))
}

/// That an annotation of a pod template cannot be followed.
pub(super) fn invalid_annotation(name: &str, what: &dyn Display) -> GateProblem {
    GateProblem {
        reason: Reason::InvalidAnnotation,
        message: format!("{POD_ANNOTATIONS}[{name}]: it {what}; until then {UNGATED}"),
    }
}

/// What is wrong about the gate of a Deployment, given the databases that its migration used: one at this pod's own address
/// is reached by something that starts after the gate.
pub fn problem_of_database(candidate: &Candidate, databases: &[Database]) -> Option<GateProblem> {
    let template = &candidate.template;
    if candidate.kind != TargetKind::Deployment || !asks_for_gate(template.metadata.annotations.as_ref()) {
        return None;
    }
    let sidecars = classic_sidecars(template, &django_container(template)?);
    let local = databases.iter().find(|database| is_local(database)).filter(|_| !sidecars.is_empty())?;
    let message = format!(
        "{UNGATED}, as database {:?} is at {:?}, which only a container serves that starts after init containers ({}); make \
         that one a native sidecar: an init container with restartPolicy Always",
        local.alias,
        local.host,
        sidecars.join(", ")
    );
    Some(GateProblem { reason: Reason::ClassicSidecar, message })
}

/// Whether a server is at the pod's own address, or a socket in its file system.
fn is_local(database: &Database) -> bool {
    let host = database.host.as_str();
    let is_server = database.engine != "sqlite3" && !database.engine.is_empty();
    is_server
        && (host.is_empty()
            || host == "localhost"
            || host == "::1"
            || host.starts_with("127.")
            || host.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// What is told of a Deployment with these annotations, and this pod.
    fn told(kind: TargetKind, on_object: Value, on_template: Value, pod: Value) -> Option<(&'static str, String)> {
        let candidate = Candidate {
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
            "initContainers": [{"name": "wait-for-migrations", "image": "i", "args": ["wait", "migrate"]}],
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
                Some(("InvalidAnnotation", "not known to its pods")),
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
            kind: TargetKind::Deployment,
            metadata: serde_json::from_value(json!({"name": "web"})).unwrap(),
            template: serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": pod(inits)}))
                .unwrap(),
        };
        for (engine, host, inits, expected) in [
            ("postgresql", "127.0.0.1", json!([]), true),
            ("mysql", "localhost", json!([]), true),
            ("postgresql", "/cloudsql/shop", json!([]), true),
            ("postgresql", "", json!([]), true),
            ("postgresql", "127.0.0.1", native, false),
            ("postgresql", "db.shop", json!([]), false),
            ("sqlite3", "", json!([]), false),
            ("", "", json!([]), false),
        ] {
            let database =
                Database { alias: "default".into(), engine: engine.into(), host: host.into(), ..Database::default() };
            let found = problem_of_database(&candidate(inits), &[database]);
            assert_eq!(found.is_some(), expected, "{engine} at {host:?}: {found:?}");
            assert!(found.is_none_or(|problem| problem.message.contains("init containers (sql-proxy); make")));
        }
    }
}
