//! What people may ask the operator for: not more than they may do themselves.

use super::expressions::{changes_what_runs, may, own_annotations_differ, words};
use super::{AdmissionPolicy, Resources, TaskKinds, Validation};
use crate::manifests::manager::target_labels;

/// Name of the policy about the rights of who writes a task.
pub const TASK_RIGHTS: &str = "task-rights";

/// In single quotes for a shell, whatever is in it.
fn shell_quoted(expression: &str) -> String {
    format!("'{{{expression}.replace('\\'', '\\'\\\\\\'\\'')}}'")
}

/// The message that says which right is missing, why it is needed, and how it is granted: by a Role of that name with that
/// rule.
fn missing_right(what: &str, why: &str, role: &str, rule: &str) -> String {
    let user = shell_quoted("request.userInfo.username");
    // What a name of an object may not have.
    let binding = shell_quoted("request.userInfo.username.replace('/', '-').replace('%', '-')");
    format!(
        "{{request.userInfo.username}} needs the right to {what} in namespace {{request.namespace}}, as {why}; to grant it: \
         kubectl -n {{request.namespace}} create role {role} {rule}; \
         kubectl -n {{request.namespace}} create rolebinding {role}-{binding} --role={role} --user={user}"
    )
}

fn missing_right_to_create_jobs(why: &str) -> String {
    missing_right("create jobs.batch", why, "create-jobs", "--verb=create --resource=jobs.batch")
}

/// A task may not give its author more than they have: commands of their choice, or a pod template, are as good as a Job; a
/// password from a Secret is as good as the Secret.
pub fn rights(kinds: &TaskKinds) -> AdmissionPolicy {
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
        name: TASK_RIGHTS,
        description: "Whoever may not create Jobs may not have the operator run commands of their choice, or PodTemplates, and whoever may not read a Secret may not name it in a task.",
        resources: vec![Resources::tasks(kinds)],
        labels: None,
        conditions: vec![changes_what_runs()],
        variables: vec![],
        validations: commands.chain([pod_template]).chain(secrets).collect(),
        parameters: None,
    }
}

/// A PodTemplate with a target's label, and the annotations that say how it starts, are what Jobs will run.
pub fn pod_templates() -> AdmissionPolicy {
    // `make policies`, and the chart, replace the list.
    let labels = target_labels().join(",");
    let of_template = "dyn(object).template.?metadata.?labels.orValue({})";
    AdmissionPolicy {
        name: "pod-templates",
        description: "Whoever may not create Jobs may not write a PodTemplate that carries a label of the operator's targets, as Jobs are made of it.",
        resources: vec![Resources::new("", "v1", &["podtemplates"])],
        labels: None,
        conditions: vec![
            (
                "is-a-target",
                format!(
                    "{}.exists(label, {of_template}.exists(key, label == key + ':' + {of_template}[key]))",
                    words(&format!("'{labels}'"))
                ),
            ),
            (
                "changes-what-runs",
                format!(
                    "request.operation == 'CREATE' || object.template != oldObject.template || {}",
                    own_annotations_differ(&[])
                ),
            ),
        ],
        variables: vec![],
        validations: vec![Validation {
            expression: may("batch", "jobs", None, "create"),
            message: missing_right_to_create_jobs("Jobs run what a PodTemplate with that label holds"),
        }],
        parameters: None,
    }
}
