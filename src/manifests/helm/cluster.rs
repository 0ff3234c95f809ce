//! The chart of what a cluster has once: CRDs, ClusterRoles for people, policies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::chart::{self, Chart};
use super::template::Template;
use crate::api::GROUP;
use crate::manifests::manager;
use crate::manifests::policies::LIMITS_CONFIG_MAP;
use crate::names;

const LABELS: &str = "django-operator-cluster.labels";

/// Values of the cluster's chart.
#[derive(JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Values {
    /// The CustomResourceDefinitions.
    crds: Crds,
    /// Policies that make the kinds safe to delegate: docs/policies.md.
    policies: Policies,
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
                pod_labels: shipped_labels(),
            },
            user_roles: UserRoles { enabled: true },
        }
    }
}

/// The labels of targets, as the settings are shipped.
fn shipped_labels() -> Vec<String> {
    let labels = manager::settings().into_iter().filter(|setting| setting.variable.ends_with("_POD_LABEL"));
    labels.map(|setting| setting.default).collect()
}

/// The chart, given the CRDs and samples of the kinds, and path and documents of the other manifests.
pub fn chart(
    crds: &[Value],
    samples: &[&str],
    user_roles: &[(String, Vec<Value>)],
    policies: &[(String, Vec<Value>)],
) -> Result<Chart, String> {
    let (values, schema) = chart::schema::<Values>()?;
    let mut templates = Vec::new();
    for crd in crds {
        let keep = Some(("helm.sh/resource-policy: keep", ".Values.crds.keep"));
        let text = template(".Values.crds.enabled", keep, &[], "").of(std::slice::from_ref(crd))?;
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default();
        templates.push((format!("templates/crds/{plural}.yaml"), text));
    }
    for (path, documents) in manifests(user_roles) {
        templates.push((
            template_path(path, "config/"),
            template(".Values.userRoles.enabled", None, &[], "").of(documents)?,
        ));
    }
    let account = format!("system:serviceaccount:{0}:{0}", names::OPERATOR);
    let labels = shipped_labels().join(",");
    let replaced = [
        (account.as_str(), "{{ include \"django-operator-cluster.accounts\" . }}"),
        (labels.as_str(), "{{ join \",\" .Values.policies.podLabels }}"),
    ];
    for (path, documents) in manifests(policies) {
        let condition = if path.starts_with("policies/limits/") {
            "and .Values.policies.enabled .Values.policies.limits.enabled"
        } else {
            ".Values.policies.enabled"
        };
        let end = match documents.first() {
            Some(document) if document["kind"] == "ConfigMap" && document["metadata"]["name"] == LIMITS_CONFIG_MAP => {
                "data: {{- toYaml .Values.policies.limits.parameters | nindent 2 }}\n"
            }
            _ => "",
        };
        templates.push((template_path(path, ""), template(condition, None, &replaced, end).of(documents)?));
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
            "artifacthub.io/crds": crd_list(crds)?,
            "artifacthub.io/crdsExamples": examples(samples)?,
        }),
        values,
        schema,
        templates,
    })
}

fn template<'a>(
    condition: &'a str,
    annotation: Option<(&'a str, &'a str)>,
    replaced: &'a [(&'a str, &'a str)],
    end: &'a str,
) -> Template<'a> {
    Template { condition, labels: LABELS, annotation, replaced, end }
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
fn crd_list(crds: &[Value]) -> Result<String, String> {
    let entries = crds.iter().map(|crd| {
        let version = &crd["spec"]["versions"][0];
        json!({
            "kind": crd["spec"]["names"]["kind"],
            "name": crd["metadata"]["name"],
            "version": version["name"],
            "displayName": crd["spec"]["names"]["kind"],
            "description": version["schema"]["openAPIV3Schema"]["description"],
        })
    });
    yaml(&entries.collect())
}

/// The resources of our kinds in the samples.
fn examples(samples: &[&str]) -> Result<String, String> {
    let mut examples = Vec::new();
    for sample in samples {
        let documents: Vec<Value> = serde_saphyr::from_multiple(sample).map_err(|error| error.to_string())?;
        let ours = |document: &Value| document["apiVersion"].as_str().is_some_and(|version| version.starts_with(GROUP));
        examples.extend(documents.into_iter().filter(ours));
    }
    yaml(&json!(examples))
}

fn yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}
