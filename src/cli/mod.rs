//! The command line: one file per subcommand.

mod generate;
pub mod render;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{controller, manifests, telemetry};

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
    /// Print the Job that a task would get, and what was copied, converted and dropped, offline.
    Render(render::Render),
    /// Write the generated files (CRDs, roles, samples, reference) into a checkout.
    Generate(generate::Generate),
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
    /// A file cannot be generated.
    #[error(transparent)]
    Manifests(#[from] manifests::Error),
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
    let result = match Cli::parse().command {
        Subcommands::Run(settings) => run::run(*settings),
        Subcommands::Render(render) => render.run(),
        Subcommands::Generate(generate) => generate.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("django-operator: {problem}");
            ExitCode::FAILURE
        }
    }
}
