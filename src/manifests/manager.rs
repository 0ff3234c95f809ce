//! The operator's Deployment, with every setting that it has.

use clap::{Args, Command};

use crate::settings::Settings;

/// Settings whose value is a field of the operator's own pod.
const FROM_POD: &[(&str, &str)] = &[
    ("WATCH_NAMESPACE", "metadata.namespace"),
    ("POD_NAMESPACE", "metadata.namespace"),
    ("POD_NAME", "metadata.name"),
];

const DEPLOYMENT_HEAD: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: django-operator
  labels: &labels
    app.kubernetes.io/name: django-operator
    app.kubernetes.io/component: manager
spec:
  # One is enough: while none runs, nothing is lost, and Jobs go on. For a stand-by, set LEADER_ELECTION
  # to "true" and replicas to 2.
  replicas: 1
  strategy:
    type: Recreate
  selector:
    matchLabels: *labels
  template:
    metadata:
      labels: *labels
    spec:
      serviceAccountName: django-operator
      terminationGracePeriodSeconds: 15
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: manager
          image: django-operator
          imagePullPolicy: IfNotPresent
          args: [run]
          env:
"#;

const DEPLOYMENT_TAIL: &str = "          ports:
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
          resources:
            requests:
              cpu: 20m
              memory: 32Mi
            limits:
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
";

/// A setting of the operator.
pub struct Setting {
    pub variable: String,
    pub default: String,
    pub meaning: String,
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
        })
    };
    command.get_arguments().filter_map(setting).collect()
}

pub fn deployment() -> String {
    let env: String = settings().iter().map(variable).collect();
    format!("{DEPLOYMENT_HEAD}{env}{DEPLOYMENT_TAIL}")
}

fn variable(setting: &Setting) -> String {
    let Setting { variable, default, meaning } = setting;
    let meaning = meaning.split_whitespace().collect::<Vec<_>>().join(" ");
    let comment = meaning.split(". ").next().unwrap_or_default();
    let value = match FROM_POD.iter().find(|(name, _)| name == variable) {
        Some((_, field)) => {
            format!("              valueFrom:\n                fieldRef:\n                  fieldPath: {field}\n")
        }
        None => format!("              value: {default:?}\n"),
    };
    format!("            # {comment}\n            - name: {variable}\n{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_and_the_deployment_name_every_setting() {
        let readme = include_str!("../../README.md");
        for setting in settings() {
            assert!(deployment().contains(&format!("- name: {}\n", setting.variable)), "{}", setting.variable);
            assert!(!setting.meaning.is_empty(), "{}", setting.variable);
            assert!(readme.contains(&setting.variable), "README.md: {}", setting.variable);
        }
    }
}
