//! The chart of what a cluster has once: CRDs, ClusterRoles for people, policies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::chart::{self, Chart};
use super::template::Template;
use crate::manifests::policies::{GATE, GATE_OF_OLDER_CLUSTERS, LIMITS_CONFIG_MAP, operators};
use crate::manifests::{KindManifest, manager, yaml};

const LABELS: &str = "django-operator-cluster.labels";

/// Values of the cluster's chart.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Values {
    /// The CustomResourceDefinitions.
    crds: Crds,
    /// Policies that make the kinds safe to delegate: docs/policies.md.
    policies: Policies,
    /// The gate, for pods that ask for it: docs/gate.md.
    gate: Gate,
    /// ClusterRoles for people.
    user_roles: UserRoles,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Crds {
    /// Whether the release has them. An upgrade of the release upgrades them.
    enabled: bool,
    /// Whether an uninstallation leaves them, and with them all tasks, where they are. A release of the same name and
    /// namespace takes them over again; one of another name with helm's --take-ownership.
    keep: bool,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Policies {
    /// Whether there are policies.
    enabled: bool,
    /// Limits on commands, service accounts and images.
    limits: Limits,
    /// Namespaces that operators run in, such as `[shop]`: their accounts alone may do what operators do. Required with
    /// policies.
    #[schemars(inner(regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")))]
    operators: Vec<String>,
    /// Labels by which operators find their targets, as `key:value`: all that any operator's settings name.
    #[schemars(length(min = 1), inner(regex(pattern = r"^[A-Za-z0-9./_-]+:[A-Za-z0-9._-]+$")))]
    pod_labels: Vec<String>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Limits {
    /// Whether there are limits; only with policies. Once there are, take them back by empty parameters: where the API
    /// server was without limits for a while, it may refuse all tasks until it is restarted (kubernetes#133827).
    enabled: bool,
    /// What the limits are: the data of the ConfigMap, such as `commands.shop: "check, clearsessions"`.
    parameters: BTreeMap<String, String>,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Gate {
    /// Whether pods that ask for it start when their database is migrated. Kubernetes 1.36 or newer, or an older one whose
    /// API server has MutatingAdmissionPolicy switched on. Upgrade the operators before this.
    enabled: bool,
}

#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UserRoles {
    /// Whether there are django-viewer, django-runner and django-admin, which Kubernetes' view, edit and admin take in.
    enabled: bool,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            crds: Crds { enabled: true, keep: true },
            policies: Policies {
                enabled: false,
                limits: Limits { enabled: false, parameters: BTreeMap::new() },
                operators: Vec::new(),
                pod_labels: manager::target_labels(),
            },
            gate: Gate { enabled: false },
            user_roles: UserRoles { enabled: true },
        }
    }
}

/// The chart, given the CRDs and samples of the kinds, and path and documents of the other manifests.
pub fn chart(
    kinds: &[KindManifest],
    user_roles: &[(String, Vec<Value>)],
    policies: &[(String, Vec<Value>)],
) -> Result<Chart, String> {
    let (values, schema) = chart::schema::<Values>()?;
    let mut templates = Vec::new();
    let of_crds = Template {
        condition: ".Values.crds.enabled",
        labels: LABELS,
        annotation: Some(("helm.sh/resource-policy: keep", ".Values.crds.keep")),
        ..Template::default()
    };
    for kind in kinds {
        let text = of_crds.of(std::slice::from_ref(&kind.crd))?;
        templates.push((format!("templates/crds/{}.yaml", kind.resource.plural), text));
    }
    let of_roles = Template { condition: ".Values.userRoles.enabled", labels: LABELS, ..Template::default() };
    for (path, documents) in manifests(user_roles) {
        templates.push((template_path(path, "config/"), of_roles.of(documents)?));
    }
    let (account, labels) = (operators(), manager::target_labels().join(","));
    let replaced = [
        (account.as_str(), "{{ include \"django-operator-cluster.accounts\" . }}"),
        (labels.as_str(), "{{ join \",\" .Values.policies.podLabels }}"),
    ];
    let of_version = [("admissionregistration.k8s.io/v1", "{{ include \"django-operator-cluster.gateVersion\" . }}")];
    for (path, documents) in manifests(policies) {
        let (condition, replaced) = match path {
            path if path.starts_with(GATE_OF_OLDER_CLUSTERS) => continue, // the other file is of the cluster's version
            path if path.starts_with(GATE) => (".Values.gate.enabled", &of_version[..]),
            path if path.starts_with("policies/limits/") => {
                ("and .Values.policies.enabled .Values.policies.limits.enabled", &replaced[..])
            }
            _ => (".Values.policies.enabled", &replaced[..]),
        };
        let end = match documents.first() {
            Some(document) if document["kind"] == "ConfigMap" && document["metadata"]["name"] == LIMITS_CONFIG_MAP => {
                "data: {{- toYaml .Values.policies.limits.parameters | nindent 2 }}\n"
            }
            _ => "",
        };
        let template = Template { condition, labels: LABELS, replaced, end, ..Template::default() };
        templates.push((template_path(path, ""), template.of(documents)?));
    }
    Ok(Chart {
        name: "django-operator-cluster",
        description: "What django-operator needs once in a cluster: the kinds, roles for people, policies",
        introduction: "```sh\nhelm install django-operator-cluster config/helm/django-operator-cluster -n django-operator \
                       --create-namespace\n```\n\nAn upgrade of the release upgrades the kinds; an uninstallation leaves them, and \
                       all tasks, unless `crds.keep` is false.\n",
        annotations: json!({
            "artifacthub.io/category": "integration-delivery",
            "artifacthub.io/license": "Apache-2.0",
            "artifacthub.io/operator": "true",
            "artifacthub.io/crds": crd_list(kinds)?,
            "artifacthub.io/crdsExamples": examples(kinds)?,
        }),
        values,
        schema,
        templates,
    })
}

/// All but the kustomizations.
fn manifests(files: &[(String, Vec<Value>)]) -> impl Iterator<Item = (&str, &[Value])> {
    let manifests = files.iter().filter(|(path, _)| !path.ends_with("/kustomization.yaml"));
    manifests.map(|(path, documents)| (path.as_str(), documents.as_slice()))
}

fn template_path(path: &str, prefix: &str) -> String {
    format!("templates/{}", path.strip_prefix(prefix).unwrap_or(path))
}

/// For Artifact Hub, which takes texts.
fn crd_list(kinds: &[KindManifest]) -> Result<String, String> {
    let entries = kinds.iter().map(|KindManifest { name, crd, .. }| {
        let version = &crd["spec"]["versions"][0];
        json!({
            "kind": name,
            "name": crd["metadata"]["name"],
            "version": version["name"],
            "displayName": name,
            "description": version["schema"]["openAPIV3Schema"]["description"],
        })
    });
    yaml(&entries.collect())
}

fn examples(kinds: &[KindManifest]) -> Result<String, String> {
    let tasks: Result<Vec<Value>, String> = kinds.iter().map(KindManifest::sample_task).collect();
    yaml(&json!(tasks?))
}
