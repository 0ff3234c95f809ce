//! What is reconciled, by name.

use std::sync::Arc;

use kube::ResourceExt;

/// An object of a kind that has a controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    pub kind: &'static str,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

/// Objects that share what there is with the others: those of one kind in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    kind: &'static str,
    namespace: Arc<str>,
}

impl ObjectKey {
    pub fn new(kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }

    /// Of an object of this kind.
    pub fn of(kind: &'static str, object: &impl ResourceExt) -> Self {
        Self::new(kind, object.meta().namespace.as_deref().unwrap_or_default(), &object.name_any())
    }

    pub fn flow(&self) -> Flow {
        Flow { kind: self.kind, namespace: self.namespace.clone() }
    }
}
