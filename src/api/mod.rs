//! The API: one file per kind. Nothing here imports the engine.

pub mod celery;
pub mod common;
pub mod migrate;
pub mod static_files;
pub mod user;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

pub use celery::DjangoCelery;
pub use migrate::DjangoMigrate;
pub use static_files::DjangoStatic;
pub use user::DjangoUser;

/// The API group of every kind.
pub const GROUP: &str = "django.my.domain";

/// The CRDs in the order in which the documentation names them.
pub fn crds() -> Vec<Value> {
    [DjangoUser::crd(), DjangoMigrate::crd(), DjangoStatic::crd(), DjangoCelery::crd()]
        .into_iter()
        .map(publish)
        .collect()
}

/// What the derive cannot say: the status is born unobserved (so that a waiter that is faster than the
/// operator never takes an object without status for a finished one), and an optional field takes
/// `null` as "absent", which the API server does by itself unless the schema says `nullable`.
fn publish(crd: CustomResourceDefinition) -> Value {
    let mut crd = json!(crd);
    if let Some(versions) = crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                strip_nullable(schema);
                if let Some(status) = schema.pointer_mut("/properties/status") {
                    status["default"] = json!({"observedGeneration": -1});
                }
            }
        }
    }
    crd
}

fn strip_nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&json!(true)) {
                map.remove("nullable");
            }
            map.values_mut().for_each(strip_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nullable),
        _ => {}
    }
}
