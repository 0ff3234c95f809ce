//! The page of what to do, by the reason of a condition.

use std::fmt::Write;

use super::MARKDOWN_HEADER;
use crate::core::Reason;
use crate::task::helper_reason::HELPER_REASONS;

const INTRODUCTION: &str = r"# Troubleshooting

`kubectl get django-operator -o wide` shows all tasks of a namespace with reason and message; `kubectl describe` one of them
with its events. The message names what is wrong, and what to write instead. The pod's log stays until the Job goes:

```sh
kubectl get djm/NAME -o jsonpath='{.status.lastRun.jobName}'
kubectl logs job/JOB
```

A failed run stays failed until somebody acts: a new value of `spec.trigger`, an edit of what the task is to do (not of limits,
timeouts and the like: [when tasks run](tasks.md)), or

```sh
kubectl annotate --overwrite djm/NAME django.my.domain/requestedAt=$(date +%s)
```

asks for another one; it also takes the place of a run whose pod cannot start. With Stalled somebody has to act; with Reconciling
it goes on by itself as soon as what the message names is there.

Events have the same reasons; beside them JobCreated, RunSuperseded, Suspended and Resumed, and for a run that succeeded what it
did, such as MigrationsApplied. The condition TargetResolved has the reason Found when there is a target, and NotNeeded while no
run has been due.

**Nothing happens at all**, and the status has `observedGeneration: -1`: no operator works in that namespace. Look at its pod,
and whether the namespace is one of its `WATCH_NAMESPACE`.

**kubectl knows no resource type `django-operator`** right after the installation: it keeps for hours what it knows of a
cluster's kinds, and so does Helm, in the same place. `kubectl api-resources >/dev/null` reads it anew.

**Whether kinds and rights are as they should be**, `helm test` says, or, given the namespace of the operator and that of the
tasks,

```sh
django-operator check kinds -n NAMESPACE
django-operator check rights -n NAMESPACE --watch-namespace NAMESPACE --as system:serviceaccount:OPERATOR_NAMESPACE:django-operator
```
";

/// Markdown of all reasons.
pub fn page() -> String {
    let mut page = format!("{MARKDOWN_HEADER}{INTRODUCTION}");
    page.push_str("\n## Reasons of conditions\n\n| reason | meaning | what to do |\n| --- | --- | --- |\n");
    for reason in Reason::ALL {
        row(&mut page, reason.as_str(), reason.meaning(), reason.remedy());
    }
    page.push_str(
        "\n## Reasons of a command that failed\n\nWhat runs in the Job gives these itself.\n\n\
         | reason | meaning | what to do |\n| --- | --- | --- |\n",
    );
    for reason in HELPER_REASONS {
        row(&mut page, reason.name, reason.meaning, reason.remedy);
    }
    page
}

fn row(page: &mut String, reason: &str, meaning: &str, remedy: &str) {
    let _ = writeln!(page, "| {reason} | {meaning} | {remedy} |");
}
