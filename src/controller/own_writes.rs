//! Versions of objects that this process got by writing or asking, until the watch brings them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use crate::cluster::recent::Recent;
use crate::core::lean::version;

/// How long such a version counts though no watch has brought it: longer than a watch is behind under load, and not for
/// ever, as the versions of a restored database are lower.
pub const OWN_WRITE_TTL: Duration = Duration::from_secs(300);

/// The objects of a kind as this process last wrote or got them, by UID.
pub struct OwnWrites<K>(Mutex<Recent<String, K>>);

impl<K> Default for OwnWrites<K> {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(OWN_WRITE_TTL)))
    }
}

impl<K: Resource + Clone> OwnWrites<K> {
    /// The newest version that this process knows: its own, while the watch still brings older ones.
    pub fn latest(&self, watched: &K) -> K {
        self.forget_until(watched.meta()); // the watch may have been quicker than the answer
        self.writes().get(&watched.uid().unwrap_or_default()).cloned().unwrap_or_else(|| watched.clone())
    }

    /// Remembers what the API server answered.
    pub fn record(&self, object: &K) {
        self.writes().insert(object.uid().unwrap_or_default(), object.clone());
    }

    /// Forgets what the watch has brought, or something newer.
    pub fn forget_until(&self, watched: &ObjectMeta) {
        let uid = watched.uid.as_deref().unwrap_or_default();
        let mut writes = self.writes();
        if writes.get(uid).is_some_and(|own| !is_newer(own.meta(), watched)) {
            writes.remove(uid);
        }
    }

    fn writes(&self) -> MutexGuard<'_, Recent<String, K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Versions are numbers that grow, of which a watch may bring any.
fn is_newer(own: &ObjectMeta, watched: &ObjectMeta) -> bool {
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
        writes.forget_until(&version("12").metadata);
        assert_eq!(latest("8"), "8");
    }
}
