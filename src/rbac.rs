//! The operator's rights: one table, from which the roles are generated.

use serde_json::{Value, json};

use crate::api::GROUP;
use crate::names;

struct PolicyRule {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const TASKS: &[&str] = &["djangoceleries", "djangomigrates", "djangostatics", "djangousers"];
const TASK_STATUSES: &[&str] =
    &["djangoceleries/status", "djangomigrates/status", "djangostatics/status", "djangousers/status"];

/// In each watched namespace, in the order of the groups. What is not here is not done.
const NAMESPACE_RULES: &[PolicyRule] = &[
    // The helper, handed to Jobs; compared before each.
    PolicyRule { group: "", resources: &["configmaps"], verbs: &["create", "get"] },
    // Targets, and how a run's pods are.
    PolicyRule { group: "", resources: &["pods", "podtemplates"], verbs: &["get", "list", "watch"] },
    PolicyRule { group: "apps", resources: &["deployments"], verbs: &["get", "list", "watch"] },
    // Never changed once created; deleted when superseded or beyond the history.
    PolicyRule { group: "batch", resources: &["jobs"], verbs: &["create", "delete", "get", "list", "watch"] },
    // `delete` serves NUM_OLD_CRS alone.
    PolicyRule { group: GROUP, resources: TASKS, verbs: &["delete", "get", "list", "watch"] },
    PolicyRule { group: GROUP, resources: TASK_STATUSES, verbs: &["update"] },
    // Written for people; read for why a pod could not be made.
    PolicyRule { group: "events.k8s.io", resources: &["events"], verbs: &["create", "list", "patch"] },
];

/// In the operator's own namespace.
const LEASE_RULES: &[PolicyRule] =
    &[PolicyRule { group: "coordination.k8s.io", resources: &["leases"], verbs: &["create", "get", "patch"] }];

/// The Role for one watched namespace.
pub fn role() -> Value {
    object("Role", names::OPERATOR, NAMESPACE_RULES)
}

/// The Role for a further namespace, under a name that no operator of that namespace's own uses.
pub fn watched_role() -> Value {
    object("Role", "django-operator-watched", NAMESPACE_RULES)
}

/// The same rights for all namespaces.
pub fn cluster_role() -> Value {
    object("ClusterRole", names::OPERATOR, NAMESPACE_RULES)
}

/// The Role for the lease.
pub fn lease_role() -> Value {
    object("Role", "django-operator-lease", LEASE_RULES)
}

fn object(kind: &str, name: &str, rules: &[PolicyRule]) -> Value {
    let rules: Vec<Value> = rules
        .iter()
        .map(|rule| json!({ "apiGroups": [rule.group], "resources": rule.resources, "verbs": rule.verbs }))
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
        for rule in NAMESPACE_RULES.iter().chain(LEASE_RULES) {
            for resource in rule.resources {
                assert!(!resource.contains("secret") && !resource.contains('*'));
                assert!(!["pods/exec", "pods/log", "pods/attach", "serviceaccounts/token"].contains(resource));
            }
            assert!(!rule.verbs.contains(&"*") && rule.group != "*");
            assert!(!rule.verbs.iter().any(|v| ["escalate", "bind", "impersonate", "deletecollection"].contains(v)));
        }
    }
}
