//! Image names, as far as the rule for `spec.image` needs them.

/// The image without tag and digest.
pub fn repository(image: &str) -> &str {
    let image = image.split('@').next().unwrap_or(image);
    match image.rfind(':') {
        Some(colon) if !image[colon..].contains('/') => &image[..colon],
        _ => image,
    }
}

/// Whether a task may run `image` on a target that runs `target`: the same repository, or one of the
/// prefixes (comma-separated) that the target's owner allows. A prefix ends where a part of the name
/// ends, so that `shop` does not allow `shop-of-somebody-else`.
pub fn allowed(image: &str, target: &str, prefixes: Option<&str>) -> bool {
    repository(image) == repository(target)
        || prefixes.unwrap_or_default().split(',').map(str::trim).filter(|p| !p.is_empty()).any(|prefix| {
            image.strip_prefix(prefix).is_some_and(|rest| {
                rest.is_empty() || prefix.ends_with(['/', ':', '@']) || rest.starts_with(['/', ':', '@'])
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_what_stands_before_tag_and_digest() {
        for (image, expected) in [
            ("shop", "shop"),
            ("shop:1", "shop"),
            ("reg:5000/shop", "reg:5000/shop"),
            ("reg:5000/a/shop:1@sha256:abc", "reg:5000/a/shop"),
            ("shop@sha256:abc", "shop"),
        ] {
            assert_eq!(repository(image), expected, "{image}");
        }
    }

    #[test]
    fn another_repository_needs_the_owners_word() {
        for (image, prefixes, expected) in [
            ("reg/shop:2", None, true),
            ("reg/shop-evil:2", None, false),
            ("reg/next/shop:2", None, false),
            ("reg/next/shop:2", Some("reg/next"), true),
            ("reg/nextevil/shop:2", Some("reg/next"), false),
            ("other/shop:2", Some("reg/next, other/"), true),
            ("anything", Some(""), false),
            ("anything", Some(" , "), false),
        ] {
            assert_eq!(allowed(image, "reg/shop:1", prefixes), expected, "{image} {prefixes:?}");
        }
    }
}
