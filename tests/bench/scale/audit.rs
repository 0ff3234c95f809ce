//! What the API server wrote down of the operator's requests.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

/// The audit log from some moment on.
pub struct Audit {
    path: PathBuf,
    since: u64,
}

/// One request.
pub struct Entry {
    pub verb: String,
    pub resource: String,
    pub code: i64,
}

impl Audit {
    /// From now on.
    pub fn begin() -> Result<Self> {
        let path = PathBuf::from(std::env::var("KUBECONFIG")?).with_file_name("audit.log");
        let since = std::fs::metadata(&path).context("the audit log")?.len();
        Ok(Self { path, since })
    }

    /// The requests of a user.
    pub fn entries(&self, user: &str) -> Result<Vec<Entry>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.since))?;
        let mut entries = Vec::new();
        for line in BufReader::with_capacity(1 << 20, file).lines() {
            let line = line?;
            if !line.contains(user) {
                continue;
            }
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            if entry["user"]["username"] == user && (entry["stage"] == "ResponseComplete" || entry["verb"] == "watch") {
                entries.push(Entry {
                    verb: text(&entry["verb"]),
                    resource: text(&entry["objectRef"]["resource"]),
                    code: entry["responseStatus"]["code"].as_i64().unwrap_or_default(),
                });
            }
        }
        Ok(entries)
    }
}

/// How many requests failed, and of each kind with which code.
pub fn failures(entries: &[Entry]) -> String {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.code >= 400) {
        *kinds.entry(format!("{} {} {}", entry.verb, entry.resource, entry.code)).or_default() += 1;
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, number)| format!("{number} {kind}")).collect();
    if kinds.is_empty() { "0".into() } else { kinds.join(", ") }
}
