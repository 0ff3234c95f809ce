//! `wait` and `apply-and-wait`: the step that must finish before a deploy.

mod tasks;
mod verdict;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use tasks::TaskName;
use verdict::{Verdict, judge};

/// Owner of the fields that `apply-and-wait` applies.
const FIELD_MANAGER: &str = "django-operator-apply";

/// Exit codes, beside 0 for success and 1 for what is about the call itself.
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
    Duration::try_from(duration).map_err(|_| "write a positive time".to_owned())
}

/// Why waiting ended.
#[derive(Debug)]
struct Ending {
    code: u8,
    message: String,
}

impl Ending {
    fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// An error of the API server that will not pass by itself, for who asked for this.
    fn of_error(error: &kube::Error, what: &str) -> Option<Self> {
        let kube::Error::Api(status) = error else { return None };
        match status.code {
            401 | 403 => Some(Self::new(FORBIDDEN, format!("{what}: {}", status.message))),
            404 => Some(Self::new(1, format!("{what}: {}", status.message))),
            400 | 409 | 422 => Some(Self::new(1, format!("{what}: {}", status.message))),
            _ => None,
        }
    }
}

/// A task, and the generation that it has at least.
struct Awaited {
    task: TaskName,
    generation: i64,
}

impl Wait {
    /// Waits for the tasks.
    pub fn run(self) -> ExitCode {
        let Self { tasks, options } = self;
        let awaited = tasks.into_iter().map(|task| Awaited { task, generation: 0 }).collect();
        options.carry_out(async |_, _| Ok(awaited))
    }
}

impl ApplyAndWait {
    /// Applies the manifests, and waits for the tasks.
    pub fn run(self) -> ExitCode {
        let Self { filename, options } = self;
        options.carry_out(async |client, namespace| apply(client, namespace, &filename).await)
    }
}

impl Options {
    /// Waits, until the timeout, for what `begin` gives.
    fn carry_out(self, begin: impl AsyncFnOnce(&Client, &str) -> Result<Vec<Awaited>, Ending>) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ending = runtime.map_err(|error| Ending::new(1, error.to_string())).and_then(|runtime| {
            let result = runtime.block_on(self.wait(begin));
            runtime.shutdown_background();
            result
        });
        match ending {
            Ok(()) => ExitCode::SUCCESS,
            Err(Ending { code, message }) => {
                eprintln!("django-operator: {message}");
                ExitCode::from(code)
            }
        }
    }

    async fn wait(self, begin: impl AsyncFnOnce(&Client, &str) -> Result<Vec<Awaited>, Ending>) -> Result<(), Ending> {
        let deadline = Instant::now() + self.timeout;
        let config =
            Config::infer().await.map_err(|error| Ending::new(1, format!("no cluster to talk to: {error}")))?;
        let namespace = self.namespace.unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Ending::new(1, error.to_string()))?;
        let awaited = match timeout_at(deadline, begin(&client, &namespace)).await {
            Ok(awaited) => awaited?,
            Err(_) => return Err(Ending::new(TIMED_OUT, "the API server does not answer")),
        };
        let number = awaited.len().max(1);
        let waits = awaited.into_iter().map(|awaited| wait_for(&client, &namespace, awaited, deadline));
        futures::stream::iter(waits).buffer_unordered(number).try_for_each(async |()| Ok(())).await
    }
}

/// Applies the manifests of a file, as kubectl does on the server's side.
async fn apply(client: &Client, namespace: &str, filename: &PathBuf) -> Result<Vec<Awaited>, Ending> {
    let invalid = |problem: String| Ending::new(1, format!("{}: {problem}", filename.display()));
    let text = match filename.as_os_str() == "-" {
        true => std::io::read_to_string(std::io::stdin()),
        false => std::fs::read_to_string(filename),
    };
    let text = text.map_err(|error| invalid(error.to_string()))?;
    let manifests: Vec<Value> = serde_saphyr::from_multiple(&text).map_err(|error| invalid(error.to_string()))?;
    let manifests: Vec<_> = manifests.into_iter().filter(|manifest| !manifest.is_null()).collect();
    if manifests.is_empty() {
        return Err(invalid("has no manifest".into()));
    }
    // All are looked at before the first is applied.
    let tasks: Vec<_> =
        manifests.iter().map(|manifest| TaskName::of_manifest(manifest).map_err(&invalid)).collect::<Result<_, _>>()?;
    let mut awaited = Vec::new();
    for (task, manifest) in tasks.into_iter().zip(&manifests) {
        let home = &manifest["metadata"]["namespace"];
        if home.as_str().is_some_and(|home| home != namespace) {
            return Err(invalid(format!("{task} is of namespace {home}; write --namespace={home}")));
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &task.resource);
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(&task.name, &parameters, &Patch::Apply(manifest)).await;
        let applied = applied.map_err(|error| {
            Ending::of_error(&error, &task.to_string()).unwrap_or_else(|| Ending::new(1, format!("{task}: {error}")))
        })?;
        eprintln!("{task} applied");
        awaited.push(Awaited { generation: applied.metadata.generation.unwrap_or_default(), task });
    }
    Ok(awaited)
}

/// Waits for one task; tells what it is at meanwhile.
async fn wait_for(client: &Client, namespace: &str, awaited: Awaited, deadline: Instant) -> Result<(), Ending> {
    let Awaited { task, generation } = awaited;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &task.resource);
    let mut versions = pin!(watcher::watch_object(api, &task.name).default_backoff());
    let mut seen = false;
    let mut last = Verdict::Waiting { for_target: false, message: "the API server does not answer".into() };
    loop {
        let verdict = match timeout_at(deadline, versions.next()).await {
            Err(_) | Ok(None) => return Err(timed_out(&task, last)),
            Ok(Some(Ok(Some(object)))) if object.metadata.generation.unwrap_or_default() < generation => continue,
            Ok(Some(Ok(Some(object)))) => judge(&object),
            Ok(Some(Ok(None))) if seen => return Err(Ending::new(FAILED, format!("{task} was deleted"))),
            Ok(Some(Ok(None))) => {
                return Err(Ending::new(1, format!("{task} does not exist in namespace {namespace}")));
            }
            Ok(Some(Err(error))) => {
                match refusal(&error).and_then(|error| Ending::of_error(error, &task.to_string())) {
                    Some(ending) => return Err(ending),
                    None => Verdict::Waiting { for_target: false, message: error.to_string() },
                }
            }
        };
        seen = true;
        if verdict == last {
            continue;
        }
        match &verdict {
            Verdict::Succeeded(message) => {
                println!("{task} {message}");
                return Ok(());
            }
            Verdict::Failed(message) => return Err(Ending::new(FAILED, format!("{task} {message}"))),
            Verdict::TargetUnusable(message) => return Err(Ending::new(TARGET_UNUSABLE, format!("{task} {message}"))),
            Verdict::Waiting { message, .. } => eprintln!("{task} {message}"),
        }
        last = verdict;
    }
}

/// The error of the API server, if it is one.
fn refusal(error: &watcher::Error) -> Option<&kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        _ => None,
    }
}

fn timed_out(task: &TaskName, last: Verdict) -> Ending {
    match last {
        Verdict::Waiting { for_target: true, message } => {
            Ending::new(TARGET_UNUSABLE, format!("{task}: no usable target in time: {message}"))
        }
        Verdict::Waiting { message, .. }
        | Verdict::Succeeded(message)
        | Verdict::Failed(message)
        | Verdict::TargetUnusable(message) => {
            Ending::new(TIMED_OUT, format!("{task} has not ended in time: {message}"))
        }
    }
}
