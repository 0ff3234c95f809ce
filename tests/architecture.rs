//! The layers: who may import whom, and what deciding code may not do.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with those that it may import beside itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("api", &[]),
    ("core", &["api", "names"]),
    ("helper", &["core", "names"]),
    ("metrics", &[]),
    ("task", &["api", "core", "names"]),
    ("settings", &["task"]),
    ("telemetry", &["settings"]),
    ("cluster", &["api", "core", "helper", "metrics", "names", "task"]),
    ("server", &["metrics"]),
    ("controller", &["api", "cluster", "core", "helper", "metrics", "names", "server", "settings", "task"]),
    ("manifests", &["api", "core", "names", "settings", "task"]),
    ("cli", &["controller", "core", "helper", "manifests", "settings", "task", "telemetry"]),
    ("main", &["cli"]),
];
/// Rooms whose code is pure: no client, nothing asynchronous, no clock.
const PURE: &[&str] = &["api", "core", "names", "task"];
const IMPURE: &[&str] = &["kube::Client", "Api<", "async fn", ".await", "Timestamp::now", "Instant::now", "tokio::"];
/// Largest file, its tests included.
const LINES: usize = 450;

fn sources() -> Vec<(PathBuf, String)> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => collect(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut paths = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut paths);
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The room that a file is in: its first part below `src/`.
fn room(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    below.iter().next().unwrap().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names by their path.
fn imports(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for prefix in ["crate::", "django_operator::"] {
        for rest in text.split(prefix).skip(1) {
            let names = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap_or_default(),
                None => rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default(),
            };
            let firsts = names.split(',').map(|name| name.trim().split("::").next().unwrap_or_default());
            found.extend(firsts.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    found
}

#[test]
fn imports_run_downwards() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "lib" {
            continue;
        }
        let allowed =
            layers.get(room.as_str()).unwrap_or_else(|| panic!("{room} is in no layer; give it a line in LAYERS"));
        for import in imports(&text) {
            assert!(
                import == room || allowed.contains(&import.as_str()),
                "{}: {room} may not import {import}; see LAYERS in tests/architecture.rs",
                path.display()
            );
        }
    }
}

#[test]
fn the_layers_have_no_circle() {
    for (index, (room, allowed)) in LAYERS.iter().enumerate() {
        for below in *allowed {
            assert!(
                LAYERS[..index].iter().any(|(name, _)| name == below),
                "{room} imports {below}, which is not below it"
            );
        }
    }
}

#[test]
fn what_decides_is_pure() {
    for (path, text) in sources().into_iter().filter(|(path, _)| PURE.contains(&room(path).as_str())) {
        for word in IMPURE {
            assert!(!text.contains(word), "{}: {word} has no place in a pure room", path.display());
        }
    }
}

#[test]
fn every_file_is_one_room() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines < LINES, "{}: {lines} lines; it has more than one reason to change", path.display());
    }
}
