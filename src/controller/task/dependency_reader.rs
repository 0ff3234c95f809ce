//! How the tasks of a namespace stand that others depend on: of whichever kind, from what this process knows, and as the
//! API server has them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::jiff::Timestamp;
use kube::Api;

use super::cache_reader::candidates;
use crate::api::{Dependency, non_empty};
use crate::cluster::cache::CacheKey;
use crate::cluster::client;
use crate::cluster::lean_object::LeanObject;
use crate::controller::context::NamespaceContext;
use crate::controller::object_key::ObjectKey;
use crate::controller::reconciler::Context;
use crate::core::json::text;
use crate::task::Task;
use crate::task::dependency::DependencyState;
use crate::task::observe::{NamespaceReader, observe_dependency};
use crate::task::observed::Observed;
use crate::task::source;
use crate::task::target::{Candidate, TargetKind};
use crate::task::target_change::with_live_target;

/// Reads the tasks of one kind.
pub trait DependencyReader: Send + Sync {
    /// As far as this process knows.
    fn known(&self, namespace: &KnownNamespace, name: &str) -> DependencyState;
    /// As the API server has it, and its target where it follows that.
    fn live<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, kube::Result<DependencyState>>;
}

/// The readers, by kind.
#[derive(Default)]
pub struct DependencyReaders(RwLock<HashMap<&'static str, Weak<dyn DependencyReader>>>);

impl DependencyReaders {
    /// Reads the tasks of a kind by this from now on.
    pub fn add<T: Task>(&self, context: &Arc<Context<T>>) {
        let context: Arc<dyn DependencyReader> = context.clone();
        let mut readers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        readers.insert(T::KIND, Arc::downgrade(&context));
    }

    /// The reader of a kind.
    pub fn get(&self, kind: &str) -> Option<Arc<dyn DependencyReader>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(kind)?.upgrade()
    }
}

/// A namespace in one look at it, in which each task is read once.
pub struct KnownNamespace<'a> {
    shared: &'a NamespaceContext,
    name: &'a str,
    seen: RefCell<HashMap<ObjectKey, DependencyState>>,
}

impl<'a> KnownNamespace<'a> {
    pub fn new(shared: &'a NamespaceContext, name: &'a str) -> Self {
        Self { shared, name, seen: RefCell::default() }
    }

    fn key(&self, kind: &'static str, name: &str) -> ObjectKey {
        ObjectKey { kind, namespace: self.name.into(), name: name.into() }
    }
}

impl NamespaceReader for KnownNamespace<'_> {
    fn candidates(&self, kind: TargetKind, named: Option<&str>, labels: &[(String, String)]) -> Vec<Arc<Candidate>> {
        candidates(&self.shared.caches, self.name, kind, named, labels)
    }

    fn dependency(&self, dependency: &Dependency) -> DependencyState {
        let key = self.key(dependency.kind.as_str(), &dependency.name);
        if let Some(seen) = self.seen.borrow().get(&key) {
            return seen.clone();
        }
        // Of a circle that has just come about, before the look at it is over.
        self.seen.borrow_mut().insert(key.clone(), DependencyState::Pending);
        let reader = self.shared.dependency_readers.get(key.kind);
        let state = reader.map_or(DependencyState::Missing, |reader| reader.known(self, &dependency.name));
        self.seen.borrow_mut().insert(key, state.clone());
        state
    }

    fn dependency_cycle(&self, kind: &'static str, name: &str) -> Option<String> {
        self.shared.dependencies.cycle(&self.key(kind, name))
    }
}

impl<T: Task> DependencyReader for Context<T> {
    fn known(&self, namespace: &KnownNamespace, name: &str) -> DependencyState {
        let key = CacheKey { partition: namespace.name.to_owned(), name: name.to_owned() };
        let Some(object) = self.objects.get(&key) else { return DependencyState::Missing };
        let Ok(task) = object.0 else { return unreadable() };
        let task = self.own_writes.latest(&task);
        let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
        DependencyState::of(&task, &observe_dependency(&task, namespace, labels, Timestamp::now()))
    }

    fn live<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, kube::Result<DependencyState>> {
        async move {
            let api: Api<LeanObject<T>> = Api::namespaced(self.shared.client.clone(), namespace);
            let Some(object) = client::optional(api.get(name).await)? else { return Ok(DependencyState::Missing) };
            let Some(task) = object.readable() else { return Ok(unreadable()) };
            let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
            let observed = {
                let known = KnownNamespace::new(&self.shared, namespace);
                observe_dependency(&task, &known, labels, Timestamp::now())
            };
            let Some(observed) = with_target_of_follower(self, namespace, &task, observed).await? else {
                return Ok(DependencyState::Pending); // its target is another than the watch knows
            };
            Ok(DependencyState::of(&task, &observed))
        }
        .boxed()
    }
}

/// What was observed of a task, with the image that its target runs now where it follows that.
async fn with_target_of_follower<T: Task>(
    context: &Context<T>,
    namespace: &str,
    task: &T,
    observed: Observed,
) -> kube::Result<Option<Observed>> {
    let Some(Ok(candidate)) = observed.target.clone().filter(|_| observed.follows_image) else {
        return Ok(Some(observed));
    };
    let shared = &context.shared;
    let live = client::get_target(&shared.client, namespace, candidate.kind, candidate.name()).await?;
    let Ok(source) = source::confirm(live, &candidate, shared.settings.target_labels(T::TARGET_LABEL)) else {
        return Ok(None);
    };
    let wanted = task.policy().target.as_ref().and_then(|target| non_empty(&target.container));
    let container = source.django_container(wanted).ok();
    Ok(container.map(|container| with_live_target(&observed, task, &source, &text(&container["image"]))))
}

fn unreadable() -> DependencyState {
    DependencyState::Failed { run: Default::default(), reason: "Undecodable".to_owned() }
}
