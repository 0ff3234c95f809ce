//! Names in the cluster: labels and annotations, of Jobs and of their targets, and how names are made.

use sha2::{Digest, Sha256};

/// Reporter of events, lease, label value.
pub const OPERATOR: &str = "django-operator";
/// How our own labels and annotations begin.
pub const PREFIX: &str = "django.my.domain/";
/// Label on everything the operator makes; the watches select by it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label: the kind of the task that a Job or pod belongs to.
pub const KIND_LABEL: &str = "django.my.domain/kind";
/// Annotation: the name of the task (longer than a label's value may be).
pub const TASK_ANNOTATION: &str = "django.my.domain/task";
/// Annotation of a Job: the run's number.
pub const RUN_ANNOTATION: &str = "django.my.domain/run";
/// Annotation of a Job: the run's key.
pub const RUN_KEY_ANNOTATION: &str = "django.my.domain/run-key";
/// Annotation of a Job: the generation that the run carries out.
pub const GENERATION_ANNOTATION: &str = "django.my.domain/generation";
/// Annotation of a Job: it was created suspended, until its UID is stored.
pub const HELD_ANNOTATION: &str = "django.my.domain/held";
/// Annotation of a Job: the Django container's name.
pub const CONTAINER_ANNOTATION: &str = "django.my.domain/container";
/// On a Job: the image of its Django container.
pub const IMAGE_ANNOTATION: &str = "django.my.domain/image";
/// On a Job: kind and name of the object whose pod template it has.
pub const TARGET_ANNOTATION: &str = "django.my.domain/target";
/// On a Job: the interpreter that it starts, and those that follow where that one is not there, with commas.
pub const INTERPRETERS_ANNOTATION: &str = "django.my.domain/interpreters";
/// On a Job: a hash of the annotations of its target that are the operator's.
pub const TARGET_SETTINGS_ANNOTATION: &str = "django.my.domain/target-settings";
/// Annotation of a Job: what was copied, converted and dropped.
pub const TEMPLATE_CHANGES_ANNOTATION: &str = "django.my.domain/report";
/// Annotation of a task: a new value, of at most 253 bytes, asks for one run.
pub const REQUESTED_AT_ANNOTATION: &str = "django.my.domain/requestedAt";
/// Annotation of a target: further images that tasks may run.
pub const ALLOW_IMAGES_ANNOTATION: &str = "django.my.domain/allow-images";
/// Annotation of a target: containers to keep though they share Django's image.
pub const KEEP_CONTAINERS_ANNOTATION: &str = "django.my.domain/keep-containers";
/// Annotation of a target: containers to leave out of Jobs.
pub const DROP_CONTAINERS_ANNOTATION: &str = "django.my.domain/drop-containers";
/// Annotation of a target: labels that Job pods carry as well.
pub const JOB_LABELS_ANNOTATION: &str = "django.my.domain/job-labels";
/// Annotation of a target: how management commands start.
pub const MANAGE_ANNOTATION: &str = "django.my.domain/manage";
/// Annotation of a target: `Keep` leaves the image's entrypoint in place.
pub const ENTRYPOINT_ANNOTATION: &str = "django.my.domain/entrypoint";
/// Annotation of a pod template: `true` has its pods wait for migrations.
pub const WAIT_ANNOTATION: &str = "django.my.domain/wait-for-migrations";
/// Annotation of a pod template: for how many seconds its pods wait.
pub const WAIT_TIMEOUT_ANNOTATION: &str = "django.my.domain/wait-timeout-seconds";
/// Annotation of a pod template: the databases for whose migrations its pods wait.
pub const WAIT_DATABASES_ANNOTATION: &str = "django.my.domain/wait-for-databases";
/// Name of the init container that waits for migrations.
pub const WAIT_CONTAINER: &str = "django-operator-gate";
/// Name of its volume.
pub const WAIT_VOLUME: &str = "django-operator-gate";
/// What the owner of a target says by annotations on it, for the reference page: name, example, meaning.
pub const TARGET_ANNOTATIONS: &[(&str, &str, &str)] = &[
    (
        MANAGE_ANNOTATION,
        "/venv/bin/python manage.py",
        "How management commands start, where that is not found out right: an interpreter with a file or, after `-m`, a module; or the name or path of a console script, which runs under its own interpreter. Words that come before the command follow (`kolibri manage`), and `DJANGO_SETTINGS_MODULE=shop.settings` may come first. Words with spaces in them: a JSON list. Default: found in the image, see `status.report.started`.",
    ),
    (
        ENTRYPOINT_ANNOTATION,
        "Keep",
        "`Keep` leaves the image's entrypoint in place, which then has to run its arguments. `Bypass`: the command runs without it. Default: `Bypass`.",
    ),
    (KEEP_CONTAINERS_ANNOTATION, "proxy,agent", "Containers that Jobs keep though they run the target's own image."),
    (DROP_CONTAINERS_ANNOTATION, "metrics", "Containers that Jobs leave out."),
    (
        JOB_LABELS_ANNOTATION,
        "team,role=job",
        "Labels of the pod template that Job pods have as well, or further ones with their values.",
    ),
    (ALLOW_IMAGES_ANNOTATION, "reg.example.com/team/", "Further images that `spec.image` may name, with commas."),
];
/// The same on a pod template alone, for the pods that it makes.
pub const POD_ANNOTATIONS: &[(&str, &str, &str)] = &[
    (
        WAIT_ANNOTATION,
        "\"true\"",
        "`true`: each pod starts when its database has all migrations that its image knows, where the gate is installed. Default: `false`.",
    ),
    (
        WAIT_TIMEOUT_ANNOTATION,
        "\"3600\"",
        "Seconds after which the waiting container fails, and begins anew, from 1 to 9999999. Default: `1800`.",
    ),
    (
        WAIT_DATABASES_ANNOTATION,
        "default,orders",
        "Django's aliases of the databases to wait for, with commas. Default: `default`.",
    ),
];
/// How the names of the helper's ConfigMaps begin, whatever their digest.
pub const HELPER_PREFIX: &str = "django-operator-tasks-";
/// File of the helper, in its ConfigMap and where Jobs mount it.
pub const HELPER_FILE: &str = "tasks.pyz";
/// Variable that tells the helper what the operator knows of the pod.
pub const HELPER_ENV: &str = "DJANGO_OPERATOR_RUN";
/// Kubernetes' own annotation for the container that `kubectl` means.
pub const DEFAULT_CONTAINER_ANNOTATION: &str = "kubectl.kubernetes.io/default-container";

