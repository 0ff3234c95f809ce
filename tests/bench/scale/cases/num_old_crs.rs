//! NUM_OLD_CRS, over a thousand tasks that an operator without it left behind.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::audit::Audit;
use crate::bench::{Bench, KIND, Table};
use crate::operator::USER;

pub async fn measure(bench: &Bench) -> Result<()> {
    let namespace = "num-old-crs";
    bench.api.furnish(namespace).await?;
    let operator = bench.operators.start(namespace, &[]).await?;
    bench.simulation.reset();
    bench.create(namespace, KIND, 1_000, |_| ()).await?;
    bench.ready(namespace, KIND, 1_000).await?;
    drop(operator);

    let table = Table("NUM_OLD_CRS=20000, which throws nothing away".into());
    let operator = bench.operators.start(namespace, &[("NUM_OLD_CRS", "20000")]).await?;
    tokio::time::sleep(Duration::from_secs(20)).await; // a reconcile of each
    table.row("processor time a task of 1,000, after a restart", format!("{:.2} ms", operator.cpu()));
    table.row("resident memory", format!("{:.0} MB", operator.memory().0));
    drop(operator);

    let table = Table("NUM_OLD_CRS=100".into());
    let (audit, begun) = (Audit::begin()?, Instant::now());
    let operator = bench.operators.start(namespace, &[("NUM_OLD_CRS", "100")]).await?;
    while bench.count_ready(namespace, KIND).await? > 100 {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    table.row("900 of 1,000 thrown away in", format!("{:.1} s", begun.elapsed().as_secs_f64()));
    tokio::time::sleep(Duration::from_secs(2)).await; // what comes too late
    table.goal("deletions", audit.entries(USER)?.iter().filter(|e| e.verb == "delete").count(), "900");
    table.row("processor time", format!("{:.2} s", operator.cpu()));
    Ok(())
}
