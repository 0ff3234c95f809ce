//! `check`: whether an installation is complete.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use http::Request;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use super::connection::{connect, words};
use crate::api::{GROUP, VERSION};
use crate::manifests::{self, KindManifest};
use crate::names;
use crate::settings::{Namespaces, parse_namespaces};

#[derive(Args)]
pub struct Check {
    /// What to look at [default: both].
    #[arg(value_enum)]
    subjects: Vec<Subject>,
    /// Namespaces that the operator works in, as its setting; empty: all.
    #[arg(long, env = "WATCH_NAMESPACE", default_value = "", value_parser = parse_namespaces)]
    watch_namespace: Namespaces,
    /// Namespace for what is tried without being done [default: that of the kubeconfig's context, or of this pod].
    #[arg(short, long)]
    namespace: Option<String>,
    /// Account to act as, such as `system:serviceaccount:shop:django-operator`; takes the right to impersonate it [default: the
    /// kubeconfig's, or this pod's].
    #[arg(long = "as")]
    account: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Whether this account may do what the operator does.
    Rights,
    /// Whether the API server has the kinds as this version knows them, and would take a task of each.
    Kinds,
}

/// What was found: in order, or what is wrong and what to do.
type Finding = Result<String, String>;

impl Check {
    /// Prints what is in order and what is not.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let findings = match runtime {
            Ok(runtime) => runtime.block_on(self.findings()),
            Err(error) => vec![Err(error.to_string())],
        };
        for finding in &findings {
            match finding {
                Ok(well) => println!("ok: {well}"),
                Err(problem) => println!("failed: {problem}"),
            }
        }
        if findings.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn findings(self) -> Vec<Finding> {
        let (client, own_namespace) = match connect(self.account.as_deref()).await {
            Ok(connected) => connected,
            Err(error) => return vec![Err(error)],
        };
        let looks_at = |subject| self.subjects.is_empty() || self.subjects.contains(&subject);
        let namespace = self.namespace.as_ref().unwrap_or(&own_namespace);
        let account = account(&client).await;
        // The lease is where the operator is, whose account this is.
        let home =
            account.as_ref().ok().and_then(|name| service_account_namespace(name)).unwrap_or(&own_namespace).to_owned();
        let mut findings = vec![account.map(|name| format!("account {name}"))];
        if looks_at(Subject::Rights) {
            findings.extend(rights(&client, &self.watch_namespace.0, &home).await);
            findings.push(helper(&client, namespace).await);
        }
        if looks_at(Subject::Kinds) {
            let schemas = published_schemas(&client).await;
            for kind in manifests::kinds() {
                findings.push(match &schemas {
                    Ok(schemas) => check_kind(&client, &kind, schemas, namespace).await,
                    Err(error) => Err(format!("{}: {error}", kind.name)),
                });
            }
        }
        findings
    }
}

