//! `generate`: the generated files.

use std::fs;
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
    /// Writes the files, and removes what an earlier version generated.
    pub fn run(self) -> Result<(), Error> {
        let files = manifests::files()?;
        for directory in manifests::GENERATED_DIRECTORIES {
            let directory = self.root.join(directory);
            if directory.is_dir() {
                fs::remove_dir_all(&directory).map_err(|error| Error::File(directory.clone(), error))?;
            }
        }
        for (path, text) in files {
            let path = self.root.join(path);
            let write = || {
                fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
                fs::write(&path, text)
            };
            write().map_err(|error| Error::File(path.clone(), error))?;
        }
        Ok(())
    }
}
