//! What the commands that talk to a cluster, and are no operator, share.

use kube::{Client, Config};

/// A client of the kubeconfig's cluster, or of this pod's, and the namespace that it names. `account`: whom to act as.
pub async fn connect(account: Option<&str>) -> Result<(Client, String), String> {
    let mut config = Config::infer().await.map_err(|error| format!("no cluster to talk to: {error}"))?;
    if let Some(account) = account {
        config.auth_info.impersonate = Some(account.to_owned());
    }
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config).map_err(|error| error.to_string())?, namespace))
}

/// What an error says, for a person.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}
