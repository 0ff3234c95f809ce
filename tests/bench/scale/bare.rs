//! A client that decides nothing and makes the operator's calls: what the API server itself allows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use crate::api::{self, Api, CONCURRENCY};
use crate::places::{Caller, Order, Places};
use crate::simulation::Seen;

/// What the operator wrote for a task, to write the same for others.
pub struct Samples {
    job: Value,
    status: Value,
    event: Value,
}

impl Samples {
    /// Of a task that the operator has carried out.
    pub async fn of(api: &Api, namespace: &str, kind: &str, name: &str) -> Result<Self> {
        let task = api.get(&format!("{}/{name}", api::tasks(namespace, kind))).await?;
        let run = task["status"]["lastRun"]["jobName"].as_str().unwrap_or_default().to_owned();
        let mut job = api.get(&format!("{}/{run}", api::jobs(namespace))).await?;
        let metadata = json!({"labels": job["metadata"]["labels"], "annotations": job["metadata"]["annotations"]});
        job["metadata"] = metadata;
        job["status"] = Value::Null;
        job["spec"]["selector"] = Value::Null;
        if let Some(labels) = job["spec"]["template"]["metadata"]["labels"].as_object_mut() {
            labels.retain(|name, _| !name.contains("controller-uid") && !name.contains("job-name"));
        }
        let events = format!("/apis/events.k8s.io/v1/namespaces/{namespace}/events");
        let mut found = Value::Null;
        while found.is_null() {
            let listed = api.get(&events).await?;
            let about = |event: &&Value| event["regarding"]["name"] == name;
            found = listed["items"].as_array().into_iter().flatten().find(about).cloned().unwrap_or_default();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        found["metadata"] = json!({});
        Ok(Self { job, status: task["status"].clone(), event: found })
    }
}

/// The calls for each task that comes, 64 at once.
pub struct Bare {
    pub api: Api,
    pub samples: Arc<Samples>,
    pub namespace: String,
    pub kind: String,
    pub seen: Arc<Seen>,
    places: Places,
}

impl Bare {
    pub fn new(
        api: Api,
        samples: Arc<Samples>,
        namespace: &str,
        kind: &str,
        seen: Arc<Seen>,
        order: Order,
    ) -> Arc<Self> {
        let places = Places::new(CONCURRENCY, order);
        Arc::new(Self { api, samples, namespace: namespace.into(), kind: kind.into(), seen, places })
    }

    /// From a task that was just created to its last status, with so many statuses in between, and with an event for its
    /// Job or without.
    pub async fn carry_out(&self, mut task: Value, between: u32, created: bool) -> Result<()> {
        let name = task["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = format!("{}/{name}", self.namespace);
        let place = self.places.acquire(Caller::NewTask).await;
        self.api.get(&format!("{}/web", api::deployments(&self.namespace))).await?;
        task = self.put_status(&name, task).await?;
        let mut job = self.samples.job.clone();
        job["metadata"]["name"] = json!(format!("{name}-0123456789"));
        job["metadata"]["annotations"]["django.my.domain/task"] = json!(name);
        job["metadata"]["ownerReferences"] = json!([{
            "apiVersion": task["apiVersion"], "kind": self.kind, "name": name, "uid": task["metadata"]["uid"],
            "controller": true,
        }]);
        self.api.post(&api::jobs(&self.namespace), &job).await?;
        if created {
            self.post_event(&name, 1).await?;
        }
        drop(place);
        for _ in 0..between {
            self.until(&key, |times| times.running.is_some()).await;
            let _place = self.places.acquire(Caller::TaskUnderWay).await;
            task = self.put_status(&name, task).await?;
        }
        self.until(&key, |times| times.ended.is_some()).await;
        let _place = self.places.acquire(Caller::TaskUnderWay).await;
        let selector = format!("labelSelector=batch.kubernetes.io%2Fjob-name%3D{name}-0123456789");
        self.api.get(&format!("{}?{selector}", api::pods(&self.namespace))).await?;
        self.put_status(&name, task).await?;
        self.post_event(&name, 2).await
    }

    async fn put_status(&self, name: &str, mut task: Value) -> Result<Value> {
        task["status"] = self.samples.status.clone();
        task["status"]["lastRun"]["number"] = json!(task["metadata"]["generation"]);
        task["status"]["lastRun"]["key"] = task["metadata"]["resourceVersion"].clone(); // else nothing is written
        self.api.put(&format!("{}/{name}/status", api::tasks(&self.namespace, &self.kind)), &task).await
    }

    async fn post_event(&self, name: &str, number: u32) -> Result<()> {
        let mut event = self.samples.event.clone();
        event["metadata"] = json!({"name": format!("{name}.{number}"), "namespace": self.namespace});
        event["regarding"]["name"] = json!(name);
        event["regarding"]["namespace"] = json!(self.namespace);
        let events = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace);
        self.api.post(&events, &event).await.map(|_| ())
    }

    async fn until(&self, key: &str, test: impl Fn(&crate::simulation::JobTimes) -> bool) {
        while !self.seen.jobs.lock().unwrap().get(key).is_some_and(&test) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
