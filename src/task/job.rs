//! One run's Job: the copied template with the command in it. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::manage::{Entry, Launcher};
use super::template::{self, Source, TemplateChanges};
use super::{Command, EnvValue, OnDisruption, Runner, image};
use crate::api::common::{TaskPolicy, filled};
use crate::core::json::{items, text};
use crate::core::{Blocked, Reason};
use crate::names;

/// Where the helper is mounted.
const HELPER_DIR: &str = "/run/django-operator";
/// The helper's file in the ConfigMap.
pub const HELPER_FILE: &str = "tasks.pyz";
/// Variable that tells the helper what the operator knows of the pod.
const HELPER_ENV: &str = "DJANGO_OPERATOR_RUN";
/// The file that the kubelet reads a container's last words from.
const TERMINATION_LOG: &str = "/dev/termination-log";

/// Everything that a Job is made of.
#[derive(Clone, Debug)]
pub struct JobInput<'a> {
    /// Kind of the task.
    pub kind: &'a str,
    /// `group/version` of the task.
    pub api_version: String,
    /// Namespace of the task.
    pub namespace: &'a str,
    /// Name of the task.
    pub name: &'a str,
    /// UID of the task.
    pub uid: &'a str,
    /// Generation that the run carries out.
    pub generation: i64,
    /// Number of the run.
    pub run: i64,
    /// Key of the run.
    pub key: &'a str,
    /// Shared fields of the spec.
    pub policy: &'a TaskPolicy,
    /// What to execute.
    pub command: Command,
    /// Where the template comes from.
    pub source: &'a Source,
    /// Name of the helper's ConfigMap.
    pub helper: &'a str,
}

/// A Job that is ready to be created.
#[derive(Clone, Debug)]
pub struct BuiltJob {
    /// The Job.
    pub job: Value,
    /// Its name.
    pub name: String,
    /// Name of the Django container.
    pub container: String,
    /// Image of the Django container.
    pub image: String,
    /// What became of the template's parts.
    pub changes: TemplateChanges,
}

