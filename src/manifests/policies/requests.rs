//! What people may ask the operator for: not more than they may do themselves.

use super::{AdmissionPolicy, TaskKinds, Validation, parameter_key, parameters, resources, task_resources};
use super::{in_parameters, words};
use crate::api::TaskPolicy;

/// Fields of a task that say when and within which limits it runs. Whoever may update the task may change them; a field
/// that is not among them counts as one that changes what runs.
fn harmless_fields() -> String {
    let fields: Vec<String> =
        TaskPolicy::NON_TRIGGERING_FIELDS.iter().chain(&["trigger"]).map(|field| format!("'{field}'")).collect();
    format!("[{}]", fields.join(", "))
}

/// Whether a request changes what runs. `dyn`, as a policy for several kinds compares fields by their names.
fn changes_what_runs() -> (&'static str, String) {
    let harmless = harmless_fields();
    let changed = |new: &str, old: &str| {
        format!(
            "!dyn({new}.spec).all(field, field in {harmless} || field in dyn({old}.spec) && dyn({new}.spec)[field] == dyn({old}.spec)[field])"
        )
    };
    let expression = format!(
        "request.operation == 'CREATE' || {} || {}",
        changed("object", "oldObject"),
        changed("oldObject", "object")
    );
    ("changes-what-runs", expression)
}

/// Whether the requester may do something, by the API server's own authorizer.
fn may(group: &str, resource: &str, name: Option<&str>, verb: &str) -> String {
    let name = name.map(|name| format!(".name({name})")).unwrap_or_default();
    format!(
        "authorizer.group('{group}').resource('{resource}').namespace(request.namespace){name}.check('{verb}').allowed()"
    )
}

/// The message that says which right is missing, why it is needed, and how it is granted: by a Role of that name with that
/// rule.
fn missing_right(what: &str, why: &str, role: &str, rule: &str) -> String {
    format!(
        "{{request.userInfo.username}} needs the right to {what} in namespace {{request.namespace}}, as {why}; to grant it: \
         kubectl -n {{request.namespace}} create role {role} {rule}; \
         kubectl -n {{request.namespace}} create rolebinding {role} --role={role} --user={{request.userInfo.username}}"
    )
}

fn missing_right_to_create_jobs(why: &str) -> String {
    missing_right("create jobs.batch", why, "create-jobs", "--verb=create --resource=jobs.batch")
}

/// A task may not give its author more than they have: commands of their choice, or a pod template, are as good as a Job; a
/// password from a Secret is as good as the Secret.
pub fn task_rights(kinds: &TaskKinds) -> AdmissionPolicy {
    let may_create_jobs = may("batch", "jobs", None, "create");
    let commands = kinds.commands_fields.iter().map(|field| Validation {
        expression: format!("!dyn(object.spec).?{field}.hasValue() || {may_create_jobs}"),
        message: missing_right_to_create_jobs(&format!("spec.{field} can run anything there")),
    });
    let pod_template = Validation {
        expression: format!("dyn(object.spec).?target.?podTemplate.orValue('') == '' || {may_create_jobs}"),
        message: missing_right_to_create_jobs(
            "the PodTemplate that spec.target.podTemplate names can run anything there",
        ),
    };
    let secrets = kinds.secret_fields.iter().map(|field| {
        let name = format!("dyn(object.spec).{field}.name");
        Validation {
            expression: format!(
                "dyn(object.spec).?{field}.?name.orValue('') == '' || {}",
                may("", "secrets", Some(&name), "get")
            ),
            message: missing_right(
                &format!("get secrets/{{{name}}}"),
                &format!("spec.{field} names it"),
                &format!("get-{{{name}}}"),
                &format!("--verb=get --resource=secrets --resource-name={{{name}}}"),
            ),
        }
    });
    AdmissionPolicy {
        name: "django-operator-task-rights",
        description: "Whoever may not create Jobs may not have the operator run commands of their choice, or PodTemplates, and whoever may not read a Secret may not name it in a task.",
        resources: vec![task_resources(kinds)],
        conditions: vec![changes_what_runs()],
        variables: vec![],
        validations: commands.chain([pod_template]).chain(secrets).collect(),
        parameterised: false,
    }
}

/// Limits that the parameters may set: which commands, and whether an image needs a digest.
pub fn task_limits(kinds: &TaskKinds) -> AdmissionPolicy {
    let commands = kinds.commands_fields.iter().map(|field| {
        let refused = format!(
            "dyn(object.spec).?{field}.orValue([]).map(argv, argv[0]).filter(name, !{}.exists(word, word == '*' || word == name))",
            words("variables.allowed")
        );
        Validation {
            expression: format!("{refused}.size() == 0"),
            message: format!(
                "spec.{field}: {{{refused}.join(', ')}} not among the commands of namespace {{request.namespace}} ({{variables.allowed}}); to allow more, change {}",
                in_parameters("commandsKey")
            ),
        }
    });
    let image = Validation {
        expression: format!("variables.image == '' || variables.image.contains('@') || {DIGEST_PARAMETER} != 'true'"),
        message: format!(
            "spec.image: {{variables.image}} has no digest; write it as NAME@sha256:..., which namespace {{request.namespace}} asks for by {}",
            in_parameters("digestKey")
        ),
    };
    AdmissionPolicy {
        name: "django-operator-task-limits",
        description: "The commands that tasks of a namespace may list, and whether their images need a digest, by the parameters commands and imagesByDigest.",
        resources: vec![task_resources(kinds)],
        conditions: vec![changes_what_runs()],
        variables: vec![
            parameters(),
            ("commandsKey", parameter_key("commands")),
            ("allowed", "variables.parameters[?variables.commandsKey].orValue('*')".into()),
            ("image", "dyn(object.spec).?image.orValue('')".into()),
            ("digestKey", parameter_key("imagesByDigest")),
        ],
        validations: commands.chain([image]).collect(),
        parameterised: true,
    }
}

/// An expression for whether images need a digest, given a variable with the key.
pub const DIGEST_PARAMETER: &str = "variables.parameters[?variables.digestKey].orValue('false')";

/// A PodTemplate with a target's label is what Jobs will run.
pub fn pod_templates() -> AdmissionPolicy {
    let labelled = "has(object.template.metadata) && has(object.template.metadata.labels)";
    let is_target = "variables.labels.exists(label, label.split(':')[0] in object.template.metadata.labels && object.template.metadata.labels[label.split(':')[0]] == label.split(':')[1])";
    AdmissionPolicy {
        name: "django-operator-pod-templates",
        description: "Whoever may not create Jobs may not write a PodTemplate that carries a label of the parameter podLabels, as Jobs are made of it.",
        resources: vec![resources("", "v1", &["podtemplates"])],
        conditions: vec![(
            "changes-what-runs",
            "request.operation == 'CREATE' || object.template != oldObject.template".into(),
        )],
        variables: vec![
            parameters(),
            ("labels", words("variables.parameters[?'podLabels'].orValue('')") + ".filter(label, label.contains(':'))"),
            ("isTarget", format!("{labelled} && {is_target}")),
        ],
        validations: vec![Validation {
            expression: format!("!variables.isTarget || {}", may("batch", "jobs", None, "create")),
            message: missing_right_to_create_jobs("Jobs run what a PodTemplate with that label holds"),
        }],
        parameterised: true,
    }
}
