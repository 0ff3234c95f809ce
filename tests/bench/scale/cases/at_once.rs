//! Tasks that are created as fast as the API server takes them.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio_util::task::TaskTracker;

use super::finished;
use crate::audit::{Audit, Entry, failures};
use crate::bare::{Bare, Samples};
use crate::bench::{Bench, KIND, Table};
use crate::operator::USER;
use crate::places::Order;
use crate::simulation::Seen;

/// How long a command takes, in milliseconds: so long that a watch sees it run.
const WORK: u64 = 1_000;

/// How fast tasks were carried out.
#[derive(Clone, Copy)]
struct Rates {
    /// Jobs per second, until the last was created.
    jobs: f64,
    /// Tasks per second, until the last event.
    whole: f64,
}

/// What the operator made of calls that may fall together: three to four writes and one to two events.
#[derive(Clone, Copy)]
struct CallsPerTask {
    writes: f64,
    events: f64,
}

/// What the bare client does again.
#[derive(Clone)]
struct Model {
    rates: Rates,
    calls: CallsPerTask,
    samples: Arc<Samples>,
}

pub async fn measure(bench: &Bench, count: usize) -> Result<()> {
    let table = Table(format!("{count} at once"));
    bench.simulation.work.store(WORK, Ordering::Relaxed);
    let model = operator(bench, &table, &format!("operator-{count}"), count).await?;
    bare(bench, &table, &format!("bare-{count}"), count, model.clone(), Order::InTurn).await?;
    bare(bench, &table, &format!("bare-{count}-by-arrival"), count, model, Order::Arrival).await?;
    bench.simulation.work.store(0, Ordering::Relaxed);
    Ok(())
}

/// And what it costs to have them, finished. They are away when the bare client makes its own: both are too much for a
/// small machine.
pub async fn ten_thousand(bench: &Bench) -> Result<()> {
    let (namespace, count) = ("operator-10000", 10_000);
    let table = Table(format!("{count} at once"));
    bench.simulation.work.store(WORK, Ordering::Relaxed);
    let model = operator(bench, &table, namespace, count).await?;
    bench.create_deployments(namespace, 1_000).await?;
    finished::at_rest(bench, namespace).await?;
    finished::per_object(bench, namespace).await?;
    bare(bench, &table, "bare-10000", count, model, Order::InTurn).await?;
    bench.simulation.work.store(0, Ordering::Relaxed);
    Ok(())
}

/// Carries them out by the operator.
async fn operator(bench: &Bench, table: &Table, namespace: &str, count: usize) -> Result<Model> {
    bench.api.furnish(namespace).await?;
    let operator = bench.operators.start(namespace, &[]).await?;
    let (audit, seen, cpu, begun) = (Audit::begin()?, bench.simulation.reset(), operator.cpu(), Instant::now());
    bench.create(namespace, KIND, count, |_| ()).await?;
    bench.ended(&seen, count).await;
    bench.ready(namespace, KIND, count).await?;
    let mut told = (0, Instant::now());
    while told.1.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(200)).await; // until the last event
        let now = audit.entries(USER)?.iter().filter(|e| e.resource == "events").count();
        if now > told.0 {
            told = (now, Instant::now());
        }
    }
    let whole = count as f64 / told.1.duration_since(begun).as_secs_f64();
    let cost = (operator.cpu() - cpu) * 1e3 / count as f64;
    table.goal("processor time a task", format!("{cost:.1} ms"), "4 ms");
    table.row("resident memory at most", format!("{:.0} MB", operator.memory().1));
    let entries = audit.entries(USER)?;
    let calls = |verbs: &[&str], events: bool| {
        let of = |e: &&Entry| verbs.contains(&&*e.verb) && (e.resource == "events") == events;
        entries.iter().filter(of).count() as f64 / count as f64
    };
    let reads = calls(&["get", "list"], false);
    let calls = CallsPerTask {
        writes: calls(&["create", "update", "patch"], false),
        events: calls(&["create", "patch"], true),
    };
    let measured = format!("{reads:.2}, {:.2}, {:.2}", calls.writes, calls.events);
    table.goal("calls a task: reads, writes, events", measured, "2, 4, 2");
    table.goal("calls that failed", failures(&entries), "0");
    tokio::time::sleep(Duration::from_secs(20)).await; // what the end leaves to be done
    table.row("resident memory afterwards", format!("{:.0} MB", operator.memory().0));
    let samples = Arc::new(Samples::of(&bench.api, namespace, KIND, "t00000").await?);
    Ok(Model { rates: Rates { jobs: rate(&seen, begun), whole }, calls, samples })
}

/// Carries out as many by the bare client.
async fn bare(bench: &Bench, table: &Table, namespace: &str, count: usize, model: Model, order: Order) -> Result<()> {
    let Model { rates: own, calls, samples } = model;
    bench.api.furnish(namespace).await?;
    let seen = bench.simulation.reset();
    let client = Bare::new(bench.api.clone(), samples, namespace, KIND, seen.clone(), order);
    let (begun, under_way, created_before) = (Instant::now(), TaskTracker::new(), Cell::new(0));
    let each = |task| {
        let client = client.clone();
        // As many of the calls that may fall together as the operator made, spread evenly.
        let number = f64::from(created_before.replace(created_before.get() + 1));
        let share = |calls: f64| ((number + 1.0) * calls).floor() - (number * calls).floor();
        let (between, created) = (share(calls.writes - 3.0) as u32, share(calls.events - 1.0) > 0.0);
        under_way.spawn(async move {
            if let Err(error) = client.carry_out(task, between, created).await {
                eprintln!("bare: {error:#}");
            }
        });
    };
    bench.create(namespace, KIND, count, each).await?;
    under_way.close();
    under_way.wait().await;
    let whole = count as f64 / begun.elapsed().as_secs_f64();
    let (client, goal) = match order {
        Order::InTurn => ("the bare client", "0.8"),
        Order::Arrival => ("one that serves all as they come", ""),
    };
    table.goal(&format!("Jobs per second, beside {client}"), beside(own.jobs, rate(&seen, begun)), goal);
    table.goal(&format!("whole tasks per second, beside {client}"), beside(own.whole, whole), goal);
    Ok(())
}

/// Jobs per second since then.
fn rate(seen: &Seen, begun: Instant) -> f64 {
    let jobs = seen.jobs.lock().unwrap();
    let last = jobs.values().filter_map(|times| times.posted).max().unwrap_or(begun);
    jobs.len() as f64 / last.duration_since(begun).as_secs_f64()
}

fn beside(own: f64, bare: f64) -> String {
    format!("{own:.1} beside {bare:.1}: {:.2}", own / bare)
}
