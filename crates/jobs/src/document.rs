//! Lists of rows, handed to a statement as one document.

use chatwarden_db::DbError;
use serde::Serialize;

/// `rows` as JSON. It is bound as a text: the seam refuses documents in which an escaped NUL is so much as
/// quoted, and what users write may quote one.
///
/// # Errors
/// A NUL character in a text, which PostgreSQL cannot store.
pub(crate) fn of(rows: &impl Serialize) -> Result<String, DbError> {
    let text = serde_json::to_string(rows).map_err(|e| DbError::refused(e.to_string()))?;
    if has_nul(&text) { Err(DbError::refused("a NUL character in a text")) } else { Ok(text) }
}

/// Whether a JSON text has an escaped NUL: `\u0000` whose backslash is not itself escaped.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes().iter().take(at).rev().take_while(|b| **b == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escaped_nul_is_told_from_one_that_is_quoted() {
        let check = |text: &str, refused: bool| {
            assert_eq!(of(&[text]).is_err(), refused, "{text:?}");
        };
        check("plain", false);
        check("\0", true);
        check("before\0after", true);
        check("\\u0000", false);
        check("\\\0", true);
        check("\\\\u0000", false);
        check("C:\\users\\u0000", false);
    }
}
