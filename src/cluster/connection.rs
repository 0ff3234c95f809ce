//! Clients for the cluster: one for calls, and some for watches, of which many share a connection.

use std::time::Duration;

use http::{Request, Version};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};
use tracing::info;

use super::health::ApiHealth;
use super::transport::TransportLayer;
use crate::core::text::one_line;

/// What an answer may be silent for, beyond the time after which the API server ends a watch.
const SILENCE_MARGIN: Duration = Duration::from_secs(30);
/// How often a connection that many watches share is asked whether it is there, and how long it has to answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no configuration for a cluster.
    #[error("no cluster to talk to: {0}")]
    NoCluster(#[from] kube::config::InferConfigError),
    /// The configuration cannot be used.
    #[error("no client for the cluster: {0}")]
    NoClient(#[from] kube::Error),
}

/// Makes clients for the cluster of this pod, or of the kubeconfig.
pub struct Connections {
    config: Config,
    transport: TransportLayer,
    /// Whether the API server speaks HTTP/2, as far as it was asked.
    http2: bool,
}

impl Connections {
    /// Finds the cluster. Each watch ends after `watch_timeout`.
    pub async fn infer(health: &ApiHealth, watch_timeout: Duration) -> Result<Self, ConnectError> {
        let mut config = Config::infer().await?;
        config.default_retry = false; // every reconcile is tried again, with a back-off that it can be seen in
        config.read_timeout = None; // begins anew at each read, which costs as much as the read
        let transport = TransportLayer { health: health.clone(), silence_limit: watch_timeout + SILENCE_MARGIN };
        Ok(Self { config, transport, http2: false })
    }

    /// A client for calls, each on a connection of its own while it lasts.
    pub fn client(&self) -> Result<Client, ConnectError> {
        let builder = ClientBuilder::try_from(self.config.clone())?;
        Ok(builder.with_layer(&self.transport).build())
    }

    /// Asks the API server whether watches can share connections, which pays where there are many.
    pub async fn negotiate(&mut self) -> Result<(), ConnectError> {
        if self.config.proxy_url.is_none() {
            let asking = self.shared_client(false)?;
            let request = Request::get("/version").body(Body::empty()).map_err(kube::Error::HttpError)?;
            self.http2 = match asking.send(request).await {
                Ok(answer) => answer.version() == Version::HTTP_2,
                Err(error) => {
                    info!(error = one_line(&error.to_string()), "no answer yet; each watch gets its own connection");
                    false
                }
            };
        }
        Ok(())
    }

    /// A client for watches. All of them share one connection where the API server speaks HTTP/2, which takes a hundred
    /// at once by default: a connection of its own for each costs some 40 KB, and a handshake.
    pub fn watch_client(&self) -> Result<Client, ConnectError> {
        if self.http2 { self.shared_client(true) } else { self.client() }
    }

    /// kube's own stack has no HTTP/2.
    fn shared_client(&self, http2_only: bool) -> Result<Client, ConnectError> {
        let config = &self.config;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let mut https = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
        if let Some(name) = config.tls_server_name.clone() {
            let name = name.try_into().map_err(|error| kube::Error::Service(Box::new(error)))?;
            https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
        }
        let mut connector = TimeoutConnector::new(https.enable_all_versions().wrap_connector(http));
        connector.set_connect_timeout(config.connect_timeout);
        connector.set_write_timeout(config.write_timeout);
        let client: legacy::Client<_, Body> = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .http2_only(http2_only)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .build(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(config.auth_layer()?)
            .layer(config.extra_headers_layer()?)
            .map_err(BoxError::from)
            .service(client);
        let builder = ClientBuilder::new(service, config.default_namespace.clone());
        Ok(builder.with_layer(&self.transport).build())
    }
}
