//! What a file is, told by its content before its name and before what was said of it.

/// What is known of a file's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its type.
    pub content_type: String,
    /// Width and height in pixels, where it is a picture that can be read.
    pub size: Option<(u32, u32)>,
}

const ANYTHING: &str = "application/octet-stream";

/// A type without its parameters, where it says anything.
fn declared(content_type: Option<&str>) -> Option<String> {
    let bare = content_type?.split(';').next()?.trim().to_ascii_lowercase();
    let (kind, form) = bare.split_once('/')?;
    let sane = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    (sane(kind) && sane(form) && bare.len() <= 127 && bare != ANYTHING).then_some(bare)
}

/// The type of a file: by how it begins, else as it was declared, else by its name.
pub(crate) fn content_type(head: &[u8], name: &str, said: Option<&str>) -> String {
    let by_name = || mime_guess::from_path(name).first_raw().map(str::to_owned);
    let by_content = infer::get(head).map(|kind| kind.mime_type());
    match by_content {
        // Many formats are archives inside: their name says which.
        Some("application/zip" | "application/gzip" | "application/x-ole-storage") => {
            let archive = by_content.unwrap_or(ANYTHING);
            let inner = |it: &String| {
                it.starts_with("application/") && it != archive && !it.contains("javascript")
            };
            declared(said)
                .filter(inner)
                .or_else(|| by_name().filter(inner))
                .unwrap_or_else(|| archive.to_owned())
        }
        Some(known) => known.to_owned(),
        None => declared(said).or_else(by_name).unwrap_or_else(|| ANYTHING.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_comes_before_words() {
        let check = |head: &[u8], name: &str, said: Option<&str>, expected: &str| {
            assert_eq!(content_type(head, name, said), expected, "{name} said {said:?}");
        };
        check(b"hello", "note.txt", None, "text/plain");
        check(b"hello", "note.txt", Some("application/octet-stream"), "text/plain");
        check(b"a,b", "a.csv", Some("text/csv; charset=utf-8"), "text/csv");
        check(b"hello", "noname", None, ANYTHING);
        check(b"hello", "noname", Some("nonsense"), ANYTHING);
        check(b"hello", "noname", Some("text/<b>"), ANYTHING);
        check(b"\x89PNG\r\n\x1a\n", "page.html", Some("text/html"), "image/png");
        check(b"%PDF-1.4", "scan", None, "application/pdf");
        check(b"PK\x03\x04", "a.zip", None, "application/zip");
        check(b"PK\x03\x04", "a.odt", None, "application/vnd.oasis.opendocument.text");
        check(b"PK\x03\x04", "a.html", Some("text/html"), "application/zip");
    }
}
