//! Logs, on standard error: one line for each thing that happened, never a secret and never a spec.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings::LogFormat;

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is neither one nor a filter.
    #[error("--log-level {0:?}: {1}")]
    Level(String, tracing_subscriber::filter::ParseError),
    /// Something else logs already.
    #[error("{0}")]
    Started(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts logging.
pub fn start(format: LogFormat, level: &str) -> Result<(), Error> {
    let filter = EnvFilter::try_new(level).map_err(|error| Error::Level(level.to_owned(), error))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    match format {
        LogFormat::Json => {
            logs.json().flatten_event(true).with_current_span(false).with_span_list(false).finish().try_init()?;
        }
        LogFormat::Text => logs.finish().try_init()?,
    }
    Ok(())
}
