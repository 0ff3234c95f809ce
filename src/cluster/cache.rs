//! What the watches know, partitioned so that a look-up costs the same with one object as with thousands.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::runtime::watcher::Event;

/// Objects by partition, such as a namespace, and name.
pub struct Cache<V> {
    inner: RwLock<Inner<V>>,
}

struct Inner<V> {
    partitions: Partitions<V>,
    /// The partitions of a listing that is still coming in.
    incoming: Option<Partitions<V>>,
}

type Partitions<V> = HashMap<String, BTreeMap<String, Cached<V>>>;

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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        Self { inner: RwLock::new(Inner { partitions: HashMap::new(), incoming: None }) }
    }
}

impl<V> Cache<V> {
    /// All objects of a partition.
    pub fn partition(&self, partition: &str) -> Vec<Arc<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.partitions.get(partition).map(|g| g.values().map(|c| c.object.clone()).collect()).unwrap_or_default()
    }

    /// The objects of a partition that satisfy `test`.
    pub fn filter(&self, partition: &str, test: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let found = inner.partitions.get(partition).into_iter().flat_map(BTreeMap::values);
        found.filter(|cached| test(&cached.object)).map(|cached| cached.object.clone()).collect()
    }

    /// One object.
    pub fn get(&self, key: &CacheKey) -> Option<Cached<V>> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.partitions.get(&key.partition)?.get(&key.name).cloned()
    }

    /// The API server was asked beside the watch, and said that the object is there.
    pub fn confirm(&self, key: &CacheKey) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = inner.partitions.get_mut(&key.partition).and_then(|g| g.get_mut(&key.name)) {
            cached.confirmed = Instant::now();
        }
    }

    /// Applies one event of a watch and tells what it changed. The end of a new list tells of objects that were
    /// deleted while nothing was watched.
    pub fn apply_event(&self, event: Event<(CacheKey, V)>) -> Vec<Change<V>> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Init => {
                inner.incoming = Some(HashMap::new());
                Vec::new()
            }
            Event::InitApply((key, object)) => {
                let incoming = inner.incoming.get_or_insert_default();
                incoming.entry(key.partition).or_default().insert(key.name, Cached::new(Arc::new(object)));
                Vec::new()
            }
            Event::InitDone => {
                let fresh = inner.incoming.take().unwrap_or_default();
                let mut old = std::mem::replace(&mut inner.partitions, fresh);
                let mut changes = Vec::new();
                for (partition, objects) in &mut inner.partitions {
                    for (name, now) in objects {
                        let before = old.get_mut(partition).and_then(|g| g.remove(name));
                        now.first_seen = before.as_ref().map_or(now.first_seen, |before| before.first_seen);
                        changes.push(Change { now: Some(now.object.clone()), before: before.map(|b| b.object) });
                    }
                }
                let gone = old.into_values().flat_map(BTreeMap::into_values);
                changes.extend(gone.map(|before| Change { now: None, before: Some(before.object) }));
                changes
            }
            Event::Apply((key, object)) => {
                let mut cached = Cached::new(Arc::new(object));
                let now = cached.object.clone();
                let group = inner.partitions.entry(key.partition).or_default();
                let before = group.remove(&key.name);
                cached.first_seen = before.as_ref().map_or(cached.first_seen, |before| before.first_seen);
                group.insert(key.name, cached);
                vec![Change { now: Some(now), before: before.map(|before| before.object) }]
            }
            Event::Delete((key, last)) => {
                inner.remove(&key);
                vec![Change { now: None, before: Some(Arc::new(last)) }]
            }
        }
    }

    /// Removes an object and tells what was there.
    pub fn remove(&self, key: &CacheKey) -> Vec<Change<V>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

impl<V> Inner<V> {
    fn remove(&mut self, key: &CacheKey) -> Vec<Change<V>> {
        let Some(group) = self.partitions.get_mut(&key.partition) else { return Vec::new() };
        let before = group.remove(&key.name);
        if group.is_empty() {
            self.partitions.remove(&key.partition);
        }
        vec![Change { now: None, before: before.map(|before| before.object) }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object_key(name: &str) -> CacheKey {
        CacheKey { partition: "g".into(), name: name.into() }
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
