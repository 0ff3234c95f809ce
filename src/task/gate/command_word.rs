//! Whether a container's own command migrates.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// What separates the words of a shell's script, beside blanks.
pub const SEPARATORS: &str = ";&|()'\"`";
/// Commands that migrate.
pub const MIGRATES: &[&str] = &["migrate", "lockedmigrate"];
/// Options with which they only look.
pub const LOOKS: &[&str] = &["--check", "--plan"];

/// A word of a command, which may be a script for a shell: what it says, without itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandWord {
    names_migrate: bool,
    only_looks: bool,
}

impl CommandWord {
    fn of(word: &str) -> Self {
        let separates = |c: char| c.is_ascii_whitespace() || SEPARATORS.contains(c);
        let mut found = Self::default();
        for word in word.split(separates) {
            found.names_migrate |= MIGRATES.contains(&word);
            found.only_looks |= LOOKS.contains(&word);
        }
        found
    }

    /// Whether a command of these words migrates.
    pub fn migrates<'a>(words: impl Iterator<Item = &'a Self> + Clone) -> bool {
        words.clone().any(|word| word.names_migrate) && !words.into_iter().any(|word| word.only_looks)
    }
}

impl<'de> Deserialize<'de> for CommandWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;

        impl Visitor<'_> for Word {
            type Value = CommandWord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<CommandWord, E> {
                Ok(CommandWord::of(word))
            }
        }

        deserializer.deserialize_str(Word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_migrates_that_names_it_and_does_more_than_look() {
        for (words, expected) in [
            (vec!["python", "manage.py", "migrate"], true),
            (vec!["sh", "-c", "python manage.py migrate --noinput && exec gunicorn shop.wsgi"], true),
            (vec!["sh", "-c", "(./manage.py migrate);gunicorn"], true),
            (vec!["python", "manage.py", "lockedmigrate"], true),
            (vec!["python", "manage.py", "migrate", "--check"], false),
            (vec!["sh", "-c", "until python manage.py migrate --plan|grep -q none; do sleep 1; done"], false),
            (vec!["python", "manage.py", "makemigrations"], false),
            (vec!["gunicorn", "migrate.wsgi"], false),
            (vec!["/entrypoint-migrate.sh"], false),
            (vec![], false),
        ] {
            let found: Vec<CommandWord> = words.iter().map(|word| CommandWord::of(word)).collect();
            assert_eq!(CommandWord::migrates(found.iter()), expected, "{words:?}");
        }
    }
}
