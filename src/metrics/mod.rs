//! What Prometheus can read.

pub mod catalogue;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use self::catalogue::MetricDescription;
use self::tasks::TaskCollector;
pub use self::tasks::{SchemaSample, TaskSample, TaskSource};

/// What the names of all metrics begin with.
pub const PREFIX: &str = "django_operator";

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ReconcileLabels {
    kind: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RunLabels {
    kind: &'static str,
    namespace: String,
    result: String,
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
    tasks: TaskCollector,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 10));
        let reconciles = Family::default();
        let reconcile_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        let runs = Family::default();
        let run_seconds =
            Family::new_with_constructor((|| Histogram::new(exponential_buckets(0.5, 3.0, 10))) as fn() -> Histogram);
        let watch_errors = Family::default();
        let leading = Gauge::default();
        register(&mut registry, &catalogue::RECONCILES, reconciles.clone());
        register(&mut registry, &catalogue::RECONCILE_DURATION, reconcile_seconds.clone());
        register(&mut registry, &catalogue::RUNS, runs.clone());
        register(&mut registry, &catalogue::RUN_DURATION, run_seconds.clone());
        register(&mut registry, &catalogue::WATCH_ERRORS, watch_errors.clone());
        register(&mut registry, &catalogue::LEADER, leading.clone());
        register(&mut registry, &catalogue::BUILD, Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]));
        let tasks = TaskCollector::default();
        registry.register_collector(Box::new(tasks.clone()));
        Self { registry, reconciles, reconcile_seconds, runs, run_seconds, watch_errors, leading, tasks }
    }
}

fn register(registry: &mut Registry, description: &MetricDescription, metric: impl Metric) {
    registry.register(description.name, description.help, metric);
}

impl Metrics {
    /// A reconcile is over.
    pub fn record_reconcile(&self, kind: &'static str, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ReconcileLabels { kind, result }).inc();
        self.reconcile_seconds.get_or_create(&KindLabels { kind }).observe(took.as_secs_f64());
    }

    /// A run is over.
    pub fn record_run(&self, kind: &'static str, namespace: &str, result: &str, seconds: Option<i64>) {
        self.runs.get_or_create(&RunLabels { kind, namespace: namespace.into(), result: result.into() }).inc();
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

    /// Adds a source of tasks.
    pub fn add_tasks(&self, source: Arc<dyn TaskSource>) {
        self.tasks.add(source);
    }

    /// In OpenMetrics' text form.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt;

    use super::catalogue::METRICS;
    use super::*;

    struct Tasks;

    impl TaskSource for Tasks {
        fn kind(&self) -> &'static str {
            "DjangoMigrate"
        }

        fn visit_tasks(&self, visit: &mut dyn FnMut(TaskSample<'_>) -> fmt::Result) -> fmt::Result {
            let task = |name, not_ready, succeeded_at| TaskSample { namespace: "shop", name, not_ready, succeeded_at };
            visit(task("good", None, Some(1_700_000_000)))?;
            visit(task("bad", Some(("Stalled", "CommandFailed")), None))
        }

        fn schemas(&self) -> Vec<SchemaSample> {
            vec![SchemaSample {
                namespace: "shop".into(),
                target: "Deployment/web".into(),
                database: "default".into(),
                behind: true,
            }]
        }
    }

    fn metrics() -> Metrics {
        let metrics = Metrics::default();
        metrics.record_reconcile("DjangoMigrate", "ok", Duration::from_millis(3));
        metrics.record_run("DjangoMigrate", "shop", "Succeeded", Some(4));
        metrics.record_watch_error("jobs");
        metrics.set_leading(true);
        metrics.add_tasks(Arc::new(Tasks));
        metrics
    }

    #[test]
    fn tasks_are_told_as_they_are_when_asked() {
        let text = metrics().text().unwrap();
        let of = |name: &str| -> Vec<&str> { text.lines().filter(|line| line.starts_with(name)).collect() };
        let task = |name: &str| format!(r#"{{kind="DjangoMigrate",namespace="shop",name="{name}"}}"#);
        assert_eq!(
            of("django_operator_task_ready"),
            [
                format!("django_operator_task_ready{} 1", task("good")),
                format!("django_operator_task_ready{} 0", task("bad")),
            ]
        );
        assert_eq!(
            of("django_operator_task_not_ready"),
            [
                r#"django_operator_task_not_ready{kind="DjangoMigrate",namespace="shop",name="bad",state="Stalled",reason="CommandFailed"} 1"#
            ]
        );
        assert_eq!(
            of("django_operator_last_success"),
            [format!("django_operator_last_success_timestamp_seconds{} 1700000000", task("good"))]
        );
        assert_eq!(
            of("django_operator_schema_behind_image"),
            [r#"django_operator_schema_behind_image{namespace="shop",target="Deployment/web",database="default"} 1"#]
        );
    }

    #[test]
    fn the_catalogue_has_each_metric_with_its_labels() {
        let text = metrics().text().unwrap();
        let samples: BTreeSet<(String, Vec<String>)> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (series, _) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                let labels = labels.trim_end_matches('}').split(',').filter_map(|label| label.split_once('='));
                let labels: Vec<String> = labels.map(|(name, _)| name.to_owned()).filter(|name| name != "le").collect();
                let histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
                (histogram.unwrap_or(name).to_owned(), labels)
            })
            .collect();
        let described: BTreeSet<(String, Vec<String>)> = METRICS
            .iter()
            .map(|metric| {
                let labels = metric.labels.iter().map(|label| label.name.to_owned());
                (metric.exported_name(), labels.collect())
            })
            .collect();
        assert_eq!(samples, described);
        for metric in METRICS {
            let name = metric.exported_name().trim_end_matches("_total").trim_end_matches("_info").to_owned();
            let line = format!("# TYPE {name} {}", metric.metric_type.as_str());
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }
}
