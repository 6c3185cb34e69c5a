//! Who may frame a page (operations.md §4.3, behaviours.md §1).

use std::fmt::Write as _;

/// Who may frame a page, as a response extension and response part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameAncestors {
    /// Every site: no directive, no `X-Frame-Options`.
    Anyone,
    /// Our own pages.
    SameOrigin,
    /// No page.
    Nobody,
    /// These sources, as [`parse_ancestor`] returns them; without any, our own pages.
    Only(Vec<String>),
}

impl FrameAncestors {
    /// From an inbox's `allowed_domains`, a list separated by commas or line ends. A blank list
    /// means anyone. An entry saved before entries were checked and found unusable now is left
    /// out; a list with no usable entry lets only ourselves frame the page.
    #[must_use]
    pub fn from_allowed_domains(list: &str, https_only: bool) -> Self {
        let mut entries =
            list.split([',', '\n']).map(str::trim).filter(|it| !it.is_empty()).peekable();
        if entries.peek().is_none() {
            return Self::Anyone;
        }
        Self::Only(
            entries.filter_map(|entry| parse_ancestor(entry, https_only).ok()).flatten().collect(),
        )
    }

    pub(super) fn directive(&self) -> Option<String> {
        match self {
            Self::Anyone => None,
            Self::SameOrigin => Some("frame-ancestors 'self'".to_owned()),
            Self::Nobody => Some("frame-ancestors 'none'".to_owned()),
            Self::Only(sources) if sources.is_empty() => Some("frame-ancestors 'self'".to_owned()),
            Self::Only(sources) => {
                let mut directive = "frame-ancestors".to_owned();
                for source in sources {
                    // Writing to a string can't fail.
                    let _ = write!(directive, " {source}");
                }
                Some(directive)
            }
        }
    }
}

/// An entry that isn't `[scheme://](*.)?host[:port]`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a domain")]
pub struct InvalidAncestor(pub String);

/// Checks one entry of `allowed_domains` and returns the source expressions it stands for: a bare
/// host means HTTPS, and HTTP too unless `https_only`; names become A-labels. To be called when
/// the entry is saved as well: joined unchecked, an entry could add directives of its own.
///
/// # Errors
/// [`InvalidAncestor`] if the entry has another form.
pub fn parse_ancestor(entry: &str, https_only: bool) -> Result<Vec<String>, InvalidAncestor> {
    let invalid = || InvalidAncestor(entry.to_owned());
    let (schemes, rest): (&[&str], &str) = match entry.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (&["https"], rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (&["http"], rest),
        Some(_) => return Err(invalid()),
        None if https_only => (&["https"], entry),
        None => (&["https", "http"], entry),
    };
    // An origin pasted from the address bar ends in a slash.
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (wildcard, rest) = match rest.strip_prefix("*.") {
        Some(rest) => ("*.", rest),
        None => ("", rest),
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => {
            let number = port.parse::<u16>().map_err(|_| invalid())?;
            (host, format!(":{number}"))
        }
        None => (rest, String::new()),
    };
    let host = idna::domain_to_ascii_strict(host).map_err(|_| invalid())?;
    let labels = host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if host.is_empty() || !labels {
        return Err(invalid());
    }
    Ok(schemes.iter().map(|scheme| format!("{scheme}://{wildcard}{host}{port}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_follow_the_grammar() {
        for (entry, expected) in [
            ("example.com", Some("https://example.com")),
            ("https://Example.com", Some("https://example.com")),
            ("http://example.com", Some("http://example.com")),
            ("https://example.com/", Some("https://example.com")),
            ("*.example.com", Some("https://*.example.com")),
            ("shop.example:5055", Some("https://shop.example:5055")),
            ("localhost:3000", Some("https://localhost:3000")),
            ("10.0.0.1", Some("https://10.0.0.1")),
            ("bücher.example", Some("https://xn--bcher-kva.example")),
            ("", None),
            ("*", None),
            ("*.", None),
            ("a.*.example", None),
            ("example.com; script-src *", None),
            ("example.com 'unsafe-inline'", None),
            ("example.com/path", None),
            ("ftp://example.com", None),
            ("javascript:alert(1)", None),
            ("example.com:http", None),
            ("example.com:99999", None),
            ("exa\"mple.com", None),
            ("exa\nmple.com", None),
            ("user@example.com", None),
            ("..", None),
        ] {
            let parsed = parse_ancestor(entry, true).ok().map(|sources| sources.join(" "));
            assert_eq!(parsed.as_deref(), expected, "{entry}");
        }
        assert_eq!(
            parse_ancestor("a.example", false).unwrap(),
            ["https://a.example", "http://a.example"]
        );
    }

    #[test]
    fn a_list_never_widens_by_a_bad_entry() {
        for (list, expected) in [
            ("", FrameAncestors::Anyone),
            (" , \n", FrameAncestors::Anyone),
            (
                "a.example,b.example",
                FrameAncestors::Only(vec!["https://a.example".into(), "https://b.example".into()]),
            ),
            ("a.example\n; x", FrameAncestors::Only(vec!["https://a.example".into()])),
            ("'none'; x", FrameAncestors::Only(vec![])),
        ] {
            assert_eq!(FrameAncestors::from_allowed_domains(list, true), expected, "{list:?}");
        }
    }
}
