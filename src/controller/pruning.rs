//! Which objects are being thrown away: each is to be deleted once, though the watch still has it.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::recent::Recent;

/// After which one that the watch still has is deleted again.
const TTL: Duration = Duration::from_secs(300);

/// Objects that were just deleted, by UID.
pub struct Pruning(Mutex<Recent<String, ()>>);

impl Default for Pruning {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(TTL)))
    }
}

impl Pruning {
    /// Deletes an object, unless that was asked for just now.
    pub async fn once<T, E>(&self, uid: &str, delete: impl Future<Output = Result<T, E>>) -> Result<(), E> {
        if self.begin(uid) {
            delete.await.inspect_err(|_| {
                self.begun().remove(uid);
            })?;
        }
        Ok(())
    }

    fn begin(&self, uid: &str) -> bool {
        let mut begun = self.begun();
        let first = begun.get(uid).is_none();
        if first {
            begun.insert(uid.to_owned(), ());
        }
        first
    }

    fn begun(&self) -> MutexGuard<'_, Recent<String, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn one_is_deleted_once_unless_that_failed() {
        let (pruning, calls) = (Pruning::default(), Cell::new(0));
        let delete = async |uid, answer: Result<(), ()>| {
            let call = async {
                calls.set(calls.get() + 1);
                answer
            };
            (pruning.once(uid, call).await, calls.get())
        };
        assert_eq!(delete("a", Err(())).await, (Err(()), 1));
        assert_eq!(delete("a", Ok(())).await, (Ok(()), 2));
        assert_eq!(delete("a", Ok(())).await, (Ok(()), 2));
        assert_eq!(delete("b", Ok(())).await, (Ok(()), 3));
    }
}
