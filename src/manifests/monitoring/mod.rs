//! What people see the operator's work by: the pages of metrics and alerts, the rules, the dashboard.

pub mod alerts;
mod dashboard;

use std::fmt::Write;

use super::{GENERATED_HEADER, MARKDOWN_HEADER, yaml};
use crate::metrics::catalogue::METRICS;

/// Path and text of each file beside those of the charts.
pub fn files() -> Result<Vec<(String, String)>, String> {
    let rules = yaml(&alerts::groups(None, alerts::RUNBOOKS))?;
    Ok(vec![
        ("config/monitoring/alerts.yaml".into(), format!("{GENERATED_HEADER}{rules}")),
        ("config/monitoring/dashboard.json".into(), dashboard()?),
        ("docs/alerts.md".into(), alerts::page()),
        ("docs/metrics.md".into(), metrics_page()),
    ])
}

/// The dashboard's text.
pub fn dashboard() -> Result<String, String> {
    let mut dashboard = dashboard::dashboard();
    dashboard["__comment"] = super::GENERATED.into();
    serde_json::to_string_pretty(&dashboard).map(|text| text + "\n").map_err(|error| error.to_string())
}

fn metrics_page() -> String {
    let mut page = MARKDOWN_HEADER.to_owned();
    page.push_str(
        "# Metrics\n\nServed at `/metrics` on port 8080 (`METRICS_ADDRESS`), in OpenMetrics' text form. With the Prometheus \
         Operator: `--set metrics.serviceMonitor.enabled=true,alerts.enabled=true,dashboard.enabled=true`. Without it, scrape \
         the pods with `honor_labels: true`, as the label `namespace` is the task's; load \
         `config/monitoring/alerts.yaml` by `rule_files`, and import \
         `config/monitoring/dashboard.json` into Grafana. What to do about each alert: \
         [alerts.md](alerts.md).\n\nThe metrics of single tasks are made when they are asked for, from what the operator's watches know: a task that \
         is deleted has none, and while a watch is refused they are as they last were.\n",
    );
    page.push_str("\n| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n");
    for metric in METRICS {
        let labels: Vec<String> =
            metric.labels.iter().map(|label| format!("`{}`: {}", label.name, label.meaning)).collect();
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {}. |",
            metric.exported_name(),
            metric.metric_type.as_str(),
            labels.join("<br>"),
            metric.help
        );
    }
    page
}
