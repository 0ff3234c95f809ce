//! Where the helper's ConfigMap is known to be.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

/// Namespaces in which this process created the helper's ConfigMap, or found it.
#[derive(Default)]
pub struct HelperNamespaces(Mutex<HashMap<String, Arc<AsyncMutex<bool>>>>);

impl HelperNamespaces {
    /// Creates it, unless it is there. Of many who need it at once, one creates it, and the others wait for that.
    pub async fn ensure<B, E>(
        &self,
        namespace: &str,
        create: impl Future<Output = Result<Result<(), B>, E>>,
    ) -> Result<Result<(), B>, E> {
        let known = self.namespaces().entry(namespace.to_owned()).or_default().clone();
        let mut known = known.lock().await;
        if *known {
            return Ok(Ok(()));
        }
        let created = create.await?;
        *known = created.is_ok();
        Ok(created)
    }

    /// It may no longer be there, or be another.
    pub fn forget(&self, namespace: &str) {
        self.namespaces().remove(namespace);
    }

    fn namespaces(&self) -> MutexGuard<'_, HashMap<String, Arc<AsyncMutex<bool>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_creates_what_many_need() {
        let (namespaces, calls) = (HelperNamespaces::default(), AtomicUsize::new(0));
        let ensure = |answer: Result<Result<(), ()>, ()>| {
            let calls = &calls;
            namespaces.ensure("a", async move {
                calls.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                answer
            })
        };
        assert_eq!(ensure(Err(())).await, Err(()));
        assert_eq!(ensure(Ok(Err(()))).await, Ok(Err(())));
        let all = futures::future::join_all((0..9).map(|_| ensure(Ok(Ok(()))))).await;
        assert!(all.iter().all(|answer| *answer == Ok(Ok(()))));
        assert_eq!(calls.load(Ordering::Relaxed), 3, "each failure, and one for all");
        namespaces.forget("a");
        assert_eq!(ensure(Ok(Ok(()))).await, Ok(Ok(())));
        assert_eq!(calls.load(Ordering::Relaxed), 4);
    }
}
