//! The calls that a run consists of.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplate};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{Request, Status};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::lean_object::LeanObject;
use crate::core::Blocked;
use crate::core::text::one_line;
use crate::core::views::{JobObject, JobView, PodObject, PodView};
use crate::helper;
use crate::names;
use crate::task::rejection;
use crate::task::source::{TargetObject, TemplateSource};
use crate::task::target::TargetKind;

/// How many events are read for one object.
const EVENTS_READ: u32 = 50;
/// How many events of a namespace are read by one call.
const EVENTS_PAGE: u32 = 500;

/// What became of an attempt to create a Job.
pub enum JobCreation {
    /// It did not exist before.
    Created(Arc<JobView>),
    /// A Job of that name was there; the caller checks whose it is.
    Found(Arc<JobView>),
    /// The API server does not want it.
    Rejected(Blocked),
}

/// The target as it is now, raw.
pub async fn get_target(
    client: &Client,
    namespace: &str,
    kind: TargetKind,
    name: &str,
) -> kube::Result<Option<TemplateSource>> {
    let path = match kind {
        TargetKind::Deployment => Deployment::url_path(&(), Some(namespace)),
        TargetKind::PodTemplate => PodTemplate::url_path(&(), Some(namespace)),
    };
    let request = Request::new(path).get(name, &GetParams::default()).map_err(kube::Error::BuildRequest)?;
    let object = optional(client.request::<TargetObject>(request).await)?;
    Ok(object.map(|object| TemplateSource::from_object(kind, object)))
}

/// What blocks, if the error is a rejection by the API server.
fn blocked_by(error: kube::Error, verdict: impl Fn(&Status) -> Option<Blocked>) -> kube::Result<Blocked> {
    match &error {
        kube::Error::Api(status) => verdict(status).ok_or(error),
        _ => Err(error),
    }
}

/// Whether the helper's ConfigMap is there: by an attempt to create one without its content, and not in earnest, as the
/// operator may not read ConfigMaps.
pub async fn has_helper(client: &Client, namespace: &str) -> kube::Result<bool> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let ConfigMap { metadata, immutable, .. } = helper::config_map();
    let empty = ConfigMap { metadata: metadata.clone(), immutable: *immutable, ..ConfigMap::default() };
    match api.create(&PostParams { dry_run: true, ..PostParams::default() }, &empty).await {
        Ok(_) => Ok(false),
        Err(error) if is_already_exists(&error) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Creates the helper's ConfigMap, unless it is there. What it holds is checked where it runs.
pub async fn create_helper(client: &Client, namespace: &str) -> kube::Result<Result<(), Blocked>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    match api.create(&PostParams::default(), helper::config_map()).await {
        Ok(_) => Ok(Ok(())),
        Err(error) if is_already_exists(&error) => Ok(Ok(())),
        Err(error) => blocked_by(error, |status| rejection::of_helper(helper::config_map_name(), status)).map(Err),
    }
}

/// Creates a Job, or finds the one that has its name.
pub async fn create_job(client: &Client, namespace: &str, name: &str, job: &Value) -> kube::Result<JobCreation> {
    let body = serde_json::to_vec(job).map_err(kube::Error::SerdeError)?;
    let request = Request::new(JobObject::url_path(&(), Some(namespace))).create(&PostParams::default(), body);
    match client.request::<JobView>(request.map_err(kube::Error::BuildRequest)?).await {
        Ok(created) => Ok(JobCreation::Created(Arc::new(created))),
        Err(error) if is_already_exists(&error) => {
            let jobs: Api<JobObject> = Api::namespaced(client.clone(), namespace);
            Ok(JobCreation::Found(Arc::new(jobs.get(name).await?.into())))
        }
        Err(error) => blocked_by(error, rejection::of_job).map(JobCreation::Rejected),
    }
}

