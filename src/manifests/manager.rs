//! The operator's Deployment, with every setting that it has.

use clap::{Args, Command};
use serde_json::{Value, json};

use super::{indented, yaml};
use crate::names;
use crate::settings::Settings;

/// Settings whose value is a field of the operator's own pod.
const FROM_POD: &[(&str, &str)] = &[
    ("WATCH_NAMESPACE", "metadata.namespace"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_NAME", "metadata.name"),
];

/// Where the plain manifest and the chart's template differ: each a piece of YAML.
pub struct Parts<'a> {
    /// Lines below `metadata:`, beside the name.
    pub metadata: &'a str,
    /// What a stand-by takes.
    pub stand_by: &'a str,
    pub replicas: &'a str,
    /// What follows `matchLabels:`.
    pub selector: &'a str,
    /// Lines below the pod's `metadata:`.
    pub pod_metadata: &'a str,
    /// Lines of the pod's spec that the plain manifest does not have.
    pub pod_spec: &'a str,
    /// What follows the pod's `securityContext:`.
    pub pod_security: &'a str,
    pub image: &'a str,
    pub pull_policy: &'a str,
    /// What follows `resources:`.
    pub resources: &'a str,
    /// The value of a setting: what follows its name, with its indentation.
    pub value: &'a dyn Fn(&Setting) -> String,
}

/// A setting of the operator.
pub struct Setting {
    pub variable: String,
    pub default: String,
    pub meaning: String,
    /// The words that it takes; none: any.
    pub words: Vec<String>,
}

impl Setting {
    /// The first sentence of its meaning.
    pub fn summary(&self) -> String {
        let meaning = self.meaning.split_whitespace().collect::<Vec<_>>().join(" ");
        meaning.split(". ").next().unwrap_or_default().to_owned()
    }

    /// Whether it is a label by which targets are found.
    pub fn is_target_label(&self) -> bool {
        self.variable.ends_with("_POD_LABEL")
    }

    /// The field of the operator's own pod that is its value.
    pub fn field_of_pod(&self) -> Option<&'static str> {
        FROM_POD.iter().find(|(name, _)| *name == self.variable).map(|(_, field)| *field)
    }
}

/// The settings, as the command line declares them.
pub fn settings() -> Vec<Setting> {
    let command = Settings::augment_args(Command::new("run"));
    let setting = |arg: &clap::Arg| {
        let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
        Some(Setting {
            variable: arg.get_env()?.to_string_lossy().into_owned(),
            default: default.unwrap_or_default(),
            meaning: arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default(),
            words: arg.get_possible_values().iter().map(|word| word.get_name().to_owned()).collect(),
        })
    };
    command.get_arguments().filter_map(setting).collect()
}

/// The labels of targets, as the settings are shipped.
pub fn target_labels() -> Vec<String> {
    settings().into_iter().filter(Setting::is_target_label).map(|setting| setting.default).collect()
}

/// What the operator needs of a node.
pub fn resources() -> Value {
    json!({ "limits": { "memory": "256Mi" }, "requests": { "cpu": "20m", "memory": "32Mi" } })
}

/// What its pod asks the node to hold it to.
pub fn pod_security() -> Value {
    json!({ "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": { "type": "RuntimeDefault" } })
}

/// The plain manifest.
pub fn deployment() -> Result<String, String> {
    Ok(manifest(&Parts {
        metadata: "  labels: &labels\n    app.kubernetes.io/name: django-operator\n    app.kubernetes.io/component: manager\n",
        stand_by: "LEADER_ELECTION \"true\" and 2 replicas",
        replicas: "1",
        selector: "*labels",
        pod_metadata: "      labels: *labels\n",
        pod_spec: "",
        pod_security: &block(&pod_security(), 8)?,
        image: names::OPERATOR,
        pull_policy: "IfNotPresent",
        resources: &block(&resources(), 12)?,
        value: &plain_value,
    }))
}

/// A value as YAML below its field, indented by so many blanks.
fn block(value: &Value, indent: usize) -> Result<String, String> {
    Ok(format!("\n{}", indented(&yaml(value)?, indent).trim_end()))
}

/// The Deployment with its parts.
pub fn manifest(parts: &Parts) -> String {
    let Parts { metadata, stand_by, replicas, selector, pod_metadata, pod_spec, .. } = parts;
    let Parts { pod_security, image, pull_policy, resources, value, .. } = parts;
    let env: String = settings().iter().map(|setting| variable(setting, &value(setting))).collect();
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata:
  name: django-operator
{metadata}spec:
  # One is enough: while none runs, nothing is lost, and Jobs go on. A stand-by takes
  # {stand_by}.
  replicas: {replicas}
  strategy:
    type: Recreate
  selector:
    matchLabels: {selector}
  template:
    metadata:
{pod_metadata}    spec:
      serviceAccountName: django-operator
      terminationGracePeriodSeconds: 15
{pod_spec}      securityContext:{pod_security}
      containers:
        - name: manager
          image: {image}
          imagePullPolicy: {pull_policy}
          args: [run]
          env:
{env}          ports:
            - name: metrics
              containerPort: 8080
          livenessProbe:
            httpGet:
              path: /livez
              port: metrics
          readinessProbe:
            httpGet:
              path: /readyz
              port: metrics
            periodSeconds: 2
          resources:{resources}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
"
    )
}

fn variable(setting: &Setting, value: &str) -> String {
    let comment = setting.summary();
    format!("            # {comment}\n            - name: {}\n{value}", setting.variable)
}

pub fn plain_value(setting: &Setting) -> String {
    match setting.field_of_pod() {
        Some(field) => {
            format!("              valueFrom:\n                fieldRef:\n                  fieldPath: {field}\n")
        }
        None => format!("              value: {:?}\n", setting.default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployment_names_every_setting() {
        let deployment = deployment().unwrap();
        for setting in settings() {
            assert!(deployment.contains(&format!("- name: {}\n", setting.variable)), "{}", setting.variable);
            assert!(!setting.meaning.is_empty(), "{}", setting.variable);
        }
    }
}