/// Longest name of a Job: it becomes a label of the pods.
const NAME_LIMIT: usize = 63;

/// The name of the Job of one run. Two resources, or two runs, never share one; a namesake that is
/// created later has another UID and so other Jobs.
pub fn job_name(task: &str, uid: &str, run: i64) -> String {
    let suffix = hash(&[uid, &run.to_string()], 5);
    let stem: String =
        task.chars().map(|c| if c == '.' { '-' } else { c }).take(NAME_LIMIT - suffix.len() - 1).collect();
    format!("{}-{suffix}", stem.trim_end_matches('-'))
}

/// Hex of the first `bytes` bytes of a SHA-256 over length-prefixed parts, so that no two lists of parts
/// read alike.
pub fn hash(parts: &[&str], bytes: usize) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part.as_bytes());
    }
    let mut hex = hex::encode(sha.finalize());
    hex.truncate(bytes * 2);
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_names_with_a_common_start_get_different_jobs() {
        let (a, b) = ("x".repeat(253), format!("{}y", "x".repeat(252)));
        assert_ne!(job_name(&a, "1", 1), job_name(&b, "2", 1));
        assert_ne!(job_name("a", "u", 1), job_name("a", "u", 2));
        assert_ne!(job_name("a", "u1", 1), job_name("a", "u", 11));
    }

    proptest! {
        #[test]
        fn every_resource_name_gives_a_valid_job_name(name in "[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", run in 1i64..) {
            let job = job_name(&name, "1c9a1f0e-2b7c-4d33-a5f3-0a3f0c1d2e4f", run);
            prop_assert!(job.len() <= 63);
            prop_assert!(job.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!job.starts_with('-') && !job.ends_with('-'));
        }
    }
}
