//! Who is calling: the effective client address, scheme and host (operations.md §5.4).
//!
//! The first element of `X-Forwarded-For` is written by the client, so it is only believed as far
//! as a chain of trusted proxies vouches for it. Fails closed: whatever can't be read ends the
//! walk at the last address that is certain. Counter: `clientip.rejected{reason}`.

mod forwarded;
mod trusted;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts, Request};
use axum::response::Response;
use http::HeaderMap;
use http::header::HOST;
use http::request::Parts;
use http::uri::{Authority, Scheme};
use ipnet::IpNet;

pub(crate) use trusted::network;
pub use trusted::{TrustedProxies, UnknownProxies};

use crate::filter::{Admission, Filter, FilterLayer};
use forwarded::Chain;

/// A chain longer than this is not a chain of our proxies.
const MAX_HOPS: usize = 10;

/// Settings of the layer.
#[derive(Debug, Clone, Default)]
pub struct ClientIpConfig {
    /// Proxies whose forwarding headers are believed. Env `TRUSTED_PROXIES`, default none.
    pub trusted_proxies: TrustedProxies,
    /// The listener speaks TLS itself.
    pub tls: bool,
}

/// Who is calling, as a request extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIp {
    /// Address of the client; IPv4-mapped addresses are normalised. `0.0.0.0` if unknown.
    pub ip: IpAddr,
    /// Address of the TCP peer; none for a call within the process.
    pub peer: Option<IpAddr>,
    /// The peer is one of the trusted proxies.
    pub peer_trusted: bool,
    /// The request carried any forwarding header, believed or not.
    pub forwarded: bool,
    /// The client spoke HTTPS.
    pub https: bool,
    /// Host the client asked for, with its port if it named one, lower case.
    pub host: Option<String>,
}

impl ClientIp {
    /// The key of the client in limits and bans: an IPv6 client owns a /64.
    #[must_use]
    pub fn prefix(&self) -> IpNet {
        let length = if self.ip.is_ipv4() { 32 } else { 64 };
        IpNet::new(self.ip, length).unwrap_or_else(|_| IpNet::from(self.ip)).trunc()
    }

    /// The client runs on this machine and nobody spoke on behalf of somebody else: a loopback
    /// peer with a forwarding header is a local proxy, which must not exempt the world.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.peer.is_some_and(|peer| peer.is_loopback()) && !self.forwarded
    }

    /// Scheme the client used.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }

    /// `scheme://host` as the client wrote it.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        self.host.as_ref().map(|host| format!("{}://{host}", self.scheme()))
    }

    fn unknown() -> Self {
        Self {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            peer: None,
            peer_trusted: false,
            forwarded: false,
            https: false,
            host: None,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ClientIp {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(Self::unknown))
    }
}

/// Derives [`ClientIp`] from the peer ([`ConnectInfo`]) and the headers of trusted proxies.
#[derive(Debug, Clone)]
pub struct DeriveClientIp {
    config: std::sync::Arc<ClientIpConfig>,
}

/// The layer.
#[must_use]
pub fn layer(config: ClientIpConfig) -> FilterLayer<DeriveClientIp> {
    FilterLayer(DeriveClientIp { config: std::sync::Arc::new(config) })
}

impl Filter for DeriveClientIp {
    type Ticket = ();

    fn admit(&self, request: &mut Request) -> Admission<()> {
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(address)| address.ip());
        let authority = request.uri().authority().cloned();
        let client = self.config.derive(peer, authority.as_ref(), request.headers());
        request.extensions_mut().insert(client);
        Admission::Pass(())
    }

    fn seal(&self, (): (), _: &mut Response) {}
}

impl ClientIpConfig {
    /// The derivation. `authority` is that of the request target, which HTTP/2 has instead of
    /// `Host`.
    #[must_use]
    pub fn derive(
        &self,
        peer: Option<IpAddr>,
        authority: Option<&Authority>,
        headers: &HeaderMap,
    ) -> ClientIp {
        let peer = peer.map(|peer| peer.to_canonical());
        let mut client = ClientIp {
            peer,
            https: self.tls,
            forwarded: forwarded::any(headers),
            host: authority
                .map(|authority| host_of(authority.as_str()))
                .or_else(|| {
                    headers.get(HOST).map(|host| host_of(host.to_str().unwrap_or_default()))
                })
                .flatten(),
            ..ClientIp::unknown()
        };
        let Some(peer) = peer else { return client };
        client.ip = peer;
        if !self.trusted_proxies.contains(peer) {
            return client;
        }
        client.peer_trusted = true;

        let chain = Chain::read(headers);
        let mut hops = 0;
        if let Some(stated) = self.single(headers) {
            match stated {
                Some(ip) => client.ip = ip,
                None => rejected("single_header"),
            }
        } else {
            let mut unread = chain.addresses();
            while hops < MAX_HOPS && self.trusted_proxies.contains(client.ip) {
                match unread.next() {
                    None => break,
                    Some(Some(ip)) => {
                        client.ip = ip;
                        hops += 1;
                    }
                    Some(None) => {
                        rejected("unparsable");
                        break;
                    }
                }
            }
        }

        let hop = hops.saturating_sub(1);
        if let Some(scheme) = chain.scheme(hop) {
            if scheme.eq_ignore_ascii_case(Scheme::HTTPS.as_str())
                || scheme.eq_ignore_ascii_case("wss")
            {
                client.https = true;
            } else if scheme.eq_ignore_ascii_case(Scheme::HTTP.as_str())
                || scheme.eq_ignore_ascii_case("ws")
            {
                client.https = false;
            } else {
                rejected("scheme");
            }
        }
        if let Some(stated) = chain.host(hop) {
            match host_of(stated) {
                Some(host) => client.host = Some(host),
                None => rejected("host"),
            }
        }
        client
    }

