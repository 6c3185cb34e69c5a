//! Texts that are looked for, as patterns of `like … escape '!'`.

/// A text as part of a pattern: it stands for itself, in lower case, to be compared with what `fold(…)` gives.
pub(crate) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.to_lowercase().chars() {
        if matches!(c, '!' | '%' | '_') {
            out.push('!');
        }
        out.push(c);
    }
    out
}

/// A pattern of the texts that hold this one.
pub(crate) fn holding(text: &str) -> String {
    format!("%{}%", literal(text))
}

/// The same for a text as people search with it: trimmed, `%` and `_` standing for others.
pub(crate) fn holding_loosely(text: &str) -> String {
    format!("%{}%", text.trim().to_lowercase().replace('!', "!!"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_for_itself() {
        assert_eq!(holding("100% SURE_!"), "%100!% sure!_!!%");
        assert_eq!(holding("ÄRGER"), "%ärger%");
        assert_eq!(holding_loosely(" 100% SURE_! "), "%100% sure_!!%");
    }
}
