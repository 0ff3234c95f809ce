//! What the watches know, in an order in which a look-up costs the same with one object as with thousands.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;

/// Objects by partition, such as a namespace, and name.
pub struct Cache<V> {
    inner: RwLock<Inner<V>>,
}

struct Inner<V> {
    objects: Objects<V>,
    /// Those of a listing that is still coming in.
    incoming: Option<Objects<V>>,
}

/// One map for all: most partitions have a single object.
type Objects<V> = BTreeMap<CacheKey, Cached<V>>;

/// An object, and how long it has been known: by this process's clock alone, as the API server's is another.
pub struct Cached<V> {
    pub object: Arc<V>,
    /// When it was first seen.
    pub first_seen: Instant,
    /// When the API server last said that it is so.
    pub confirmed: Instant,
}

impl<V> Cached<V> {
    /// As it just came.
    pub fn new(object: Arc<V>) -> Self {
        let now = Instant::now();
        Self { object, first_seen: now, confirmed: now }
    }
}

impl<V> Clone for Cached<V> {
    fn clone(&self) -> Self {
        Self { object: self.object.clone(), ..*self }
    }
}

/// An object's place in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CacheKey {
    pub partition: String,
    pub name: String,
}

impl CacheKey {
    /// By namespace and name.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self { partition: meta.namespace.clone().unwrap_or_default(), name: meta.name.clone().unwrap_or_default() }
    }
}

/// An object that came, changed (with what it was before) or went.
pub struct Change<V> {
    /// As it is now; `None`: gone.
    pub now: Option<Arc<V>>,
    /// As it was before; of one that went, as it last was.
    pub before: Option<Arc<V>>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self { inner: RwLock::new(Inner { objects: BTreeMap::new(), incoming: None }) }
    }
}

impl<V> Cache<V> {
    /// All objects of a partition.
    pub fn partition(&self, partition: &str) -> Vec<Arc<V>> {
        self.filter(partition, |_| true)
    }

    /// The objects of a partition that satisfy `test`.
    pub fn filter(&self, partition: &str, test: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        let first = CacheKey { partition: partition.to_owned(), name: String::new() };
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.objects.range(first..).take_while(|(key, _)| key.partition == partition);
        found.filter(|(_, cached)| test(&cached.object)).map(|(_, cached)| cached.object.clone()).collect()
    }

    /// Shows each object, until one cannot be shown. Nothing changes meanwhile.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&CacheKey, &V) -> Result<(), E>) -> Result<(), E> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.iter().try_for_each(|(key, cached)| visit(key, &cached.object))
    }

    /// One object.
    pub fn get(&self, key: &CacheKey) -> Option<Cached<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.objects.get(key).cloned()
    }

    /// The API server was asked beside the watch, and said that the object is there.
    pub fn confirm(&self, key: &CacheKey) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = inner.objects.get_mut(key) {
            cached.confirmed = Instant::now();
        }
    }

    /// Applies one event of a watch and tells what it changed. The end of a new list tells of objects that were
    /// deleted while nothing was watched.
    pub fn apply_event(&self, event: Event<(CacheKey, V)>) -> Vec<Change<V>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                inner.incoming = Some(BTreeMap::new());
                Vec::new()
            }
            Event::InitApply((key, object)) => {
                inner.incoming.get_or_insert_default().insert(key, Cached::new(Arc::new(object)));
                Vec::new()
            }
            Event::InitDone => {
                let fresh = inner.incoming.take().unwrap_or_default();
                let mut old = std::mem::replace(&mut inner.objects, fresh);
                let mut changes = Vec::new();
                for (key, now) in &mut inner.objects {
                    let before = old.remove(key);
                    now.first_seen = before.as_ref().map_or(now.first_seen, |before| before.first_seen);
                    changes.push(Change { now: Some(now.object.clone()), before: before.map(|b| b.object) });
                }
                changes.extend(old.into_values().map(|before| Change { now: None, before: Some(before.object) }));
                changes
            }
            Event::Apply((key, object)) => {
                let mut cached = Cached::new(Arc::new(object));
                let now = cached.object.clone();
                let before = inner.objects.remove(&key);
                cached.first_seen = before.as_ref().map_or(cached.first_seen, |before| before.first_seen);
                inner.objects.insert(key, cached);
                vec![Change { now: Some(now), before: before.map(|before| before.object) }]
            }
            Event::Delete((key, last)) => {
                inner.objects.remove(&key);
                vec![Change { now: None, before: Some(Arc::new(last)) }]
            }
        }
    }

    /// Removes an object.
    pub fn remove(&self, key: &CacheKey) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).objects.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object_key(name: &str) -> CacheKey {
        CacheKey { partition: "g".into(), name: name.into() }
    }

    #[test]
    fn a_partition_is_what_has_its_name() {
        let cache = Cache::default();
        for (n, (partition, name)) in
            [("a", "x"), ("a", ""), ("a/b", "y"), ("b", "z"), ("", "w")].into_iter().enumerate()
        {
            cache.apply_event(Event::Apply((CacheKey { partition: partition.into(), name: name.into() }, n)));
        }
        let found = |partition| cache.partition(partition).iter().map(|object| **object).collect::<Vec<_>>();
        assert_eq!((found("a"), found("a/b"), found(""), found("c")), (vec![1, 0], vec![2], vec![4], vec![]));
    }

    #[test]
    fn a_new_listing_tells_what_went_in_the_gap() {
        let cache = Cache::default();
        for event in [
            Event::Init,
            Event::InitApply((object_key("a"), 1)),
            Event::InitApply((object_key("b"), 2)),
            Event::InitDone,
        ] {
            cache.apply_event(event);
        }
        assert_eq!((cache.partition("g").len(), cache.filter("g", |object| *object == 2).len()), (2, 1));
        let first_seen = cache.get(&object_key("b")).map(|c| c.first_seen);
        cache.apply_event(Event::Init);
        cache.apply_event(Event::InitApply((object_key("b"), 3)));
        assert_eq!(
            cache.get(&object_key("a")).map(|c| *c.object),
            Some(1),
            "the old listing stands until the new one is whole"
        );
        let changes = cache.apply_event(Event::InitDone);
        let told: Vec<_> = changes.iter().map(|c| (c.before.as_deref().copied(), c.now.as_deref().copied())).collect();
        assert_eq!(told, [(Some(2), Some(3)), (Some(1), None)]);
        assert!(cache.get(&object_key("a")).is_none());
        let known = cache.get(&object_key("b")).unwrap();
        assert!(Some(known.first_seen) == first_seen && known.confirmed > known.first_seen, "known since the first");
        cache.confirm(&object_key("b"));
        assert!(cache.get(&object_key("b")).unwrap().confirmed > known.confirmed);
        let gone = cache.apply_event(Event::Delete((object_key("b"), 4)));
        assert_eq!(gone[0].before.as_deref(), Some(&4), "as it last was, whether or not the watch told of it before");
        assert!(gone[0].now.is_none() && cache.partition("g").is_empty());
    }
}
