//! Events, which never fail a reconcile.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tracing::debug;

use crate::core::text::one_line;
use crate::task::notices::Notice;

/// Longest note of an event; the API server takes 1024 bytes.
const NOTE_LIMIT: usize = 1000;

/// Publishes the notices about one object.
pub async fn publish(
    recorder: &Recorder,
    regarding: &ObjectReference,
    job: Option<ObjectReference>,
    notices: Vec<Notice>,
) {
    for notice in notices {
        let mut note = notice.note;
        while note.len() > NOTE_LIMIT {
            note.pop();
        }
        let event = Event {
            type_: if notice.warning { EventType::Warning } else { EventType::Normal },
            reason: notice.reason,
            note: Some(note),
            action: "RunTask".into(),
            secondary: job.clone(),
        };
        if let Err(error) = recorder.publish(&event, regarding).await {
            debug!(error = one_line(&error.to_string()), "event not published");
        }
    }
}
