//! Whether a container's own command migrates.

use std::sync::LazyLock;

use regex::Regex;

/// A command that migrates, with what follows it there. In a class of its own, as a script for a shell is a word of a
/// command as well.
pub const MIGRATES: &str = r#"(?:^|[\t\n\v\f\r ;&|()'"`<>{}])(?:migrate|lockedmigrate|migrate_schemas)(?:$|[;&|\n]|[\t\v\f\r ()'"`<>{}][^;&|\n]*)"#;
/// How many of them are looked at.
pub const MAX_MATCHES: usize = 16;
/// How much of a command is looked at, in characters: an API server limits what a policy may cost.
pub const MAX_COMMAND_CHARS: usize = 10_000;
/// Options with which it only looks.
pub const CHECK_ONLY: &str = r"[\t\v\f\r ]--(?:check|plan)(?:$|[^0-9A-Za-z_-])";

static PATTERNS: LazyLock<Option<(Regex, Regex)>> =
    LazyLock::new(|| Some((Regex::new(MIGRATES).ok()?, Regex::new(CHECK_ONLY).ok()?)));

/// Whether a command of these words migrates.
pub fn migrates(words: &[String]) -> bool {
    // Nearly all say nothing of it.
    if !words.iter().any(|word| word.contains("migrate")) {
        return false;
    }
    let text: String = words.join(" ").chars().take(MAX_COMMAND_CHARS).collect();
    PATTERNS.as_ref().is_some_and(|(migrates, looks)| {
        migrates.find_iter(&text).take(MAX_MATCHES).any(|found| !looks.is_match(found.as_str()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_migrates_that_does_more_than_look() {
        for (words, expected) in [
            (vec!["python", "manage.py", "migrate"], true),
            (vec!["sh", "-c", "python manage.py migrate --noinput && exec gunicorn shop.wsgi"], true),
            (vec!["sh", "-c", "(./manage.py migrate);gunicorn"], true),
            (vec!["sh", "-c", "manage.py migrate>/dev/null"], true),
            (vec!["sh", "-c", "python manage.py migrate --check || python manage.py migrate; exec gunicorn"], true),
            (vec!["sh", "-c", "python manage.py makemigrations --check && python manage.py migrate"], true),
            (vec!["sh", "-c", "python manage.py migrate\npython manage.py check --plan"], true),
            (vec!["python", "manage.py", "lockedmigrate"], true),
            (vec!["python", "manage.py", "migrate_schemas", "--shared"], true),
            (vec!["python", "manage.py", "migrate", "--check"], false),
            (vec!["python", "manage.py", "migrate", "--noinput", "--plan"], false),
            (vec!["sh", "-c", "until python manage.py migrate --plan|grep -q none; do sleep 1; done"], false),
            (vec!["sh", "-c", "(python manage.py migrate --check)"], false),
            (vec!["python", "manage.py", "makemigrations"], false),
            (vec!["gunicorn", "migrate.wsgi"], false),
            (vec!["/entrypoint-migrate.sh"], false),
            (vec![], false),
        ] {
            let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
            assert_eq!(migrates(&words), expected, "{words:?}");
        }
    }
}
