//! The command line: one verb, one file.

pub mod generate;
pub mod render;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Runs Django's and Celery's administration commands as Kubernetes Jobs.
#[derive(Parser)]
#[command(name = "django-operator", version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the operator.
    Run(Box<crate::settings::Settings>),
    /// Print the Job that a task would get, and what was copied, converted and dropped, offline.
    Render(render::Render),
    /// Write the generated files (CRDs, roles, reference) into a checkout.
    Generate(generate::Generate),
}

/// Carries out the arguments.
pub fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Run(settings) => run::run(*settings),
        Verb::Render(render) => render.run(),
        Verb::Generate(generate) => generate.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("django-operator: {problem}");
            ExitCode::FAILURE
        }
    }
}
