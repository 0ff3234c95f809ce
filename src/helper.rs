//! The helper: the Python package that runs inside the Jobs, packed into this program by `build.rs`, and
//! handed to Jobs by an immutable ConfigMap that is named by its digest.

use std::sync::LazyLock;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;

use crate::core::{Blocked, Reason};
use crate::names;

/// The package, as Python runs it.
pub static HELPER_ZIP: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tasks.pyz"));

static CONFIG_MAP: LazyLock<ConfigMap> = LazyLock::new(|| {
    let digest = {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(HELPER_ZIP))
    };
    let labels = [(names::MANAGED_BY_LABEL.to_owned(), names::OPERATOR.to_owned())];
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(format!("{}-tasks-{}", names::OPERATOR, &digest[..12])),
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

/// Whether a ConfigMap of that name is what this program would put there.
pub fn verify(found: &ConfigMap) -> Result<(), Blocked> {
    let expected = config_map();
    let same =
        found.immutable == Some(true) && found.binary_data == expected.binary_data && found.data == expected.data;
    if same {
        return Ok(());
    }
    Err(Blocked::stalled(
        Reason::HelperTampered,
        format!(
            "ConfigMap {} does not hold what this operator would put there, or is not immutable; delete it, and the operator makes it anew",
            config_map_name()
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_or_could_change_is_no_helper() {
        let changed = |change: fn(&mut ConfigMap)| {
            let mut found = config_map().clone();
            change(&mut found);
            verify(&found).err().map(|blocked| blocked.reason)
        };
        assert_eq!(changed(|map| map.metadata.resource_version = Some("1".into())), None);
        let tampered: [fn(&mut ConfigMap); 4] = [
            |map| map.immutable = None,
            |map| map.immutable = Some(false),
            |map| map.binary_data = None,
            |map| map.data = Some([("more".to_owned(), String::new())].into()),
        ];
        for change in tampered {
            assert_eq!(changed(change), Some(Reason::HelperTampered));
        }
    }
}
