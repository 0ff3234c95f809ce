//! The cases, each in namespaces of its own.

mod at_once;
mod deployments;
mod fairness;
mod finished;
mod namespaces;
mod no_pods;
mod num_old_crs;

use anyhow::{Result, bail};

use crate::bench::Bench;

/// In the order in which they run.
pub const ALL: &[&str] = &[
    "at-once-100",
    "at-once-1000",
    "deployments",
    "num-old-crs",
    "singles",
    "hanging",
    "no-pods",
    "limit",
    "namespaces",
    "at-once-10000",
];

pub async fn run(bench: &Bench, case: &str) -> Result<()> {
    match case {
        "at-once-100" => at_once::measure(bench, 100).await,
        "at-once-1000" => at_once::measure(bench, 1_000).await,
        "deployments" => deployments::measure(bench).await,
        "num-old-crs" => num_old_crs::measure(bench).await,
        "singles" => fairness::singles(bench).await,
        "hanging" => fairness::hanging(bench).await,
        "no-pods" => no_pods::measure(bench).await,
        "limit" => fairness::limit(bench).await,
        "namespaces" => namespaces::measure(bench).await,
        "at-once-10000" => at_once::ten_thousand(bench).await,
        other => bail!("no case {other}; there are {}", ALL.join(", ")),
    }
}
