//! Who waits for whom.

use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::api;
use crate::audit::{Audit, failures};
use crate::bench::{Bench, KIND, Table, percentile};
use crate::operator::USER;
use crate::simulation::Seen;

/// Single tasks of another namespace and of another kind while a thousand of one wait.
pub async fn singles(bench: &Bench) -> Result<()> {
    for namespace in ["burst", "quiet"] {
        bench.api.furnish(namespace).await?;
    }
    let _operator = bench.operators.start("burst,quiet", &[]).await?;
    let seen = bench.simulation.reset();
    let bursting = bench.create("burst", KIND, 1_000, |_| ());
    let singles = async {
        let mut created = Vec::new();
        for n in 0..40 {
            for (namespace, kind) in [("quiet", KIND), ("burst", "DjangoStatic")] {
                let name = format!("single-{n}");
                bench.api.post(&api::tasks(namespace, kind), &api::task(kind, &name)).await?;
                created.push((format!("{namespace}/{name}"), Instant::now()));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        Ok(created)
    };
    let ((), created) = futures::try_join!(bursting, singles)?;
    bench.ended(&seen, 1_000 + created.len()).await;
    let mut waits: Vec<Duration> = created.iter().map(|(key, at)| wait_for_job(&seen, key, *at)).collect();
    waits.sort();
    let table = Table("80 single tasks during 1,000".into());
    let measured = format!("{:.2} s / {:.2} s", percentile(&waits, 0.5) / 1e3, percentile(&waits, 0.99) / 1e3);
    table.goal("created to Job seen, p50 / p99", measured, "p99 3 s");
    table.row("most others of the 1,000 by which one was overtaken", overtaken(&seen, "burst/t"));
    Ok(())
}

/// Single tasks of another namespace while every call that creates a Job in one namespace hangs in a webhook: for so
/// long that these calls are given up, more than once.
pub async fn hanging(bench: &Bench) -> Result<()> {
    beside_hanging(bench, "hanging", "", &[]).await?;
    beside_hanging(bench, "hanging-limited", ", MAX_CONCURRENT_JOBS=20", &[("MAX_CONCURRENT_JOBS", "20")]).await
}

async fn beside_hanging(bench: &Bench, hanging: &str, with: &str, env: &[(&str, &str)]) -> Result<()> {
    let quiet = &format!("quiet-beside-{hanging}");
    bench.api.furnish(hanging).await?;
    bench.api.furnish(quiet).await?;
    let silent = TcpListener::bind("127.0.0.1:0")?; // it never answers
    let url = format!("https://127.0.0.1:{}/", silent.local_addr()?.port());
    let webhook = json!({
        "metadata": {"name": hanging},
        "webhooks": [{
            "name": "hangs.django.my.domain", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": url}, "timeoutSeconds": 30,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": hanging}},
            "rules": [{"apiGroups": ["batch"], "apiVersions": ["v1"], "resources": ["jobs"], "operations": ["CREATE"]}],
        }],
    });
    let webhooks = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
    bench.api.post(webhooks, &webhook).await?;
    tokio::time::sleep(Duration::from_secs(3)).await; // until the API server has come to know it
    let _operator = bench.operators.start(&format!("{hanging},{quiet}"), env).await?;
    let seen = bench.simulation.reset();
    bench.create(hanging, KIND, 200, |_| ()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await; // until they hold what they can
    let mut waits = Vec::new();
    for n in 0..60 {
        let name = format!("single-{n}");
        bench.api.post(&api::tasks(quiet, KIND), &api::task(KIND, &name)).await?;
        let created = Instant::now();
        bench.ended(&seen, n + 1).await;
        waits.push(wait_for_job(&seen, &format!("{quiet}/{name}"), created));
        tokio::time::sleep(Duration::from_secs(1)).await; // they are spread over a minute
    }
    waits.sort();
    let measured = format!("{:.0} ms / {:.0} ms", percentile(&waits, 0.5), percentile(&waits, 0.99));
    let table = Table(format!("60 single tasks in a minute, beside 200 that hang{with}"));
    table.goal("created to Job seen, p50 / p99", measured, "p99 3 s");
    bench.api.call("DELETE", &format!("{webhooks}/{hanging}"), None).await?;
    Ok(())
}

/// MAX_CONCURRENT_JOBS.
pub async fn limit(bench: &Bench) -> Result<()> {
    bench.api.furnish("limit").await?;
    bench.simulation.work.store(1_000, Ordering::Relaxed);
    let operator = bench.operators.start("limit", &[("MAX_CONCURRENT_JOBS", "20")]).await?;
    let (audit, seen, begun) = (Audit::begin()?, bench.simulation.reset(), Instant::now());
    bench.create("limit", KIND, 1_000, |_| ()).await?;
    bench.ended(&seen, 1_000).await;
    let seconds = begun.elapsed().as_secs_f64();
    bench.ready("limit", KIND, 1_000).await?;
    bench.simulation.work.store(0, Ordering::Relaxed);
    let table = Table("1,000 of a second, MAX_CONCURRENT_JOBS=20".into());
    table.goal("all ended in", format!("{seconds:.1} s"), "50 s and what the calls take");
    let (most, mean) = open(&seen);
    table.goal("open at most / on average", format!("{most} / {mean:.1}"), "20 / 20");
    table.row("most others by which one was overtaken", overtaken(&seen, "limit/t"));
    table.goal("calls that failed", failures(&audit.entries(USER)?), "0");
    table.row("processor time", format!("{:.1} s", operator.cpu()));
    Ok(())
}

/// From the creation of a task to that of its Job.
fn wait_for_job(seen: &Seen, key: &str, created: Instant) -> Duration {
    seen.jobs.lock().unwrap()[key].posted.unwrap().saturating_duration_since(created)
}

/// The most Jobs of higher names that came before one. Tasks are created by name.
fn overtaken(seen: &Seen, prefix: &str) -> usize {
    let order = seen.order.lock().unwrap();
    let order: Vec<&String> = order.iter().filter(|key| key.starts_with(prefix)).collect();
    let before = |at: usize| order[..at].iter().filter(|key| **key > order[at]).count();
    (0..order.len()).map(before).max().unwrap_or_default()
}

/// How many Jobs were open, at most and on average, from the first to the last that was created.
fn open(seen: &Seen) -> (usize, f64) {
    let jobs = seen.jobs.lock().unwrap();
    let mut moments: Vec<(Instant, i64)> =
        jobs.values().filter_map(|times| Some([(times.posted?, 1), (times.ended?, -1)])).flatten().collect();
    moments.sort();
    let last = jobs.values().filter_map(|times| times.posted).max();
    let (mut now, mut most, mut sum) = (0, 0, 0.0);
    for pair in moments.windows(2) {
        now += pair[0].1;
        most = most.max(now);
        if Some(pair[1].0) <= last {
            sum += now as f64 * pair[1].0.duration_since(pair[0].0).as_secs_f64();
        }
    }
    let first = moments.first().map(|(at, _)| *at);
    let seconds = last.zip(first).map_or(1.0, |(last, first)| last.duration_since(first).as_secs_f64());
    (most as usize, sum / seconds)
}
