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

pub const ALERTS: &[Alert] = &[
    Alert {
        name: "DjangoMigrationFailed",
        expr: r#"max by (namespace, name, reason) (django_operator_task_not_ready{kind="DjangoMigrate",state="Stalled"}) == 1"#,
        hold: "1m",
        severity: "critical",
        summary: "DjangoMigrate {{ $labels.namespace }}/{{ $labels.name }} failed: {{ $labels.reason }}",
        description: "The migration ended without success, and nothing is tried again by itself.",
        impact: "The database may be between two versions of the schema. A deploy that waits for this migration has stopped, \
                 and the pods that run keep serving.",
        diagnosis: &[
            "kubectl describe djangomigrate NAME -n NAMESPACE",
            "kubectl logs -n NAMESPACE job/JOB   # the Job of status.lastRun.jobName",
        ],
        mitigation: "The message of the condition Ready says what went wrong, and what to write instead. Mend the cause, then \
                     ask for another run by a new value of `spec.trigger`, or deploy an image whose migration succeeds.",
    },
    Alert {
        name: "DjangoTaskFailed",
        expr: r#"max by (kind, namespace, name, reason) (django_operator_task_not_ready{kind!="DjangoMigrate",state="Stalled"}) == 1"#,
        hold: "5m",
        severity: "warning",
        summary: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} failed: {{ $labels.reason }}",
        description: "The task ended without success, and nothing is tried again by itself.",
        impact: "What the task is for has not happened: a user, static files, a purge or a command. Tasks that depend on it wait.",
        diagnosis: &["kubectl get django-operator -n NAMESPACE -o wide", "kubectl describe KIND NAME -n NAMESPACE"],
        mitigation: "The message of the condition Ready says what went wrong, and what to write instead. Edit the task, or ask \
                     for another run by a new value of `spec.trigger`.",
    },
    Alert {
        name: "DjangoTaskStuck",
        expr: r#"max by (kind, namespace, name) (django_operator_task_not_ready{state="Reconciling"}) == 1"#,
        hold: "90m",
        severity: "warning",
        summary: "{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} has not ended for 90 minutes",
        description: "The task runs, or waits for something, for longer than a run has by default.",
        impact: "What waits for the task, such as a deploy, waits as well.",
        diagnosis: &[
            "kubectl get KIND NAME -n NAMESPACE -o wide   # the message says what it waits for",
            "kubectl get jobs,pods -n NAMESPACE -l app.kubernetes.io/managed-by=django-operator",
            "kubectl get events -n NAMESPACE --field-selector involvedObject.name=NAME",
        ],
        mitigation: "A target, Secret or dependency that is missing: create it, and the task goes on by itself. A command that \
                     hangs: `spec.timeoutSeconds` ends it. A long migration: wait; to be told later, raise the rule's `for`.",
    },
    Alert {
        name: "DjangoSchemaBehindImage",
        expr: "max by (namespace, target) (django_operator_schema_behind_image{}) == 1",
        hold: "15m",
        severity: "warning",
        summary: "{{ $labels.target }} in {{ $labels.namespace }} runs an image by which its database was not migrated",
        description: "The target's image differs from the one by which a DjangoMigrate last migrated everything there.",
        impact: "The application may ask for columns that are not there yet, or no longer.",
        diagnosis: &[
            "kubectl get djangomigrates -n NAMESPACE -o wide   # the image of each last run",
            "kubectl get deployment NAME -n NAMESPACE -o wide",
        ],
        mitigation: "Run the migration with the target's image: a new value of `spec.trigger`, or `runPolicy: OnImageChange` so \
                     that it follows. Where the migration went ahead of the rollout, finish the rollout.",
    },
    Alert {
        name: "DjangoOperatorDown",
        expr: "absent(django_operator_leader{} == 1)",
        hold: "5m",
        severity: "critical",
        summary: "No django-operator works",
        description: "No operator reports to work: none runs, none is reached, or each waits for another's lease.",
        impact: "Nothing new runs, and no status changes. Jobs that run go on, and nothing is lost: a new operator takes over.",
        diagnosis: &[
            "kubectl get pods -n OPERATOR_NAMESPACE -l app.kubernetes.io/name=django-operator",
            "kubectl logs -n OPERATOR_NAMESPACE deployment/django-operator",
            "kubectl get lease django-operator -n OPERATOR_NAMESPACE -o yaml   # who holds it",
        ],
        mitigation: "Mend what the pod's events or logs name: its image, its account's rights, the way to the API server. Where \
                     the pod works, Prometheus does not reach its port 8080: look at the ServiceMonitor and NetworkPolicies.",
    },
    Alert {
        name: "DjangoOperatorReconcileErrors",
        expr: r#"sum by (kind, result) (rate(django_operator_reconcile_total{result!~"ok|conflict"}[5m])) > 0"#,
        hold: "15m",
        severity: "warning",
        summary: "Reconciles of {{ $labels.kind }} fail: {{ $labels.result }}",
        description: "The operator has been failing to do its work for a quarter of an hour; it tries again by itself.",
        impact: "Tasks of this kind start late, or not at all.",
        diagnosis: &[
            "kubectl logs -n OPERATOR_NAMESPACE deployment/django-operator | grep -i warn",
            "kubectl exec -n OPERATOR_NAMESPACE deployment/django-operator -- /django-operator check rights",
        ],
        mitigation: "forbidden: apply the roles of this version again. rejected: a policy or webhook refuses; the log has its \
                     words. server, connection, timeout, throttled: look at the API server. panic: report a bug with the log.",
    },
    Alert {
        name: "DjangoOperatorWatchErrors",
        expr: "sum by (resource) (rate(django_operator_watch_errors_total{}[5m])) > 0",
        hold: "15m",
        severity: "warning",
        summary: "The watch of {{ $labels.resource }} fails",
        description: "The operator has not been able to watch for a quarter of an hour; it tries again by itself.",
        impact: "Changes of these resources are seen late, or not at all.",
        diagnosis: &[
            "kubectl logs -n OPERATOR_NAMESPACE deployment/django-operator | grep -i watch",
            "kubectl get --raw /readyz?verbose   # of the API server",
        ],
        mitigation: "A missing right or kind: apply the roles and kinds of this version again. Else look at the API server.",
    },
];

/// The rules. `own`: what each selector is to have beside its own, `runbooks`: address of the page.
pub fn groups(own: Option<&str>, runbooks: &str) -> Value {
    let rules: Vec<Value> = ALERTS
        .iter()
        .map(|alert| {
            json!({
                "alert": alert.name,
                "expr": selecting(alert.expr, own),
                "for": alert.hold,
                "labels": { "severity": alert.severity },
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
         `rule_files`; the chart has them as a PrometheusRule with `--set alerts.enabled=true`. \
         What the metrics mean: [metrics.md](metrics.md).\n",
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
