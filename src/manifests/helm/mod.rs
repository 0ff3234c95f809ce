//! The charts below `config/helm/`: what the other manifests say, with values in it. What only a chart has is written there
//! by hand.

mod chart;
mod cluster;
mod operator;
mod template;

use serde_json::Value;

use super::KindManifest;

/// Manifests that the charts are made from.
pub struct Manifests<'a> {
    pub kinds: &'a [KindManifest],
    pub plurals: &'a [String],
    /// Path and documents.
    pub user_roles: &'a [(String, Vec<Value>)],
    pub policies: &'a [(String, Vec<Value>)],
}

/// Path and text of each generated file.
pub fn files(manifests: &Manifests) -> Result<Vec<(String, String)>, String> {
    let Manifests { kinds, plurals, user_roles, policies } = manifests;
    let mut files = cluster::chart(kinds, user_roles, policies)?.files()?;
    files.extend(operator::chart(plurals)?.files()?);
    Ok(files)
}
