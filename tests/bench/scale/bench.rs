//! What the cases share: a cluster, operators in it, and a table.

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use kube::Client;
use serde_json::Value;

use crate::api::{self, Api};
use crate::operator::Operators;
use crate::simulation::{Seen, Simulation};

pub const KIND: &str = "DjangoMigrate";

/// A cluster, and what is measured in it.
pub struct Bench {
    pub api: Api,
    pub operators: Operators,
    pub simulation: Arc<Simulation>,
}

/// The rows of the table that one case prints.
pub struct Table(pub String);

impl Table {
    /// Prints a row without a goal.
    pub fn row(&self, figure: &str, measured: impl Display) {
        self.goal(figure, measured, "");
    }

    /// Prints a row.
    pub fn goal(&self, figure: &str, measured: impl Display, goal: &str) {
        println!("| {} | {figure} | {measured} | {goal} |", self.0);
    }
}

impl Bench {
    pub async fn new() -> Result<Self> {
        let api = Api(Client::try_default().await?);
        let operators = Operators::new(&api).await?;
        let (simulation, _) = Simulation::start(api.clone());
        Ok(Self { api, operators, simulation })
    }

    /// Creates tasks, and hands over each as the API server answers with it.
    pub async fn create(&self, namespace: &str, kind: &str, count: usize, each: impl Fn(Value)) -> Result<()> {
        let path = api::tasks(namespace, kind);
        let created = stream::iter(0..count).map(|n| {
            let (api, path, task) = (&self.api, &path, api::task(kind, &format!("t{n:05}")));
            async move { api.post(path, &task).await }
        });
        let mut created = created.buffer_unordered(16);
        while let Some(task) = created.try_next().await? {
            each(task);
        }
        Ok(())
    }

    /// Creates Deployments that nothing asks for.
    pub async fn create_deployments(&self, namespace: &str, count: usize) -> Result<()> {
        let path = api::deployments(namespace);
        let created = stream::iter(0..count).map(|n| {
            let (path, deployment) = (&path, api::deployment(&format!("other-{n}"), false, "i:1"));
            async move { self.api.post(path, &deployment).await }
        });
        created.buffer_unordered(16).try_for_each(|_| futures::future::ok(())).await
    }

    /// Until so many tasks of a namespace are ready.
    pub async fn ready(&self, namespace: &str, kind: &str, count: usize) -> Result<()> {
        let limit = Instant::now() + Duration::from_secs(1_800);
        loop {
            let found = self.count_ready(namespace, kind).await?;
            if found >= count {
                return Ok(());
            }
            if Instant::now() > limit {
                bail!("{namespace}: {found} of {count} are ready after half an hour");
            }
            tokio::time::sleep(Duration::from_millis(if count - found > 300 { 2_000 } else { 200 })).await;
        }
    }

    pub async fn count_ready(&self, namespace: &str, kind: &str) -> Result<usize> {
        let (mut found, mut next) = (0, String::new());
        loop {
            let path = format!("{}?limit=2000&resourceVersion=0&continue={next}", api::tasks(namespace, kind));
            let page = self.api.get(&path).await?;
            let ready = |task: &&Value| {
                let conditions = task["status"]["conditions"].as_array().into_iter().flatten();
                conditions.clone().any(|c| c["type"] == "Ready" && c["status"] == "True")
            };
            found += page["items"].as_array().into_iter().flatten().filter(ready).count();
            next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            if next.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Until so many Jobs have ended.
    pub async fn ended(&self, seen: &Seen, count: usize) {
        while seen.jobs.lock().unwrap().values().filter(|times| times.ended.is_some()).count() < count {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// In milliseconds.
pub fn percentile(sorted: &[Duration], part: f64) -> f64 {
    let at = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len()) - 1;
    sorted.get(at).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1e3)
}
