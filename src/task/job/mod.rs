//! One run's Job: the copied template with the command in it. Pure.

mod changes;
mod containers;
pub(super) mod env;
pub(super) mod image;
mod input;
pub mod launcher;
mod metadata;
mod references;
mod template;
mod volumes;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use input::{JobInput, build};
use launcher::Launcher;
pub use launcher::is_interpreter_missing;

use super::Command;
use crate::core::Blocked;
use crate::core::json::items;
use crate::names;

/// Where the helper is mounted.
pub const HELPER_DIR: &str = "/run/django-operator";
/// The file that the kubelet reads a container's last words from.
pub const TERMINATION_LOG: &str = "/dev/termination-log";

/// Where a Job finds the helper, and how it checks what it finds.
#[derive(Clone, Copy, Debug)]
pub struct HelperSource<'a> {
    /// Name of the ConfigMap.
    pub config_map: &'a str,
    /// SHA-256 of the file in it, in hex.
    pub digest: &'a str,
    /// Python code that reads the file, compares its digest, and runs what it read.
    pub bootstrap: &'a str,
}

impl HelperSource<'_> {
    /// How an interpreter starts it; its arguments follow.
    pub fn start(&self, interpreter: &[String]) -> Vec<String> {
        let mut call = interpreter.to_vec();
        let file = format!("{HELPER_DIR}/{}", names::HELPER_FILE);
        call.extend(["-c".to_owned(), self.bootstrap.to_owned(), file, self.digest.to_owned()]);
        call
    }
}

/// A Job that is ready to be created.
#[derive(Clone, Debug)]
pub struct BuiltJob {
    /// Key of the run.
    pub key: String,
    pub job: Value,
    pub name: String,
    /// Name of the Django container.
    pub container: String,
    /// Image of the Django container.
    pub image: String,
    /// The interpreter that it starts, and those to try where that one is not there.
    pub interpreters: Vec<String>,
    /// The step at which it begins, counted from 1.
    pub first_step: usize,
}

/// Makes the Job of its parts, or says why it cannot be made.
fn assemble(input: &JobInput) -> Result<BuiltJob, Blocked> {
    let JobInput { source, policy, container, .. } = input;
    let mut launcher = Launcher::of(source.annotation(names::MANAGE_ANNOTATION), &container.spec)
        .map_err(|problem| source.unusable(format_args!("annotation {} {problem}", names::MANAGE_ANNOTATION)))?;
    launcher.remember(input.last_run, input.run);
    let keep_entrypoint = keeps_entrypoint(source.annotation(names::ENTRYPOINT_ANNOTATION))
        .map_err(|problem| source.unusable(format_args!("annotation {} {problem}", names::ENTRYPOINT_ANNOTATION)))?;

    let template::CopiedTemplate { mut template, changes, mounts } =
        template::copy(source, &container.spec, &operator_labels(input.kind))?;
    let mut django = template["spec"]["containers"][0].take();
    django["image"] = json!(container.image);
    let interpreter = launcher.interpreters.first().cloned().unwrap_or_default();
    let (command, args) = helper_call(&interpreter, &launcher, input);
    // Only where the template names a command of its own, the entrypoint is known to be of no use.
    let bypasses_entrypoint = !keep_entrypoint && items(&django["command"]).is_empty();
    if keep_entrypoint {
        django["args"] = json!(env::without_references(command.into_iter().chain(args)));
    } else {
        django["command"] = json!(env::without_references(command));
        django["args"] = json!(env::without_references(args));
    }
    django["env"] = env::variables(&django, &input.command, &mounts, bypasses_entrypoint);
    if let Some(resources) = policy.resources.as_ref().filter(|resources| !resources.is_empty()) {
        let claims = django["resources"].get("claims").cloned();
        django["resources"] = json!(resources);
        if let Some(claims) = claims {
            django["resources"]["claims"] = claims;
        }
    }
    django["terminationMessagePath"] = json!(TERMINATION_LOG);
    django["terminationMessagePolicy"] = json!("File");
    let spec = &mut template["spec"];
    mount_helper(spec, &mut django, input.helper.config_map);
    spec["containers"] = json!([django]);

    let name = names::job_name(input.name, input.uid, input.run);
    let interpreters: Vec<String> = launcher.interpreters.iter().filter_map(|words| words.first().cloned()).collect();
    template["metadata"]["annotations"][names::TASK_ANNOTATION] = json!(input.name);
    let backoff_limit = if input.command.steps.is_some() { 0 } else { policy.retries };
    let mut job_spec = json!({
        "backoffLimit": backoff_limit,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": { "rules": [disruption_rule(&input.command, backoff_limit)] },
        "template": template,
    });
    if let Some(seconds) = policy.timeout_seconds.or(input.command.default_timeout) {
        job_spec["activeDeadlineSeconds"] = json!(seconds);
    }
    let mut job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": input.namespace,
            "labels": operator_labels(input.kind),
            "annotations": {
                names::TASK_ANNOTATION: input.name,
                names::RUN_ANNOTATION: input.run.to_string(),
                names::RUN_KEY_ANNOTATION: input.key,
                names::GENERATION_ANNOTATION: input.generation.to_string(),
                names::CONTAINER_ANNOTATION: container.name,
                names::IMAGE_ANNOTATION: container.image,
                names::TARGET_ANNOTATION: format!("{}/{}", source.kind.as_str(), source.name),
                names::INTERPRETERS_ANNOTATION: interpreters.join(","),
                names::TEMPLATE_CHANGES_ANNOTATION: json!(changes).to_string(),
            },
            "ownerReferences": [{
                "apiVersion": input.api_version,
                "kind": input.kind,
                "name": input.name,
                "uid": input.uid,
                "controller": true,
            }],
        },
        "spec": job_spec,
    });
    let target_settings = source.settings_hash();
    if !target_settings.is_empty() {
        job["metadata"]["annotations"][names::TARGET_SETTINGS_ANNOTATION] = json!(target_settings);
    }
    if input.command.at_most_once {
        job["spec"]["suspend"] = json!(true);
        job["metadata"]["annotations"][names::HELD_ANNOTATION] = json!("true");
    }
    Ok(BuiltJob {
        job,
        name,
        key: input.key.to_owned(),
        container: container.name.clone(),
        image: container.image.clone(),
        interpreters,
        first_step: input.first_step,
    })
}

