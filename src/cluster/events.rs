//! Events, which never fail a reconcile, and never hold one up.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::poll_fn;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::core::text::one_line;
use crate::task::notices::Notice;

/// Longest note of an event; the API server takes 1024 bytes.
const NOTE_LIMIT: usize = 1000;
/// How many events wait to be sent, should the API server not take them. What happened long ago, nobody is told as new.
const CAPACITY: usize = 1024;
/// How many events are sent at once.
const CONCURRENCY: usize = 16;
/// How many events are remembered, to count repetitions, which come soon or not at all.
const REMEMBERED: usize = 256;
/// How long the process waits at its end for events to be sent.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Sends events in the background.
pub struct EventPublisher {
    /// Until the process ends.
    sender: Mutex<Option<Sender<Publication>>>,
    sending: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be told of one object.
struct Publication {
    regarding: ObjectReference,
    job: Option<ObjectReference>,
    action: &'static str,
    notice: Notice,
}

impl EventPublisher {
    pub fn start(client: Client, reporter: Reporter) -> Self {
        let (sender, receiver) = channel(CAPACITY);
        let sending = tokio::spawn(send_all(receiver, client, reporter));
        Self { sender: Mutex::new(Some(sender)), sending: Mutex::new(Some(sending)) }
    }

    /// Tells people of an object, about a Job of it or not, and what was done.
    pub fn publish(
        &self,
        regarding: &ObjectReference,
        job: Option<&ObjectReference>,
        action: &'static str,
        notices: Vec<Notice>,
    ) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sender) = &*sender else { return };
        for notice in notices {
            let publication = Publication { regarding: regarding.clone(), job: job.cloned(), action, notice };
            if let Err(TrySendError::Full(lost)) = sender.try_send(publication) {
                let Publication { regarding, notice, .. } = lost;
                warn!(
                    kind = regarding.kind,
                    ns = regarding.namespace,
                    name = regarding.name,
                    reason = notice.reason,
                    "too many events wait to be sent; this one is not"
                );
            }
        }
    }

    /// Waits until what was told is sent, though not for long.
    pub async fn finish(&self) {
        drop(self.sender.lock().unwrap_or_else(PoisonError::into_inner).take());
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sending) = sending {
            let _ = tokio::time::timeout(LAST_WAIT, sending).await;
        }
    }
}

async fn send_all(mut receiver: Receiver<Publication>, client: Client, reporter: Reporter) {
    let publications = poll_fn(|context| receiver.poll_recv(context));
    let new_recorder = || Recorder::new(client.clone(), reporter.clone());
    // A recorder takes what has the same reason for the same, whatever it says: each note has one of its own.
    let mut recorders: HashMap<u64, Recorder> = HashMap::new();
    let with_recorder = publications.map(|publication| {
        if recorders.len() >= REMEMBERED {
            recorders.clear();
        }
        let Publication { regarding, notice, .. } = &publication;
        let mut hasher = DefaultHasher::new();
        (&regarding.uid, &notice.reason, &notice.note).hash(&mut hasher);
        (recorders.entry(hasher.finish()).or_insert_with(&new_recorder).clone(), publication)
    });
    with_recorder.for_each_concurrent(CONCURRENCY, |(recorder, publication)| send(recorder, publication)).await;
}

async fn send(recorder: Recorder, Publication { regarding, job, action, notice }: Publication) {
    let mut note = notice.note;
    while note.len() > NOTE_LIMIT {
        note.pop();
    }
    let event = Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: notice.reason,
        note: Some(note),
        action: action.into(),
        secondary: job,
    };
    if let Err(error) = recorder.publish(&event, &regarding).await {
        debug!(error = one_line(&error.to_string()), "event not published");
    }
}
