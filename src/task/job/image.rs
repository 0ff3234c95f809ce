//! The rule for `spec.image`: images compared by component, as container runtimes read them.

use oci_spec::distribution::{ParseError, Reference};

/// Whether two images are the same one, in whatever form they are written.
pub fn is_same(a: &str, b: &str) -> bool {
    a == b || matches!((parse(a), parse(b)), (Ok(a), Ok(b)) if a == b)
}

/// The repository of an image, as far as it can be read, for messages.
pub fn repository(image: &str) -> String {
    parse(image).map_or_else(|_| image.to_owned(), |image| format!("{}/{}", image.registry(), image.repository()))
}

/// Whether a task may run `image` on a target that runs `target`: one of the same repository, or one that the target's
/// owner allows. Of the comma-separated entries in `allowed`,
///
/// - `registry.example.com/shop/` allows every repository below it,
/// - `registry.example.com/shop/web` every image of this repository,
/// - `registry.example.com/shop/web:2` this tag, but no digest under it, as a runtime pulls by the digest,
/// - `registry.example.com/shop/web@sha256:...` this digest.
///
/// What cannot be read as an image allows nothing.
pub fn is_allowed(image: &str, target: &str, allowed: Option<&str>) -> Result<bool, ParseError> {
    let image = parse(image)?;
    let of_target = parse(target).is_ok_and(|target| same_repository(&image, &target));
    let mut entries = allowed.unwrap_or_default().split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Ok(of_target || entries.any(|entry| entry_allows(entry, &image)))
}

fn entry_allows(entry: &str, image: &Reference) -> bool {
    if let Some(above) = entry.strip_suffix('/') {
        // A repository below, so that registry and Docker Hub's defaults are read as they are for images.
        return parse(&format!("{above}/x")).is_ok_and(|below| {
            let prefix = below.repository().strip_suffix('x').unwrap_or_default();
            below.registry() == image.registry() && image.repository().starts_with(prefix)
        });
    }
    let Ok(allowed) = parse(entry) else { return false };
    let names_version = entry.contains('@') || entry.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let same_version = match allowed.digest() {
        Some(digest) => image.digest() == Some(digest),
        None => image.digest().is_none() && image.tag() == allowed.tag(),
    };
    same_repository(image, &allowed) && (!names_version || same_version)
}

fn same_repository(a: &Reference, b: &Reference) -> bool {
    a.registry() == b.registry() && a.repository() == b.repository()
}

fn parse(image: &str) -> Result<Reference, ParseError> {
    image.parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn with_digest(image: &str) -> String {
        format!("{image}@{DIGEST}")
    }

    #[test]
    fn an_image_of_the_targets_repository_needs_nobodys_word() {
        for (image, target, expected) in [
            ("reg.io/shop:2", "reg.io/shop:1", true),
            ("reg.io/shop", "reg.io/shop:1", true),
            (with_digest("reg.io/shop").as_str(), "reg.io/shop:1", true),
            ("reg.io:5000/shop:2", "reg.io/shop:1", false),
            ("reg.io/shop-evil:2", "reg.io/shop:1", false),
            ("reg.io/shop/evil:2", "reg.io/shop:1", false),
            ("shop:2", "docker.io/library/shop:1", true),
            ("index.docker.io/library/shop:2", "shop:1", true),
            ("team/shop:2", "docker.io/team/shop:1", true),
            ("localhost/shop:2", "shop:1", false),
            ("shop:2", "$(IMAGE)", false),
        ] {
            assert_eq!(is_allowed(image, target, None), Ok(expected), "{image} on {target}");
        }
        assert!(is_allowed("Shop:2", "Shop:1", None).is_err(), "no runtime takes it");
        assert!(is_allowed("shop@sha256:abc", "shop:1", None).is_err());
    }

    #[test]
    fn an_entry_allows_what_it_names_and_no_more() {
        for (image, entries, expected) in [
            ("reg.io/next/shop:2", "reg.io/next/", true),
            ("reg.io/next/deep/shop:2", "reg.io/next/", true),
            ("reg.io/nextevil/shop:2", "reg.io/next/", false),
            ("reg.io/next:2", "reg.io/next/", false),
            ("reg.io/any/thing:2", "reg.io/", true),
            ("reg.io:8443/evil:2", "reg.io/", false),
            ("reg.io:8443/evil:2", "reg.io", false),
            ("reg.io/evil:2", "reg.io", false), // without a slash it names a repository of Docker Hub
            ("reg.io.evil.com/shop:2", "reg.io/", false),
            ("reg.io/next/shop:2", "reg.io/next", false),
            ("reg.io/shop:2", "reg.io/shop", true),
            (with_digest("reg.io/shop").as_str(), "reg.io/shop", true),
            ("reg.io/shop/evil:2", "reg.io/shop", false),
            ("shop/evil:2", "shop", false),
            ("shop/web:2", "shop/", true),
            ("docker.io/shop/web:2", "shop/", true),
            ("evil:2", "docker.io/library/", true),
            ("team/evil:2", "docker.io/library/", false),
            ("reg.io/shop:1", "reg.io/shop:1", true),
            ("reg.io/shop:2", "reg.io/shop:1", false),
            (with_digest("reg.io/shop:1").as_str(), "reg.io/shop:1", false),
            (with_digest("reg.io/shop:1").as_str(), with_digest("reg.io/shop").as_str(), true),
            ("reg.io/shop:1", with_digest("reg.io/shop").as_str(), false),
            ("reg.io:5000/shop:2", "reg.io:5000/shop", true),
            ("reg.io/shop:latest", "reg.io/shop:latest", true),
            ("reg.io/shop", "reg.io/shop:latest", true),
            ("other.io/shop:2", "reg.io/shop, other.io/", true),
            ("anything:2", "", false),
            ("anything:2", " , ,/", false),
        ] {
            assert_eq!(is_allowed(image, "target.io/x:1", Some(entries)), Ok(expected), "{image} by {entries:?}");
        }
    }

    #[test]
    fn one_image_written_in_two_ways_is_one() {
        assert!(is_same("shop", "docker.io/library/shop:latest"));
        assert!(is_same("$(IMAGE)", "$(IMAGE)"));
        assert!(!is_same("shop:1", "shop:2"));
        assert!(!is_same("shop:1", &with_digest("shop:1")));
    }
}
