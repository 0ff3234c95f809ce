//! Around the client's connection: a time limit for every answer, and a look at each for [`ApiHealth`].

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use tower::{BoxError, Layer, Service};

use super::health::ApiHealth;

/// Longest wait for an answer to begin; above what the slowest webhook takes by default.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long to wait where the API server asks for patience and does not say how much.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the API server within {} s", ANSWER_TIMEOUT.as_secs())]
struct NoAnswer;

/// Puts a [`Transport`] around a service.
pub struct TransportLayer(pub ApiHealth);

impl<S> Layer<S> for TransportLayer {
    type Service = Transport<S>;

    fn layer(&self, inner: S) -> Transport<S> {
        Transport { inner, health: self.0.clone() }
    }
}

/// A service that limits the wait for answers, and looks at them.
pub struct Transport<S> {
    inner: S,
    health: ApiHealth,
}

/// The body of an answer; of a watch, one that tells when something came of it.
pub struct SeenBody<B> {
    inner: B,
    /// For whom, and the path of the watch.
    watch: Option<(ApiHealth, String)>,
}

impl<B: HttpBody + Unpin> HttpBody for SeenBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        // An end counts, as the API server comes to it: of what never changes, it may say nothing else.
        if let (Some((health, path)), Poll::Ready(None | Some(Ok(_)))) = (&self.watch, &polled) {
            health.record_watch_spoke(path);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<S, B> Service<Request<Body>> for Transport<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: HttpBody + Unpin,
{
    type Response = Response<SeenBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<SeenBody<B>>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let watched = is_watch(&request);
        let read = request.method() == Method::GET;
        let health = self.health.clone();
        let pause = if watched { health.watch_pause(&path) } else { Duration::ZERO };
        let answer = self.inner.call(request);
        let began = Instant::now();
        async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let Ok(answer) = tokio::time::timeout(ANSWER_TIMEOUT, answer).await else {
                health.record_no_answer(began);
                return Err(NoAnswer.into());
            };
            match &answer {
                Err(_) => {
                    health.record_no_answer(began);
                    if read {
                        health.record_refusal(&path);
                    }
                }
                Ok(answer) => {
                    health.record_answer(retry_after(answer.status(), answer.headers()));
                    match answer.status() {
                        status if watched && status.is_success() => health.record_watch_began(&path),
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND if read => {
                            health.record_refusal(&path);
                        }
                        _ => {}
                    }
                }
            }
            let answer = answer?;
            let watch = (watched && answer.status().is_success()).then_some((health, path));
            Ok(answer.map(|inner| SeenBody { inner, watch }))
        }
        .boxed()
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|parameter| parameter == "watch=true"))
}

/// How long an answer asks to wait.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(seconds.unwrap_or(DEFAULT_RETRY_AFTER)),
        StatusCode::SERVICE_UNAVAILABLE => seconds,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_asks_for_patience_gets_it() {
        for (status, header, expected) in [
            (429, Some("7"), Some(7)),
            (429, None, Some(1)),
            (429, Some("Wed, 21 Oct 2026 07:28:00 GMT"), Some(1)),
            (503, Some("3"), Some(3)),
            (503, None, None),
            (500, Some("3"), None),
            (200, Some("3"), None),
        ] {
            let headers = header.map(|value| (RETRY_AFTER, value.parse().unwrap())).into_iter().collect();
            let wait = retry_after(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(wait, expected.map(Duration::from_secs), "{status} {header:?}");
        }
    }
}
