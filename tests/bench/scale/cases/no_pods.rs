//! Jobs that get no pods, of which events are to say why.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::audit::Audit;
use crate::bench::{Bench, KIND, Table};
use crate::operator::USER;

pub async fn measure(bench: &Bench) -> Result<()> {
    let (namespace, table) = ("no-pods", Table("1,000 without pods".into()));
    bench.api.furnish(namespace).await?;
    bench.simulation.makes_pods.store(false, Ordering::Relaxed);
    let operator = bench.operators.start(namespace, &[]).await?;
    let (audit, seen, begun) = (Audit::begin()?, bench.simulation.reset(), Instant::now());
    bench.create(namespace, KIND, 1_000, |_| ()).await?;
    while seen.jobs.lock().unwrap().len() < 1_000 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    table.row("all Jobs created in", format!("{:.1} s", begun.elapsed().as_secs_f64()));
    let cpu = operator.cpu();
    tokio::time::sleep(Duration::from_secs(60)).await; // the minute that is measured
    let lists = audit.entries(USER)?.iter().filter(|e| e.verb == "list" && e.resource == "events").count();
    table.row("LISTs of events until a minute later", lists);
    table.row("processor time in that minute", format!("{:.2} s", operator.cpu() - cpu));
    bench.simulation.makes_pods.store(true, Ordering::Relaxed);
    Ok(())
}
