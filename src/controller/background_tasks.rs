//! The parts that have to work until the stop: the end of any is the end of the process, so that a new one begins
//! whole.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Error;

/// Watches and controllers, each a task of its own.
#[derive(Default)]
pub struct BackgroundTasks(JoinSet<Error>);

impl BackgroundTasks {
    /// Starts one.
    pub fn spawn(&mut self, part: String, work: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            let problem = match AssertUnwindSafe(work).catch_unwind().await {
                Ok(()) => "nothing more comes of it".to_owned(),
                Err(panic) => format!("it panicked, which is a bug: {}", panic_message(&*panic)),
            };
            Error::Ended { part, problem }
        });
    }

    /// Starts one that ends with the stop wherever it is.
    pub fn spawn_until(
        &mut self,
        stop: &CancellationToken,
        part: String,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn(part, stop.clone().run_until_cancelled_owned(work).map(|_| ()));
    }

    /// The first end of one, which before the stop is a failure.
    pub async fn next_end(&mut self) -> Error {
        match self.0.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) => Error::Ended { part: "a part".into(), problem: error.to_string() },
            None => std::future::pending().await,
        }
    }

    /// Until all have ended, as they do after the stop.
    pub async fn wait(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_that_ends_or_panics_is_told_with_its_reason() {
        let mut parts = BackgroundTasks::default();
        parts.spawn("the watch of pods".into(), std::future::pending());
        parts.spawn("the watch of jobs".into(), async { panic!("index {}", 7) });
        let told = parts.next_end().await.to_string();
        assert_eq!(told, "the watch of jobs ended: it panicked, which is a bug: index 7");
        parts.spawn("the controller of DjangoUser".into(), async {});
        assert_eq!(parts.next_end().await.to_string(), "the controller of DjangoUser ended: nothing more comes of it");
        assert!(parts.next_end().now_or_never().is_none(), "one works on");
    }
}
