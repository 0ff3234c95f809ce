//! The pages: each link leads somewhere, each page of the book is in its contents, and the book is whole by itself.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The committed pages, and those that are to be.
fn pages() -> Vec<PathBuf> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let out = Command::new("git").args(list).current_dir(root()).output().unwrap();
    let paths = String::from_utf8(out.stdout).unwrap();
    let pages: Vec<PathBuf> = paths.lines().map(|path| root().join(path)).filter(|path| path.exists()).collect();
    assert!(pages.len() > 20, "{pages:?}");
    pages
}

/// The text outside of code.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    Regex::new("(?s)```.*?```").unwrap().replace_all(&text, "").into_owned()
}

/// What headings are linked by.
fn anchors(page: &Path) -> BTreeSet<String> {
    let heading = Regex::new("(?m)^#+ (.*)$").unwrap();
    let text = prose(page);
    let slug = |heading: &str| -> String {
        let kept =
            heading.to_lowercase().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).collect::<String>();
        kept.replace(' ', "-")
    };
    heading.captures_iter(&text).map(|found| slug(&found[1])).collect()
}

#[test]
fn each_link_leads_somewhere_and_none_out_of_the_book() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let elsewhere = Regex::new("^[a-z]+:").unwrap();
    let book = root().join("docs");
    let mut dead = Vec::new();
    for page in pages() {
        for found in link.captures_iter(&prose(&page)) {
            let target = &found[1];
            if elsewhere.is_match(target) {
                continue;
            }
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            let leads = file.canonicalize().is_ok_and(|file| {
                let known = anchor.is_empty() || anchors(&file).contains(anchor);
                known && (!page.starts_with(&book) || file.starts_with(&book))
            });
            if !leads {
                dead.push(format!("{}: {target}", page.strip_prefix(root()).unwrap().display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_books_contents_have_each_page() {
    let book = root().join("docs");
    let contents = fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let link = Regex::new(r"\]\(([^)]+)\)").unwrap();
    let listed: BTreeSet<PathBuf> = link.captures_iter(&contents).map(|found| book.join(&found[1])).collect();
    let there: BTreeSet<PathBuf> =
        pages().into_iter().filter(|page| page.starts_with(&book) && !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, there);
}