/// Whom all that follows is about.
async fn account(client: &Client) -> Result<String, String> {
    let review = Api::all(client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await;
    let status = review.map_err(|error| format!("account: {error}"))?.status.and_then(|status| status.user_info);
    Ok(status.and_then(|user| user.username).unwrap_or_default())
}

/// The namespace of a service account, given its name as a user.
fn service_account_namespace(user: &str) -> Option<&str> {
    user.strip_prefix("system:serviceaccount:")?.split(':').next()
}

/// Whether the policies, if there are any, know this account for an operator's: nobody else hands out the helper.
async fn helper(client: &Client, namespace: &str) -> Finding {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let metadata = ObjectMeta { name: Some(format!("{}check", names::HELPER_PREFIX)), ..ObjectMeta::default() };
    let config_map = ConfigMap { metadata, immutable: Some(true), ..ConfigMap::default() };
    match api.create(&dry_run(), &config_map).await {
        Ok(_) => Ok(format!("the helper would be taken in namespace {namespace}")),
        Err(error) => Err(format!("the helper: {}", words(&error))),
    }
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// What the operator does in each of its namespaces (none: all), and with its lease.
async fn rights(client: &Client, watched: &[String], home: &str) -> Vec<Finding> {
    let (mut findings, rights) = (Vec::new(), manifests::operator_rights());
    let all = [String::new()];
    for namespace in if watched.is_empty() { &all } else { watched } {
        let what = match namespace.as_str() {
            "" => "rights in all namespaces".to_owned(),
            namespace => format!("rights in namespace {namespace}"),
        };
        findings.push(allowed(client, namespace, &what, &rights).await);
    }
    let what = format!("rights over the lease in namespace {home}");
    findings.push(allowed(client, home, &what, &manifests::lease_rights()).await);
    findings
}

async fn allowed(client: &Client, namespace: &str, what: &str, rights: &[ResourceAttributes]) -> Finding {
    let mut lacking = Vec::new();
    for right in rights {
        let word = |text: &Option<String>| text.clone().unwrap_or_default();
        let subresource = right.subresource.as_ref().map(|subresource| format!("/{subresource}"));
        let told = format!("{} {}{}", word(&right.verb), word(&right.resource), word(&subresource));
        let right = ResourceAttributes { namespace: Some(namespace.to_owned()), ..right.clone() };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(right), non_resource_attributes: None };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = Api::all(client.clone()).create(&PostParams::default(), &review).await;
        match answer {
            Ok(SelfSubjectAccessReview { status: Some(status), .. }) if status.allowed => {}
            Ok(_) => lacking.push(told),
            Err(error) => return Err(format!("{what}: {error}")),
        }
    }
    match lacking.as_slice() {
        [] => Ok(what.to_owned()),
        lacking => Err(format!("{what}: this account may not {}; apply the roles of this version", lacking.join(", "))),
    }
}

/// Whether the API server has a kind with all fields that this version knows, and would take a task of it.
async fn check_kind(client: &Client, kind: &KindManifest, schemas: &Value, namespace: &str) -> Finding {
    let name = kind.name;
    let missing = missing_fields(schemas, kind).ok_or_else(|| {
        format!("{name}: the API server does not know it; apply the CustomResourceDefinitions of this version")
    })?;
    if !missing.is_empty() {
        return Err(format!(
            "{name}: the CustomResourceDefinition is of another version than this program: it lacks {}; apply that of this version",
            missing.join(", ")
        ));
    }
    let task = kind.task().map_err(|problem| format!("{name}: {problem}"))?;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind.resource);
    let policy = manifests::task_rights_policy();
    match api.create(&dry_run(), &task).await {
        Ok(_) => Ok(format!("{name}: a task would be taken in namespace {namespace}")),
        // It comes after the schema.
        Err(kube::Error::Api(status)) if status.message.contains(&format!("'{policy}'")) => Ok(format!(
            "{name}: a task would be taken in namespace {namespace} of who has the rights that {policy} asks for"
        )),
        Err(error) => Err(format!("{name}: {}", words(&error))),
    }
}

/// The schemas of our group as the API server publishes them; null where it does not know the group.
async fn published_schemas(client: &Client) -> Result<Value, String> {
    let path = format!("/openapi/v3/apis/{GROUP}/{VERSION}");
    let request = Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
    match client.request::<Value>(request).await {
        Ok(mut published) => Ok(published["components"]["schemas"].take()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Value::Null),
        Err(error) => Err(error.to_string()),
    }
}

/// Fields of spec and status that this version knows and the API server does not; none if it does not know the kind.
fn missing_fields(schemas: &Value, kind: &KindManifest) -> Option<Vec<String>> {
    let of_kind = |schema: &&Value| {
        let kinds = schema["x-kubernetes-group-version-kind"].as_array();
        kinds.into_iter().flatten().any(|gvk| gvk["kind"] == kind.name && gvk["version"] == VERSION)
    };
    let published = fields(schemas.as_object()?.values().find(of_kind)?);
    let known = fields(&kind.crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]);
    Some(known.into_iter().filter(|field| !published.contains(field)).collect())
}

/// Paths of the fields of spec and status.
fn fields(schema: &Value) -> BTreeSet<String> {
    fn collect(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            collect(&path, field, found);
            collect(&path, &field["items"], found);
            found.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    for part in ["spec", "status"] {
        collect(part, &schema["properties"][part], &mut found);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_account_is_in_a_namespace_and_others_are_not() {
        for (user, expected) in
            [("system:serviceaccount:shop:django-operator", Some("shop")), ("system:admin", None), ("jane", None)]
        {
            assert_eq!(service_account_namespace(user), expected, "{user}");
        }
    }
}
