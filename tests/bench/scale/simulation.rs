//! A Job controller and a kubelet that make the writes of the real ones, as fast as the API server takes them: the real
//! controller makes twenty calls a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::api::{self, Api, CONCURRENCY};

/// What happened to a task's Job.
#[derive(Clone, Copy, Debug, Default)]
pub struct JobTimes {
    pub posted: Option<Instant>,
    pub running: Option<Instant>,
    pub ended: Option<Instant>,
}

/// The Jobs of one measurement, by `namespace/task`.
#[derive(Default)]
pub struct Seen {
    pub jobs: Mutex<HashMap<String, JobTimes>>,
    /// In the order of their creation.
    pub order: Mutex<Vec<String>>,
}

/// Plays the cluster below the API server.
pub struct Simulation {
    api: Api,
    pub seen: Mutex<Arc<Seen>>,
    /// Whether Jobs get pods.
    pub makes_pods: AtomicBool,
    /// How long a command takes, in milliseconds.
    pub work: AtomicU64,
    places: Semaphore,
}

const MESSAGE: &str = r#"{"ok":true,"action":"applied","count":1,"names":["myapp.0001_initial"],"settings":"myapp.settings","databases":[{"alias":"default","engine":"postgresql","host":"postgres","name":"myapp"}]}"#;

impl Simulation {
    pub fn start(api: Api) -> (Arc<Self>, JoinHandle<()>) {
        let simulation = Arc::new(Self {
            api,
            seen: Mutex::default(),
            makes_pods: AtomicBool::new(true),
            work: AtomicU64::new(0),
            places: Semaphore::new(CONCURRENCY),
        });
        let watching = tokio::spawn(simulation.clone().watch());
        (simulation, watching)
    }

    /// Begins to note what happens anew.
    pub fn reset(&self) -> Arc<Seen> {
        let seen = Arc::<Seen>::default();
        *self.seen.lock().unwrap() = seen.clone();
        seen
    }

    async fn watch(self: Arc<Self>) {
        let resource = ApiResource::erase::<k8s_openapi::api::batch::v1::Job>(&());
        let jobs = kube::Api::<DynamicObject>::all_with(self.api.0.clone(), &resource);
        let config = watcher::Config::default().labels("app.kubernetes.io/managed-by=django-operator");
        let mut begun = std::collections::HashSet::new();
        let mut events = watcher(jobs, config).default_backoff().applied_objects().boxed();
        loop {
            let Ok(Some(job)) = events.try_next().await else { continue };
            let uid = job.metadata.uid.clone().unwrap_or_default();
            let idle = job.data["spec"]["suspend"] == true || job.data["status"]["conditions"].is_array();
            if idle || !begun.insert(uid) {
                continue;
            }
            let seen = self.seen.lock().unwrap().clone();
            let key = task_of(&job);
            seen.jobs.lock().unwrap().entry(key.clone()).or_default().posted = Some(Instant::now());
            seen.order.lock().unwrap().push(key.clone());
            if self.makes_pods.load(Ordering::Relaxed) {
                let simulation = self.clone();
                tokio::spawn(async move {
                    if let Err(error) = simulation.run(&job, &seen, &key).await {
                        eprintln!("{key}: {error:#}");
                    }
                });
            }
        }
    }

    /// From the creation of a Job's pod to its end.
    async fn run(&self, job: &DynamicObject, seen: &Seen, key: &str) -> Result<()> {
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let job_path = format!("{}/{name}/status", api::jobs(namespace));
        let template = &job.data["spec"]["template"];
        let mut metadata = template["metadata"].clone();
        metadata["name"] = json!(format!("{name}-x"));
        metadata["ownerReferences"] = json!([{
            "apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job.metadata.uid, "controller": true,
        }]);
        let container = template["spec"]["containers"][0]["name"].clone();
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]});
        let pod_path = format!("{}/{name}-x/status", api::pods(namespace));
        let started = now();
        let place = self.places.acquire().await?;
        self.api.post(&api::pods(namespace), &pod).await?;
        let active = json!({"status": {"startTime": started, "active": 1, "ready": 0, "uncountedTerminatedPods": {}}});
        self.api.patch(&job_path, &active).await?;
        let state = json!({"running": {"startedAt": started}});
        self.api.patch(&pod_path, &pod_status("Running", &container, &state)).await?;
        seen.jobs.lock().unwrap().entry(key.to_owned()).or_default().running = Some(Instant::now());
        drop(place);
        tokio::time::sleep(Duration::from_millis(self.work.load(Ordering::Relaxed))).await;
        let _place = self.places.acquire().await?;
        let ended = now();
        let state = json!({"terminated": {
            "exitCode": 0, "reason": "Completed", "message": MESSAGE, "startedAt": started, "finishedAt": ended,
            "containerID": "containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        }});
        self.api.patch(&pod_path, &pod_status("Succeeded", &container, &state)).await?;
        let condition = |type_: &str| {
            json!({
                "type": type_, "status": "True", "reason": "CompletionsReached", "lastProbeTime": ended,
                "message": "Reached expected number of succeeded pods", "lastTransitionTime": ended,
            })
        };
        let complete = json!({"status": {
            "active": 0, "succeeded": 1, "completionTime": ended,
            "conditions": [condition("SuccessCriteriaMet"), condition("Complete")],
        }});
        self.api.patch(&job_path, &complete).await?;
        seen.jobs.lock().unwrap().entry(key.to_owned()).or_default().ended = Some(Instant::now());
        Ok(())
    }
}

/// `namespace/task` of a Job.
fn task_of(job: &DynamicObject) -> String {
    let task = job.metadata.annotations.as_ref().and_then(|a| a.get("django.my.domain/task"));
    format!("{}/{}", job.metadata.namespace.as_deref().unwrap_or_default(), task.map_or("", String::as_str))
}

fn pod_status(phase: &str, container: &Value, state: &Value) -> Value {
    let condition =
        |type_: &str| json!({"type": type_, "status": "True", "lastProbeTime": null, "lastTransitionTime": now()});
    let types = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];
    json!({"status": {
        "phase": phase, "startTime": now(), "hostIP": "10.0.0.1", "podIP": "10.244.0.7", "qosClass": "BestEffort",
        "podIPs": [{"ip": "10.244.0.7"}], "hostIPs": [{"ip": "10.0.0.1"}],
        "conditions": types.map(condition),
        "containerStatuses": [{
            "name": container, "image": "localhost/myapp:1", "ready": phase == "Running", "restartCount": 0,
            "imageID": "localhost/myapp@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "containerID": "containerd://0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "state": state,
        }],
    }})
}

fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
