//! Leader election: an optimisation that spares two operators each other's work. Nothing is right only
//! because of it.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tracing::info;

use crate::names;

/// How long giving back the lease may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// Tells when the lease is lost; dropping the receiver gives the lease back, and the task ends when that is done.
pub type LeaseHandle = (Receiver<bool>, JoinHandle<Result<LeaseManager, LeaseManagerError>>);

/// Waits until this process holds the lease. None: nothing asks for it any more.
pub async fn acquire(
    client: Client,
    namespace: &str,
    identity: &str,
) -> Result<Option<LeaseHandle>, LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client, names::OPERATOR)
        .with_namespace(namespace)
        .with_identity(identity)
        .with_duration(15)
        .with_grace(5)
        .build()
        .await?;
    info!(namespace, identity, "waiting for the lease");
    let (mut leading, task) = manager.watch().await;
    while !*leading.borrow_and_update() {
        if leading.changed().await.is_err() {
            return Ok(None);
        }
    }
    info!(namespace, identity, "leading");
    Ok(Some((leading, task)))
}

/// Ends when another process has the lease; never, where there is none.
pub async fn lost(lease: &mut Option<LeaseHandle>) {
    match lease {
        None => std::future::pending().await,
        Some((leading, _)) => {
            let _ = leading.wait_for(|leads| !leads).await;
        }
    }
}

/// Gives the lease back, so that a standby does not wait for it to expire.
pub async fn release((leading, released): LeaseHandle) {
    drop(leading);
    let _ = tokio::time::timeout(RELEASE_TIMEOUT, released).await;
}
