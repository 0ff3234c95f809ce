//! `gate`: what has pods wait for migrations, for where no policy puts it into them.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::Error;
use crate::core::json::{items, name_of, string_map};
use crate::helper;
use crate::names;
use crate::task::gate::{self, Gate, GateProblem, asks_for_gate};

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
    #[error("no document has a pod template; write a Deployment, or another kind that has one")]
    NoTemplate,
    /// Several have one, and none says that its pods are to wait.
    #[error(
        "several documents have a pod template; annotate those whose pods are to wait with {}: \"true\"",
        names::WAIT_ANNOTATION
    )]
    NoneAsks,
    /// The pods of some cannot wait, or not as they ask; what is wrong was printed.
    #[error("not all pods will wait as they ask, see above")]
    Problems,
}

impl GateLines {
    /// Prints them as YAML.
    pub fn run(self) -> Result<(), Error> {
        let text =
            std::fs::read_to_string(&self.filename).map_err(|error| Error::File(self.filename.clone(), error))?;
        let yaml = |error: &dyn std::fmt::Display| Error::Yaml(self.filename.clone(), error.to_string());
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| yaml(&error))?;
        let mut problems = false;
        for Lines { object, place, lines, problem } in lines(&documents)? {
            if let Some(problem) = problem {
                eprintln!("{object}: {}", problem.message);
                problems = true;
            }
            if let Some(lines) = lines {
                println!(
                    "# Into {place} of {object}: the annotation, the container after its other init containers, the volume."
                );
                print!("{}", serde_saphyr::to_string(&lines).map_err(|error| yaml(&error))?);
            }
        }
        if problems { Err(GateError::Problems.into()) } else { Ok(()) }
    }
}

/// What is to be pasted into an object's pod template.
pub struct Lines {
    /// Kind and name of the object.
    pub object: String,
    /// Where its pod template stands.
    pub place: &'static str,
    /// None where its pods cannot wait.
    pub lines: Option<Value>,
    pub problem: Option<GateProblem>,
}

/// Where objects have their pod templates.
const PLACES: &[(&str, &str)] = &[
    ("spec.template", "/spec/template"),
    ("spec.jobTemplate.spec.template", "/spec/jobTemplate/spec/template"),
    ("template", "/template"),
];

/// The lines for each object whose pods are to wait.
pub fn lines(documents: &[Value]) -> Result<Vec<Lines>, GateError> {
    let objects = documents.iter().flat_map(|document| match items(&document["items"]) {
        items if items.is_empty() => vec![document.clone()],
        items => items,
    });
    let with_template: Vec<(Value, &str, Value)> = objects
        .filter_map(|object| {
            let found = |(place, path): &(&'static str, &str)| {
                let template = object.pointer(path).filter(|template| template["spec"]["containers"].is_array())?;
                Some((*place, template.clone()))
            };
            let (place, template) = PLACES.iter().find_map(found)?;
            Some((object, place, template))
        })
        .collect();
    let asks =
        |(.., template): &&(Value, &str, Value)| asks_for_gate(Some(&string_map(&template["metadata"]["annotations"])));
    let mut chosen: Vec<_> = with_template.iter().filter(asks).collect();
    if chosen.is_empty() {
        chosen = match with_template.as_slice() {
            [] => return Err(GateError::NoTemplate),
            [only] => vec![only],
            _ => return Err(GateError::NoneAsks),
        };
    }
    Ok(chosen.into_iter().map(|(object, place, template)| lines_of(object, place, template)).collect())
}

fn lines_of(object: &Value, place: &'static str, template: &Value) -> Lines {
    let (lines, problem) = match gate::build(template, helper::source()) {
        Ok(Gate { container, volume }) => {
            let lines = json!({
                "metadata": { "annotations": { names::WAIT_ANNOTATION: "true" } },
                "spec": { "initContainers": [container], "volumes": [volume] },
            });
            let of_object = string_map(&object["metadata"]["annotations"]);
            let of_template = string_map(&template["metadata"]["annotations"]);
            let problem = gate::unanswered(&of_object, &of_template);
            (Some(lines), problem.or_else(|| gate::ignored_annotations(&of_object, &of_template)))
        }
        Err(problem) => (None, Some(problem)),
    };
    let problem = problem.map(|GateProblem { reason, message }| GateProblem {
        reason,
        message: message.replace(gate::TEMPLATE_OF_A_DEPLOYMENT, place),
    });
    let object = format!("{} {}", object["kind"].as_str().unwrap_or_default(), name_of(&object["metadata"]));
    Lines { object, place, lines, problem }
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
            let names = |lines: Vec<Lines>| lines.into_iter().map(|lines| lines.object).collect::<Vec<_>>().join(", ");
            match (lines(&documents).map(names), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}
