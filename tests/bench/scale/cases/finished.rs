//! What finished tasks cost.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::api::{self, CONCURRENCY};
use crate::audit::Audit;
use crate::bench::{Bench, KIND, Table};
use crate::operator::USER;

/// An operator that finds ten thousand, and nothing to do.
pub async fn at_rest(bench: &Bench, namespace: &str) -> Result<()> {
    let table = Table("10,000 finished, 1,000 Deployments".into());
    let operator = bench.operators.start(namespace, &[]).await?;
    table.goal("restart to ready", format!("{:.2} s", operator.age().as_secs_f64()), "5 s");
    table.row("processor time until then", format!("{:.2} s", operator.cpu()));
    tokio::time::sleep(Duration::from_secs(20)).await; // what the start leaves to be done
    let (audit, cpu) = (Audit::begin()?, operator.cpu());
    tokio::time::sleep(Duration::from_secs(60)).await; // the minute that is measured
    table.goal("processor time in a minute", format!("{:.2} s", operator.cpu() - cpu), "0.1 s");
    let asked = audit.entries(USER)?.iter().filter(|e| e.verb != "watch").count();
    table.goal("calls in a minute, but watches", asked, "0");
    let (now, most) = operator.memory();
    table.goal("resident memory", format!("{now:.0} MB"), "60 MB");
    table.row("resident memory at most", format!("{most:.0} MB"));
    Ok(())
}

/// What objects take in memory: by taking them away, kind by kind.
pub async fn per_object(bench: &Bench, namespace: &str) -> Result<()> {
    let table = Table("memory".into());
    let mut before = memory_at_rest(bench, namespace).await?;
    for (what, path, count) in [
        ("a Deployment of 31 variables", api::deployments(namespace), 1_001.0),
        ("a finished pod", api::pods(namespace), 10_000.0),
        ("a finished Job", api::jobs(namespace), 10_000.0),
        ("a finished task", api::tasks(namespace, KIND), 10_000.0),
    ] {
        clear(bench, &path).await?;
        let after = memory_at_rest(bench, namespace).await?;
        table.row(what, format!("{:.2} KB", (before - after) * 1e3 / count));
        before = after;
    }
    table.goal("without any", format!("{before:.1} MB"), "15 MB");
    Ok(())
}

/// The resident memory of an operator that has nothing to do, in MB.
async fn memory_at_rest(bench: &Bench, namespace: &str) -> Result<f64> {
    let operator = bench.operators.start(namespace, &[]).await?;
    tokio::time::sleep(Duration::from_secs(15)).await; // what the start leaves to be done
    Ok(operator.memory().0)
}

/// Deletes all objects of a path.
async fn clear(bench: &Bench, path: &str) -> Result<()> {
    loop {
        let listed = bench.api.get(&format!("{path}?limit=1000")).await?;
        let items = listed["items"].as_array().cloned().unwrap_or_default();
        if items.is_empty() {
            return Ok(());
        }
        let deleted = stream::iter(items).map(|object| async move {
            let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap_or_default());
            let finalizers = &object["metadata"]["finalizers"];
            if finalizers.as_array().is_some_and(|f| !f.is_empty()) {
                bench.api.patch(&path, &json!({"metadata": {"finalizers": null}})).await?;
            }
            let now = json!({"gracePeriodSeconds": 0, "propagationPolicy": "Background"});
            bench.api.call("DELETE", &path, Some(&now)).await
        });
        deleted.buffer_unordered(CONCURRENCY).for_each(|_| futures::future::ready(())).await;
    }
}
