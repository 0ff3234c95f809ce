//! How the tasks of a namespace stand that others depend on: of whichever kind, from what this process knows, and as the
//! API server has them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
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
use crate::core::Reason;
use crate::core::json::text;
use crate::task::Task;
use crate::task::dependency::{DependencyState, ObservedDependency, TOO_LONG};
use crate::task::observe::{NamespaceReader, observe_dependency};
use crate::task::observed::Observed;
use crate::task::source;
use crate::task::target::{Candidate, TargetKind};
use crate::task::target_change::with_live_target;

/// How many tasks may follow each other: each is looked at within the look at the one that follows it.
const MAX_DEPTH: usize = 32;

/// Reads the tasks of one kind.
pub trait DependencyReader: Send + Sync {
    /// As far as this process knows.
    fn known(&self, namespace: &KnownNamespace, name: &str) -> DependencyState;
    /// As the API server has it, and its target and its dependencies where it follows those.
    fn live<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        depth: usize,
    ) -> BoxFuture<'a, kube::Result<DependencyState>>;
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

    /// Of how many kinds there is one.
    pub fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
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
    depth: Cell<usize>,
}

impl<'a> KnownNamespace<'a> {
    pub fn new(shared: &'a NamespaceContext, name: &'a str) -> Self {
        Self { shared, name, seen: RefCell::default(), depth: Cell::default() }
    }

    fn dependency(&self, dependency: &Dependency) -> DependencyState {
        let kind = dependency.kind.as_str();
        let key = ObjectKey::new(kind, self.name, &dependency.name);
        if let Some(seen) = self.seen.borrow().get(&key) {
            return seen.clone();
        }
        if self.depth.get() >= MAX_DEPTH {
            return failed(TOO_LONG);
        }
        // Of a circle that has just come about, before the look at it is over.
        self.seen.borrow_mut().insert(key.clone(), DependencyState::Pending);
        self.depth.set(self.depth.get() + 1);
        let reader = self.shared.dependency_readers.get(kind);
        let state = match reader.filter(|_| self.shared.dependencies.is_listed(kind)) {
            Some(reader) => reader.known(self, &dependency.name),
            None => DependencyState::Pending,
        };
        self.depth.set(self.depth.get() - 1);
        self.seen.borrow_mut().insert(key, state.clone());
        state
    }
}

impl NamespaceReader for KnownNamespace<'_> {
    fn candidates(&self, kind: TargetKind, named: Option<&str>, labels: &[(String, String)]) -> Vec<Arc<Candidate>> {
        candidates(&self.shared.caches, self.name, kind, named, labels)
    }

    fn dependencies(&self, dependencies: &[Dependency]) -> Vec<ObservedDependency> {
        let observed = |dependency: &Dependency| ObservedDependency {
            kind: dependency.kind,
            name: dependency.name.clone(),
            state: self.dependency(dependency),
        };
        dependencies.iter().map(observed).collect()
    }

    fn dependency_cycle(&self, kind: &'static str, name: &str) -> Option<String> {
        self.shared.dependencies.cycle(&ObjectKey::new(kind, self.name, name))
    }
}

/// How dependencies stand, as the API server has them.
pub async fn live_dependencies(
    shared: &NamespaceContext,
    namespace: &str,
    dependencies: &[ObservedDependency],
    depth: usize,
) -> kube::Result<Vec<ObservedDependency>> {
    let read = async |dependency: &ObservedDependency| {
        let state = match shared.dependency_readers.get(dependency.kind.as_str()) {
            Some(reader) if depth < MAX_DEPTH => reader.live(namespace, &dependency.name, depth + 1).await?,
            Some(_) => failed(TOO_LONG),
            None => DependencyState::Missing,
        };
        Ok::<_, kube::Error>(ObservedDependency { state, ..dependency.clone() })
    };
    try_join_all(dependencies.iter().map(read)).await
}

impl<T: Task> DependencyReader for Context<T> {
    fn known(&self, namespace: &KnownNamespace, name: &str) -> DependencyState {
        let key = CacheKey { partition: namespace.name.to_owned(), name: name.to_owned() };
        let Some(object) = self.objects.get(&key) else { return DependencyState::Missing };
        let Ok(task) = object.0 else { return failed(Reason::Undecodable.as_str()) };
        let task = self.own_writes.latest(&task);
        let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
        DependencyState::of(&task, &observe_dependency(&task, namespace, labels, Timestamp::now()))
    }

    fn live<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
        depth: usize,
    ) -> BoxFuture<'a, kube::Result<DependencyState>> {
        async move {
            let api: Api<LeanObject<T>> = Api::namespaced(self.shared.client.clone(), namespace);
            let Some(object) = client::optional(api.get(name).await)? else { return Ok(DependencyState::Missing) };
            let Some(task) = object.readable() else { return Ok(failed(Reason::Undecodable.as_str())) };
            let labels = self.shared.settings.target_labels(T::TARGET_LABEL);
            let observed = {
                let known = KnownNamespace::new(&self.shared, namespace);
                observe_dependency(&task, &known, labels, Timestamp::now())
            };
            let Some(mut observed) = with_target_of_follower(self, namespace, &task, observed).await? else {
                return Ok(DependencyState::Pending); // its target is another than the watch knows
            };
            observed.dependencies = live_dependencies(&self.shared, namespace, &observed.dependencies, depth).await?;
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

/// A dependency that cannot be looked at.
fn failed(reason: &str) -> DependencyState {
    DependencyState::Failed { run: Default::default(), reason: reason.to_owned() }
}
