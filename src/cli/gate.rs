//! `gate`: what has pods wait for migrations, for where no policy puts it into them.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Error;
use crate::core::json::{name_of, string_map};
use crate::helper;
use crate::names;
use crate::task::gate::{self, Gate, asks_for_gate};

#[derive(Args)]
pub struct GateLines {
    /// File with the manifest of a Deployment, or of anything else with a pod template. Of several documents: those whose
    /// pod template has the annotation.
    #[arg(short, long)]
    filename: PathBuf,
}

/// Why there is nothing to print.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No document has a pod template.
    #[error("no document has a pod template in spec.template; write a Deployment")]
    NoTemplate,
    /// Several have one, and none says that its pods are to wait.
    #[error(
        "several documents have a pod template; annotate those whose pods are to wait with {}: \"true\"",
        names::WAIT_ANNOTATION
    )]
    NoneAsks,
    /// Pods of the template could not wait.
    #[error("{object}: {problem}")]
    Problem { object: String, problem: String },
}

impl GateLines {
    /// Prints them as YAML.
    pub fn run(self) -> Result<(), Error> {
        let text =
            std::fs::read_to_string(&self.filename).map_err(|error| Error::File(self.filename.clone(), error))?;
        let yaml = |error: &dyn std::fmt::Display| Error::Yaml(self.filename.clone(), error.to_string());
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| yaml(&error))?;
        for (object, lines) in lines(&documents)? {
            println!(
                "# Into spec.template of {object}: the annotation, the container after its other init containers, the volume."
            );
            print!("{}", serde_saphyr::to_string(&lines).map_err(|error| yaml(&error))?);
        }
        Ok(())
    }
}

/// The lines for each object whose pods are to wait.
pub fn lines(documents: &[Value]) -> Result<Vec<(String, Value)>, GateError> {
    let with_template: Vec<&Value> = documents.iter().filter(|object| object["spec"]["template"].is_object()).collect();
    let asking =
        |object: &&&Value| asks_for_gate(Some(&string_map(&object["spec"]["template"]["metadata"]["annotations"])));
    let mut chosen: Vec<&Value> = with_template.iter().filter(asking).copied().collect();
    if chosen.is_empty() {
        chosen = match with_template.as_slice() {
            [] => return Err(GateError::NoTemplate),
            [only] => vec![only],
            _ => return Err(GateError::NoneAsks),
        };
    }
    let lines = |object: &Value| {
        let name = format!("{} {}", object["kind"].as_str().unwrap_or_default(), name_of(&object["metadata"]));
        match gate::build(&object["spec"]["template"], helper::source()) {
            Ok(Gate { container, volume }) => {
                let lines = json!({
                    "metadata": { "annotations": { names::WAIT_ANNOTATION: "true" } },
                    "spec": { "initContainers": [container], "volumes": [volume] },
                });
                Ok((name, lines))
            }
            Err(problem) => Err(GateError::Problem { object: name, problem: problem.message }),
        }
    };
    chosen.into_iter().map(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_that_are_to_wait_are_those_that_ask_or_the_only_ones() {
        let object = |name: &str, asks: &str| {
            let containers = json!([{"name": "c", "image": "i"}]);
            let annotations = json!({names::WAIT_ANNOTATION: asks});
            let template = json!({"metadata": {"annotations": annotations}, "spec": {"containers": containers}});
            json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": template}})
        };
        let service = json!({"kind": "Service", "metadata": {"name": "s"}, "spec": {}});
        for (documents, expected) in [
            (vec![object("a", "false"), service.clone()], Ok("Deployment a")),
            (vec![object("a", "false"), object("b", "true"), object("c", "true")], Ok("Deployment b, Deployment c")),
            (vec![object("a", "false"), object("b", "false")], Err("annotate those")),
            (vec![service], Err("no document has a pod template")),
        ] {
            let names =
                |lines: Vec<(String, Value)>| lines.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
            match (lines(&documents).map(names), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
