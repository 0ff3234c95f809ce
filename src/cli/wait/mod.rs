//! `wait` and `apply-and-wait`: the step that must finish before a deploy.

mod apply;
mod tasks;
mod verdict;
mod watching;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};

use super::connection::connect;
use tasks::TaskName;
use watching::{Awaited, tell, wait_for_all};

/// Exit codes, beside 0 for success and 128 and its number for a signal.
const USAGE: u8 = 1;
const FAILED: u8 = 2;
const TIMED_OUT: u8 = 3;
const TARGET_UNUSABLE: u8 = 4;
const FORBIDDEN: u8 = 5;

#[derive(Args)]
pub struct Wait {
    /// The tasks, as KIND/NAME: `djangomigrate/shop` or `djm/shop`.
    #[arg(required = true, value_name = "KIND/NAME")]
    tasks: Vec<TaskName>,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
pub struct ApplyAndWait {
    /// File with the manifests of tasks, `-` for standard input.
    #[arg(short, long)]
    filename: PathBuf,
    #[command(flatten)]
    options: Options,
}

#[derive(Args)]
struct Options {
    /// Namespace of the tasks [default: that of the kubeconfig's context, or of this pod].
    #[arg(short, long)]
    namespace: Option<String>,
    /// How long to wait at most, such as 90s, 10m or 1h30m.
    #[arg(long, default_value = "10m", value_parser = duration)]
    timeout: Duration,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text.parse().map_err(|_| "write it as 90s, 10m or 1h30m".to_owned())?;
    let duration = Duration::try_from(duration).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "write a time that is longer than none".to_owned())
}

/// Why waiting ended without success.
#[derive(Debug)]
struct Ending {
    code: u8,
    message: String,
}

impl Ending {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// For how long the API server may forbid what it allows: when it starts, it knows no roles yet.
const FORBIDDEN_PATIENCE: Duration = Duration::from_secs(10);

/// Whether the API server does not let it be done.
fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 401 | 403))
}

impl Wait {
    /// Waits for the tasks.
    pub fn run(self) -> ExitCode {
        let Self { tasks, options } = self;
        let awaited = tasks.into_iter().map(|task| Awaited { task, uid: None, generation: None }).collect();
        options.carry_out(async |_, _| Ok(awaited))
    }
}

impl ApplyAndWait {
    /// Applies the manifests, and waits for the tasks.
    pub fn run(self) -> ExitCode {
        let Self { filename, options } = self;
        options.carry_out(async |client, namespace| {
            let manifests = apply::read(&filename).await?;
            apply::apply(client, namespace, &manifests).await
        })
    }
}

impl Options {
    /// Waits for what `begin` gives, until the timeout or a signal.
    fn carry_out(self, begin: impl AsyncFnOnce(&Client, &str) -> Result<Vec<Awaited>, Ending>) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let result = runtime.map_err(|error| Ending::new(USAGE, error.to_string())).and_then(|runtime| {
            let result = runtime.block_on(async {
                let failed = |error: std::io::Error| Ending::new(USAGE, error.to_string());
                // Also as the first process of a container, which the kernel spares the signals' own effect.
                let mut term = signal(SignalKind::terminate()).map_err(failed)?;
                let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
                tokio::select! {
                    result = self.wait(begin) => result,
                    _ = term.recv() => Err(Ending::new(128 + 15, "stopped; what was begun goes on")),
                    _ = int.recv() => Err(Ending::new(128 + 2, "stopped; what was begun goes on")),
                }
            });
            runtime.shutdown_background();
            result
        });
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(Ending { code, message }) => {
                tell(&format!("django-operator: {message}"));
                ExitCode::from(code)
            }
        }
    }

    async fn wait(self, begin: impl AsyncFnOnce(&Client, &str) -> Result<Vec<Awaited>, Ending>) -> Result<(), Ending> {
        let deadline = Instant::now() + self.timeout;
        let (client, own_namespace) = connect(None).await.map_err(|error| Ending::new(USAGE, error))?;
        let namespace = self.namespace.unwrap_or(own_namespace);
        match timeout_at(deadline, begin(&client, &namespace)).await {
            Ok(awaited) => wait_for_all(&client, &namespace, awaited?, deadline).await,
            Err(_) => Err(Ending::new(TIMED_OUT, "not all could be applied in time")),
        }
    }
}
