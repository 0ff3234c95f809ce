//! The helper: the Python package that runs inside the Jobs, packed into this program by `build.rs`, and
//! handed to Jobs by an immutable ConfigMap that is named by its digest.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use sha2::{Digest, Sha256};

use crate::names;
use crate::task::job::HelperSource;

/// The package, as Python runs it.
pub static HELPER_ZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tasks.pyz"));

/// What a Job's interpreter is given to run, with the comments that a reader of the Job does not need.
const BOOTSTRAP: &str = include_str!("../python/bootstrap.py");

static DIGEST: LazyLock<String> = LazyLock::new(|| hex::encode(Sha256::digest(HELPER_ZIP)));

static BOOTSTRAP_CODE: LazyLock<String> = LazyLock::new(|| {
    let code = BOOTSTRAP.lines().filter(|line| !line.starts_with('#'));
    code.collect::<Vec<_>>().join("\n")
});

static CONFIG_MAP: LazyLock<ConfigMap> = LazyLock::new(|| {
    let labels = [(names::MANAGED_BY_LABEL.to_owned(), names::OPERATOR.to_owned())];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{}{}", names::HELPER_PREFIX, &DIGEST[..12])),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        binary_data: Some([(names::HELPER_FILE.to_owned(), ByteString(HELPER_ZIP.to_vec()))].into()),
        ..ConfigMap::default()
    }
});

/// The ConfigMap, as it has to be in every namespace with tasks.
pub fn config_map() -> &'static ConfigMap {
    &CONFIG_MAP
}

pub fn config_map_name() -> &'static str {
    CONFIG_MAP.metadata.name.as_deref().unwrap_or_default()
}

/// Where a Job finds the helper, and how it checks what it finds.
pub fn source() -> HelperSource<'static> {
    HelperSource { config_map: config_map_name(), digest: &DIGEST, bootstrap: &BOOTSTRAP_CODE }
}
