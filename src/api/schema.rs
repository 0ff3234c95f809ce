//! Whether a stored spec keeps the bounds, patterns and rules of the schema as it is now: an object may be older than
//! they are.

use kube::core::cel::{CompiledSchema, compile_schema, validate_compiled};
use regex::Regex;
use serde_json::Value;

/// The bounds of a schema, made once for a kind, as compiling its rules takes milliseconds.
pub struct SpecSchema {
    schema: Value,
    patterns: Vec<(String, Regex)>,
    rules: CompiledSchema,
}

impl SpecSchema {
    /// Of a CRD's spec.
    pub fn of(crd: &Value) -> Self {
        let schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone();
        let mut patterns = Vec::new();
        collect_patterns(&schema, &mut patterns);
        let compile = |pattern: String| Regex::new(&pattern).ok().map(|regex| (pattern, regex));
        let rules = compile_schema(&schema);
        Self { schema, patterns: patterns.into_iter().filter_map(compile).collect(), rules }
    }

    /// What is wrong with a spec, each with its field; empty: nothing.
    pub fn violations(&self, spec: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.check("spec", spec, &self.schema, &mut found);
        if let Err(errors) = validate_compiled(&self.rules, spec, None) {
            found.extend(errors.into_vec().into_iter().map(|error| error.message));
        }
        found
    }

