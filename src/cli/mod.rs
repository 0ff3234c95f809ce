//! The command line: one file per subcommand.

mod check;
mod connection;
pub mod gate;
pub mod render;
mod run;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{controller, telemetry};

/// Runs Django's and Celery's administration commands as Kubernetes Jobs.
#[derive(Parser)]
#[command(name = "django-operator", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Run the operator.
    Run(Box<crate::settings::Settings>),
    /// Wait until tasks have ended. Exit codes: 0 succeeded, 2 failed, 3 timeout, 4 no usable target, 5 forbidden.
    Wait(wait::Wait),
    /// Apply the manifests of tasks, and wait until these have ended, likewise.
    ApplyAndWait(wait::ApplyAndWait),
    /// Look whether an installation is complete: rights and kinds.
    Check(check::Check),
    /// Print the Job that a task would get, and what was copied, converted and dropped, offline.
    Render(render::Render),
    /// Print what has a Deployment's pods wait for migrations, to paste into its pod template, offline.
    Gate(gate::GateLines),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, std::io::Error),
    /// A file does not hold what it should.
    #[error("{}: {}", .0.display(), .1)]
    Yaml(PathBuf, String),
    /// A Job cannot be shown.
    #[error(transparent)]
    Render(#[from] render::RenderError),
    /// There are no lines for pods that wait.
    #[error(transparent)]
    Gate(#[from] gate::GateError),
    /// There are no logs.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// The operating system gives no threads, or no signals.
    #[error("{0}")]
    Runtime(std::io::Error),
    /// The operator ended before it was told to.
    #[error(transparent)]
    Operator(#[from] controller::Error),
}

/// Carries out the arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => {
            // Help is printed the same way. 2 is what a task's failure has.
            let code = if usage.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            return usage.print().map_or(ExitCode::FAILURE, |()| code);
        }
    };
    let result = match cli.command {
        Subcommands::Run(settings) => run::run(*settings),
        Subcommands::Wait(wait) => return wait.run(),
        Subcommands::ApplyAndWait(apply) => return apply.run(),
        Subcommands::Check(check) => return check.run(),
        Subcommands::Render(render) => render.run(),
        Subcommands::Gate(gate) => gate.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("django-operator: {problem}");
            ExitCode::FAILURE
        }
    }
}