/// Builds the Job, or says why it cannot be built.
pub fn build(input: &JobInput) -> Result<BuiltJob, Blocked> {
    let JobInput { source, policy, .. } = input;
    let wanted = policy.target.as_ref().and_then(|t| filled(&t.container));
    let mut main = source.container(wanted)?;
    let container = text(&main["name"]);
    let target_image = text(&main["image"]);
    let image = filled(&policy.image).unwrap_or(&target_image).to_owned();
    if image != target_image && !image::allowed(&image, &target_image, source.annotation(names::ALLOW_IMAGES)) {
        return Err(Blocked::stalled(
            Reason::ImageNotAllowed,
            format!(
                "spec.image: {image:?} is not of the repository {:?}; use that, or let the owner of {} {} allow its prefix in the annotation {}",
                image::repository(&target_image),
                source.kind,
                source.name,
                names::ALLOW_IMAGES
            ),
        ));
    }
    let launcher = Launcher::of(source.annotation(names::MANAGE), &main).map_err(|problem| {
        let place = format!("{} {}: annotation {}", source.kind, source.name, names::MANAGE);
        Blocked::stalled(Reason::TemplateUnusable, format!("{place} {problem}"))
    })?;
    let keep_entrypoint = match source.annotation(names::ENTRYPOINT).unwrap_or_default() {
        "" | "Bypass" => false,
        "Keep" => true,
        other => {
            return Err(Blocked::stalled(
                Reason::TemplateUnusable,
                format!(
                    "{} {}: annotation {} is {other:?}; write Keep, or leave it out",
                    source.kind,
                    source.name,
                    names::ENTRYPOINT
                ),
            ));
        }
    };

    let mut copied = template::copy(source, &main, &labels(input.kind))?;
    main = copied.template["spec"]["containers"][0].take();
    main["image"] = json!(image);
    let (command, args) = helper_call(&launcher, &input.command);
    if keep_entrypoint {
        main["args"] = json!(inert_all(command.into_iter().chain(args)));
    } else {
        main["command"] = json!(inert_all(command));
        main["args"] = json!(inert_all(args));
    }
    let secret_env_facts = secret_env_facts(&main);
    main["env"] = env(&main, &input.command, &secret_env_facts, &copied.mounts);
    if let Some(resources) = &policy.resources {
        let claims = main["resources"].get("claims").cloned();
        main["resources"] = json!(resources);
        if let Some(claims) = claims {
            main["resources"]["claims"] = claims;
        }
    }
    main["terminationMessagePath"] = json!(TERMINATION_LOG);
    main["terminationMessagePolicy"] = json!("File");
    let spec = &mut copied.template["spec"];
    mount_helper(spec, &mut main, input.helper);
    spec["containers"] = json!([main]);

    let name = names::job(input.name, input.uid, input.run);
    copied.template["metadata"]["annotations"][names::TASK] = json!(input.name);
    let mut job_spec = json!({
        "backoffLimit": policy.retries,
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": { "rules": [disruption_rule(&input.command, policy.retries)] },
        "template": copied.template,
    });
    if let Some(seconds) = policy.timeout_seconds.or(input.command.default_timeout) {
        job_spec["activeDeadlineSeconds"] = json!(seconds);
    }
    let job = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": input.namespace,
            "labels": labels(input.kind),
            "annotations": {
                names::TASK: input.name,
                names::RUN: input.run.to_string(),
                names::RUN_KEY: input.key,
                names::GENERATION: input.generation.to_string(),
                names::CONTAINER: container,
                names::TEMPLATE_CHANGES: json!(copied.changes).to_string(),
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
    Ok(BuiltJob { job, name, container, image, changes: copied.changes })
}

/// The operator's own labels, on the Job and on its pods.
fn labels(kind: &str) -> BTreeMap<String, String> {
    [(names::MANAGED_BY, names::OPERATOR), ("app.kubernetes.io/name", "django-operator-task"), (names::KIND, kind)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// A disruption either does not count, or ends the run.
fn disruption_rule(command: &Command, retries: i32) -> Value {
    let action = match command.on_disruption {
        OnDisruption::StartAgain => "Ignore",
        OnDisruption::Fail if retries > 0 => "Count",
        OnDisruption::Fail => "FailJob",
    };
    json!({ "action": action, "onPodConditions": [{ "type": "DisruptionTarget", "status": "True" }] })
}

/// The interpreter with the helper, and the helper's arguments.
fn helper_call(launcher: &Launcher, command: &Command) -> (Vec<String>, Vec<String>) {
    let mut call = launcher.interpreter.clone();
    call.push(format!("{HELPER_DIR}/{HELPER_FILE}"));
    let how = match (command.runner, &launcher.entry) {
        (Runner::Celery, _) => vec!["--celery".to_owned()],
        (Runner::Manage, Entry::Script(script)) => vec!["--script".into(), script.clone()],
        (Runner::Manage, Entry::Module(module)) => vec!["--module".into(), module.clone()],
        (Runner::Manage, Entry::Console(console)) => vec!["--console".into(), console.clone()],
    };
    let args = how.into_iter().chain(["--".to_owned()]).chain(command.argv.iter().cloned()).collect();
    (call, args)
}

/// What the helper has to know of the variables to keep secret values out of its report: which variables
/// refer to Secrets, which are known to be plain, and whether whole Secrets came along unseen.
fn secret_env_facts(main: &Value) -> Value {
    let (mut secret, mut plain) = (Vec::new(), Vec::new());
    for variable in items(&main["env"]) {
        let name = text(&variable["name"]);
        match variable["valueFrom"]["secretKeyRef"].is_object() {
            true => secret.push(name),
            false => plain.push(name),
        }
    }
    let whole = items(&main["envFrom"]).iter().any(|from| from["secretRef"].is_object());
    json!({ "secretEnv": secret, "plainEnv": plain, "wholeSecrets": whole })
}

/// The copied variables, untouched, then the command's own; a namesake gives way, as the command needs
/// the value that it asked for.
fn env(main: &Value, command: &Command, about: &Value, mounts: &BTreeMap<String, bool>) -> Value {
    let mut about = about.clone();
    about["mounts"] = json!(mounts);
    for (name, value) in &command.env {
        let kind = if matches!(value, EnvValue::Secret { .. }) { "secretEnv" } else { "plainEnv" };
        if let Some(names) = about[kind].as_array_mut() {
            names.push(json!(name));
        }
    }
    let own: Vec<Value> = command
        .env
        .iter()
        .map(|(name, value)| match value {
            EnvValue::Text(text) => json!({ "name": name, "value": inert(text) }),
            EnvValue::Secret { name: secret, key } => {
                json!({ "name": name, "valueFrom": { "secretKeyRef": { "name": secret, "key": key } } })
            }
        })
        .chain([json!({ "name": HELPER_ENV, "value": inert(&about.to_string()) })])
        .collect();
    let taken: Vec<&Value> = own.iter().map(|variable| &variable["name"]).collect();
    let copied = items(&main["env"]).into_iter().filter(|variable| !taken.contains(&&variable["name"]));
    Value::Array(copied.chain(own.clone()).collect())
}

/// The helper's volume, under a name that the template does not use.
fn mount_helper(spec: &mut Value, main: &mut Value, config_map: &str) {
    let mut volumes = items(&spec["volumes"]);
    let mut name = names::OPERATOR.to_owned();
    while volumes.iter().any(|v| v["name"] == name.as_str()) {
        name.push('x');
    }
    volumes.push(json!({ "name": name, "configMap": { "name": config_map, "defaultMode": 0o444 } }));
    spec["volumes"] = json!(volumes);
    let mut mounts = items(&main["volumeMounts"]);
    mounts.push(json!({ "name": name, "mountPath": HELPER_DIR, "readOnly": true }));
    main["volumeMounts"] = json!(mounts);
}

/// Text in which the kubelet finds no reference to a variable.
fn inert(text: &str) -> String {
    text.replace('$', "$$")
}

fn inert_all(words: impl IntoIterator<Item = String>) -> Vec<String> {
    words.into_iter().map(|word| inert(&word)).collect()
}
