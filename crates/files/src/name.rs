//! Names of files, as people may see them.

/// The longest name, in bytes, as most file systems have it.
const LONGEST: usize = 255;

/// A name that can be shown and saved: no folders, nothing that turns its letters around, and never
/// empty.
#[must_use]
pub fn tidy(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.trim().chars() {
        match letter {
            // What overrides the direction of writing makes `exe.png` of `gnp.exe`.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => out.push('-'),
            '%' | '$' | '|' | ':' | ';' | '/' | '<' | '>' | '?' | '*' | '"' | '\\' => out.push('-'),
            '\t' | '\r' | '\n' => out.push('-'),
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    if out.len() > LONGEST {
        // The extension says what it is: the stem is cut.
        let extension = out.rfind('.').filter(|at| out.len() - at <= 32);
        let extension = extension.map(|at| out.split_off(at)).unwrap_or_default();
        let mut end = LONGEST.saturating_sub(extension.len());
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
        out.push_str(&extension);
    }
    if out.is_empty() || out == "." || out == ".." { "file".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tidied() {
        let check = |name: &str, expected: &str| assert_eq!(tidy(name), expected, "{name:?}");
        check("note.txt", "note.txt");
        check(" Überblick 2 (final).txt ", "Überblick 2 (final).txt");
        check("../../etc/passwd", "..-..-etc-passwd");
        check("C:\\temp\\a.txt", "C--temp-a.txt");
        check("a\u{202e}gnp.exe", "a-gnp.exe");
        check("a\0b\u{7}c\nd", "abc-d");
        check("", "file");
        check(" .. ", "file");
        let long = tidy(&format!("{}.pdf", "ä".repeat(300)));
        assert!(long.len() <= LONGEST && long.ends_with("ä.pdf"), "{long}");
    }
}
