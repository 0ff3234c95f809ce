//! CRDs as they are published.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};

use crate::api::{Column, TaskResource};
use crate::core::Reason;
use crate::task::helper_reason::HELPER_REASONS;

/// The CRD of a task kind.
pub fn for_kind<T: TaskResource>() -> Value {
    let columns: Vec<Column> = [Column::LEADING, T::COLUMNS, Column::TRAILING].concat();
    publish(&T::crd(), &columns)
}

/// What the derive cannot say: the columns; what each reason means; a new status is unobserved (so that a waiter that is
/// faster than the operator never takes an object without status for a finished one); and an optional field takes
/// `null` as "absent", which the API server does by itself unless the schema says `nullable`.
fn publish(crd: &CustomResourceDefinition, columns: &[Column]) -> Value {
    let mut crd = json!(crd);
    for version in crd["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["additionalPrinterColumns"] = json!(columns);
        let schema = &mut version["schema"]["openAPIV3Schema"];
        strip_nullable(schema);
        schema["properties"]["status"]["properties"]["conditions"]["items"]["properties"]["reason"]["description"] =
            json!(reasons());
        schema["properties"]["status"]["default"] = json!({"observedGeneration": -1});
    }
    crd
}

/// For `kubectl explain KIND.status.conditions.reason`.
fn reasons() -> String {
    let ours = Reason::ALL.iter().map(|reason| (reason.as_str(), reason.meaning(), reason.remedy()));
    let helpers = HELPER_REASONS.iter().map(|reason| (reason.name, reason.meaning, reason.remedy));
    let lines = ours.chain(helpers).map(|(name, meaning, remedy)| format!("{name}: {meaning} What to do: {remedy}"));
    format!("Why, in one word.\n{}", lines.collect::<Vec<_>>().join("\n"))
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
