//! What this process wrote, until the watch brings it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::{Resource, ResourceExt};

/// How long an own write counts though no watch has brought it.
pub const OWN_WRITE_TTL: Duration = Duration::from_secs(30);

/// The objects of a kind as this process last wrote them.
pub struct OwnWrites<K>(Mutex<HashMap<String, OwnWrite<K>>>);

/// What this process last wrote of an object, and the versions that it replaced.
struct OwnWrite<K> {
    replaced: Vec<String>,
    object: K,
    since: Instant,
}

impl<K> Default for OwnWrites<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource + Clone> OwnWrites<K> {
    /// The newest version that this process knows: its own write, while the watch still brings a version that it replaced.
    pub fn latest(&self, watched: &K) -> K {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = watched.uid().unwrap_or_default();
        match (writes.get(&uid), watched.resource_version()) {
            (Some(own), Some(version)) if own.replaced.contains(&version) => own.object.clone(),
            _ => {
                writes.remove(&uid);
                watched.clone()
            }
        }
    }

    /// Remembers what was written over the version `replaced`.
    pub fn record(&self, replaced: Option<String>, object: &K) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.retain(|_, own| own.since.elapsed() < OWN_WRITE_TTL);
        let own = writes.entry(object.uid().unwrap_or_default()).or_insert_with(|| OwnWrite {
            replaced: Vec::new(),
            object: object.clone(),
            since: Instant::now(),
        });
        own.replaced.extend(replaced);
        own.object = object.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn version(version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.uid = Some("u".into());
        object.metadata.resource_version = Some(version.into());
        object
    }

    #[test]
    fn an_own_write_counts_until_the_watch_brings_it_or_something_newer() {
        let writes = OwnWrites::default();
        let latest = |watched: &str| writes.latest(&version(watched)).metadata.resource_version.unwrap();
        assert_eq!(latest("1"), "1");
        writes.record(Some("1".into()), &version("2"));
        writes.record(Some("2".into()), &version("3"));
        assert_eq!(latest("1"), "3");
        assert_eq!(latest("2"), "3");
        assert_eq!(latest("4"), "4");
        assert_eq!(latest("1"), "1", "forgotten with the newer version");
    }
}
