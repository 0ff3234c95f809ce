//! Tasks as they are named on the command line and in manifests.

use std::fmt;
use std::str::FromStr;

use kube::core::ApiResource;
use serde_json::Value;

use crate::task::Task;
use crate::task::kinds::{self, KindVisitor};

/// Kind and name of a task.
#[derive(Clone, Debug)]
pub struct TaskName {
    pub resource: ApiResource,
    pub name: String,
}

impl FromStr for TaskName {
    type Err = String;

    /// `KIND/NAME`, with whatever kubectl takes for the kind.
    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once('/').filter(|(_, name)| !name.is_empty()).ok_or("write it as KIND/NAME")?;
        let resource = resource_named(kind)?;
        Ok(Self { resource, name: valid_name(name)? })
    }
}

impl TaskName {
    /// Of a manifest.
    pub fn of_manifest(manifest: &Value) -> Result<Self, String> {
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let name = manifest["metadata"]["name"].as_str().filter(|name| !name.is_empty());
        let resource = resource_named(kind)?;
        if manifest["apiVersion"] != resource.api_version {
            return Err(format!("apiVersion: write {}", resource.api_version));
        }
        Ok(Self { resource, name: valid_name(name.ok_or("metadata.name: is missing")?)? })
    }
}

/// A name as the API server has them, which goes into a selector.
fn valid_name(name: &str) -> Result<String, String> {
    match name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.') {
        true => Ok(name.to_owned()),
        false => Err(format!("{name:?} is no name; write it of a-z, 0-9, - and .")),
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.resource.kind.to_lowercase(), self.name)
    }
}

fn resource_named(kind: &str) -> Result<ApiResource, String> {
    let mut search = Search { kind: kind.to_lowercase(), known: Vec::new(), found: None };
    kinds::visit_kinds(&mut search);
    search.found.ok_or_else(|| format!("{kind:?} is no kind of task; write one of {}", search.known.join(", ")))
}

struct Search {
    kind: String,
    known: Vec<&'static str>,
    found: Option<ApiResource>,
}

impl KindVisitor for Search {
    fn visit<T: Task>(&mut self) {
        self.known.push(T::KIND);
        let names = T::crd().spec.names;
        let plural_with_group = T::crd_name();
        let mut known = vec![T::KIND.to_lowercase(), names.plural, plural_with_group.to_owned()];
        known.extend(names.short_names.into_iter().flatten());
        known.extend(names.singular);
        if known.contains(&self.kind) {
            self.found = Some(ApiResource::erase::<T>(&()));
        }
    }
}
