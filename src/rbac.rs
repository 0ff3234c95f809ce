//! The operator's rights: one table, from which the roles are generated.

use serde_json::{Value, json};

use crate::api::GROUP;
use crate::names;

struct Right {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const TASKS: &[&str] = &["djangoceleries", "djangomigrates", "djangostatics", "djangousers"];
const TASK_STATUSES: &[&str] =
    &["djangoceleries/status", "djangomigrates/status", "djangostatics/status", "djangousers/status"];

/// In each watched namespace, in the order of the groups. What is not here is not done.
const RIGHTS: &[Right] = &[
    // The helper, handed to Jobs; compared before each.
    Right { group: "", resources: &["configmaps"], verbs: &["create", "get"] },
    // Targets, and how a run's pods are.
    Right { group: "", resources: &["pods", "podtemplates"], verbs: &["get", "list", "watch"] },
    Right { group: "apps", resources: &["deployments"], verbs: &["get", "list", "watch"] },
    // Never changed once created; deleted when superseded or beyond the history.
    Right { group: "batch", resources: &["jobs"], verbs: &["create", "delete", "get", "list", "watch"] },
    // `delete` serves NUM_OLD_CRS alone.
    Right { group: GROUP, resources: TASKS, verbs: &["delete", "get", "list", "watch"] },
    Right { group: GROUP, resources: TASK_STATUSES, verbs: &["update"] },
    // Written for people; read for why a pod could not be made.
    Right { group: "events.k8s.io", resources: &["events"], verbs: &["create", "list", "patch"] },
];

/// In the operator's own namespace.
const LEASE: &[Right] =
    &[Right { group: "coordination.k8s.io", resources: &["leases"], verbs: &["create", "get", "patch"] }];

/// The Role for one watched namespace.
pub fn role() -> Value {
    object("Role", names::OPERATOR, RIGHTS)
}

/// The Role for a further namespace, under a name that no operator of that namespace's own uses.
pub fn watched_role() -> Value {
    object("Role", "django-operator-watched", RIGHTS)
}

/// The same rights for all namespaces.
pub fn cluster_role() -> Value {
    object("ClusterRole", names::OPERATOR, RIGHTS)
}

/// The Role for the lease.
pub fn lease_role() -> Value {
    object("Role", "django-operator-lease", LEASE)
}

fn object(kind: &str, name: &str, rights: &[Right]) -> Value {
    let rules: Vec<Value> = rights
        .iter()
        .map(|right| json!({ "apiGroups": [right.group], "resources": right.resources, "verbs": right.verbs }))
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
        for right in RIGHTS.iter().chain(LEASE) {
            for resource in right.resources {
                assert!(!resource.contains("secret") && !resource.contains('*'));
                assert!(!["pods/exec", "pods/log", "pods/attach", "serviceaccounts/token"].contains(resource));
            }
            assert!(!right.verbs.contains(&"*") && right.group != "*");
            assert!(!right.verbs.iter().any(|v| ["escalate", "bind", "impersonate", "deletecollection"].contains(v)));
        }
    }
}
