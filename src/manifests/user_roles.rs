//! ClusterRoles for the people who use the kinds, aggregated to those of Kubernetes.

use serde_json::{Value, json};

use crate::api::GROUP;

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "delete", "deletecollection", "patch", "update"];

/// File name and document of each, given the plurals of the task kinds, and of those that run commands of their author's
/// choice.
pub fn files(tasks: &[String], any_command: &[String]) -> Vec<(String, Vec<Value>)> {
    let given_command: Vec<&String> = tasks.iter().filter(|plural| !any_command.contains(plural)).collect();
    let rule = |group: &str, resources: Value, verbs: &[&str]| json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
    let read = rule(GROUP, json!(tasks), READ);
    vec![
        role("viewer", "view", "Reads all tasks.", vec![read.clone()]),
        role(
            "runner",
            // Which may create Jobs and read Secrets, and so gains nothing by it.
            "edit",
            "Writes the tasks that run one command of the operator's, and reads all.",
            vec![read.clone(), rule(GROUP, json!(given_command), WRITE)],
        ),
        role(
            "admin",
            "admin",
            "Writes all tasks, also those that run any command, which is as much as the right to create Jobs.",
            vec![read, rule(GROUP, json!(tasks), WRITE), rule("batch", json!(["jobs"]), &["create"])],
        ),
    ]
}

/// `aggregates_to`: the role of Kubernetes that takes in its rules.
fn role(name: &str, aggregates_to: &str, description: &str, rules: Vec<Value>) -> (String, Vec<Value>) {
    let manifest = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {
            "name": format!("django-{name}"),
            "labels": { format!("rbac.authorization.k8s.io/aggregate-to-{aggregates_to}"): "true" },
            "annotations": { "kubernetes.io/description": description },
        },
        "rules": rules,
    });
    (format!("{name}.yaml"), vec![manifest])
}
