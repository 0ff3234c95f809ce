//! A chart: its values, which are a struct, as `values.yaml`, as a schema and as a page.

use std::fmt::Write;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::manifests::{GENERATED, GENERATED_HEADER, MARKDOWN_HEADER, indented, yaml};

/// Columns of a comment.
const WIDTH: usize = 100;

/// What a chart is generated from.
pub struct Chart {
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// What its page says before the table of values.
    pub introduction: &'static str,
    pub annotations: Value,
    pub values: Value,
    pub schema: Value,
    /// Files below the chart, by path.
    pub templates: Vec<(String, String)>,
}

/// The schema of a chart's values: one that knows all keys, so that one that is misspelt is refused.
pub fn schema<T: JsonSchema + Serialize + Default>() -> Result<(Value, Value), String> {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    // Of a chart that has this one as a part.
    schema["properties"]["global"] =
        json!({ "type": "object", "description": "Values of the chart that this one is a part of. Not read." });
    tidy(&mut schema);
    let values = serde_json::to_value(T::default()).map_err(|error| error.to_string())?;
    Ok((values, schema))
}

/// Takes away what only Rust means.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // The words, not values of these names.
            fields.retain(|name, value| !(matches!(name.as_str(), "format" | "title") && value.is_string()));
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

impl Chart {
    /// Path and text of each file, below `config/helm/`.
    pub fn files(self) -> Result<Vec<(String, String)>, String> {
        let mut schema = self.schema.clone();
        schema["$comment"] = json!(GENERATED);
        let schema = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())?;
        let mut values = GENERATED_HEADER.to_owned();
        write_values(&mut values, &self.schema, &self.values, 0)?;
        let mut files = vec![
            ("Chart.yaml".to_owned(), format!("{GENERATED_HEADER}{}", yaml(&self.metadata())?)),
            ("values.yaml".to_owned(), values),
            ("values.schema.json".to_owned(), schema + "\n"),
            ("README.md".to_owned(), self.page()),
        ];
        files.extend(self.templates);
        Ok(files.into_iter().map(|(path, text)| (format!("config/helm/{}/{path}", self.name), text)).collect())
    }

    fn metadata(&self) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        json!({
            "apiVersion": "v2",
            "type": "application",
            "name": self.name,
            "description": self.description,
            "version": version,
            "appVersion": version,
            "kubeVersion": ">=1.30.0-0",
            "keywords": ["django", "celery", "migrations", "operator"],
            "annotations": self.annotations,
        })
    }

    fn page(&self) -> String {
        let Self { name, description, introduction, .. } = self;
        let mut page = format!("{MARKDOWN_HEADER}# {name}\n\n{description}.\n\n{introduction}\n## Values\n\n");
        page.push_str("| value | default | meaning |\n| --- | --- | --- |\n");
        write_rows(&mut page, "", &self.schema, &self.values);
        page
    }
}

/// The parts of a value that have a description each.
fn parts(schema: &Value) -> Option<&Map<String, Value>> {
    schema["properties"].as_object()
}

fn write_values(text: &mut String, schema: &Value, values: &Value, indent: usize) -> Result<(), String> {
    for (name, schema) in parts(schema).into_iter().flatten() {
        let Some(value) = values.get(name) else { continue };
        if indent == 0 {
            text.push('\n');
        }
        for line in wrapped(&description(schema), WIDTH - indent) {
            let _ = writeln!(text, "{:indent$}# {line}", "");
        }
        let filled = value.as_object().is_some_and(|fields| !fields.is_empty())
            || value.as_array().is_some_and(|items| !items.is_empty());
        if parts(schema).is_some() {
            let _ = writeln!(text, "{:indent$}{name}:", "");
            write_values(text, schema, value, indent + 2)?;
        } else if filled {
            let _ = write!(text, "{:indent$}{name}:\n{}", "", indented(&yaml(value)?, indent + 2));
        } else {
            let _ = writeln!(text, "{:indent$}{name}: {value}", "");
        }
    }
    Ok(())
}

fn write_rows(page: &mut String, prefix: &str, schema: &Value, values: &Value) {
    for (name, schema) in parts(schema).into_iter().flatten() {
        let Some(value) = values.get(name) else { continue };
        let path = format!("{prefix}{name}");
        let meaning = description(schema).replace('|', "\\|");
        if parts(schema).is_some() {
            let _ = writeln!(page, "| `{path}` | | {meaning} |");
            write_rows(page, &format!("{path}."), schema, value);
        } else {
            let _ = writeln!(page, "| `{path}` | `{value}` | {meaning} |");
        }
    }
}

fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_end_matches('.').to_owned() + "."
}

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < width - 2 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
