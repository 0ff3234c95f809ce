//! What became of the template's parts.

use serde::Serialize;

/// An annotation of the Job, and printed by `render`.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct TemplateChanges {
    /// Containers and volumes that were copied.
    pub copied: Vec<String>,
    /// What was copied in another form.
    pub converted: Vec<String>,
    /// What was left out.
    pub dropped: Vec<String>,
}
