//! Packs the helper (`python/src`) into one zip that Python runs: the same bytes for the same sources, as
//! its digest names the ConfigMap that carries it.

use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

const SOURCE: &str = "python/src";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    python_files(Path::new(SOURCE), &mut files)?;
    files.sort();
    // Each file and not the directory: what Python compiles beside them is no change. A new file is noticed by
    // the one that imports it.
    for path in &files {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let target = PathBuf::from(std::env::var("OUT_DIR")?).join("tasks.pyz");
    let mut zip = ZipWriter::new(fs::File::create(target)?);
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for path in files {
        let name = path.strip_prefix(SOURCE)?.to_str().ok_or("a file name that is not UTF-8")?;
        zip.start_file(name, options)?;
        zip.write_all(&fs::read(&path)?)?;
    }
    zip.finish()?;
    Ok(())
}

fn python_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            python_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "py") {
            files.push(path);
        }
    }
    Ok(())
}
