//! What each metric means: registered with these words, and told with them in `docs/metrics.md`.

use prometheus_client::metrics::MetricType;

use super::PREFIX;

/// A label, and what its values are.
#[derive(Debug)]
pub struct Label {
    pub name: &'static str,
    pub meaning: &'static str,
}

/// A metric.
#[derive(Debug)]
pub struct MetricDescription {
    /// Without prefix and suffix.
    pub name: &'static str,
    pub metric_type: MetricType,
    pub labels: &'static [Label],
    pub help: &'static str,
}

impl MetricDescription {
    /// As queries name it; a histogram also has `_bucket`, `_sum` and `_count`.
    pub fn exported_name(&self) -> String {
        let suffix = match self.metric_type {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            MetricType::Gauge | MetricType::Histogram | MetricType::Unknown => "",
        };
        format!("{PREFIX}_{}{suffix}", self.name)
    }
}

const KIND: Label = Label { name: "kind", meaning: "the task's kind, such as DjangoMigrate" };
const NAMESPACE: Label = Label { name: "namespace", meaning: "the task's namespace" };
const NAME: Label = Label { name: "name", meaning: "the task's name" };

pub const RECONCILES: MetricDescription = MetricDescription {
    name: "reconcile",
    metric_type: MetricType::Counter,
    labels: &[
        KIND,
        Label {
            name: "result",
            meaning: "ok, or what went wrong: conflict, forbidden, not_found, throttled, rejected, server, unreadable, \
                      connection, timeout, panic; all of it is tried again",
        },
    ],
    help: "Reconciles of tasks",
};
pub const RECONCILE_DURATION: MetricDescription = MetricDescription {
    name: "reconcile_duration_seconds",
    metric_type: MetricType::Histogram,
    labels: &[KIND],
    help: "How long a reconcile takes",
};
pub const RUNS: MetricDescription = MetricDescription {
    name: "runs",
    metric_type: MetricType::Counter,
    labels: &[KIND, NAMESPACE, Label { name: "result", meaning: "Succeeded, Failed, Superseded or Lost" }],
    help: "Runs of tasks that are over",
};
pub const RUN_DURATION: MetricDescription = MetricDescription {
    name: "run_duration_seconds",
    metric_type: MetricType::Histogram,
    labels: &[KIND],
    help: "How long a run takes, from the decision to run to its recorded end",
};
pub const TASK_READY: MetricDescription = MetricDescription {
    name: "task_ready",
    metric_type: MetricType::Gauge,
    labels: &[KIND, NAMESPACE, NAME],
    help: "The task's condition Ready: 1 while true, else 0",
};
pub const TASK_NOT_READY: MetricDescription = MetricDescription {
    name: "task_not_ready",
    metric_type: MetricType::Gauge,
    labels: &[
        KIND,
        NAMESPACE,
        NAME,
        Label {
            name: "state",
            meaning: "Stalled: nothing more happens by itself; Suspended; or Reconciling: it runs, or waits for something",
        },
        Label { name: "reason", meaning: "the reason of its condition Ready" },
    ],
    help: "Why a task is not ready: 1 for each that is not, absent for those that are",
};
pub const LAST_SUCCESS: MetricDescription = MetricDescription {
    name: "last_success_timestamp_seconds",
    metric_type: MetricType::Gauge,
    labels: &[KIND, NAMESPACE, NAME],
    help: "When a run of the task last succeeded, in seconds since 1970; absent where none has, or where the task cannot be read",
};
pub const SCHEMA_BEHIND_IMAGE: MetricDescription = MetricDescription {
    name: "schema_behind_image",
    metric_type: MetricType::Gauge,
    labels: &[
        Label { name: "namespace", meaning: "the Deployment's namespace" },
        Label { name: "target", meaning: "the Deployment, such as Deployment/web" },
        Label { name: "database", meaning: "Django's alias of the database" },
    ],
    help: "Whether a Deployment's image differs from the one with which a DjangoMigrate last migrated everything in its \
           database: 1 or 0. So it is 1 from a change of the image to the end of its migration, from a migration that goes \
           ahead to the change of the image, and until the first migration has succeeded. It counts runs that name no app \
           and do not fake, on the Deployment or on a PodTemplate with the same labels as its pods. Images are compared as \
           they are written: where spec.image names one otherwise than the Deployment does, it stays 1",
};
pub const WATCH_ERRORS: MetricDescription = MetricDescription {
    name: "watch_errors",
    metric_type: MetricType::Counter,
    labels: &[Label { name: "resource", meaning: "what is watched, such as jobs" }],
    help: "Errors of watches, each tried again",
};
pub const LEADER: MetricDescription = MetricDescription {
    name: "leader",
    metric_type: MetricType::Gauge,
    labels: &[],
    help: "Whether this process works: 1, or 0 while another one leads",
};
pub const BUILD: MetricDescription = MetricDescription {
    name: "build",
    metric_type: MetricType::Info,
    labels: &[Label { name: "version", meaning: "the operator's version" }],
    help: "The operator's build: always 1",
};

/// All of them, in the order of the page.
pub const METRICS: &[&MetricDescription] = &[
    &TASK_READY,
    &TASK_NOT_READY,
    &LAST_SUCCESS,
    &SCHEMA_BEHIND_IMAGE,
    &RUNS,
    &RUN_DURATION,
    &RECONCILES,
    &RECONCILE_DURATION,
    &WATCH_ERRORS,
    &LEADER,
    &BUILD,
];
