//! What the operator costs at a scale, beside a bare client that makes the same calls: `make bench-scale`. Everything is
//! measured on the machine's own control plane, with a simulated Job controller and kubelet; the cases are named on the
//! command line, or all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on ends")]

mod api;
mod audit;
mod bare;
mod bare_watch;
mod bench;
mod cases;
mod operator;
mod places;
mod simulation;

use anyhow::Result;
use bench::Bench;

#[tokio::main]
async fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let all = || cases::ALL.iter().copied().map(str::to_owned).collect();
    let wanted = if wanted.is_empty() { all() } else { wanted };
    let bench = Bench::new().await?;
    println!("| case | figure | measured | goal |\n| --- | --- | --- | --- |");
    for case in wanted {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        eprintln!("{case}: load {}", load.split(' ').next().unwrap_or_default());
        cases::run(&bench, &case).await?;
    }
    Ok(())
}