    /// The address in the one header a preset names: none if absent, `Some(None)` if unreadable.
    fn single(&self, headers: &HeaderMap) -> Option<Option<IpAddr>> {
        let name = self.trusted_proxies.single_header()?;
        let value = headers.get(name)?;
        Some(value.to_str().ok().and_then(forwarded::address))
    }
}

fn rejected(reason: &'static str) {
    metrics::counter!("clientip.rejected", "reason" => reason).increment(1);
}

/// A host that may go into a URL, without user information.
fn host_of(text: &str) -> Option<String> {
    let authority: Authority = text.trim().parse().ok()?;
    let plain = !authority.as_str().contains('@') && !authority.host().is_empty();
    plain.then(|| authority.as_str().to_ascii_lowercase())
}

/// The headers that speak for somebody else.
const FORWARDING_HEADERS: [&str; 5] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "forwarded"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Recorded;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http::{HeaderName, HeaderValue};
    use tower::ServiceExt;

    fn derive(trusted: &str, peer: &str, headers: &[(&str, &str)]) -> ClientIp {
        let config = ClientIpConfig { trusted_proxies: trusted.parse().unwrap(), tls: false };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        config.derive(Some(peer.parse().unwrap()), None, &map)
    }

    #[test]
    fn the_address_is_as_far_as_trusted_proxies_vouch_for_it() {
        let xff = "x-forwarded-for";
        let many = ["10.0.0.9"; 12].join(", ");
        let long = format!("203.0.113.5, {}10.0.0.1", "10.0.0.2,".repeat(300));
        for (name, trusted, peer, headers, expected) in [
            ("no proxy trusted", "", "198.51.100.1", &[(xff, "1.2.3.4")][..], "198.51.100.1"),
            ("untrusted peer", "private", "198.51.100.1", &[(xff, "1.2.3.4")], "198.51.100.1"),
            ("one proxy", "private", "10.0.0.1", &[(xff, "203.0.113.5")], "203.0.113.5"),
            (
                "spoofed first element",
                "private",
                "10.0.0.1",
                &[(xff, "6.6.6.6, 203.0.113.5")],
                "203.0.113.5",
            ),
            (
                "two proxies",
                "10.0.0.0/8",
                "10.0.0.1",
                &[(xff, "6.6.6.6, 203.0.113.5, 10.0.0.2")],
                "203.0.113.5",
            ),
            (
                "two header lines",
                "private",
                "10.0.0.1",
                &[(xff, "6.6.6.6"), (xff, "203.0.113.5")],
                "203.0.113.5",
            ),
            ("all trusted", "private", "10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            ("no header", "private", "10.0.0.1", &[], "10.0.0.1"),
            (
                "unparsable",
                "private",
                "10.0.0.1",
                &[(xff, "1.2.3.4, rubbish, 10.0.0.2")],
                "10.0.0.2",
            ),
            ("empty element", "private", "10.0.0.1", &[(xff, "1.2.3.4,")], "10.0.0.1"),
            ("unknown", "private", "10.0.0.1", &[(xff, "unknown")], "10.0.0.1"),
            ("with port", "private", "10.0.0.1", &[(xff, "203.0.113.5:4711")], "203.0.113.5"),
            (
                "IPv6 with port",
                "private",
                "10.0.0.1",
                &[(xff, "[2001:db8::1]:4711")],
                "2001:db8::1",
            ),
            (
                "mapped peer",
                "private",
                "::ffff:10.0.0.1",
                &[(xff, "::ffff:203.0.113.5")],
                "203.0.113.5",
            ),
            (
                "RFC 7239",
                "private",
                "10.0.0.1",
                &[("forwarded", "for=6.6.6.6, for=\"[2001:db8::2]:1\";proto=https")],
                "2001:db8::2",
            ),
            ("obfuscated", "private", "10.0.0.1", &[("forwarded", "for=_hidden")], "10.0.0.1"),
            (
                "too many hops",
                "private",
                "10.0.0.1",
                &[(xff, &format!("203.0.113.5, {many}"))],
                "10.0.0.9",
            ),
            ("too long", "private", "10.0.0.1", &[(xff, &long)], "10.0.0.2"),
            (
                "real ip not preset",
                "private",
                "10.0.0.1",
                &[("x-real-ip", "203.0.113.5")],
                "10.0.0.1",
            ),
            (
                "railway",
                "railway",
                "100.64.0.3",
                &[("x-real-ip", "203.0.113.5"), (xff, "6.6.6.6")],
                "203.0.113.5",
            ),
            (
                "railway from outside",
                "railway",
                "198.51.100.1",
                &[("x-real-ip", "203.0.113.5")],
                "198.51.100.1",
            ),
            (
                "cloudflare",
                "cloudflare",
                "173.245.48.7",
                &[("cf-connecting-ip", "203.0.113.5")],
                "203.0.113.5",
            ),
            (
                "cloudflare rubbish",
                "cloudflare",
                "173.245.48.7",
                &[("cf-connecting-ip", "x")],
                "173.245.48.7",
            ),
        ] {
            assert_eq!(
                derive(trusted, peer, headers).ip,
                expected.parse::<IpAddr>().unwrap(),
                "{name}"
            );
        }
    }

    #[test]
    fn scheme_and_host_come_from_trusted_proxies_only() {
        for (name, peer, headers, https, host) in [
            (
                "plain",
                "10.0.0.1",
                &[("host", "Chat.Example:3000")][..],
                false,
                Some("chat.example:3000"),
            ),
            (
                "forwarded",
                "10.0.0.1",
                &[
                    ("host", "app"),
                    ("x-forwarded-proto", "https"),
                    ("x-forwarded-host", "chat.example"),
                ],
                true,
                Some("chat.example"),
            ),
            (
                "untrusted",
                "8.8.8.8",
                &[("host", "app"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "evil")],
                false,
                Some("app"),
            ),
            (
                "rightmost",
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "6.6.6.6, 203.0.113.5"),
                    ("x-forwarded-proto", "http, https"),
                ],
                true,
                None,
            ),
            (
                "second hop",
                "10.0.0.1",
                &[
                    ("x-forwarded-for", "203.0.113.5, 10.0.0.2"),
                    ("x-forwarded-proto", "https, http"),
                ],
                true,
                None,
            ),
            (
                "RFC 7239",
                "10.0.0.1",
                &[("forwarded", "for=203.0.113.5;proto=https;host=\"chat.example:8443\"")],
                true,
                Some("chat.example:8443"),
            ),
            (
                "bad host",
                "10.0.0.1",
                &[("host", "app"), ("x-forwarded-host", "a b\"c")],
                false,
                Some("app"),
            ),
            ("user information", "10.0.0.1", &[("host", "a@b")], false, None),
            ("bad scheme", "10.0.0.1", &[("x-forwarded-proto", "gopher")], false, None),
        ] {
            let client = derive("private", peer, headers);
            assert_eq!((client.https, client.host.as_deref()), (https, host), "{name}");
        }
    }

    #[test]
    fn what_is_not_believed_is_counted() {
        let recorded = Recorded::start();
        derive("private", "10.0.0.1", &[("x-forwarded-for", "rubbish")]);
        assert_eq!(recorded.count("clientip.rejected", &[("reason", "unparsable")]), 1);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let prefix = |ip: &str| {
            ClientIp { ip: ip.parse().unwrap(), ..ClientIp::unknown() }.prefix().to_string()
        };
        assert_eq!(prefix("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(prefix("203.0.113.5"), "203.0.113.5/32");
    }

    #[test]
    fn a_local_proxy_is_not_a_local_client() {
        assert!(derive("", "127.0.0.1", &[]).is_local());
        assert!(derive("", "::1", &[]).is_local());
        assert!(!derive("", "127.0.0.1", &[("x-forwarded-for", "203.0.113.5")]).is_local());
        assert!(!derive("", "10.0.0.1", &[]).is_local());
    }

    #[tokio::test]
    async fn the_layer_stores_the_extension() {
        let config = ClientIpConfig { trusted_proxies: "private".parse().unwrap(), tls: false };
        let app = Router::new()
            .route("/", get(|client: ClientIp| async move { client.ip.to_string() }))
            .layer(layer(config));
        for (peer, expected) in
            [(Some("10.0.0.1:9"), "203.0.113.5"), (Some("8.8.8.8:9"), "8.8.8.8"), (None, "0.0.0.0")]
        {
            let mut request = Request::get("/")
                .header("x-forwarded-for", "203.0.113.5")
                .body(Body::empty())
                .unwrap();
            if let Some(peer) = peer {
                request.extensions_mut().insert(ConnectInfo(peer.parse::<SocketAddr>().unwrap()));
            }
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(crate::testing::body_text(response).await, expected);
        }
    }
}
