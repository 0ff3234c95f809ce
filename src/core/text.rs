//! Text for messages of conditions.

use crate::api::MESSAGE_LIMIT;

/// One line without control characters, cut at the limit of messages.
pub fn one_line(text: &str) -> String {
    let spaced: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    truncated(spaced.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Cut at the limit of messages, between characters.
pub fn truncated(mut text: String) -> String {
    if text.len() > MESSAGE_LIMIT {
        let mut end = MESSAGE_LIMIT - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        for text in ["ä".repeat(MESSAGE_LIMIT), "x".repeat(MESSAGE_LIMIT + 1)] {
            let cut = truncated(text);
            assert!(cut.len() <= MESSAGE_LIMIT && cut.ends_with('…'), "{}", cut.len());
        }
        assert_eq!(one_line(" a\n\tb\u{7}"), "a b");
    }
}
