//! Deployments that change while nothing is to be done.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::api;
use crate::audit::Audit;
use crate::bare_watch::BareWatch;
use crate::bench::{Bench, KIND, Table};
use crate::operator::USER;

pub async fn measure(bench: &Bench) -> Result<()> {
    let namespace = "deployments";
    bench.api.furnish(namespace).await?;
    bench.create_deployments(namespace, 1_000).await?;
    let operator = bench.operators.start(namespace, &[]).await?;
    bench.simulation.reset();
    bench.create(namespace, KIND, 100, |_| ()).await?;
    bench.ready(namespace, KIND, 100).await?;
    tokio::time::sleep(Duration::from_secs(5)).await; // the last events
    let target = format!("{}/web", api::deployments(namespace));
    let bare = BareWatch::start(&api::deployments(namespace))?;
    tokio::time::sleep(Duration::from_secs(2)).await; // all that there is comes first
    for (what, every, goal) in [("status", 20, "1 %"), ("image", 1_000, "5 %")] {
        let (audit, cpu, bare_cpu, begun) = (Audit::begin()?, operator.cpu(), bare.cpu(), Instant::now());
        let mut ticks = tokio::time::interval(Duration::from_millis(every));
        let mut patches = 0;
        while begun.elapsed() < Duration::from_secs(30) {
            ticks.tick().await;
            patches += 1;
            if what == "status" {
                let status = json!({"status": {"observedGeneration": 1, "collisionCount": patches}});
                bench.api.patch(&format!("{target}/status"), &status).await?;
            } else {
                change_image(bench, &target, &format!("i:{patches}")).await?;
            }
        }
        let seconds = begun.elapsed().as_secs_f64();
        let share = |spent: f64| format!("{:.2} % of a core", 100.0 * spent / seconds);
        let rate = f64::from(patches) / seconds;
        let table = Table(format!("100 tasks, 1,000 Deployments, {rate:.0} {what} patches a second"));
        table.goal("processor time", share(operator.cpu() - cpu), goal);
        table.row("that of a client that reads the watch and keeps nothing", share(bare.cpu() - bare_cpu));
        table.goal("calls", audit.entries(USER)?.iter().filter(|e| e.verb != "watch").count(), "0");
    }
    Ok(())
}

async fn change_image(bench: &Bench, deployment: &str, image: &str) -> Result<Value> {
    let steps = json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]);
    let request =
        http::Request::builder().method("PATCH").uri(deployment).header("content-type", "application/json-patch+json");
    Ok(bench.api.0.request(request.body(serde_json::to_vec(&steps)?)?).await?)
}
