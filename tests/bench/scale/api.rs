//! Raw calls to the API server, and the objects that the measurements need.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// How many calls the bare client, the simulated cluster and the creation of resources make at once, each.
pub const CONCURRENCY: usize = 64;

/// How often a call is made that the API server fails to answer, and how long after each time.
const ATTEMPTS: u32 = 30;
const RETRY: Duration = Duration::from_secs(1);

/// What a measurement knows of the API server.
#[derive(Clone)]
pub struct Api(pub Client);

impl Api {
    /// Again and again while the API server or its database has too much to do, as every controller does.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = body.map(serde_json::to_vec).transpose()?.unwrap_or_default();
        for attempt in 1.. {
            let request =
                Request::builder().method(method).uri(path).header("content-type", kind).body(body.clone())?;
            match self.0.request(request).await {
                Err(kube::Error::Api(status)) if status.code == 409 && method == "POST" && attempt > 1 => break, // it was done
                Err(kube::Error::Api(status)) if attempt < ATTEMPTS && (status.code == 429 || status.code >= 500) => {
                    tokio::time::sleep(RETRY).await;
                }
                answer => return answer.with_context(|| format!("{method} {path}")),
            }
        }
        Ok(Value::Null)
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call("GET", path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("POST", path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("PUT", path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.call("PATCH", path, Some(body)).await
    }

    /// A namespace with a labelled Deployment.
    pub async fn furnish(&self, namespace: &str) -> Result<()> {
        self.post("/api/v1/namespaces", &json!({"metadata": {"name": namespace}})).await?;
        self.post(&deployments(namespace), &deployment("web", true, "localhost/myapp:1")).await?;
        let account = format!("/api/v1/namespaces/{namespace}/serviceaccounts/default");
        while self.get(&account).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await; // until pods can be made
        }
        Ok(())
    }
}

pub fn deployments(namespace: &str) -> String {
    format!("/apis/apps/v1/namespaces/{namespace}/deployments")
}

pub fn jobs(namespace: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/jobs")
}

pub fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

pub fn tasks(namespace: &str, kind: &str) -> String {
    format!("/apis/django.my.domain/v1alpha1/namespaces/{namespace}/{}s", kind.to_lowercase())
}

pub fn task(kind: &str, name: &str) -> Value {
    json!({"apiVersion": "django.my.domain/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": {}})
}

/// As large as that of a usual project: 31 variables.
pub fn deployment(name: &str, labelled: bool, image: &str) -> Value {
    let label = if labelled { "django-server" } else { "other" };
    let env: Vec<Value> = (0..31)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("the value of setting {n}")}))
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, "app.kubernetes.io/component": label}},
                "spec": {"containers": [{"name": "django", "image": image, "env": env}]},
            },
        },
    })
}
