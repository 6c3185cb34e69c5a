//! What a path and a query may be once they are decoded.

use percent_encoding::percent_decode_str;

use super::{Category, Location};

/// What is wrong with a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    Percent(Location),
    Utf8(Location),
    Nul(Location),
    /// A line end or another control character in the path.
    Control,
    /// A slash or backslash that is encoded, so that it isn't one for everybody.
    Separator,
    /// `.` or `..` as a segment.
    Dots,
}

impl Problem {
    pub(super) fn category(self) -> Category {
        match self {
            Self::Percent(_) | Self::Utf8(_) | Self::Separator => Category::Encoding,
            Self::Nul(_) => Category::NullByte,
            Self::Control => Category::Crlf,
            Self::Dots => Category::Traversal,
        }
    }

    pub(super) fn location(self) -> Location {
        match self {
            Self::Percent(location) | Self::Utf8(location) | Self::Nul(location) => location,
            Self::Control | Self::Separator | Self::Dots => Location::Path,
        }
    }

    pub(super) fn text(self) -> &'static str {
        let path = self.location() == Location::Path;
        match self {
            Self::Percent(_) if path => "Invalid percent-encoding in the path",
            Self::Percent(_) => "Invalid percent-encoding in the query",
            Self::Utf8(_) if path => "Invalid UTF-8 in the path",
            Self::Utf8(_) => "Invalid UTF-8 in the query",
            Self::Nul(_) if path => "NUL byte in the path",
            Self::Nul(_) => "NUL byte in the query",
            Self::Control => "Control character in the path",
            Self::Separator => "Encoded slash in the path",
            Self::Dots => "Dot segment in the path",
        }
    }
}

/// Checks a target after one decoding; nobody decodes twice.
pub(super) fn check(path: &str, query: &str) -> Result<(), Problem> {
    for (location, text) in [(Location::Path, path), (Location::Query, query)] {
        if !text.contains('%') && text.is_ascii() {
            continue;
        }
        if !encoded_well(text.as_bytes()) {
            return Err(Problem::Percent(location));
        }
        let decoded =
            percent_decode_str(text).decode_utf8().map_err(|_| Problem::Utf8(location))?;
        if decoded.contains('\0') {
            return Err(Problem::Nul(location));
        }
    }
    for segment in path.split('/') {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        if decoded.contains(char::is_control) {
            return Err(Problem::Control);
        }
        if decoded.contains(['/', '\\']) {
            return Err(Problem::Separator);
        }
        if decoded == "." || decoded == ".." {
            return Err(Problem::Dots);
        }
    }
    Ok(())
}

/// Two hexadecimal digits after every percent sign.
fn encoded_well(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b'%');
    parts.next();
    parts.all(|part| part.len() >= 2 && part.iter().take(2).all(u8::is_ascii_hexdigit))
}
