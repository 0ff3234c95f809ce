//! The operator as a process, and what it takes.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::api::Api;

/// Where its account is.
pub const HOME: &str = "bench-operator";
/// Its user in the audit log.
pub const USER: &str = "system:serviceaccount:bench-operator:django-operator";

/// How operators are started.
pub struct Operators {
    binary: String,
    kubeconfig: PathBuf,
}

/// One that runs.
pub struct Operator {
    process: Child,
    started: Instant,
    port: u16,
}

impl Operators {
    pub async fn new(api: &Api) -> Result<Self> {
        let binary = std::env::var("OPERATOR_BINARY").context("OPERATOR_BINARY is not set")?;
        api.post("/api/v1/namespaces", &json!({"metadata": {"name": HOME}})).await?;
        let accounts = format!("/api/v1/namespaces/{HOME}/serviceaccounts");
        api.post(&accounts, &json!({"metadata": {"name": "django-operator"}})).await?;
        let binding = json!({
            "metadata": {"name": HOME},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "django-operator", "namespace": HOME}],
        });
        api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding).await?;
        let asked = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86_400}});
        let token = api.post(&format!("{accounts}/django-operator/token"), &asked).await?;
        let own = std::env::var("KUBECONFIG").context("KUBECONFIG is not set")?;
        let mut config: Value = serde_saphyr::from_str(&fs::read_to_string(&own)?)?;
        config["users"][0]["user"] = json!({"token": token["status"]["token"]});
        let kubeconfig = PathBuf::from(own).with_file_name("bench-operator.kubeconfig");
        fs::write(&kubeconfig, config.to_string())?;
        Ok(Self { binary, kubeconfig })
    }

    /// Starts one and waits until it is ready.
    pub async fn start(&self, namespaces: &str, env: &[(&str, &str)]) -> Result<Operator> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(self.kubeconfig.with_file_name("bench-operator.log"))?;
        let started = Instant::now();
        let process = Command::new(&self.binary)
            .arg("run")
            .env("KUBECONFIG", &self.kubeconfig)
            .env("MALLOC_TRIM_THRESHOLD_", "131072") // as in its image
            .env("WATCH_NAMESPACE", namespaces)
            .env("METRICS_ADDRESS", format!("127.0.0.1:{port}"))
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut operator = Operator { process, started, port };
        while !operator.is_ready() {
            anyhow::ensure!(operator.process.try_wait()?.is_none(), "the operator ended; see bench-operator.log");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(operator)
    }
}

impl Operator {
    fn is_ready(&self) -> bool {
        use std::io::{Read, Write};
        let answer = || -> std::io::Result<String> {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: l\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        answer().is_ok_and(|text| text.starts_with("HTTP/1.1 200"))
    }

    /// Since it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Seconds of processor time that it took.
    pub fn cpu(&self) -> f64 {
        cpu_of(&format!("/proc/{}/stat", self.process.id()))
    }

    /// Resident memory in MB, now and at most.
    pub fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let kb = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default()
        };
        (kb("VmRSS") * 1.024e-3, kb("VmHWM") * 1.024e-3)
    }

    /// How many connections it has.
    pub fn connections(&self) -> usize {
        let links = fs::read_dir(format!("/proc/{}/fd", self.process.id())).into_iter().flatten().flatten();
        let sockets = links.filter_map(|link| fs::read_link(link.path()).ok());
        sockets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Seconds of processor time of the process or thread whose `stat` this is.
pub fn cpu_of(stat: &str) -> f64 {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}
