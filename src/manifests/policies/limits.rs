//! Limits that an administrator may set by namespace, in a ConfigMap: commands, service accounts, images by digest.

use serde_json::{Value, json};

use super::expressions::{changes_what_runs, shown, words};
use super::{AdmissionPolicy, LIMITS_CONFIG_MAP, Parameters, Resources, TaskKinds, Validation};
use crate::names;

/// In a namespace of its own, as whoever may write it there sets the limits.
const PARAMETERS: Parameters = Parameters { name: LIMITS_CONFIG_MAP, namespace: "django-operator-limits" };

/// The namespace and the ConfigMap, which limits nothing as it is shipped.
pub fn parameter_files() -> Vec<(String, Vec<Value>)> {
    let Parameters { name, namespace } = PARAMETERS;
    let description = "Limits for tasks and their Jobs: see docs/policies.md.";
    let home = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
    let parameters = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": namespace, "annotations": { "kubernetes.io/description": description },
        },
    });
    vec![("namespace.yaml".into(), vec![home]), ("parameters.yaml".into(), vec![parameters])]
}

/// The parameters, also where the ConfigMap has none.
fn parameters() -> (&'static str, String) {
    ("parameters", "has(params.data) ? params.data : {}".to_owned())
}

/// The key of the parameter that holds for the request's namespace: its own, else that of all.
fn key(name: &str) -> String {
    format!("'{name}.' + request.namespace in variables.parameters ? '{name}.' + request.namespace : '{name}'")
}

/// The parameter of the key in a variable.
fn value(key: &str, default: &str) -> String {
    format!("variables.parameters[?variables.{key}].orValue('{default}')")
}

/// The end of a message: where the parameter of the key in a variable is changed.
fn place(key: &str) -> String {
    format!("{{variables.{key}}} of ConfigMap {{params.metadata.name}} in namespace {{params.metadata.namespace}}")
}

/// Whether images need a digest: unless the parameter says plainly that they do not.
fn digests_needed() -> (&'static str, String) {
    ("digestsNeeded", format!("{}.trim().lowerAscii() != 'false'", value("digestKey", "false")))
}

fn has_digest(image: &str) -> String {
    format!("{image}.matches('@sha256:[0-9a-f]{{64}}$')")
}

/// Which commands a task may list, and whether its own image needs a digest.
pub fn tasks(kinds: &TaskKinds) -> AdmissionPolicy {
    let commands = kinds.commands_fields.iter().map(|field| {
        let refused = format!(
            "dyn(object.spec).?{field}.orValue([]).map(argv, argv[0]).filter(name, !variables.commands.exists(word, word == '*' || word == name))"
        );
        Validation {
            expression: format!("{refused}.size() == 0"),
            message: format!(
                "spec.{field}: {} not among the commands of namespace {{request.namespace}} ({}); to allow more, change {}",
                shown(&refused),
                shown("variables.commands"),
                place("commandsKey")
            ),
        }
    });
    let image = Validation {
        expression: format!("variables.image == '' || !variables.digestsNeeded || {}", has_digest("variables.image")),
        message: format!(
            "spec.image: {{variables.image}} has no digest; write it as NAME@sha256:..., which namespace {{request.namespace}} asks for by {}",
            place("digestKey")
        ),
    };
    AdmissionPolicy {
        name: "task-limits",
        description: "The commands that tasks of a namespace may list, and whether their images need a digest.",
        resources: vec![Resources::tasks(kinds)],
        labels: None,
        conditions: vec![changes_what_runs()],
        variables: vec![
            parameters(),
            ("commandsKey", key("commands")),
            ("commands", words(&value("commandsKey", "*"))),
            ("image", "dyn(object.spec).?image.orValue('')".into()),
            ("digestKey", key("imagesByDigest")),
            digests_needed(),
        ],
        validations: commands.chain([image]).collect(),
        parameters: Some(PARAMETERS),
    }
}

/// Which service accounts the operator's Jobs may have, and whether their images need a digest. The operator's account
/// makes no Job without that label.
pub fn jobs() -> AdmissionPolicy {
    AdmissionPolicy {
        name: "job-limits",
        description: "The service accounts that the operator's Jobs may have in a namespace, and whether their images need a digest.",
        // Else an update of a Job, and so its deletion in the foreground, would take the ConfigMap.
        resources: vec![Resources::new("batch", "v1", &["jobs"]).created()],
        labels: Some(json!({ names::MANAGED_BY_LABEL: names::OPERATOR })),
        conditions: vec![],
        variables: vec![
            parameters(),
            ("pod", "dyn(object).spec.template.spec".into()),
            ("serviceAccount", "variables.pod.?serviceAccountName.orValue('default')".into()),
            ("serviceAccountsKey", key("serviceAccounts")),
            ("serviceAccounts", words(&value("serviceAccountsKey", "*"))),
            ("digestKey", key("imagesByDigest")),
            digests_needed(),
            (
                "images",
                "(variables.pod.containers + variables.pod.?initContainers.orValue([])).map(c, c.?image.orValue('')) + variables.pod.?volumes.orValue([]).filter(v, has(v.image)).map(v, v.image.?reference.orValue(''))".into(),
            ),
            ("withoutDigest", format!("variables.images.filter(image, !{})", has_digest("image"))),
        ],
        validations: vec![
            Validation {
                expression: "variables.serviceAccounts.exists(account, account == '*' || account == variables.serviceAccount)".into(),
                message: format!(
                    "service account {{variables.serviceAccount}} is not among those of namespace {{request.namespace}} ({}); to allow it, add it to {}",
                    shown("variables.serviceAccounts"),
                    place("serviceAccountsKey")
                ),
            },
            Validation {
                expression: "!variables.digestsNeeded || variables.withoutDigest.size() == 0".into(),
                message: format!(
                    "images {} have no digest; write them as NAME@sha256:... in the target, which namespace {{request.namespace}} asks for by {}",
                    shown("variables.withoutDigest"),
                    place("digestKey")
                ),
            },
        ],
        parameters: Some(PARAMETERS),
    }
}
