//! The dashboard for Grafana.

use serde_json::{Value, json};

/// Columns of a dashboard.
const WIDTH: usize = 24;
/// What every query that tells of tasks is restricted to.
const NAMESPACES: &str = r#"namespace=~"$namespace""#;

struct Panel {
    title: &'static str,
    description: &'static str,
    kind: PanelKind,
    width: usize,
    unit: &'static str,
    /// Expression and legend; `NAMESPACES` stands for the namespaces that are chosen.
    queries: &'static [(&'static str, &'static str)],
}

#[derive(Clone, Copy, PartialEq)]
enum PanelKind {
    Stat,
    /// A stat that shows what its series are called.
    Names,
    Table,
    TimeSeries,
}

const PANELS: &[Panel] = &[
    Panel {
        title: "Working operators",
        description: "Operators that work; others stand by.",
        kind: PanelKind::Stat,
        width: 4,
        unit: "none",
        queries: &[("sum(django_operator_leader)", "")],
    },
    Panel {
        title: "Tasks",
        description: "Tasks, ready or not.",
        kind: PanelKind::Stat,
        width: 4,
        unit: "none",
        queries: &[("count(max by (kind, namespace, name) (django_operator_task_ready{NAMESPACES}))", "")],
    },
    Panel {
        title: "Failed tasks",
        description: "Tasks with which nothing more happens by itself.",
        kind: PanelKind::Stat,
        width: 4,
        unit: "none",
        queries: &[(
            r#"count(max by (kind, namespace, name) (django_operator_task_not_ready{state="Stalled",NAMESPACES})) or 0 * sum(django_operator_leader)"#,
            "",
        )],
    },
    Panel {
        title: "Schemas behind the image",
        description: "Databases that were last migrated with another image than the Deployment's.",
        kind: PanelKind::Stat,
        width: 4,
        unit: "none",
        queries: &[(
            "sum(max by (namespace, target, database) (django_operator_schema_behind_image{NAMESPACES})) or 0 * sum(django_operator_leader)",
            "",
        )],
    },
    Panel {
        title: "Version",
        description: "Versions of the operators.",
        kind: PanelKind::Names,
        width: 8,
        unit: "none",
        queries: &[("count by (version) (django_operator_build_info)", "{{version}}")],
    },
    Panel {
        title: "Tasks that are not ready",
        description: "And why.",
        kind: PanelKind::Table,
        width: 12,
        unit: "none",
        queries: &[("max by (kind, namespace, name, state, reason) (django_operator_task_not_ready{NAMESPACES})", "")],
    },
    Panel {
        title: "Since the last success",
        description: "How long ago a run of each task last succeeded.",
        kind: PanelKind::Table,
        width: 12,
        unit: "s",
        queries: &[(
            "time() - max by (kind, namespace, name) (django_operator_last_success_timestamp_seconds{NAMESPACES})",
            "",
        )],
    },
    Panel {
        title: "Runs",
        description: "Runs that ended, by result. The first one of its kind in a namespace since the operator started is not seen.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "none",
        queries: &[(
            "sum by (kind, result) (increase(django_operator_runs_total{NAMESPACES}[$__rate_interval]))",
            "{{kind}} {{result}}",
        )],
    },
    Panel {
        title: "Duration of runs",
        description: "Half of the runs, and all but one in twenty, take no longer.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "s",
        queries: &[
            (
                "histogram_quantile(0.5, sum by (kind, le) (rate(django_operator_run_duration_seconds_bucket[$__rate_interval])))",
                "{{kind}} half",
            ),
            (
                "histogram_quantile(0.95, sum by (kind, le) (rate(django_operator_run_duration_seconds_bucket[$__rate_interval])))",
                "{{kind}} 95 %",
            ),
        ],
    },
    Panel {
        title: "Deployments whose schema is behind",
        description: "1 while the Deployment's image differs from the one with which its database was last migrated.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "none",
        queries: &[(
            "max by (namespace, target, database) (django_operator_schema_behind_image{NAMESPACES})",
            "{{namespace}} {{target}} {{database}}",
        )],
    },
    Panel {
        title: "Reconciles",
        description: "Looks at tasks, by result.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "ops",
        queries: &[(
            "sum by (kind, result) (rate(django_operator_reconcile_total[$__rate_interval]))",
            "{{kind}} {{result}}",
        )],
    },
    Panel {
        title: "Duration of reconciles",
        description: "All but one in a hundred take no longer.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "s",
        queries: &[(
            "histogram_quantile(0.99, sum by (kind, le) (rate(django_operator_reconcile_duration_seconds_bucket[$__rate_interval])))",
            "{{kind}}",
        )],
    },
    Panel {
        title: "Errors of watches",
        description: "Each is tried again.",
        kind: PanelKind::TimeSeries,
        width: 12,
        unit: "ops",
        queries: &[("sum by (resource) (rate(django_operator_watch_errors_total[$__rate_interval]))", "{{resource}}")],
    },
];

/// The dashboard, as Grafana imports it.
pub fn dashboard() -> Value {
    let datasource = json!({ "type": "prometheus", "uid": "${datasource}" });
    let (mut x, mut y, mut height) = (0, 0, 0);
    let mut panels = Vec::new();
    for (id, panel) in (1..).zip(PANELS) {
        if x + panel.width > WIDTH {
            (x, y) = (0, y + height); // panels of a row are of one height
        }
        height = match panel.kind {
            PanelKind::Stat | PanelKind::Names => 4,
            PanelKind::Table | PanelKind::TimeSeries => 8,
        };
        panels.push(json!({
            "id": id,
            "title": panel.title,
            "description": panel.description,
            "type": match panel.kind {
                PanelKind::Stat | PanelKind::Names => "stat",
                PanelKind::Table => "table",
                PanelKind::TimeSeries => "timeseries",
            },
            "datasource": datasource,
            "gridPos": { "x": x, "y": y, "w": panel.width, "h": height },
            "fieldConfig": { "defaults": { "unit": panel.unit, "min": 0 }, "overrides": [] },
            "options": match panel.kind {
                PanelKind::Names => json!({ "textMode": "name" }),
                _ => json!({}),
            },
            "transformations": transformations(panel.kind),
            "targets": panel.queries.iter().zip('A'..).map(|((expr, legend), id)| target(panel.kind, expr, legend, id))
                .collect::<Vec<_>>(),
        }));
        x += panel.width;
    }
    json!({
        "title": "django-operator",
        "uid": "django-operator",
        "tags": ["django"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "1m",
        "time": { "from": "now-6h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" },
            {
                "name": "namespace", "label": "Namespace", "type": "query", "datasource": datasource, "refresh": 2,
                "query": "label_values(django_operator_task_ready, namespace)",
                "includeAll": true, "multi": true, "allValue": ".*", "current": { "text": "All", "value": "$__all" },
            },
        ] },
        "panels": panels,
    })
}

fn target(kind: PanelKind, expr: &str, legend: &str, id: char) -> Value {
    let is_instant = kind != PanelKind::TimeSeries;
    json!({
        "refId": id.to_string(),
        "expr": expr.replace("NAMESPACES", NAMESPACES),
        "legendFormat": legend,
        "instant": is_instant,
        "range": !is_instant,
        "format": if kind == PanelKind::Table { "table" } else { "time_series" },
    })
}

/// A table without the time, which is that of the query.
fn transformations(kind: PanelKind) -> Value {
    match kind {
        PanelKind::Table => json!([{ "id": "organize", "options": { "excludeByName": { "Time": true } } }]),
        PanelKind::Stat | PanelKind::Names | PanelKind::TimeSeries => json!([]),
    }
}
