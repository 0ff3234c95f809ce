//! Versions of objects that this process got by writing or asking, until the watch brings them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::{Resource, ResourceExt};

use crate::cluster::watch::version;

/// How long such a version counts though no watch has brought it.
pub const OWN_WRITE_TTL: Duration = Duration::from_secs(30);

/// The objects of a kind as this process last wrote or got them.
pub struct OwnWrites<K>(Mutex<HashMap<String, (Instant, K)>>);

impl<K> Default for OwnWrites<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Resource + Clone> OwnWrites<K> {
    /// The newest version that this process knows: its own, while the watch still brings older ones.
    pub fn latest(&self, watched: &K) -> K {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = watched.uid().unwrap_or_default();
        match writes.get(&uid) {
            Some((since, own)) if since.elapsed() < OWN_WRITE_TTL && is_newer(own, watched) => own.clone(),
            _ => {
                writes.remove(&uid);
                watched.clone()
            }
        }
    }

    /// Remembers what the API server answered.
    pub fn record(&self, object: &K) {
        let mut writes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        writes.retain(|_, (since, _)| since.elapsed() < OWN_WRITE_TTL);
        writes.insert(object.uid().unwrap_or_default(), (Instant::now(), object.clone()));
    }
}

/// Versions are numbers that grow, of which a watch may bring any.
pub fn is_newer(own: &impl Resource, watched: &impl Resource) -> bool {
    version(own) > version(watched)
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
        assert_eq!(latest("8"), "8");
        writes.record(&version("11"));
        assert_eq!(latest("8"), "11");
        assert_eq!(latest("10"), "11", "also over one that somebody else wrote before");
        assert_eq!(latest("11"), "11");
        assert_eq!(latest("8"), "8", "forgotten with its own arrival");
        writes.record(&version("11"));
        assert_eq!(latest("12"), "12");
    }
}
