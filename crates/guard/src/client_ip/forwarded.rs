//! Reading `X-Forwarded-*` and `Forwarded` (RFC 7239) from the right.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use super::FORWARDING_HEADERS;

/// No chain of real proxies is longer; the rest was sent to keep us busy.
const MAX_BYTES: usize = 1024;

/// Does the request speak for somebody else?
pub(super) fn any(headers: &HeaderMap) -> bool {
    FORWARDING_HEADERS.iter().any(|name| headers.contains_key(*name))
}

/// An address, with or without port and brackets; none for `unknown` and `_obfuscated`.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let ip = text
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}

/// The elements the proxies appended, as they stand in the headers.
pub(super) struct Chain<'a> {
    addresses: Vec<&'a str>,
    schemes: Vec<&'a str>,
    hosts: Vec<&'a str>,
    /// Elements of `Forwarded`, used where there is no `X-Forwarded-*` of the kind.
    forwarded: Vec<&'a str>,
}

impl<'a> Chain<'a> {
    pub(super) fn read(headers: &'a HeaderMap) -> Self {
        Self {
            addresses: elements(headers, "x-forwarded-for"),
            schemes: elements(headers, "x-forwarded-proto"),
            hosts: elements(headers, "x-forwarded-host"),
            forwarded: elements(headers, FORWARDED.as_str()),
        }
    }

    /// The addresses from the right; none where an element is not an address.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Option<IpAddr>> {
        let (plain, tagged) = if self.addresses.is_empty() {
            (&[][..], self.forwarded.as_slice())
        } else {
            (self.addresses.as_slice(), &[][..])
        };
        let plain = plain.iter().map(|element| address(element));
        let tagged = tagged.iter().map(|element| address(parameter(element, "for")?));
        plain.chain(tagged)
    }

    /// Scheme the proxy `hop` steps away from us was asked with.
    pub(super) fn scheme(&self, hop: usize) -> Option<&'a str> {
        self.stated(&self.schemes, "proto", hop)
    }

    /// Host the proxy `hop` steps away from us was asked for.
    pub(super) fn host(&self, hop: usize) -> Option<&'a str> {
        self.stated(&self.hosts, "host", hop)
    }

    /// Many proxies replace instead of append: with fewer elements than hops the left-most counts.
    fn stated(&self, plain: &[&'a str], name: &str, hop: usize) -> Option<&'a str> {
        if let Some(last) = plain.last() {
            return Some(plain.get(hop).unwrap_or(last));
        }
        let last = self.forwarded.last()?;
        parameter(self.forwarded.get(hop).unwrap_or(last), name)
    }
}

/// The comma-separated elements of all lines of a header, from the right.
fn elements<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let mut left = MAX_BYTES;
    let mut elements = Vec::new();
    for line in headers.get_all(name).iter().rev() {
        // A line that is no text is one unreadable element.
        for element in line.to_str().unwrap_or("?").rsplit(',') {
            let Some(rest) = left.checked_sub(element.len() + 1) else { return elements };
            left = rest;
            elements.push(element.trim());
        }
    }
    elements
}

/// The value of `name=` in an element of `Forwarded`.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}
