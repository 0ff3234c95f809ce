//! Around the client's connection: a time limit for every answer and for every silence within one, and a look at each for
//! [`ApiHealth`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use kube::client::Body;
use tokio::time::{Instant, Sleep};
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

/// Nothing came for too long, though the answer is not over.
#[derive(Debug, thiserror::Error)]
#[error("nothing more from the API server for {} s", .0.as_secs())]
struct Silence(Duration);

/// Puts a [`Transport`] around a service.
pub struct TransportLayer {
    pub health: ApiHealth,
    /// How long an answer may be silent before it ends.
    pub silence_limit: Duration,
}

impl<S> Layer<S> for TransportLayer {
    type Service = Transport<S>;

    fn layer(&self, inner: S) -> Transport<S> {
        Transport { inner, health: self.health.clone(), silence_limit: self.silence_limit }
    }
}

/// A service that limits the wait for answers, and looks at them.
pub struct Transport<S> {
    inner: S,
    health: ApiHealth,
    silence_limit: Duration,
}

/// The body of an answer, which fails when it is silent for too long; of a watch, one that tells when something came of it.
pub struct SeenBody<B> {
    inner: B,
    silence: SilenceTimer,
    /// For whom, and the path of the watch.
    watch: Option<(ApiHealth, String)>,
}

/// Runs out after a silence. It is set once for many frames: to set a timer anew at each costs more than the frame.
struct SilenceTimer {
    limit: Duration,
    /// When something last came.
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl SilenceTimer {
    fn new(limit: Duration) -> Self {
        Self { limit, since: Instant::now(), timer: Box::pin(tokio::time::sleep(limit)) }
    }

    fn reset(&mut self) {
        self.since = Instant::now();
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Silence> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let end = self.since + self.limit;
            if end <= Instant::now() {
                return Poll::Ready(Silence(self.limit));
            }
            self.timer.as_mut().reset(end);
        }
    }
}

impl<B> HttpBody for SeenBody<B>
where
    B: HttpBody + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let Poll::Ready(polled) = Pin::new(&mut self.inner).poll_frame(context) else {
            return self.silence.poll(context).map(|silence| Some(Err(silence.into())));
        };
        self.silence.reset();
        // An end counts, as the API server comes to it: of what never changes, it may say nothing else.
        if let (Some((health, path)), None | Some(Ok(_))) = (&self.watch, &polled) {
            health.record_watch_spoke(path);
        }
        Poll::Ready(polled.map(|frame| frame.map_err(Into::into)))
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
        let (health, silence_limit) = (self.health.clone(), self.silence_limit);
        let pause = if watched { health.watch_pause(&path) } else { Duration::ZERO };
        let answer = self.inner.call(request);
        let began = Instant::now().into_std();
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
            Ok(answer.map(|inner| SeenBody { inner, silence: SilenceTimer::new(silence_limit), watch }))
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
    use std::future::poll_fn;

    #[tokio::test(start_paused = true)]
    async fn a_silence_that_is_too_long_ends_an_answer_and_several_short_ones_do_not() {
        let mut silence = SilenceTimer::new(Duration::from_secs(320));
        for seconds in [300, 300, 1, 319] {
            tokio::select! {
                _ = poll_fn(|context| silence.poll(context)) => panic!("after {seconds} s"),
                () = tokio::time::sleep(Duration::from_secs(seconds)) => silence.reset(),
            }
        }
        let begun = Instant::now();
        let ended = poll_fn(|context| silence.poll(context)).await;
        assert_eq!(begun.elapsed().as_secs(), 320);
        assert_eq!(ended.to_string(), "nothing more from the API server for 320 s");
    }

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
