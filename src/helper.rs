//! The helper: the Python package that runs inside the Jobs, packed into this program by `build.rs`, and
//! handed to Jobs by an immutable ConfigMap that is named by its digest.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use crate::names;

/// The package, as Python runs it.
pub static ZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tasks.pyz"));

static CONFIG_MAP: LazyLock<ConfigMap> = LazyLock::new(|| {
    let digest = {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(ZIP))
    };
    let labels = [(names::MANAGED_BY.to_owned(), names::OPERATOR.to_owned())];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{}-tasks-{}", names::OPERATOR, &digest[..12])),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        binary_data: Some([(names::HELPER_FILE.to_owned(), ByteString(ZIP.to_vec()))].into()),
        ..ConfigMap::default()
    }
});

/// The ConfigMap, as it has to be in every namespace with tasks.
pub fn config_map() -> &'static ConfigMap {
    &CONFIG_MAP
}

/// Its name.
pub fn name() -> &'static str {
    CONFIG_MAP.metadata.name.as_deref().unwrap_or_default()
}