    fn check(&self, place: &str, value: &Value, schema: &Value, found: &mut Vec<String>) {
        let mut refuse = |problem: String| found.push(format!("{place}: {problem}"));
        let bound = |name: &str| schema[name].as_f64();
        match value {
            Value::String(text) => {
                let length = text.chars().count() as f64;
                if bound("minLength").is_some_and(|min| length < min) {
                    refuse(format!("is too short; write at least {} characters", schema["minLength"]));
                }
                if bound("maxLength").is_some_and(|max| length > max) {
                    refuse(format!("is too long; write at most {} characters", schema["maxLength"]));
                }
                if let Some(pattern) = schema["pattern"].as_str()
                    && self.patterns.iter().any(|(known, regex)| known == pattern && !regex.is_match(text))
                {
                    refuse(format!("write something that matches {pattern}"));
                }
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                if bound("minimum").is_some_and(|min| number < min) {
                    refuse(format!("is too low; write at least {}", schema["minimum"]));
                }
                if bound("maximum").is_some_and(|max| number > max) {
                    refuse(format!("is too high; write at most {}", schema["maximum"]));
                }
            }
            Value::Array(items) => {
                if bound("minItems").is_some_and(|min| (items.len() as f64) < min) {
                    refuse(format!("has too few items; write at least {}", schema["minItems"]));
                }
                if bound("maxItems").is_some_and(|max| items.len() as f64 > max) {
                    refuse(format!("has too many items; write at most {}", schema["maxItems"]));
                }
                for (index, item) in items.iter().enumerate() {
                    self.check(&format!("{place}[{index}]"), item, &schema["items"], found);
                }
            }
            Value::Object(fields) => {
                if bound("maxProperties").is_some_and(|max| fields.len() as f64 > max) {
                    refuse(format!("has too many entries; write at most {}", schema["maxProperties"]));
                }
                for (name, field) in fields {
                    let known = &schema["properties"][name.as_str()];
                    let schema = if known.is_null() { &schema["additionalProperties"] } else { known };
                    self.check(&format!("{place}.{name}"), field, schema, found);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn collect_patterns(schema: &Value, found: &mut Vec<String>) {
    if let Some(pattern) = schema["pattern"].as_str() {
        found.push(pattern.to_owned());
    }
    let fields = schema["properties"].as_object().into_iter().flat_map(|fields| fields.values());
    for inner in fields.chain([&schema["items"], &schema["additionalProperties"]]).filter(|inner| inner.is_object()) {
        collect_patterns(inner, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{DjangoCelery, DjangoCommand, DjangoMigrate, DjangoStatic, DjangoUser, task_kinds};
    use kube::CustomResourceExt;
    use serde_json::json;

    fn schema<K: CustomResourceExt>() -> SpecSchema {
        SpecSchema::of(&serde_json::to_value(K::crd()).unwrap())
    }

    #[test]
    fn each_bound_and_rule_is_judged_with_its_field() {
        let migrate = |spec: Value| schema::<DjangoMigrate>().violations(&spec);
        let user = |spec: Value| schema::<DjangoUser>().violations(&spec);
        let commands = |commands: Value| schema::<DjangoCommand>().violations(&json!({"commands": commands}));
        for (found, expected) in [
            (migrate(json!({"app": "myapp", "timeoutSeconds": 60, "lock": {"id": 7}})), vec![]),
            (migrate(json!({"app": "--settings=evil"})), vec!["spec.app: write something that matches"]),
            (migrate(json!({"timeoutSeconds": 0})), vec!["spec.timeoutSeconds: is too low; write at least 1"]),
            (migrate(json!({"retries": 11})), vec!["spec.retries: is too high; write at most 10"]),
            (migrate(json!({"lock": {"timeoutSeconds": 0}})), vec!["spec.lock.timeoutSeconds: is too low"]),
            (
                migrate(json!({"resources": {"limits": {"memory": "1 Gb"}}})),
                vec!["spec.resources.limits.memory: write"],
            ),
            (migrate(json!({"resources": {"limits": {"cpu": 1}}})), vec![]),
            (user(json!({"username": ""})), vec!["spec.username: is too short", "spec.username: write something"]),
            (user(json!({"username": "ü".repeat(254)})), vec![]),
            (user(json!({"username": "x".repeat(255)})), vec!["spec.username: is too long; write at most 254"]),
            (user(json!({"attributes": {"a": "x".repeat(1025)}})), vec!["spec.attributes.a: is too long"]),
            (
                schema::<DjangoStatic>().violations(&json!({"ignore": ["a", ""]})),
                vec!["spec.ignore[1]: is too short", "spec.ignore[1]: write"],
            ),
            (schema::<DjangoStatic>().violations(&json!({"ignore": vec!["a"; 33]})), vec!["spec.ignore: has too many"]),
            (migrate(json!({"migration": "0001"})), vec!["migration: needs app as well"]),
            (
                migrate(json!({"target": {"deployment": "web", "podTemplate": "web"}})),
                vec!["target: set only one of deployment"],
            ),
            (
                user(json!({"username": "ann", "image": "i:1", "runPolicy": "OnImageChange"})),
                vec!["image: cannot be set together with runPolicy"],
            ),
            (
                schema::<DjangoCelery>().violations(&json!({"app": "a", "worker": "--queues=x"})),
                vec!["spec.worker: write"],
            ),
            (commands(json!([["check", "--", "$(X) 🙂"], ["clearsessions"]])), vec![]),
            (commands(json!([])), vec!["spec.commands: has too few items; write at least 1"]),
            (commands(json!([[]])), vec!["spec.commands[0]: has too few items", "commands: each begins with the name"]),
            (commands(json!(vec![["check"]; 17])), vec!["spec.commands: has too many items; write at most 16"]),
            (commands(json!([vec!["check"; 65]])), vec!["spec.commands[0]: has too many items; write at most 64"]),
            (commands(json!([["check", "a\nb"]])), vec!["spec.commands[0][1]: write something that matches"]),
            (commands(json!([["check", "x".repeat(4097)]])), vec!["spec.commands[0][1]: is too long"]),
            (commands(json!([["check"], ["migrate; rm -rf /"]])), vec!["commands: each begins with the name"]),
            (commands(json!([["Migrate"]])), vec!["commands: each begins with the name"]),
            (commands(json!([["../check"]])), vec!["commands: each begins with the name"]),
            (commands(json!([["сheck"]])), vec!["commands: each begins with the name"]), // a Cyrillic letter
            (commands(json!([["x".repeat(65)]])), vec!["commands: each begins with the name"]),
            (commands(json!([["check", "--settings=evil"]])), vec!["commands: --settings and --pythonpath are"]),
            (commands(json!([["check", "--pythonpath", "/tmp"]])), vec!["commands: --settings and --pythonpath are"]),
            (commands(json!([["check", "--settings-file=x", "--path"]])), vec![]),
            (
                commands(json!([["dump", "x".repeat(4096), "x".repeat(4096), "x".repeat(4096), "x".repeat(4092)]])),
                vec![],
            ),
            (
                commands(json!(vec![["dump".to_owned(), "x".repeat(4093)]; 4])),
                vec!["commands: have more than 16384 characters"],
            ),
        ] {
            assert_eq!(found.len(), expected.len(), "{found:?}");
            assert!(found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected)), "{found:?}");
        }
    }

    #[test]
    fn every_pattern_of_every_kind_can_be_judged() {
        fn patterns<K: CustomResourceExt>() -> (usize, usize) {
            let schema = schema::<K>();
            let mut all = Vec::new();
            collect_patterns(&schema.schema, &mut all);
            (all.len(), schema.patterns.len())
        }
        macro_rules! of_every_kind {
            ($($module:ident: $kind:ident,)*) => { [$(patterns::<crate::api::$kind>()),*] };
        }
        let counts = task_kinds!(of_every_kind);
        assert!(counts.iter().all(|(all, compiled)| all == compiled && *all > 0), "{counts:?}");
    }

    #[test]
    fn every_rule_of_every_kind_can_be_judged() {
        fn errors<K: CustomResourceExt>() -> Vec<String> {
            schema::<K>().rules.compilation_errors().iter().map(|error| format!("{error:?}")).collect()
        }
        macro_rules! of_every_kind {
            ($($module:ident: $kind:ident,)*) => { [$(errors::<crate::api::$kind>()),*] };
        }
        let errors = task_kinds!(of_every_kind);
        assert!(errors.concat().is_empty(), "{errors:?}");
    }
}
