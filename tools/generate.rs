//! `make generate`: writes the generated files into a checkout. Not part of the program, which people run in their clusters.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use django_operator::manifests;

fn main() -> ExitCode {
    let Some(root) = env::args_os().nth(1) else {
        eprintln!("usage: generate CHECKOUT");
        return ExitCode::FAILURE;
    };
    match generate(Path::new(&root)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("generate: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the files, and removes those that an earlier version generated.
fn generate(root: &Path) -> Result<(), String> {
    let mut written = Vec::new();
    for (path, text) in manifests::files().map_err(|error| error.to_string())? {
        let path = root.join(path);
        let write = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            fs::write(&path, text)
        };
        write().map_err(|error| format!("{}: {error}", path.display()))?;
        written.push(path);
    }
    for directory in manifests::DIRECTORIES {
        let directory = root.join(directory);
        remove_stale(&directory, &written).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    Ok(())
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
