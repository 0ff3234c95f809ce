//! Where the helper's ConfigMap is known to be.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Namespaces in which this process created the helper's ConfigMap, or found it.
#[derive(Default)]
pub struct HelperNamespaces(Mutex<HashSet<String>>);

impl HelperNamespaces {
    pub fn contains(&self, namespace: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(namespace)
    }

    /// It is there.
    pub fn record(&self, namespace: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned());
    }

    /// It may no longer be there, or be another.
    pub fn forget(&self, namespace: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(namespace);
    }
}
