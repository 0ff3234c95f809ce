//! `generate`: the generated files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::Error;
use crate::manifests;

#[derive(Args)]
pub struct Generate {
    /// Root of the checkout.
    #[arg(default_value = ".")]
    root: PathBuf,
}

impl Generate {
    /// Writes the files, and removes those that an earlier version generated.
    pub fn run(self) -> Result<(), Error> {
        let mut written = Vec::new();
        for (path, text) in manifests::files()? {
            let path = self.root.join(path);
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
                fs::write(&path, text)
            };
            write().map_err(|error| Error::File(path.clone(), error))?;
            written.push(path);
        }
        for directory in manifests::DIRECTORIES {
            let directory = self.root.join(directory);
            remove_stale(&directory, &written).map_err(|error| Error::File(directory, error))?;
        }
        Ok(())
    }
}

/// Removes generated files that were not written now.
fn remove_stale(directory: &Path, written: &[PathBuf]) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_stale(&path, written)?;
        } else if !written.contains(&path) && manifests::is_generated(&String::from_utf8_lossy(&fs::read(&path)?)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
