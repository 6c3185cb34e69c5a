//! Reading request targets the way the router does: empty segments don't count, the last segment
//! may carry a format suffix (behaviours.md §1).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The segments of a path, as they stand in it.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// A path of literals, `{parameters}` and, at the end, `**` for any rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathPattern(pub &'static str);

impl PathPattern {
    /// Does the path match, whatever its format suffix, empty segments and needless encoding?
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut actual = segments(path).peekable();
        for expected in segments(self.0) {
            if expected == "**" {
                return true;
            }
            let Some(segment) = actual.next() else { return false };
            if expected.starts_with('{') {
                continue;
            }
            let segment = decode(segment);
            let last = actual.peek().is_none();
            let same = segment == expected
                || (last
                    && segment
                        .strip_prefix(expected)
                        .is_some_and(|suffix| suffix.starts_with('.')));
            if !same {
                return false;
            }
        }
        actual.next().is_none()
    }
}

/// The value of a query parameter as the handlers read it: the last one. What is decided by another value
/// than the one that is served can be walked around.
pub(crate) fn query_value<'a>(query: Option<&'a str>, name: &str) -> Option<Cow<'a, str>> {
    query?.split('&').rev().find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let key = form_decode(key);
        // A bracket that is never closed nests nothing.
        let plain = key
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || (rest.starts_with('[') && !rest.contains(']')));
        plain.then(|| form_decode(value))
    })
}

/// Decodes as forms are: `+` is a blank.
fn form_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('+') {
        return decode(text);
    }
    Cow::Owned(decode(&text.replace('+', " ")).into_owned())
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_what_the_router_does() {
        for (pattern, path, expected) in [
            ("/auth/sign_in", "/auth/sign_in", true),
            ("/auth/sign_in", "/auth/sign_in.json", true),
            ("/auth/sign_in", "//auth//sign_in//", true),
            ("/auth/sign_in", "/auth/sign%5Fin", true),
            ("/auth/sign_in", "/auth.json/sign_in", false),
            ("/auth/sign_in", "/auth/sign_in/x", false),
            ("/auth/sign_in", "/auth/sign_input", false),
            ("/auth/sign_in", "/auth", false),
            (
                "/api/v1/accounts/{account}/contacts/search",
                "/api/v1/accounts/7/contacts/search.json",
                true,
            ),
            (
                "/api/v1/accounts/{account}/contacts/search",
                "/api/v1/accounts/contacts/search",
                false,
            ),
            ("/api/**", "/api", true),
            ("/api/**", "/api/v1/x", true),
            ("/api/**", "/apis", false),
            ("/**", "/", true),
            ("/", "/", true),
            ("/", "/x", false),
        ] {
            assert_eq!(PathPattern(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_query_value_is_the_last_and_decoded() {
        for (query, expected) in [
            (None, None),
            (Some(""), None),
            (Some("a=1"), None),
            (Some("website_token=c&website_token=a%20b"), Some("a b")),
            (Some("website_token=a+b%2B"), Some("a b+")),
            (Some("website_token=a&website_token[=b"), Some("b")),
            (Some("website_token=a&website%5Ftoken%5Bx=b"), Some("b")),
            (Some("website_token=a&website_token[]=b"), Some("a")),
            (Some("website_token=a&website_tokens=b"), Some("a")),
            (Some("x&website%5Ftoken=a"), Some("a")),
            (Some("website_token"), Some("")),
        ] {
            assert_eq!(query_value(query, "website_token").as_deref(), expected, "{query:?}");
        }
    }
}
