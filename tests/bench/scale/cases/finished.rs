//! What finished tasks cost.

use std::time::Duration;

use anyhow::Result;

use crate::api;
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
    let mut before = bench.memory_at_rest(namespace).await?;
    for (what, path, count) in [
        ("a Deployment of 31 variables", api::deployments(namespace), 1_001.0),
        ("a finished pod", api::pods(namespace), 10_000.0),
        ("a finished Job", api::jobs(namespace), 10_000.0),
        ("a finished task", api::tasks(namespace, KIND), 10_000.0),
    ] {
        bench.clear(&path).await?;
        let after = bench.memory_at_rest(namespace).await?;
        table.row(what, format!("{:.2} KB", (before - after) * 1e3 / count));
        before = after;
    }
    table.goal("without any", format!("{before:.1} MB"), "15 MB");
    Ok(())
}
