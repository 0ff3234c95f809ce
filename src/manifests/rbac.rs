//! The operator's permissions: one table, from which the roles are generated.

use k8s_openapi::api::authorization::v1::ResourceAttributes;
use serde_json::{Value, json};

use crate::api::GROUP;
use crate::names;

struct PolicyRule {
    group: &'static str,
    resources: Vec<String>,
    verbs: &'static [&'static str],
    /// Names of the only objects that it is about; empty: any.
    names: &'static [&'static str],
}

fn rule(group: &'static str, resources: &[&str], verbs: &'static [&'static str]) -> PolicyRule {
    PolicyRule { group, resources: resources.iter().map(|&resource| resource.to_owned()).collect(), verbs, names: &[] }
}

/// In each watched namespace, in the order of the groups.
fn namespace_rules(tasks: &[String]) -> Vec<PolicyRule> {
    let statuses: Vec<String> = tasks.iter().map(|plural| format!("{plural}/status")).collect();
    vec![
        // The helper, handed to Jobs, which check it; never read.
        rule("", &["configmaps"], &["create"]),
        // How a run's pods are.
        rule("", &["pods"], &["list", "watch"]),
        // Targets.
        rule("", &["podtemplates"], &["get", "list", "watch"]),
        rule("apps", &["deployments"], &["get", "list", "watch"]),
        // Deleted when superseded, late or beyond the history. `patch` serves the release of Jobs that were created suspended
        // alone: it changes `spec.suspend` and takes one annotation of our own away.
        rule("batch", &["jobs"], &["create", "delete", "get", "list", "patch", "watch"]),
        // `delete` serves NUM_OLD_CRS alone.
        rule(GROUP, &tasks.iter().map(String::as_str).collect::<Vec<_>>(), &["delete", "get", "list", "watch"]),
        rule(GROUP, &statuses.iter().map(String::as_str).collect::<Vec<_>>(), &["update"]),
        // Written for people; read for why a pod could not be made.
        rule("events.k8s.io", &["events"], &["create", "list", "patch"]),
    ]
}

/// In the operator's own namespace.
fn lease_rules() -> Vec<PolicyRule> {
    let lease = rule("coordination.k8s.io", &["leases"], &["get", "patch"]);
    // What is about to be created has no name yet.
    let create = rule("coordination.k8s.io", &["leases"], &["create"]);
    vec![create, PolicyRule { names: &[names::OPERATOR], ..lease }]
}

/// What the operator does in each watched namespace, one by one.
pub fn namespace_rights(tasks: &[String]) -> Vec<ResourceAttributes> {
    rights(&namespace_rules(tasks))
}

/// What it does with its lease.
pub fn lease_rights() -> Vec<ResourceAttributes> {
    rights(&lease_rules())
}

fn rights(rules: &[PolicyRule]) -> Vec<ResourceAttributes> {
    let mut rights = Vec::new();
    for rule in rules {
        for resource in &rule.resources {
            let (resource, subresource) =
                resource.split_once('/').map_or((resource.as_str(), None), |(resource, sub)| (resource, Some(sub)));
            for verb in rule.verbs {
                rights.push(ResourceAttributes {
                    group: Some(rule.group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.map(str::to_owned),
                    verb: Some((*verb).to_owned()),
                    name: rule.names.first().map(|&name| name.to_owned()),
                    ..ResourceAttributes::default()
                });
            }
        }
    }
    rights
}

/// Rules of the account that asks whether tasks would be taken.
pub fn test_rules(tasks: &[String]) -> Value {
    json!([{ "apiGroups": [GROUP], "resources": tasks, "verbs": ["create"] }])
}

/// The Role for one watched namespace, given the plurals of the task kinds.
pub fn role(tasks: &[String]) -> Value {
    role_manifest("Role", names::OPERATOR, &namespace_rules(tasks))
}

/// The Role for a further namespace, under a name that no operator of that namespace's own uses.
pub fn watched_role(tasks: &[String]) -> Value {
    role_manifest("Role", "django-operator-watched", &namespace_rules(tasks))
}

/// The same permissions in all namespaces.
pub fn cluster_role(tasks: &[String]) -> Value {
    role_manifest("ClusterRole", names::OPERATOR, &namespace_rules(tasks))
}

pub fn lease_role() -> Value {
    role_manifest("Role", "django-operator-lease", &lease_rules())
}

/// The account that the operator works as.
pub fn service_account() -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": names::OPERATOR } })
}

/// Gives the rules of a role to the operator's account, whose namespace an overlay may change.
pub fn binding(role: &Value) -> Value {
    let (kind, name) = (&role["kind"], &role["metadata"]["name"]);
    let binding = if kind == "ClusterRole" { "ClusterRoleBinding" } else { "RoleBinding" };
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": binding,
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
        "subjects": [{ "kind": "ServiceAccount", "name": names::OPERATOR, "namespace": names::OPERATOR }],
    })
}

fn role_manifest(kind: &str, name: &str, rules: &[PolicyRule]) -> Value {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| {
            let mut manifest = json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs });
            if !rule.names.is_empty() {
                manifest["resourceNames"] = json!(rule.names);
            }
            manifest
        })
        .collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": { "name": name },
        "rules": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_granted_that_people_choose_this_operator_for_lacking() {
        for rule in namespace_rules(&["djangothings".into()]).iter().chain(&lease_rules()) {
            for resource in &rule.resources {
                assert!(!resource.contains("secret") && !resource.contains('*'));
                let feared = ["pods/exec", "pods/log", "pods/attach", "serviceaccounts/token"];
                assert!(!feared.contains(&resource.as_str()));
            }
            assert!(!rule.verbs.contains(&"*") && rule.group != "*");
            assert!(!rule.verbs.iter().any(|v| ["escalate", "bind", "impersonate", "deletecollection"].contains(v)));
        }
    }
}
