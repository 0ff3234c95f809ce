//! What events say of pods that do not start. The API server goes through all events of a namespace for each question,
//! so that they are read apart from the reconciles, a few at a time, and for many objects at once.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use tokio::sync::Notify;
use tracing::warn;

use super::object_key::ObjectKey;
use super::work_queue::{Urgency, WorkQueue};
use crate::cluster::client;
use crate::cluster::recent::Recent;
use crate::task::progress::{EventView, Obstacle, from_events};

/// How long what was read is not read again.
const FRESH: Duration = Duration::from_secs(4);
/// How many namespaces are read at once.
const READERS: usize = 2;
/// Up to how many objects of a namespace are asked about one by one.
const FEW: usize = 4;
/// How long a namespace is not read again, so that those who ask one after the other are answered together.
const PAUSE: Duration = Duration::from_secs(1);
/// How much longer than it took to read nothing is read, so that many who wait cost the API server little.
const REST: u32 = 3;
const MAX_REST: Duration = Duration::from_secs(5);

/// Reads events for all who wait for a pod.
pub struct EventReader {
    client: Client,
    queue: Arc<WorkQueue>,
    state: Mutex<State>,
    asked: Notify,
}

struct State {
    /// By namespace, in the order of the first question.
    asked: VecDeque<(String, HashMap<String, Question>)>,
    /// Namespaces that are read now.
    reading: HashSet<String>,
    /// Namespaces that were read just now.
    pausing: Recent<String, ()>,
    /// By UID.
    found: Recent<String, Found>,
}

/// What is to be read next.
enum Next {
    Namespace(String, HashMap<String, Question>),
    /// Nothing yet.
    Pause,
    /// Nobody asks.
    Nothing,
}

/// Who asks about an object.
struct Question {
    kind: Subject,
    asker: ObjectKey,
}

/// What does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A Job without a pod.
    Job,
    /// A pod whose command has not started.
    Pod,
}

#[derive(Clone, Default)]
struct Found {
    /// What keeps the pod from starting.
    obstacle: Option<Obstacle>,
    /// The same after a while, when also counts what usually passes by itself.
    lasting: Option<Obstacle>,
}

impl EventReader {
    pub fn new(client: Client, queue: Arc<WorkQueue>) -> Self {
        Self { client, queue, state: Mutex::default(), asked: Notify::new() }
    }

    /// What was read about the object of this UID. If that was not just now, it is read again, and the asker reconciled
    /// afterwards. `waited`: for a while already.
    pub fn obstacle(&self, asker: ObjectKey, kind: Subject, uid: &str, waited: bool) -> Option<Obstacle> {
        let mut state = self.state();
        let found = state.found.get(uid).cloned();
        if state.found.age(uid).is_none_or(|age| age >= FRESH) {
            state.ask(uid, Question { kind, asker });
            self.asked.notify_one();
        }
        let found = found.unwrap_or_default();
        if waited { found.lasting } else { found.obstacle }
    }

    /// Reads what is asked for, for ever.
    pub async fn run(&self) {
        join_all((0..READERS).map(|_| self.read_all())).await;
    }

    async fn read_all(&self) {
        loop {
            let next = self.state().next();
            let (namespace, questions) = match next {
                Next::Namespace(namespace, questions) => (namespace, questions),
                Next::Pause => {
                    tokio::time::sleep(PAUSE / 4).await;
                    continue;
                }
                Next::Nothing => {
                    self.asked.notified().await;
                    continue;
                }
            };
            self.asked.notify_one(); // there may be more
            let started = Instant::now();
            if let Err(error) = self.read(&namespace, questions).await {
                warn!(ns = namespace, error = client::describe(&error), "events not read");
            }
            self.state().ended(&namespace);
            tokio::time::sleep((started.elapsed() * REST).min(MAX_REST)).await;
        }
    }

    async fn read(&self, namespace: &str, questions: HashMap<String, Question>) -> kube::Result<()> {
        let (mut pods, jobs): (HashMap<_, _>, _) =
            questions.into_iter().partition(|(_, question)| question.kind == Subject::Pod);
        // Nothing good follows a warning about a Job but a pod, about which others are asked.
        self.read_kind(namespace, "Job", true, jobs).await?;
        if pods.len() > FEW {
            // Few have any warning, and of most there are many other events.
            let warned = self.list(namespace, "Pod", true, &pods).await?;
            for (uid, question) in pods.extract_if(|uid, _| !warned.contains_key(uid)) {
                self.record(uid, question, &[]);
            }
        }
        self.read_kind(namespace, "Pod", false, pods).await
    }