/// Whether the annotation leaves the image's entrypoint in place; else why it cannot be followed.
pub fn keeps_entrypoint(annotation: Option<&str>) -> Result<bool, String> {
    match annotation.unwrap_or_default() {
        "" | "Bypass" => Ok(false),
        "Keep" => Ok(true),
        other => Err(format!("is {other:?}; write Keep, or leave it out")),
    }
}

/// The operator's own labels, on the Job and on its pods.
fn operator_labels(kind: &str) -> BTreeMap<String, String> {
    [
        (names::MANAGED_BY_LABEL, names::OPERATOR),
        ("app.kubernetes.io/name", "django-operator-task"),
        (names::KIND_LABEL, kind),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// A disruption either does not count, or ends the run.
fn disruption_rule(command: &Command, backoff_limit: i32) -> Value {
    let action = match command.at_most_once {
        false => "Ignore",
        true if backoff_limit > 0 => "Count",
        true => "FailJob",
    };
    json!({ "action": action, "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] })
}

/// The interpreter with the helper, and the helper's arguments.
fn helper_call(interpreter: &[String], launcher: &Launcher, input: &JobInput) -> (Vec<String>, Vec<String>) {
    let JobInput { command, helper, .. } = input;
    let mut options = launcher.options(command.runner);
    if let Some(steps) = &command.steps {
        let lengths: Vec<String> = steps.lengths.iter().map(usize::to_string).collect();
        options.push(format!("--lengths={}", lengths.join(",")));
        if input.policy.retries > 0 {
            options.push(format!("--retries={}", input.policy.retries));
        }
        if input.first_step > 1 {
            options.push(format!("--first={}", input.first_step));
        }
    }
    let args = options.into_iter().chain(["--".to_owned()]).chain(command.argv.iter().cloned()).collect();
    (helper.start(interpreter), args)
}

/// The helper's volume, under a name that the template does not use.
fn mount_helper(spec: &mut Value, django: &mut Value, config_map: &str) {
    let mut volumes = items(&spec["volumes"]);
    let mut name = names::OPERATOR.to_owned();
    while volumes.iter().any(|v| v["name"] == name.as_str()) {
        name.push('x');
    }
    volumes.push(json!({ "name": name, "configMap": { "name": config_map, "defaultMode": 0o444 } }));
    spec["volumes"] = json!(volumes);
    let mut mounts = items(&django["volumeMounts"]);
    mounts.push(json!({ "name": name, "mountPath": HELPER_DIR, "readOnly": true }));
    django["volumeMounts"] = json!(mounts);
}
