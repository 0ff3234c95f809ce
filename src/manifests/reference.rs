//! The reference page, generated from the schemas and from the table of settings.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::MARKDOWN_HEADER;
use super::manager::Setting;
use crate::names;

/// Markdown of all kinds, reasons and settings.
pub fn page(crds: &[&Value], settings: &[Setting]) -> String {
    let mut page = MARKDOWN_HEADER.to_owned();
    page.push_str("# Reference\n\nGroup `django.my.domain`, version `v1alpha1`.\n");
    for crd in crds {
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap_or_default();
        let schema = schema(crd);
        let _ = writeln!(page, "\n## {kind}\n\n{}\n", text(&schema["description"]));
        for part in ["spec", "status"] {
            let shared = shared_fields(crds, part);
            table(&mut page, part, &schema["properties"][part], |name| !shared.contains(name));
        }
        page.push_str("And the fields [of every kind](#every-kind).\n\n");
        if let Some(rules) = schema["properties"]["spec"]["x-kubernetes-validations"].as_array() {
            page.push_str("Rules across fields:\n\n");
            for rule in rules {
                let _ = writeln!(page, "- {}", text(&rule["message"]));
            }
        }
    }
    if let Some(first) = crds.first() {
        page.push_str("\n## Every kind\n\n");
        for part in ["spec", "status"] {
            let shared = shared_fields(crds, part);
            table(&mut page, part, &schema(first)["properties"][part], |name| shared.contains(name));
        }
    }
    page.push_str("\n## Annotations of a target\n\nOn the Deployment or PodTemplate, or on its pod template.\n\n");
    annotations(&mut page, names::TARGET_ANNOTATIONS);
    page.push_str(
        "\n## Annotations of a pod template\n\nFor pods that wait for migrations: [the gate](gate.md). They, and those above that \
         say how commands start, are read from the pods, and so stand on the pod template.\n\n",
    );
    annotations(&mut page, names::POD_ANNOTATIONS);
    page.push_str(
        "\nReasons of conditions and of failed runs, and what to do: [troubleshooting](troubleshooting.md).\n\n\
         ## Settings of the operator\n\nEach is an environment variable and a flag of `django-operator run`. The manifests and \
         the chart set them; there WATCH_NAMESPACE is the operator's own namespace unless you say otherwise.\n\n",
    );
    page.push_str("| variable | default | meaning |\n| --- | --- | --- |\n");
    for Setting { variable, default, meaning, .. } in settings {
        let _ = writeln!(page, "| `{variable}` | `{default}` | {} |", table_cell(meaning));
    }
    page
}

fn annotations(page: &mut String, rows: &[(&str, &str, &str)]) {
    page.push_str("| annotation | example | meaning |\n| --- | --- | --- |\n");
    for (name, example, meaning) in rows {
        let _ = writeln!(page, "| `{name}` | `{example}` | {meaning} |");
    }
}

fn schema(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Fields of the spec or the status that all kinds have.
fn shared_fields<'a>(crds: &[&'a Value], part: &str) -> BTreeSet<&'a str> {
    let fields = |crd: &'a Value| -> BTreeSet<&'a str> {
        let fields = schema(crd)["properties"][part]["properties"].as_object();
        fields.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    };
    crds.iter().copied().map(fields).reduce(|a, b| &a & &b).unwrap_or_default()
}

fn table(page: &mut String, part: &str, schema: &Value, wanted: impl Fn(&str) -> bool) {
    let _ = writeln!(page, "| {part} field | type | meaning |\n| --- | --- | --- |");
    rows(page, part, schema, &wanted);
    page.push('\n');
}

fn rows(page: &mut String, prefix: &str, schema: &Value, wanted: &dyn Fn(&str) -> bool) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten().filter(|(name, _)| wanted(name)) {
        let path = format!("{prefix}.{name}");
        let star = if required.contains(&name.as_str()) { "*" } else { "" };
        let _ = writeln!(page, "| `{path}`{star} | {} | {} |", type_name(field), text(&field["description"]));
        rows(page, &path, field, &|_| true);
        if name != "conditions" {
            rows(page, &format!("{path}[]"), &field["items"], &|_| true);
        }
    }
}

fn type_name(field: &Value) -> String {
    match field["type"].as_str() {
        Some("array") => format!("list of {}", field["items"]["type"].as_str().unwrap_or("value")),
        Some(kind) => kind.to_owned(),
        None => "integer or string".to_owned(),
    }
}

fn text(value: &Value) -> String {
    table_cell(value.as_str().unwrap_or_default())
}

fn table_cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
