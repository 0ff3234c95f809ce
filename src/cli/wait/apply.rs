//! Applies the manifests of tasks.

use std::path::Path;
use std::time::Duration;

use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::Value;
use tokio::time::Instant;

use super::tasks::TaskName;
use super::watching::{Awaited, tell};
use super::{Ending, FORBIDDEN, FORBIDDEN_PATIENCE, USAGE, is_forbidden};
use crate::cli::connection::words;

/// Owner of the fields that are applied.
const FIELD_MANAGER: &str = "django-operator-apply";
/// How soon a call is made again that met no answer.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The manifests of a file, `-` being standard input; `List`s are taken apart.
pub async fn read(filename: &Path) -> Result<Vec<Value>, Ending> {
    let name = filename.display().to_string();
    let path = filename.to_owned();
    // Not in the way of the timeout.
    let reading = tokio::task::spawn_blocking(move || match path.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(path),
    });
    let invalid = |problem: &str| Ending::new(USAGE, format!("{name}: {problem}"));
    let text =
        reading.await.map_err(|error| invalid(&error.to_string()))?.map_err(|error| invalid(&error.to_string()))?;
    let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| {
        // The error itself quotes what stands there.
        let line = error.location().map_or_else(String::new, |place| format!(" in line {}", place.line()));
        invalid(&format!("is no YAML or JSON{line}"))
    })?;
    let mut manifests = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                manifests.extend(list.remove("items").and_then(|items| items.as_array().cloned()).unwrap_or_default());
            }
            manifest => manifests.push(manifest),
        }
    }
    match manifests.is_empty() {
        true => Err(invalid("has no manifest")),
        false => Ok(manifests),
    }
}

/// Applies them on the server's side, and takes the fields over that others own.
pub async fn apply(client: &Client, namespace: &str, manifests: &[Value]) -> Result<Vec<Awaited>, Ending> {
    // All are looked at before the first is applied.
    let mut tasks = Vec::new();
    for manifest in manifests {
        let task = TaskName::of_manifest(manifest).map_err(|problem| Ending::new(USAGE, problem))?;
        if let Some(home) = manifest["metadata"]["namespace"].as_str().filter(|home| *home != namespace) {
            return Err(Ending::new(USAGE, format!("{task} is of namespace {home}; write --namespace={home}")));
        }
        tasks.push(task);
    }
    let mut awaited = Vec::new();
    for (task, manifest) in tasks.into_iter().zip(manifests) {
        let applied = apply_one(client, namespace, &task, manifest).await?;
        tell(&format!("{task} applied"));
        awaited.push(Awaited { uid: applied.metadata.uid, generation: applied.metadata.generation, task });
    }
    Ok(awaited)
}

/// Applies one; again, as long as nobody says that it cannot be.
async fn apply_one(
    client: &Client,
    namespace: &str,
    task: &TaskName,
    manifest: &Value,
) -> Result<DynamicObject, Ending> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &task.resource);
    let (parameters, patch) = (PatchParams::apply(FIELD_MANAGER).force(), Patch::Apply(manifest));
    let (mut forbidden_since, mut told) = (None, String::new());
    loop {
        let error = match api.patch(&task.name, &parameters, &patch).await {
            Ok(applied) => return Ok(applied),
            Err(error) => error,
        };
        let message = words(&error);
        let ending = |code| Ending::new(code, format!("{task}: {message}"));
        if is_forbidden(&error) {
            if forbidden_since.get_or_insert_with(Instant::now).elapsed() >= FORBIDDEN_PATIENCE {
                return Err(ending(FORBIDDEN));
            }
        } else if is_final(&error) {
            return Err(ending(USAGE));
        }
        if message != told {
            tell(&format!("{task} {message}"));
            told = message;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
}

/// Whether the API server says that the manifest cannot be applied.
fn is_final(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match status.code {
        429 => false,
        400..=499 => true,
        // What the schema does not know.
        500 => status.message.contains("failed to create typed patch object"),
        _ => false,
    }
}
