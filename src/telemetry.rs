//! Logs, on standard error: one line for each thing that happened, never a secret and never a spec.

use tracing_subscriber::EnvFilter;

use crate::settings::LogFormat;

/// Starts logging. Fails for a level that is none.
pub fn start(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| format!("--log-level {level:?}: {error}"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let started = match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init(),
        LogFormat::Text => logs.try_init(),
    };
    started.map_err(|error| error.to_string())
}
