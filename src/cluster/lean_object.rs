//! Objects of the kinds that have a controller, as they are read: without `managedFields`, and without failing where the
//! rest of an object cannot be read. kube's `DeserializeGuard` by itself goes through two copies of everything.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::core::lean::lean_metadata;

/// An object, or why it cannot be read.
#[derive(Clone, Debug)]
pub struct LeanObject<K>(pub DeserializeGuard<K>);

impl<K> LeanObject<K> {
    /// The object, if it can be read.
    pub fn readable(self) -> Option<K> {
        self.0.0.ok()
    }
}

/// An object whose metadata can be read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    #[serde(deserialize_with = "lean_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    api_version: Option<Value>,
    #[serde(default)]
    kind: Option<Value>,
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    status: Option<Value>,
}

impl<'de, K: Resource + DeserializeOwned> Deserialize<'de> for LeanObject<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Parts { metadata, api_version, kind, spec, status } = Parts::deserialize(deserializer)?;
        let given = [("apiVersion", api_version), ("kind", kind), ("spec", spec), ("status", status)];
        let mut object: Map<String, Value> =
            given.into_iter().filter_map(|(field, value)| Some((field.to_owned(), value?))).collect();
        object.insert("metadata".to_owned(), json!({}));
        Ok(Self(DeserializeGuard(match K::deserialize(Value::Object(object)) {
            Ok(mut object) => {
                *object.meta_mut() = metadata;
                Ok(object)
            }
            Err(error) => Err(InvalidObject { error: error.to_string(), metadata }),
        })))
    }
}

impl<K: Resource> Resource for LeanObject<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dt: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &K::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &K::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DjangoMigrate;
    use kube::core::WatchEvent;

    fn read(spec: serde_json::Value) -> LeanObject<DjangoMigrate> {
        let object = json!({
            "apiVersion": "django.my.domain/v1alpha1", "kind": "DjangoMigrate",
            "metadata": {"name": "m", "managedFields": [{"manager": "kubectl"}]}, "spec": spec,
            "status": {"observedGeneration": 3},
        });
        let event = json!({"type": "MODIFIED", "object": object}).to_string();
        match serde_json::from_str(&event).unwrap() {
            WatchEvent::Modified(object) => object,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_is_read_without_its_managed_fields() {
        let object = read(json!({"app": "shop"}));
        assert!(object.meta().managed_fields.is_none());
        let object = object.readable().unwrap();
        assert_eq!((object.metadata.name.as_deref(), object.spec.app.as_deref()), (Some("m"), Some("shop")));
        assert_eq!(object.status.unwrap().task.observed_generation, Some(3));
    }

    #[test]
    fn of_one_that_cannot_be_read_the_name_and_the_problem_are_known() {
        let object = read(json!({"fake": "perhaps"}));
        assert_eq!(object.meta().name.as_deref(), Some("m"));
        let problem = object.0.0.unwrap_err().error;
        assert!(problem.contains("perhaps"), "{problem}");
    }
}
