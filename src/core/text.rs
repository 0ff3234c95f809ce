//! Text for messages of conditions.

use crate::api::MESSAGE_LIMIT;

/// One line without control characters, nor those that turn the direction of what follows, cut at the limit of messages.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() || is_format(c) { ' ' } else { c }).collect();
    shortened(&spaced.split_whitespace().collect::<Vec<_>>().join(" "), MESSAGE_LIMIT)
}

/// Whether a character is not seen itself, but changes how others are.
fn is_format(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Cut at a limit in bytes, between characters.
pub fn shortened(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for text in ["ä".repeat(MESSAGE_LIMIT), "x".repeat(MESSAGE_LIMIT + 1)] {
            let cut = shortened(&text, MESSAGE_LIMIT);
            assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with('…'), "{}", cut.len());
        }
        assert_eq!(one_line(" a\n\tb\u{7}"), "a b");
        assert_eq!(one_line("a\u{202e}b\u{2066}c\u{200b}"), "a b c");
    }
}
