//! The single calls that a run consists of. Each reads or writes one thing.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodTemplate};
use k8s_openapi::api::events::v1::Event;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::{Api, Client, Resource};
use serde_json::Value;

use crate::core::Blocked;
use crate::core::Reason;
use crate::core::observed::{JobView, PodView};
use crate::helper;
use crate::task::progress::{Obstacle, from_events};
use crate::task::source::TemplateSource;
use crate::task::target::TargetKind;

/// How many events are read for one object.
const EVENTS_READ: u32 = 50;

/// What became of an attempt to create a Job.
pub enum Creation {
    /// It exists now, and is the caller's to check for its owner.
    Exists(Box<JobView>),
    /// The API server does not want it.
    Refused(Blocked),
}

/// The target as it is now, raw.
pub async fn target(
    client: &Client,
    namespace: &str,
    kind: TargetKind,
    name: &str,
) -> kube::Result<Option<TemplateSource>> {
    let resource = match kind {
        TargetKind::Deployment => ApiResource::erase::<Deployment>(&()),
        TargetKind::PodTemplate => ApiResource::erase::<PodTemplate>(&()),
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object = api.get_opt(name).await?;
    let raw = object.map(|object| serde_json::to_value(object).map_err(kube::Error::SerdeError)).transpose()?;
    Ok(raw.map(|raw| TemplateSource::from_object(kind, &raw)))
}

/// Sees to it that the helper's ConfigMap is there and is what this operator would put there.
pub async fn helper(client: &Client, namespace: &str) -> kube::Result<Result<(), Blocked>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let wanted = helper::config_map();
    let found = match api.get_opt(helper::name()).await? {
        Some(found) => found,
        None => match api.create(&PostParams::default(), wanted).await {
            Ok(made) => made,
            Err(error) if already_exists(&error) => api.get(helper::name()).await?,
            Err(kube::Error::Api(status)) if [400, 403, 422].contains(&status.code) => {
                let message = format!("ConfigMap {}: {}", helper::name(), status.message);
                return Ok(Err(Blocked::reconciling(Reason::JobRejected, message)));
            }
            Err(error) => return Err(error),
        },
    };
    let same = found.immutable == Some(true) && found.binary_data == wanted.binary_data && found.data == wanted.data;
    Ok(if same {
        Ok(())
    } else {
        Err(Blocked::stalled(
            Reason::HelperTampered,
            format!(
                "ConfigMap {} does not hold what this operator would put there, or is not immutable; delete it, and the operator makes it anew",
                helper::name()
            ),
        ))
    })
}

/// Creates a Job, or finds the one that has its name.
pub async fn create_job(client: &Client, namespace: &str, name: &str, job: &Value) -> kube::Result<Creation> {
    let resource = ApiResource::erase::<JobView>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let object: DynamicObject = serde_json::from_value(job.clone()).map_err(kube::Error::SerdeError)?;
    let made = match api.create(&PostParams::default(), &object).await {
        Ok(made) => made,
        Err(error) if already_exists(&error) => {
            let jobs: Api<JobView> = Api::namespaced(client.clone(), namespace);
            return Ok(Creation::Exists(Box::new(jobs.get(name).await?)));
        }
        Err(kube::Error::Api(status)) if [400, 422].contains(&status.code) => {
            return Ok(Creation::Refused(Blocked::stalled(Reason::JobRejected, status.message.clone())));
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Ok(Creation::Refused(Blocked::reconciling(Reason::JobRejected, status.message.clone())));
        }
        Err(error) => return Err(error),
    };
    let view = serde_json::to_value(made).and_then(serde_json::from_value).map_err(kube::Error::SerdeError)?;
    Ok(Creation::Exists(Box::new(view)))
}

/// A Job as it is now.
pub async fn job(client: &Client, namespace: &str, name: &str) -> kube::Result<Option<JobView>> {
    Api::<JobView>::namespaced(client.clone(), namespace).get_opt(name).await
}

/// The pods of a Job as they are now.
pub async fn pods(client: &Client, namespace: &str, job: &str) -> kube::Result<Vec<PodView>> {
    let api: Api<PodView> = Api::namespaced(client.clone(), namespace);
    Ok(api.list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"))).await?.items)
}

/// Deletes a Job with its pods, if it still is the one of this UID.
pub async fn delete_job(client: &Client, namespace: &str, name: &str, uid: &str) -> kube::Result<()> {
    delete(&Api::<JobView>::namespaced(client.clone(), namespace), name, uid, None).await
}

/// Deletes an object with what it owns, if it still is the one of this UID, and, if given, of this version.
pub async fn delete<K>(api: &Api<K>, name: &str, uid: &str, resource_version: Option<String>) -> kube::Result<()>
where
    K: Resource + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version };
    match api.delete(name, &DeleteParams::background().preconditions(preconditions)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

/// What events say about the object of this UID that keeps a pod from starting.
pub async fn obstacle_in_events(client: &Client, namespace: &str, uid: &str) -> kube::Result<Option<Obstacle>> {
    let api: Api<Event> = Api::namespaced(client.clone(), namespace);
    let params = ListParams::default().fields(&format!("regarding.uid={uid}")).limit(EVENTS_READ);
    let events = api.list(&params).await?.items;
    let told = events.iter().rev().filter_map(|e| Some((e.reason.as_deref()?, e.note.as_deref()?)));
    Ok(from_events(told))
}

fn already_exists(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_already_exists())
}

/// Whether a write met a newer version of the object, which the watch is about to bring.
pub fn conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether the object is gone.
pub fn gone(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_not_found())
}
