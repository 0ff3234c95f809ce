//! The objects of a kind that has a controller, as its watch knows them. Each is kept as compressed text: there may be ten
//! thousand that are finished, and as a structure each takes six times as much, in fifty pieces.

use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::watcher::Event;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cache::{Cache, CacheKey};
use super::compressed_text::CompressedText;
use super::watch::map_event;

/// An object of which something is kept beside its text, for who goes through all of them.
pub trait Summarize: Sized {
    type Summary: Send + Sync;

    /// Of an object; `None`: of one that cannot be read.
    fn summarize(object: Option<&Self>) -> Self::Summary;
}

/// The objects by namespace and name.
pub struct ObjectStore<K: Summarize> {
    objects: Cache<Stored<K::Summary>>,
    kind: PhantomData<fn() -> K>,
}

struct Stored<S> {
    summary: S,
    uid: Option<Box<str>>,
    version: Option<Box<str>>,
    content: Content,
}

enum Content {
    Readable(CompressedText),
    Unreadable(Box<InvalidObject>),
}

impl<K: Summarize> Default for ObjectStore<K> {
    fn default() -> Self {
        Self { objects: Cache::default(), kind: PhantomData }
    }
}

impl<K: Resource + Serialize + DeserializeOwned + Summarize> ObjectStore<K> {
    /// An object, whether or not it can be read.
    pub fn get(&self, key: &CacheKey) -> Option<DeserializeGuard<K>> {
        let stored = self.objects.get(key)?.object;
        Some(DeserializeGuard(match &stored.content {
            Content::Readable(text) => read(text).map_err(|error| InvalidObject {
                error,
                metadata: ObjectMeta {
                    namespace: Some(key.partition.clone()),
                    name: Some(key.name.clone()),
                    ..ObjectMeta::default()
                },
            }),
            Content::Unreadable(invalid) => Err((**invalid).clone()),
        }))
    }

    /// Whether the object is known in this version.
    pub fn has(&self, object: &DeserializeGuard<K>) -> bool {
        let meta = object.meta();
        let stored = self.objects.get(&CacheKey::of(meta)).map(|cached| cached.object);
        stored.is_some_and(|stored| {
            stored.uid.as_deref() == meta.uid.as_deref()
                && stored.version.as_deref() == meta.resource_version.as_deref()
        })
    }

    /// Shows the summary of each object, until one cannot be shown.
    pub fn try_for_each<E>(&self, mut visit: impl FnMut(&CacheKey, &K::Summary) -> Result<(), E>) -> Result<(), E> {
        self.objects.try_for_each(|key, stored| visit(key, &stored.summary))
    }

    /// Applies an event of the watch.
    pub fn apply_event(&self, event: Event<DeserializeGuard<K>>) {
        self.objects.apply_event(map_event(event, |object| {
            let meta = object.meta();
            let key = CacheKey::of(meta);
            let text = |text: &Option<String>| text.as_deref().map(Box::from);
            let summary = K::summarize(object.0.as_ref().ok());
            let (uid, version) = (text(&meta.uid), text(&meta.resource_version));
            let content = match object.0 {
                Ok(object) => match serde_json::to_vec(&object) {
                    Ok(text) => Content::Readable(CompressedText::new(&text)),
                    Err(error) => Content::Unreadable(Box::new(InvalidObject {
                        error: error.to_string(),
                        metadata: object.meta().clone(),
                    })),
                },
                Err(invalid) => Content::Unreadable(Box::new(invalid)),
            };
            (key, Stored { summary, uid, version, content })
        }));
    }
}

fn read<K: DeserializeOwned>(text: &CompressedText) -> Result<K, String> {
    let text = text.decompress().map_err(|error| error.to_string())?;
    serde_json::from_slice(&text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoMigrate;
    use serde_json::{Value, json};

    fn object(version: &str, spec: Value) -> DeserializeGuard<DjangoMigrate> {
        let object = json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate", "spec": spec,
            "metadata": {
                "name": "m", "namespace": "ns", "uid": "u", "resourceVersion": version, "generation": 2,
                "creationTimestamp": "2026-01-01T00:00:00Z", "annotations": {"a": "b"},
            },
            "status": {"observedGeneration": 2, "conditions": [{
                "type": "Ready", "status": "True", "reason": "Succeeded", "message": "done",
                "lastTransitionTime": "2026-01-01T00:00:01Z",
            }]},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn an_object_comes_back_as_it_was_read_or_with_what_is_wrong_with_it() {
        let store = ObjectStore::<DjangoMigrate>::default();
        let key = CacheKey { partition: "ns".into(), name: "m".into() };
        assert!(store.get(&key).is_none());
        let written = object("7", json!({"app": "shop", "retries": 3}));
        store.apply_event(Event::Apply(written.clone()));
        let json = |object: DeserializeGuard<DjangoMigrate>| serde_json::to_value(object.0.unwrap()).unwrap();
        assert_eq!(json(store.get(&key).unwrap()), json(written.clone()));
        assert!(store.has(&written) && !store.has(&object("8", json!({}))));
        store.apply_event(Event::Apply(object("9", json!({"retries": "many"}))));
        let invalid = store.get(&key).unwrap().0.unwrap_err();
        assert!(invalid.error.contains("many") && invalid.metadata.name.as_deref() == Some("m"), "{invalid:?}");
        let mut readable = Vec::new();
        let shown = store.try_for_each(|key, summary| {
            readable.push((key.name.clone(), summary.not_ready.is_none()));
            Ok::<(), ()>(())
        });
        assert_eq!((shown, readable), (Ok(()), vec![("m".to_owned(), false)]));
        store.apply_event(Event::Delete(object("10", json!({}))));
        assert!(store.get(&key).is_none());
    }
}
