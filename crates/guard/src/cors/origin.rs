//! Origins allowed by configuration.

use std::str::FromStr;

/// `scheme://host[:port]`, or with `*.` as the left-most label of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    /// Scheme with `://`.
    scheme: String,
    /// Host and port, after the wildcard if there is one.
    rest: String,
    wildcard: bool,
}

/// An entry that is no origin, or one that would open the API to everybody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("allowed origins: {0:?} is not scheme://[*.]host[:port] below a registrable domain")]
pub struct InvalidOrigin(String);

impl OriginPattern {
    /// The `Origin` header of a request. `null` never matches.
    #[must_use]
    pub fn matches(&self, origin: &str) -> bool {
        origin.strip_prefix(self.scheme.as_str()).is_some_and(|host| {
            if self.wildcard {
                host.strip_suffix(self.rest.as_str()).is_some_and(|labels| {
                    labels.len() > 1 && labels.ends_with('.') && !labels.contains(['/', ':', '@'])
                })
            } else {
                host == self.rest
            }
        })
    }

    /// Names one origin; only such get credentials.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.wildcard
    }
}

impl FromStr for OriginPattern {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidOrigin(text.to_owned());
        let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let (wildcard, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (host, port) =
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)));
        let sound = matches!(scheme, "http" | "https")
            && !host.is_empty()
            && host.split('.').all(|label| {
                !label.is_empty()
                    && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
            })
            && port.is_none_or(|port| port.parse::<u16>().is_ok());
        if !sound || (wildcard && is_public_suffix(host)) {
            return Err(invalid());
        }
        Ok(Self { scheme: format!("{scheme}://"), rest: rest.to_owned(), wildcard })
    }
}

/// A top-level domain, or a registry's second level below a country code (`co.uk`, `com.au`).
/// The full list of public suffixes changes weekly; this refuses the ones that get typed.
fn is_public_suffix(host: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [_] => true,
        [second, country] => {
            country.len() == 2
                && matches!(
                    *second,
                    "co" | "com" | "org" | "net" | "gov" | "edu" | "ac" | "or" | "ne" | "go"
                )
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_origins() {
        for (pattern, origin, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://A.example/", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://a.example.evil", false),
            ("https://*.a.example", "https://b.a.example", true),
            ("https://*.a.example", "https://c.b.a.example", true),
            ("https://*.a.example", "https://a.example", false),
            ("https://*.a.example", "https://evila.example", false),
            ("https://*.a.example", "https://evil/.a.example", false),
            ("http://*.a.example:81", "http://b.a.example:81", true),
            ("https://a.example", "null", false),
        ] {
            assert_eq!(
                pattern.parse::<OriginPattern>().unwrap().matches(origin),
                expected,
                "{pattern} {origin}"
            );
        }
    }

    #[test]
    fn what_would_open_everything_is_refused() {
        for entry in [
            "*",
            "null",
            "",
            "a.example",
            "https://*",
            "https://*.com",
            "https://*.co.uk",
            "https://a.*.example",
            "ftp://a.example",
            "https://a b",
            "https://a.example/path",
            "https://a:port",
        ] {
            assert!(entry.parse::<OriginPattern>().is_err(), "{entry}");
        }
    }
}
