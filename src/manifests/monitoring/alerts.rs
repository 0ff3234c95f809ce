//! The alerts: rules for Prometheus, and the page of what to do about each.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::manifests::MARKDOWN_HEADER;

/// Where the page of runbooks is, unless somebody says another place.
pub const RUNBOOKS: &str = "docs/alerts.md";

/// An alert, and its runbook.
pub struct Alert {
    pub name: &'static str,
    /// Each selector has its braces, also where they are empty.
    pub expr: &'static str,
    /// How long it has to be so.
    hold: &'static str,
    severity: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What it means for the people who use the application.
    impact: &'static str,
    /// What to look at.
    diagnosis: &'static [&'static str],
    /// What to do.
    mitigation: &'static str,
}

// What was so a moment ago counts, so that neither a restart of the operator nor a run by the clock in between ends an alert.
pub const ALERTS: &[Alert] = &[
    Alert {
        name: "DjangoMigrationFailed",
        expr: r#"(max by (namespace, name, reason) (max_over_time(django_operator_task_not_ready{kind="DjangoMigrate",state="Stalled"}[5m])) unless on (namespace, name) django_operator_task_ready{kind="DjangoMigrate"} == 1) == 1"#,
        hold: "1m",
        severity: "critical",
        summary: "DjangoMigrate {{ $labels.namespace }}/{{ $labels.name }} did not succeed: {{ $labels.reason }}",
        description: "The migration did not succeed, and needs somebody.",
        impact: "A deploy that waits for this migration has stopped, and the pods that run keep serving. If its command ran, the \
                 database may be between two versions of the schema.",
        diagnosis: &[
            "kubectl describe djangomigrate NAME -n NAMESPACE",
            "kubectl logs -n NAMESPACE job/JOB   # the Job of status.lastRun.jobName, if it ran",
        ],
        mitigation: "The message of the condition Ready says what is wrong, and [troubleshooting](troubleshooting.md) what to do \
                     about each reason. Mend the cause, then ask for another run by a new value of `spec.trigger`, or deploy an \
                     image whose migration succeeds.",
    },
    Alert {
        name: "DjangoTaskFailed",
        expr: r#"(max by (kind, namespace, name) (max_over_time(django_operator_task_not_ready{kind!="DjangoMigrate",state="Stalled"}[15m])) unless on (kind, namespace, name) django_operator_task_ready{} == 1) == 1"#,
        hold: "5m",
        severity: "warning",
        summary: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} did not succeed",
        description: "The task did not succeed, and needs somebody; one with a schedule is tried again when it is due.",
        impact: "What the task is for has not happened: a user, static files, a purge or a command. Tasks that depend on it wait.",
        diagnosis: &["kubectl get django-operator -n NAMESPACE -o wide", "kubectl describe KIND NAME -n NAMESPACE"],
        mitigation: "The message of the condition Ready says what is wrong, and [troubleshooting](troubleshooting.md) what to do \
                     about each reason. Edit the task, or ask for another run by a new value of `spec.trigger`.",
    },
    Alert {
        name: "DjangoTaskStuck",
        expr: r#"(max by (kind, namespace, name) (max_over_time(django_operator_task_not_ready{state="Reconciling"}[10m])) unless on (kind, namespace, name) max_over_time(django_operator_task_ready{}[10m]) == 1 unless on (kind, namespace, name) max_over_time(django_operator_task_not_ready{state="Stalled"}[10m]) == 1) == 1"#,
        hold: "90m",
        severity: "warning",
        summary: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} has not ended for 90 minutes",
        description: "The task has been running, or waiting for something, for 90 minutes.",
        impact: "What waits for the task, such as a deploy, waits as well.",
        diagnosis: &[
            "kubectl get KIND NAME -n NAMESPACE -o wide   # the message says what it waits for",
            "kubectl get jobs,pods -n NAMESPACE -l app.kubernetes.io/managed-by=django-operator",
            "kubectl get events -n NAMESPACE --field-selector involvedObject.name=NAME",
        ],
        mitigation: "A target, Secret or dependency that is missing: create it, and the task goes on by itself. A pod that cannot \
                     start: mend the cause, and ask for a new run by `spec.trigger`, which takes its place. A command that \
                     hangs: delete the Job; `spec.timeoutSeconds` ends later runs. A long migration: wait.",
    },
    Alert {
        name: "DjangoSchemaBehindImage",
        expr: "max by (namespace, target, database) (django_operator_schema_behind_image{}) == 1",
        hold: "15m",
        severity: "warning",
        summary: "{{ $labels.target }} in {{ $labels.namespace }}: another image last migrated database {{ $labels.database }}",
        description: "The Deployment's image differs from the one with which a DjangoMigrate last migrated everything.",
        impact: "The application may ask for columns that are not there yet, or no longer.",
        diagnosis: &[
            "kubectl get djangomigrates -n NAMESPACE -o custom-columns=NAME:.metadata.name,SCHEMA:.status.schema.image",
            "kubectl get TARGET -n NAMESPACE -o wide",
        ],
        mitigation: "Run the migration with the Deployment's image: a new value of `spec.trigger`, or `runPolicy: OnImageChange` \
                     so that it follows. Where the migration went ahead of the rollout, finish the rollout. Where `spec.image` \
                     names the same image in another way, as by its digest, write it as the Deployment does. A task that migrates \
                     a database which nobody uses any more: delete it.",
    },
    Alert {
        name: "DjangoOperatorDown",
        expr: "absent(django_operator_leader{} == 1)",
        hold: "5m",
        severity: "critical",
        summary: "No django-operator works",
        description: "No operator says that it works: none runs, none is reached, or each waits for another's lease.",
        impact: "Nothing new runs, and no status changes. Jobs that run go on, and nothing is lost: a new operator takes over.",
        diagnosis: &[
            "kubectl get pods -A -l app.kubernetes.io/name=django-operator,app.kubernetes.io/component=manager",
            "kubectl logs -n OPERATOR_NAMESPACE -l app.kubernetes.io/component=manager --prefix --tail=100",
            "kubectl get lease django-operator -n OPERATOR_NAMESPACE -o yaml   # who holds it, with several replicas",
        ],
        mitigation: "Mend what the pod's events or logs name: its image, its account's rights, the way to the API server. Where \
                     the pod works, Prometheus does not reach its port 8080: look at the ServiceMonitor and NetworkPolicies. \
                     The rules of `config/monitoring/alerts.yaml` look for one operator in the whole cluster; with several, give \
                     each its own, as the chart does.",
    },
    Alert {
        name: "DjangoOperatorReconcileErrors",
        expr: r#"sum by (kind, result) (increase(django_operator_reconcile_total{result!~"ok|conflict|not_found"}[15m])) > 5"#,
        hold: "15m",
        severity: "warning",
        summary: "Reconciles of {{ $labels.kind }} keep failing: {{ $labels.result }}",
        description: "The operator has been meeting errors for half an hour; it tries again by itself.",
        impact: "Some tasks of this kind start late, or not at all.",
        diagnosis: &[
            "kubectl logs -n OPERATOR_NAMESPACE -l app.kubernetes.io/component=manager --tail=-1 | grep -i warn",
            "django-operator check rights --as system:serviceaccount:OPERATOR_NAMESPACE:django-operator -n NAMESPACE --watch-namespace NAMESPACE",
        ],
        mitigation: "forbidden: apply the roles of this version again. rejected: a policy or webhook refuses; the log has its \
                     words. server, connection, timeout, throttled: look at the API server. panic: report a bug with the log.",
    },
    Alert {
        name: "DjangoOperatorWatchErrors",
        expr: "sum by (resource) (increase(django_operator_watch_errors_total{}[15m])) > 10",
        hold: "15m",
        severity: "warning",
        summary: "The watch of {{ $labels.resource }} keeps failing",
        description: "A watch has been failing again and again for half an hour; it begins anew by itself.",
        impact: "Changes of these resources may be seen late, or not at all.",
        diagnosis: &[
            "kubectl logs -n OPERATOR_NAMESPACE -l app.kubernetes.io/component=manager --tail=-1 | grep -i watch",
            "kubectl get --raw '/readyz?verbose'   # of the API server",
        ],
        mitigation: "A missing right or kind: apply the roles and kinds of this version again. Else look at the API server, and at \
                     what is between it and the operator.",
    },
];

