//! ValidatingAdmissionPolicies: who may ask for what, and what the operator's own account may do. Optional: the operator
//! works without them.
//!
//! Those that guard are without parameters, which have ways of their own to be missing: they say what they hold to in
//! texts that `make policies` replaces. Those that limit, in `limits`, read a ConfigMap.

mod expressions;
mod gate;
mod limits;
mod operator;
mod requests;

use serde_json::{Value, json};

use super::directory;
use crate::api::{GROUP, VERSION};
use expressions::message;
pub use expressions::operators;
pub use gate::{GATE, GATE_OF_OLDER_CLUSTERS};

/// What the policies say of the task kinds.
pub struct TaskKinds<'a> {
    pub names: &'a [&'static str],
    pub plurals: &'a [String],
    /// Fields that list commands of the requester's choice.
    pub commands_fields: &'a [&'static str],
    /// Fields that refer to a Secret by `name`.
    pub secret_fields: &'a [&'static str],
}

struct AdmissionPolicy {
    /// Of the policy and its binding, after the operator's.
    name: &'static str,
    description: &'static str,
    resources: Vec<Resources>,
    /// Labels of the objects that it is about; none: all.
    labels: Option<Value>,
    /// Name and expression; the policy is about what meets all.
    conditions: Vec<(&'static str, String)>,
    variables: Vec<(&'static str, String)>,
    validations: Vec<Validation>,
    /// The ConfigMap with its parameters, without which it refuses.
    parameters: Option<Parameters>,
}

/// Name of the policy by which who may not do something by themselves cannot have it done by a task.
pub fn task_rights_policy() -> String {
    full_name(requests::TASK_RIGHTS)
}

fn full_name(name: &str) -> String {
    format!("django-operator-{name}")
}

/// Name of the ConfigMap with the limits.
pub const LIMITS_CONFIG_MAP: &str = "limits";

/// Name and namespace of a ConfigMap.
#[derive(Clone, Copy)]
struct Parameters {
    name: &'static str,
    namespace: &'static str,
}

/// What of a group a policy is about, and when.
struct Resources {
    group: &'static str,
    version: &'static str,
    plurals: Vec<String>,
    operations: &'static [&'static str],
}

impl Resources {
    fn new(group: &'static str, version: &'static str, plurals: &[impl ToString]) -> Self {
        let plurals = plurals.iter().map(ToString::to_string).collect();
        Self { group, version, plurals, operations: &["CREATE", "UPDATE"] }
    }

    fn tasks(kinds: &TaskKinds) -> Self {
        Self::new(GROUP, VERSION, kinds.plurals)
    }

    fn created(self) -> Self {
        Self { operations: &["CREATE"], ..self }
    }
}

struct Validation {
    expression: String,
    /// What the requester is told; expressions in braces.
    message: String,
}

/// Path and documents of each generated file.
pub fn files(kinds: &TaskKinds) -> Vec<(String, Vec<Value>)> {
    let guards = [requests::rights(kinds), requests::pod_templates(), operator::helper(), operator::account(kinds)];
    let limits = [limits::tasks(kinds), limits::jobs()];
    let mut files = directory("policies/", guards.map(AdmissionPolicy::file).into());
    let mut limit_files = limits::parameter_files();
    limit_files.extend(limits.map(AdmissionPolicy::file));
    files.extend(directory("policies/limits/", limit_files));
    files.extend(gate::files());
    files
}

impl AdmissionPolicy {
    fn file(self) -> (String, Vec<Value>) {
        (format!("{}.yaml", self.name), vec![self.manifest(), self.binding()])
    }

    fn manifest(&self) -> Value {
        let rules = self.resources.iter().map(|resources| {
            json!({
                "apiGroups": [resources.group],
                "apiVersions": [resources.version],
                "operations": resources.operations,
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
        let mut spec = json!({
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": rules.collect::<Vec<_>>() },
            "validations": validations.collect::<Vec<_>>(),
        });
        if let Some(labels) = &self.labels {
            spec["matchConstraints"]["objectSelector"] = json!({ "matchLabels": labels });
        }
        if !self.conditions.is_empty() {
            spec["matchConditions"] = self.conditions.iter().map(named).collect();
        }
        if !self.variables.is_empty() {
            spec["variables"] = self.variables.iter().map(named).collect();
        }
        if self.parameters.is_some() {
            spec["paramKind"] = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": { "name": full_name(self.name), "annotations": { "kubernetes.io/description": self.description } },
            "spec": spec,
        })
    }

    fn binding(&self) -> Value {
        let mut spec = json!({ "policyName": full_name(self.name), "validationActions": ["Deny"] });
        if let Some(Parameters { name, namespace }) = self.parameters {
            spec["paramRef"] = json!({ "name": name, "namespace": namespace, "parameterNotFoundAction": "Deny" });
        }
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": { "name": full_name(self.name) },
            "spec": spec,
        })
    }
}
