//! What somebody asks for by the annotation `requestedAt`.

use kube::ResourceExt;

use crate::api::TaskStatus;
use crate::names;

/// The value that asks for a run.
pub fn requested(task: &impl ResourceExt) -> Option<&String> {
    task.annotations().get(names::REQUESTED_AT_ANNOTATION).filter(|value| !value.is_empty())
}

/// Whether it asks for a run that there was none for.
pub fn is_open(requested: Option<&String>, status: &TaskStatus) -> bool {
    requested.is_some() && requested != status.last_handled_request.as_ref()
}
