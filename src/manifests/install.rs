//! All that an operator in a namespace of its own needs, in one file.

use serde_json::{Value, json};

use super::{generated_yaml, rbac};
use crate::names;

/// The image that `config/default` names.
const IMAGE: &str = "localhost/django-operator:latest";

/// What `kubectl apply -k config/crd`, and then `-k config/default`, would apply.
pub fn text(crds: &[&Value], plurals: &[String], deployment: &str) -> Result<String, String> {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": names::OPERATOR } });
    let mut deployment: Value = serde_saphyr::from_str(deployment).map_err(|error| error.to_string())?;
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(IMAGE);
    let (role, lease_role) = (rbac::role(plurals), rbac::lease_role());
    let own = [rbac::service_account(), rbac::binding(&role), rbac::binding(&lease_role), role, lease_role, deployment];
    let own = own.map(|mut object| {
        object["metadata"]["namespace"] = json!(names::OPERATOR);
        object
    });
    generated_yaml(crds.iter().copied().chain([&namespace]).chain(&own))
}
