//! What a Job is made of.

use kube::ResourceExt;
use serde_json::Value;

use super::{BuiltJob, HelperSource, assemble, image};
use crate::api::{Run, TaskPolicy, non_empty};
use crate::core::json::text;
use crate::core::{APPLY_PERIOD, Blocked, Reason};
use crate::names;
use crate::task::source::TemplateSource;
use crate::task::steps::first_step;
use crate::task::{Command, Task, run_key};

/// Everything that a Job is made of.
#[derive(Clone, Debug)]
pub struct JobInput<'a> {
    pub kind: &'a str,
    /// `group/version` of the task.
    pub api_version: String,
    pub namespace: &'a str,
    pub name: &'a str,
    pub uid: &'a str,
    /// Generation that the run carries out.
    pub generation: i64,
    pub run: i64,
    pub key: &'a str,
    /// The newest run before, or this one where its record is there and its Job is not.
    pub last_run: Option<&'a Run>,
    /// Shared fields of the spec.
    pub policy: &'a TaskPolicy,
    pub command: Command,
    /// The step at which it begins, counted from 1.
    pub first_step: usize,
    /// Where the template comes from.
    pub source: &'a TemplateSource,
    /// The container that runs the command.
    pub container: DjangoContainer,
    pub helper: HelperSource<'a>,
}

/// The container that runs the command.
#[derive(Clone, Debug)]
pub struct DjangoContainer {
    pub name: String,
    /// The image that it runs in the Job.
    pub image: String,
    /// As it stands in the target's template.
    pub spec: Value,
}

impl DjangoContainer {
    /// Chooses it, and its image.
    fn of(source: &TemplateSource, policy: &TaskPolicy) -> Result<Self, Blocked> {
        let wanted = policy.target.as_ref().and_then(|t| non_empty(&t.container));
        let spec = source.django_container(wanted)?;
        let target_image = text(&spec["image"]);
        let image = non_empty(&policy.image).unwrap_or(&target_image).to_owned();
        if image != target_image {
            Self::check_image(&image, &target_image, source)?;
        }
        Ok(Self { name: text(&spec["name"]), image, spec })
    }

    fn check_image(image: &str, target_image: &str, source: &TemplateSource) -> Result<(), Blocked> {
        let problem = match image::is_allowed(image, target_image, source.annotation(names::ALLOW_IMAGES_ANNOTATION)) {
            Ok(true) => return Ok(()),
            Ok(false) => format!(
                "{image:?} is not of the repository {}; use that, or let the owner of {source} allow it in the annotation {}",
                image::repository(target_image),
                names::ALLOW_IMAGES_ANNOTATION
            ),
            Err(error) => format!("{image:?} is no image: {error}; write it as registry/repository:tag"),
        };
        Err(Blocked::stalls_after(APPLY_PERIOD, Reason::ImageNotAllowed, format!("spec.image: {problem}")))
    }
}

/// The Job of the run of this number, with the template of `source`.
///
/// `may_resume`: whether it may begin where the run before failed; one by the clock begins at the first step.
pub fn build<T: Task>(
    task: &T,
    source: &TemplateSource,
    run: i64,
    may_resume: bool,
    helper: HelperSource,
) -> Result<BuiltJob, Blocked> {
    let policy = task.policy();
    let container = DjangoContainer::of(source, policy)?;
    let key = run_key::for_task(task);
    let command = task.command();
    let last_run = task.status().last_run.as_ref();
    let resumes = may_resume && command.steps.as_ref().is_some_and(|steps| steps.resumes);
    let input = JobInput {
        kind: T::KIND,
        api_version: T::api_version(&()).into_owned(),
        namespace: task.meta().namespace.as_deref().unwrap_or("default"),
        name: &task.name_any(),
        uid: task.meta().uid.as_deref().unwrap_or_default(),
        generation: task.meta().generation.unwrap_or(1),
        run,
        key: &key,
        last_run,
        policy,
        command,
        first_step: if resumes { first_step(last_run, run, &key, &container.image) } else { 1 },
        source,
        container,
        helper,
    };
    assemble(&input)
}
