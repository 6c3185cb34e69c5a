//! Letters and digits of every script, by their Unicode category.

use std::sync::LazyLock;

use regex::Regex;

static LETTER_OR_DIGIT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\A[\p{L}\p{N}]\z").ok());

/// Whether a character is a letter or a digit (categories L and N). A combining mark is neither, though
/// [`char::is_alphanumeric`] takes many for letters.
pub(crate) fn is_letter_or_digit(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    LETTER_OR_DIGIT.as_ref().is_some_and(|one| one.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_letters_from_marks() {
        for c in ['a', '7', 'ü', '日', 'ส', 'ह', '٣', '½'] {
            assert!(is_letter_or_digit(c), "{c}");
        }
        for c in ['_', '-', ' ', '\n', '\u{e31}', '\u{93f}', '\u{301}', 'Ⓐ', '🚀'] {
            assert!(!is_letter_or_digit(c), "{c:?}");
        }
    }
}
