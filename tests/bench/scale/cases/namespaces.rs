//! Many namespaces with little in them.

use std::time::Duration;

use anyhow::Result;

use crate::audit::Audit;
use crate::bench::{Bench, Table};
use crate::operator::USER;

pub async fn measure(bench: &Bench) -> Result<()> {
    let names: Vec<String> = (0..100).map(|n| format!("many-{n:03}")).collect();
    for name in &names {
        bench.api.furnish(name).await?;
    }
    for (case, namespaces, ready_goal, memory_goal) in [
        ("1 namespace", names[0].clone(), "", ""),
        ("100 namespaces by list", names.join(","), "2 s", "30 MB"),
        ("all namespaces", String::new(), "", ""),
    ] {
        let (table, audit) = (Table(case.into()), Audit::begin()?);
        let operator = bench.operators.start(&namespaces, &[]).await?;
        table.goal("ready in", format!("{:.2} s", operator.age().as_secs_f64()), ready_goal);
        tokio::time::sleep(Duration::from_secs(5)).await; // what the start leaves to be done
        table.goal("resident memory", format!("{:.1} MB", operator.memory().0), memory_goal);
        table.row("connections", operator.connections());
        table.goal("calls answered 429", audit.entries(USER)?.iter().filter(|e| e.code == 429).count(), "0");
    }
    Ok(())
}
