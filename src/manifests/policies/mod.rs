//! ValidatingAdmissionPolicies, and the parameters that they share: who may ask for what, and what the operator's own
//! account may do. Optional: the operator works without them.

mod operator;
mod requests;

use serde_json::{Value, json};

use super::manager::settings;
use crate::api::{GROUP, VERSION};
use crate::names;

/// The ConfigMap that parameterises the policies, in the operator's namespace, where those that the policies bind may not
/// write.
const PARAMETERS: &str = "django-operator-policies";

/// What the policies say of the task kinds.
pub struct TaskKinds<'a> {
    pub plurals: &'a [String],
    /// Fields that list commands of the requester's choice.
    pub commands_fields: &'a [&'static str],
    /// Fields that refer to a Secret by `name`.
    pub secret_fields: &'a [&'static str],
}

struct AdmissionPolicy {
    /// Of the policy and its binding.
    name: &'static str,
    description: &'static str,
    resources: Vec<Resources>,
    /// Name and expression; the policy is about what meets all.
    conditions: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    validations: Vec<Validation>,
    /// Whether it reads the parameters, without which it refuses.
    parameterised: bool,
}

/// What of a group a policy is about, when it is created or updated.
struct Resources {
    group: &'static str,
    version: &'static str,
    plurals: Vec<String>,
}

struct Validation {
    expression: String,
    /// What the requester is told; expressions in braces.
    message: String,
}

fn resources(group: &'static str, version: &'static str, plurals: &[&str]) -> Resources {
    Resources { group, version, plurals: plurals.iter().map(|&plural| plural.to_owned()).collect() }
}

fn task_resources(kinds: &TaskKinds) -> Resources {
    Resources { group: GROUP, version: VERSION, plurals: kinds.plurals.to_vec() }
}

/// File name and documents of each policy with its binding, of the parameters, and of the kustomization.
pub fn files(kinds: &TaskKinds) -> Vec<(String, Vec<Value>)> {
    let policies = [
        requests::task_rights(kinds),
        requests::task_limits(kinds),
        requests::pod_templates(),
        operator::helper(),
        operator::account(),
    ];
    let file = |policy: AdmissionPolicy| {
        let stem = policy.name.trim_start_matches(names::OPERATOR).trim_start_matches('-');
        (format!("{stem}.yaml"), vec![policy.manifest(), policy.binding()])
    };
    let mut files: Vec<_> = policies.into_iter().map(file).collect();
    files.push(("parameters.yaml".into(), vec![default_parameters()]));
    let mut resources: Vec<&str> = files.iter().map(|(file, _)| file.as_str()).collect();
    resources.push("network-policy.yaml");
    let kustomization = json!({ "resources": resources });
    files.push(("kustomization.yaml".into(), vec![kustomization]));
    files
}

fn default_parameters() -> Value {
    let labels = settings().into_iter().filter(|setting| setting.variable.ends_with("_POD_LABEL"));
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": PARAMETERS,
            "namespace": names::OPERATOR,
            "annotations": { "kubernetes.io/description": "Parameters of the policies: see docs/policies.md." },
        },
        "data": {
            "operator": format!("system:serviceaccount:{0}:{0}", names::OPERATOR),
            "podLabels": labels.map(|setting| setting.default).collect::<Vec<_>>().join(","),
        },
    })
}

impl AdmissionPolicy {
    fn manifest(&self) -> Value {
        let rules = self.resources.iter().map(|resources| {
            json!({
                "apiGroups": [resources.group],
                "apiVersions": [resources.version],
                "operations": ["CREATE", "UPDATE"],
                "resources": resources.plurals,
            })
        });
        let named = |(name, expression): &(&str, String)| json!({ "name": name, "expression": expression });
        let validations = self.validations.iter().map(|validation| {
            json!({
                "expression": validation.expression,
                "messageExpression": message(&validation.message),
                "reason": "Forbidden",
            })
        });
        let mut manifest = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": self.name, "annotations": { "kubernetes.io/description": self.description } },
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": { "resourceRules": rules.collect::<Vec<_>>() },
                "matchConditions": self.conditions.iter().map(named).collect::<Vec<_>>(),
                "variables": self.variables.iter().map(named).collect::<Vec<_>>(),
                "validations": validations.collect::<Vec<_>>(),
            },
        });
        if self.parameterised {
            manifest["spec"]["paramKind"] = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        }
        manifest
    }

    fn binding(&self) -> Value {
        let mut binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": self.name },
            "spec": { "policyName": self.name, "validationActions": ["Deny"] },
        });
        if self.parameterised {
            // By which `make policies` finds what refers to the operator's namespace.
            binding["metadata"]["labels"] = json!({ format!("{GROUP}/parameters"): "true" });
            binding["spec"]["paramRef"] =
                json!({ "name": PARAMETERS, "namespace": names::OPERATOR, "parameterNotFoundAction": "Deny" });
        }
        binding
    }
}

/// The parameter that holds for the request's namespace: its own, else that of all. An expression that gives its key.
fn parameter_key(name: &str) -> String {
    format!("'{name}.' + request.namespace in variables.parameters ? '{name}.' + request.namespace : '{name}'")
}

/// The parameters, also where the ConfigMap has none.
fn parameters() -> (&'static str, String) {
    ("parameters", "has(params.data) ? params.data : {}".to_owned())
}

/// An expression for the words of a list with commas.
fn words(list: &str) -> String {
    format!("{list}.replace(' ', '').split(',')")
}

/// An expression for a text in which expressions stand in braces.
fn message(template: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "\\'"));
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, (expression, after))) =
        rest.split_once('{').and_then(|(text, tail)| Some((text, tail.split_once('}')?)))
    {
        if !text.is_empty() {
            parts.push(quoted(text));
        }
        parts.push(expression.to_owned());
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(quoted(rest));
    }
    parts.join(" + ")
}

/// The end of a message: where a parameter is changed, given a variable with its key.
fn in_parameters(key: &str) -> String {
    format!("{{variables.{key}}} of ConfigMap {{params.metadata.name}} in namespace {{params.metadata.namespace}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_text_and_expressions_by_turns() {
        for (template, expression) in
            [("no", "'no'"), ("{a}", "a"), ("{a} isn't {b.c}", "a + ' isn\\'t ' + b.c"), ("{a}{b} {", "a + b + ' {'")]
        {
            assert_eq!(message(template), expression);
        }
    }
}