/// The rules. `own`: what each selector is to have beside its own, and the label of the rule by it; `runbooks`: address of
/// the page.
pub fn groups(own: Option<Own>, runbooks: &str) -> Value {
    let rules: Vec<Value> = ALERTS
        .iter()
        .map(|alert| {
            let mut labels = json!({ "severity": alert.severity });
            if let Some(own) = &own {
                labels[own.label] = own.value.into();
            }
            json!({
                "alert": alert.name,
                "expr": selecting(alert.expr, own.as_ref().map(|own| own.matcher)),
                "for": alert.hold,
                "labels": labels,
                "annotations": {
                    "summary": alert.summary,
                    "description": alert.description,
                    "runbook_url": format!("{runbooks}#{}", alert.name.to_lowercase()),
                },
            })
        })
        .collect();
    json!({ "groups": [{ "name": "django-operator", "rules": rules }] })
}

/// What tells one operator's metrics and alerts from another's.
pub struct Own<'a> {
    pub matcher: &'a str,
    pub label: &'a str,
    pub value: &'a str,
}

/// An expression of which each selector has a further matcher, or none.
fn selecting(expr: &str, own: Option<&str>) -> String {
    match own {
        Some(own) => expr.replace('{', &format!("{{{own},")).replace(",}", "}"),
        None => expr.replace("{}", ""),
    }
}

/// The page of runbooks.
pub fn page() -> String {
    let mut page = MARKDOWN_HEADER.to_owned();
    page.push_str(
        "# Alerts\n\nThe rules are in `config/monitoring/alerts.yaml`, for Prometheus' \
         `rule_files`; the chart has them as a PrometheusRule with \
         `--set alerts.enabled=true,metrics.serviceMonitor.enabled=true`, about its own operator alone. \
         NAME, NAMESPACE, KIND and TARGET stand for the alert's labels, OPERATOR_NAMESPACE for the operator's namespace, which \
         alerts of the chart have as a label. What the metrics mean: [metrics.md](metrics.md).\n",
    );
    for alert in ALERTS {
        let Alert { name, hold, severity, description, impact, mitigation, .. } = alert;
        let _ = write!(
            page,
            "\n## {name}\n\n{description} Severity {severity}, after {hold}.\n\n```promql\n{}\n```\n\n**Impact.** {impact}\n\n\
             **Look at**\n\n```sh\n{}\n```\n\n**Do.** {mitigation}\n",
            selecting(alert.expr, None),
            alert.diagnosis.join("\n"),
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_selector_is_restricted_to_the_own_operator() {
        for (expr, plain, own) in [
            ("up{}", "up", "up{a=\"b\"}"),
            ("up{c=\"d\"} + up{}", "up{c=\"d\"} + up", "up{a=\"b\",c=\"d\"} + up{a=\"b\"}"),
        ] {
            assert_eq!(selecting(expr, None), plain);
            assert_eq!(selecting(expr, Some("a=\"b\"")), own);
        }
    }
}
