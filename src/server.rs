//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cluster::health::{ApiHealth, SilentWatch};
use crate::metrics::Metrics;

/// Added to the time after which a watch begins anew, before one that does not counts as stuck.
const WATCH_GRACE: Duration = Duration::from_secs(60);

/// How the operator is, as its probes tell.
#[derive(Clone)]
pub struct Health {
    ready: Arc<AtomicBool>,
    api: ApiHealth,
    watch_timeout: Duration,
}

impl Health {
    pub fn new(api: ApiHealth, watch_timeout: Duration) -> Self {
        Self { ready: Arc::default(), api, watch_timeout }
    }

    /// It works, or stands by for the one that does, from now on.
    pub fn mark_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Ready: every watch has its first listing, and none is stuck.
    fn readyz(&self) -> Result<(), String> {
        match self.ready.load(Ordering::Acquire) {
            true => no_watch_stuck(self.api.silent_watch(self.watch_timeout + WATCH_GRACE)),
            false => Err("the watches have no first listing yet".into()),
        }
    }

    /// Alive: no watch is stuck for so long that a new process is worth a try. One that is refused is not: a missing right
    /// in one namespace must not restart the work in the others.
    fn livez(&self) -> Result<(), String> {
        no_watch_stuck(self.api.stuck_watch(2 * self.watch_timeout + WATCH_GRACE))
    }
}

fn no_watch_stuck(stuck: Option<SilentWatch>) -> Result<(), String> {
    stuck.map_or(Ok(()), |SilentWatch { path, silent_for }| {
        Err(format!("nothing has come of the watch of {path} for {} s", silent_for.as_secs()))
    })
}

fn answer(health: Result<(), String>) -> (StatusCode, String) {
    match health {
        Ok(()) => (StatusCode::OK, "ok\n".into()),
        Err(problem) => (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

/// Serves until `stop`.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Health,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let (live, ready) = (health.clone(), health);
    let metrics = move || async move {
        match metrics.text() {
            Ok(text) => {
                let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                ([(header::CONTENT_TYPE, kind)], text).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        }
    };
    let app = Router::new()
        .route("/livez", get(move || async move { answer(live.livez()) }))
        .route("/readyz", get(move || async move { answer(ready.readyz()) }))
        .route("/metrics", get(metrics));
    axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await
}
