//! Events, which never fail a reconcile, and never hold one up.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::task::JoinHandle;
use tracing::debug;

use crate::core::text::one_line;
use crate::task::notices::Notice;

/// Longest note of an event; the API server takes 1024 bytes.
const NOTE_LIMIT: usize = 1000;
/// How many events are sent at once.
const CONCURRENCY: usize = 16;
/// After how many events a recorder is replaced. It keeps, and goes through, all that it sent in the last minutes, to
/// count repetitions, which come soon or not at all.
const EVENTS_OF_A_RECORDER: usize = 256;
/// How long the process waits at its end for events to be sent.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Sends events in the background.
pub struct EventPublisher {
    sender: UnboundedSender<Publication>,
    sending: Mutex<Option<JoinHandle<()>>>,
}

/// What is to be told of one object.
struct Publication {
    regarding: ObjectReference,
    job: Option<ObjectReference>,
    notice: Notice,
}

impl EventPublisher {
    pub fn start(client: Client, reporter: Reporter) -> Self {
        let (sender, receiver) = unbounded();
        let sending = tokio::spawn(send_all(receiver, client, reporter));
        Self { sender, sending: Mutex::new(Some(sending)) }
    }

    /// Tells people of an object.
    pub fn publish(&self, regarding: &ObjectReference, job: Option<&ObjectReference>, notices: Vec<Notice>) {
        for notice in notices {
            // There is no receiver only when the process ends.
            let _ = self.sender.unbounded_send(Publication { regarding: regarding.clone(), job: job.cloned(), notice });
        }
    }

    /// Waits until what was told is sent, though not for long.
    pub async fn finish(&self) {
        self.sender.close_channel();
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sending) = sending {
            let _ = tokio::time::timeout(LAST_WAIT, sending).await;
        }
    }
}

async fn send_all(publications: UnboundedReceiver<Publication>, client: Client, reporter: Reporter) {
    let new_recorder = || Recorder::new(client.clone(), reporter.clone());
    let (mut recorder, mut sent) = (new_recorder(), 0);
    let with_recorder = publications.map(|publication| {
        sent += 1;
        if sent % EVENTS_OF_A_RECORDER == 0 {
            recorder = new_recorder();
        }
        (recorder.clone(), publication)
    });
    with_recorder.for_each_concurrent(CONCURRENCY, |(recorder, publication)| send(recorder, publication)).await;
}

async fn send(recorder: Recorder, Publication { regarding, job, notice }: Publication) {
    let mut note = notice.note;
    while note.len() > NOTE_LIMIT {
        note.pop();
    }
    let event = Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: notice.reason,
        note: Some(note),
        action: "RunTask".into(),
        secondary: job,
    };
    if let Err(error) = recorder.publish(&event, &regarding).await {
        debug!(error = one_line(&error.to_string()), "event not published");
    }
}
