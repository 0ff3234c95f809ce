//! `run`: the operator itself.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Error;
use crate::controller;
use crate::settings::Settings;
use crate::telemetry;

/// How long work under way may take to end after a signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT; a second signal, or the end of the grace, ends it at once.
pub fn run(settings: Settings) -> Result<(), Error> {
    telemetry::start(settings.log_format, &settings.log_level)?;
    // One thread: the API server takes longest by far, and to wake another costs as much as most of what is done here.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        let mut term = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
        let mut int = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
        let running = crate::controller::run(settings, stop.clone());
        tokio::pin!(running);
        tokio::select! {
            result = &mut running => return result.map_err(Error::from),
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        info!("told to stop");
        stop.cancel();
        tokio::select! {
            result = running => result.map_err(Error::from),
            _ = term.recv() => Ok(()),
            _ = int.recv() => Ok(()),
            () = tokio::time::sleep(SHUTDOWN_TIMEOUT) => Err(controller::Error::StopTimeout.into()),
        }
    });
    runtime.shutdown_background();
    result
}
