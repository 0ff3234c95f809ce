//! What is reconciled, by name.

use std::sync::Arc;

/// An object of a kind that has a controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    pub fn flow(&self) -> Flow {
        Flow { kind: self.kind, namespace: self.namespace.clone() }
    }
}
