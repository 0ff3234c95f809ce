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
    ("metrics", &[]),
    ("task", &["api", "core", "names"]),
    ("helper", &["names", "task"]),
    ("settings", &["task"]),
    ("telemetry", &["settings"]),
    ("cluster", &["api", "core", "helper", "metrics", "names", "task"]),
    ("server", &["cluster", "metrics"]),
    ("controller", &["api", "cluster", "core", "helper", "metrics", "names", "server", "settings", "task"]),
    ("manifests", &["api", "core", "helper", "metrics", "names", "settings", "task"]),
    ("cli", &["api", "controller", "core", "helper", "manifests", "names", "settings", "task", "telemetry"]),
    ("main", &["cli"]),
];
/// Rooms whose code is pure: no client, nothing asynchronous, no clock.
const PURE: &[&str] = &["api", "core", "names", "task"];
const IMPURE: &[&str] = &[
    "Client",
    "Api<",
    "async fn",
    "async move",
    ".await",
    "Timestamp::now",
    "Zoned::now",
    "Instant",
    "SystemTime",
    "tokio",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
];
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

/// The modules of a file, from the root: `src/task/job/mod.rs` is `task::job`.
fn modules(path: &Path) -> Vec<String> {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap().with_extension("");
    let parts = below.iter().map(|part| part.to_string_lossy().into_owned());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// The rooms that a text names by their path, through `crate::` or through enough of `super::`.
fn imports(path: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for prefix in ["crate::", "django_operator::"] {
        for rest in text.split(prefix).skip(1) {
            found.extend(heads(rest));
        }
    }
    for (index, _) in text.match_indices("super::").filter(|(index, _)| !text[..*index].ends_with("super::")) {
        let mut rest = &text[index..];
        let mut up = 0;
        while let Some(more) = rest.strip_prefix("super::") {
            (up, rest) = (up + 1, more);
        }
        if up >= modules(path).len() {
            found.extend(heads(rest).into_iter().filter(|name| LAYERS.iter().any(|(room, _)| room == name)));
        }
    }
    found
}

/// The first names of what follows a path's `::`: one, or those in braces.
fn heads(rest: &str) -> Vec<String> {
    let name =
        |text: &str| -> String { text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    let Some(list) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (index, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(name(&list[start..index]));
                start = index + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (file, text, expected) in [
        ("task/decide.rs", "use crate::cluster::watch;", vec!["cluster"]),
        ("task/decide.rs", "use crate::{core::{Blocked, Reason}, cluster};", vec!["core", "cluster"]),
        ("task/decide.rs", "use super::super::cluster::watch;", vec!["cluster"]),
        ("task/mod.rs", "use super::cluster;", vec!["cluster"]),
        ("settings.rs", "use super::{cluster, task::Task};", vec!["cluster", "task"]),
        ("task/job/mod.rs", "use super::source::TemplateSource;", vec![]),
        ("task/job/env.rs", "use super::super::super::cluster;", vec!["cluster"]),
        ("settings.rs", "use super::*;", vec![]),
    ] {
        assert_eq!(imports(&src.join(file), text), expected, "{file}: {text}");
    }
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
        for import in imports(&path, &text) {
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
