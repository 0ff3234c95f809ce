//! What Prometheus can read. Labels come from closed sets only.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    kind: &'static str,
    outcome: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct WatchLabels {
    resource: String,
}

pub struct Metrics {
    registry: Registry,
    reconciles: Family<ReconcileLabels, Counter>,
    reconcile_seconds: Family<KindLabels, Histogram>,
    runs: Family<RunLabels, Counter>,
    run_seconds: Family<KindLabels, Histogram>,
    watch_errors: Family<WatchLabels, Counter>,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("django_operator");
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 10));
        let reconciles = Family::default();
        let reconcile_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let runs = Family::default();
        let run_seconds =
            Family::new_with_constructor((|| Histogram::new(exponential_buckets(0.5, 3.0, 10))) as fn() -> Histogram);
        let watch_errors = Family::default();
        let leading = Gauge::default();
        registry.register(
            "reconcile",
            "Reconciles by kind and result: ok, or the category of the error",
            reconciles.clone(),
        );
        registry.register("reconcile_duration_seconds", "How long a reconcile takes", reconcile_seconds.clone());
        registry.register("runs", "Runs by kind and outcome", runs.clone());
        registry.register("run_duration_seconds", "How long a run takes", run_seconds.clone());
        registry.register("watch_errors", "Errors of watches, each tried again", watch_errors.clone());
        registry.register("leader", "Whether this process works: 1, or 0 while another leads", leading.clone());
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version", build);
        Self { registry, reconciles, reconcile_seconds, runs, run_seconds, watch_errors, leading }
    }
}

impl Metrics {
    /// A reconcile is over.
    pub fn record_reconcile(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(took.as_secs_f64());
    }

    /// A run is over.
    pub fn record_run(&self, kind: &'static str, outcome: &str, seconds: Option<i64>) {
        self.runs.get_or_create(&RunLabels { kind, outcome: outcome.to_owned() }).inc();
        if let Some(seconds) = seconds {
            self.run_seconds.get_or_create(&KindLabels { kind }).observe(seconds as f64);
        }
    }

    /// A watch failed.
    pub fn record_watch_error(&self, resource: &str) {
        self.watch_errors.get_or_create(&WatchLabels { resource: resource.to_owned() }).inc();
    }

    pub fn set_leading(&self, leads: bool) {
        self.leading.set(i64::from(leads));
    }

    /// In OpenMetrics' text form.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
