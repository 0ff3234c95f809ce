//! Reasons of failures that the helper gives: one table. Any other word of it counts as CommandFailed.

/// A reason, its meaning, and what to do.
pub struct HelperReason {
    pub name: &'static str,
    pub meaning: &'static str,
    pub remedy: &'static str,
}

const fn reason(name: &'static str, meaning: &'static str, remedy: &'static str) -> HelperReason {
    HelperReason { name, meaning, remedy }
}

pub const HELPER_REASONS: &[HelperReason] = &[
    reason(
        "EphemeralDatabase",
        "The migrated database is a file in the Job's own file system, which vanishes with its pod.",
        "Give the target's container the variables of the real database, or put the file on a volume.",
    ),
    reason(
        "StaticRootNotPersistent",
        "The files were collected into a place that vanishes with the Job's pod.",
        "Mount a volume at `STATIC_ROOT`, or use a storage elsewhere. Where the image has them already, leave the resource out.",
    ),
    reason(
        "UnknownQueue",
        "The broker knows no such queue, and no worker reads it.",
        "Set `spec.worker` to the name of a queue.",
    ),
    reason("NoWorkerReplied", "No Celery worker answered in time.", "Look whether workers run and reach the broker."),
    reason(
        "DatabaseUnreachable",
        "The database does not answer, or refuses the login.",
        "Read the message: what the project connects to is in the target's environment. Then ask for a new run.",
    ),
    reason(
        "NotMigrated",
        "The tables that the command needs are not there, and no migration brought them in time.",
        "Run a DjangoMigrate of the same target; then ask for a new run.",
    ),
    reason(
        "NothingRan",
        "The program ended without reaching Django's command line.",
        "Annotate the target with `django.my.domain/manage`, and ask for a new run.",
    ),
    reason(
        "InsufficientPrivilege",
        "The database's user lacks a right, which the message names.",
        "Grant it, or give the target another user.",
    ),
    reason(
        "LockTimeout",
        "Somebody else holds the lock of migrations; the message says who.",
        "Wait for them, or raise `spec.lock.timeoutSeconds`; then ask for a new run.",
    ),
    reason(
        "LockUnsupported",
        "The database's engine, or a pooler before it, offers no lock.",
        "Do as the message says: as a rule, the setting `DJK8S_MIGRATE_LOCK_DATABASE` names a database that goes past the \
         pooler. Or set `spec.lock.mode` to None where nobody else migrates.",
    ),
    reason(
        "LockLost",
        "The session that held the lock ended before the migration did.",
        "Look whether two migrations ran at a time; let the lock go past poolers and proxies that end sessions.",
    ),
    reason(
        "ManageNotFound",
        "Nothing in the image says how the project's commands start; the message lists where it was looked for.",
        "Annotate the target with `django.my.domain/manage`.",
    ),
    reason(
        "ManageAmbiguous",
        "Several things in the image lead to different settings; the message names them.",
        "Annotate the target with one of the values that the message names.",
    ),
    reason(
        "InterpreterWithoutDjango",
        "The interpreter that was found has no Django.",
        "Annotate the target with `django.my.domain/manage`, such as `/venv/bin/python manage.py`.",
    ),
    reason(
        "UnsupportedPython",
        "The image's Python is older than 3.9.",
        "Use an image with a newer one, or name another interpreter of it in the target's annotation `django.my.domain/manage`.",
    ),
    reason(
        "CeleryNotInstalled",
        "The interpreter that runs the project has no Celery.",
        "Correct `spec.target`, or annotate the target with `django.my.domain/manage` and ask for a new run.",
    ),
    reason(
        "HelperTampered",
        "The ConfigMap with the helper is not what the operator put there; nothing of it ran.",
        "Find out who changed it; delete the ConfigMap and the ended pods of tasks in the namespace, then ask for a new run.",
    ),
];

/// Whether the helper may give this reason.
pub fn is_known(name: &str) -> bool {
    HELPER_REASONS.iter().any(|reason| reason.name == name)
}