/// Writes the status of an object, if the version that it was read in still is the newest.
pub async fn replace_status<K>(client: &Client, object: &K) -> kube::Result<LeanObject<K>>
where
    K: Resource<DynamicType = ()> + Serialize + DeserializeOwned,
{
    let meta = object.meta();
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let (path, name) = (K::url_path(&(), meta.namespace.as_deref()), meta.name.as_deref().unwrap_or_default());
    let request = Request::new(path).replace_subresource("status", name, &PostParams::default(), body);
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

/// A Job as it is now.
pub async fn get_job(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<JobView>> {
    let job = optional(Api::<JobObject>::namespaced(client.clone(), namespace).get(name).await)?;
    Ok(job.map(JobView::from))
}

/// The pods of a Job as they are now.
pub async fn list_pods(client: &Client, namespace: &str, job: &str) -> kube::Result<Vec<PodView>> {
    let api: Api<PodObject> = Api::namespaced(client.clone(), namespace);
    let pods = api.list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"))).await?;
    Ok(pods.items.into_iter().map(PodView::from).collect())
}

/// Lets a Job begin that was created suspended, and notes on it that it was let, in one step: if it still is the one of
/// this UID, and was not let before. What forbids it is no error.
pub async fn release_job(
    client: &Client,
    namespace: &str,
    name: &str,
    uid: &str,
) -> kube::Result<Result<JobView, Blocked>> {
    let api: Api<JobObject> = Api::namespaced(client.clone(), namespace);
    let held = format!("/metadata/annotations/{}", names::HELD_ANNOTATION.replace('/', "~1"));
    let steps = json!([
        { "op": "test", "path": "/metadata/uid", "value": uid },
        { "op": "remove", "path": held },
        { "op": "replace", "path": "/spec/suspend", "value": false },
    ]);
    let patch = serde_json::from_value(steps).map_err(kube::Error::SerdeError)?;
    match api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await {
        Ok(released) => Ok(Ok(released.into())),
        Err(error) if is_inapplicable(&error) => Err(error),
        Err(error) => blocked_by(error, rejection::of_job).map(Err),
    }
}

/// Whether a patch could not be applied to the object as it is.
pub fn is_inapplicable(error: &kube::Error) -> bool {
    is_not_found(error) || is_conflict(error) || matches!(error, kube::Error::Api(status) if status.reason == "Invalid")
}

/// What became of an attempt to delete an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is on its way out.
    Requested,
    /// There is none, or another of the same name, or a newer version.
    NotThere,
}

/// Deletes a Job with its pods, if it still is the one of this UID.
pub async fn delete_job(client: &Client, namespace: &str, name: &str, uid: &str) -> kube::Result<Deletion> {
    delete(&Api::<JobObject>::namespaced(client.clone(), namespace), name, uid, None).await
}

/// Deletes an object with what it owns, if it still is the one of this UID, and, if given, of this version.
pub async fn delete<K>(api: &Api<K>, name: &str, uid: &str, resource_version: Option<String>) -> kube::Result<Deletion>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version };
    match api.delete(name, &DeleteParams::background().preconditions(preconditions)).await {
        Ok(_) => Ok(Deletion::Requested),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(Deletion::NotThere),
        Err(error) => Err(error),
    }
}

/// The events about the object of this UID, newest first.
pub async fn list_events_about(client: &Client, namespace: &str, uid: &str) -> kube::Result<Vec<Event>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("regarding.uid={uid}")).limit(EVENTS_READ);
    let mut events = api.list(&params).await?.items;
    events.sort_by_key(|event| std::cmp::Reverse(last_seen(event)));
    Ok(events)
}

/// The events of a namespace about objects of a kind that count, newest first, by UID.
pub async fn list_events(
    client: &Client,
    namespace: &str,
    kind: &str,
    only_warnings: bool,
    counts: impl Fn(&str) -> bool,
) -> kube::Result<HashMap<String, Vec<Event>>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let type_ = if only_warnings { "type=Warning," } else { "" };
    let mut params = ListParams::default().fields(&format!("{type_}regarding.kind={kind}")).limit(EVENTS_PAGE);
    let mut found: HashMap<String, Vec<Event>> = HashMap::new();
    loop {
        let page = api.list(&params).await?;
        for event in page.items {
            let uid = event.regarding.as_ref().and_then(|regarding| regarding.uid.clone());
            if let Some(uid) = uid.filter(|uid| counts(uid)) {
                found.entry(uid).or_default().push(event);
            }
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            break;
        }
    }
    for events in found.values_mut() {
        events.sort_by_key(|event| std::cmp::Reverse(last_seen(event)));
    }
    Ok(found)
}

/// When an event last happened; older reporters set other fields.
fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let deprecated = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    let first = event.event_time.as_ref().map(|time| time.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    series.or(deprecated).or(first).or(created)
}

/// A failure in words that may stand in a status or a log.
pub fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => one_line(&format!("{} ({})", status.message, status.code)),
        kube::Error::Service(error) => one_line(&error.to_string()),
        other => one_line(&other.to_string()),
    }
}

fn is_already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_already_exists())
}

/// Whether a write met a newer version of the object, which the watch is about to bring.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "Conflict")
}

/// Whether the API server says that the object is not there: its own word, not an HTTP code that a proxy may answer with.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == "NotFound")
}

/// The object, if it is there.
pub fn optional<T>(answer: kube::Result<T>) -> kube::Result<Option<T>> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What kind of failure a call met, for the metrics.
pub fn category(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => match status.code {
            401 | 403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            429 => "throttled",
            400..=499 => "rejected",
            _ => "server",
        },
        kube::Error::SerdeError(_) => "unreadable",
        _ => "connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_a_category() {
        for (code, expected) in [
            (401, "forbidden"),
            (403, "forbidden"),
            (404, "not_found"),
            (409, "conflict"),
            (422, "rejected"),
            (429, "throttled"),
            (500, "server"),
            (504, "server"),
        ] {
            let status = Status::failure("no", "Reason").with_code(code);
            assert_eq!(category(&kube::Error::Api(status.boxed())), expected, "{code}");
        }
        let unreadable = serde_json::from_str::<u8>("x").unwrap_err();
        assert_eq!(category(&kube::Error::SerdeError(unreadable)), "unreadable");
        assert_eq!(category(&kube::Error::LinesCodecMaxLineLengthExceeded), "connection");
    }
}