    /// Reads all events about these objects, or all warnings.
    async fn read_kind(
        &self,
        namespace: &str,
        kind: &str,
        only_warnings: bool,
        questions: HashMap<String, Question>,
    ) -> kube::Result<()> {
        if questions.len() > FEW {
            let mut events = self.list(namespace, kind, only_warnings, &questions).await?;
            for (uid, question) in questions {
                let about = events.remove(&uid).unwrap_or_default();
                self.record(uid, question, &about);
            }
            return Ok(());
        }
        for (uid, question) in questions {
            let events = client::list_events_about(&self.client, namespace, &uid).await?;
            self.record(uid, question, &events);
        }
        Ok(())
    }

    /// Those of all that the namespace has.
    async fn list(
        &self,
        namespace: &str,
        kind: &str,
        only_warnings: bool,
        questions: &HashMap<String, Question>,
    ) -> kube::Result<HashMap<String, Vec<Event>>> {
        client::list_events(&self.client, namespace, kind, only_warnings, |uid| questions.contains_key(uid)).await
    }

    /// Remembers what events say, and has the asker look.
    fn record(&self, uid: String, question: Question, events: &[Event]) {
        let read = |waited| from_events(events.iter().map(view), waited);
        self.state().found.insert(uid, Found { obstacle: read(false), lasting: read(true) });
        self.queue.add(question.asker, Urgency::UnderWay);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for State {
    fn default() -> Self {
        Self { asked: VecDeque::new(), reading: HashSet::new(), pausing: Recent::new(PAUSE), found: Recent::default() }
    }
}

impl State {
    /// The namespace that was asked about first, of those that were not read just now.
    fn next(&mut self) -> Next {
        let is_free = |namespace: &String| !self.reading.contains(namespace) && self.pausing.get(namespace).is_none();
        match self.asked.iter().position(|(namespace, _)| is_free(namespace)) {
            Some(at) => {
                let (namespace, questions) = self.asked.remove(at).unwrap_or_default();
                self.reading.insert(namespace.clone());
                Next::Namespace(namespace, questions)
            }
            None if self.asked.is_empty() => Next::Nothing,
            None => Next::Pause,
        }
    }

    fn ended(&mut self, namespace: &str) {
        self.reading.remove(namespace);
        self.pausing.insert(namespace.to_owned(), ());
    }

    fn ask(&mut self, uid: &str, question: Question) {
        let namespace = question.asker.namespace.to_string();
        if let Some((_, questions)) = self.asked.iter_mut().find(|(asked, _)| *asked == namespace) {
            questions.insert(uid.to_owned(), question);
        } else {
            self.asked.push_back((namespace, HashMap::from([(uid.to_owned(), question)])));
        }
    }
}

fn view(event: &Event) -> EventView<'_> {
    EventView {
        warning: event.type_.as_deref() == Some("Warning"),
        reason: event.reason.as_deref().unwrap_or_default(),
        note: event.note.as_deref().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_of_a_namespace_are_answered_together_in_the_order_of_the_first() {
        let mut state = State::default();
        let question = |namespace: &str| Question {
            kind: Subject::Job,
            asker: ObjectKey { kind: "K", namespace: namespace.into(), name: "m".into() },
        };
        for (namespace, uid) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")] {
            state.ask(uid, question(namespace));
        }
        let next = |state: &mut State| match state.next() {
            Next::Namespace(namespace, questions) => {
                let mut uids: Vec<String> = questions.into_keys().collect();
                uids.sort();
                format!("{namespace}: {}", uids.join(" "))
            }
            Next::Pause => "pause".to_owned(),
            Next::Nothing => "nothing".to_owned(),
        };
        assert_eq!(next(&mut state), "a: 1 3");
        state.ask("4", question("a"));
        assert_eq!(next(&mut state), "b: 2", "a is being read");
        assert_eq!(next(&mut state), "pause");
        state.ended("a");
        assert_eq!(next(&mut state), "pause", "a was read just now");
        state.pausing = Recent::default();
        assert_eq!(next(&mut state), "a: 4");
        assert_eq!(next(&mut state), "nothing");
    }
}
