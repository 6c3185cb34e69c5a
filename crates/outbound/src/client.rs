//! The client.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::address::is_public;

/// How the client behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether private networks may be reached too.
    pub allow_private: bool,
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How many redirects are followed.
    pub redirects: usize,
    /// What the client calls itself.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            allow_private: false,
            connect: Duration::from_secs(2),
            redirects: 10,
            user_agent: concat!("Chatwarden/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The address, as somebody wrote it.
    pub url: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body; empty for none.
    pub body: Bytes,
    /// How long it may take, the answer's body included.
    pub timeout: Duration,
    /// How large the answer's body may be.
    pub limit: u64,
}

impl Request {
    /// Reads an address.
    pub fn get(url: impl Into<String>, timeout: Duration, limit: u64) -> Self {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Self { method: Method::GET, url: url.into(), headers, body, timeout, limit }
    }
}

/// The body of an answer, as it comes.
pub type Body = BoxStream<'static, Result<Bytes, Failure>>;

/// An answer, whatever its status.
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Header fields.
    pub headers: HeaderMap,
    /// Where it came from, after all redirects.
    pub url: Url,
    /// The body, as it comes.
    pub body: Body,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Reply {
    /// The whole body.
    ///
    /// # Errors
    /// Where it breaks off, takes too long or is too large.
    pub async fn bytes(mut self) -> Result<Bytes, Failure> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.body.next().await {
            whole.extend_from_slice(&piece?);
        }
        Ok(whole.freeze())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The address can't be asked: it is none, or its protocol is not spoken.
    #[error("the address is no http(s) address")]
    Address,
    /// The address leads into a private network.
    #[error("the address is in a private network")]
    Private,
    /// There were too many redirects, or one to nowhere.
    #[error("the address redirects on and on")]
    Redirects,
    /// It took too long.
    #[error("the answer took too long")]
    Slow,
    /// The answer is larger than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// Nobody could be reached, or the connection broke.
    #[error("{0}")]
    Unreachable(String),
}

/// Marks that a name has no public address, on its way through the layers of the client.
#[derive(Debug, thiserror::Error)]
#[error("the name has no public address")]
struct NoPublicAddress;

/// Resolves names to the addresses that may be connected to.
struct Resolver {
    allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = allowed(found, allow_private);
            if allowed.is_empty() {
                return Err(NoPublicAddress.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Those of a name's addresses that may be connected to.
fn allowed(found: impl Iterator<Item = SocketAddr>, allow_private: bool) -> Vec<SocketAddr> {
    found.filter(|address| allow_private || is_public(address.ip())).collect()
}

/// The client. Clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    settings: Arc<Settings>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Client {
    /// A client.
    ///
    /// # Errors
    /// [`Failure::Unreachable`] where TLS can't be set up.
    pub fn new(settings: Settings) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Unreachable(error.to_string());
        let mut roots = rustls::RootCertStore::empty();
        let (good, bad) =
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if good == 0 {
            tracing::warn!(bad, "the system has no certificates: no https address can be asked");
        }
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // Redirects are followed here, where each is checked.
            .redirect(reqwest::redirect::Policy::none())
            // A proxy would resolve names by itself.
            .no_proxy()
            .dns_resolver(Arc::new(Resolver { allow_private: settings.allow_private }))
            .connect_timeout(settings.connect)
            .user_agent(settings.user_agent.clone())
            .build()
            .map_err(|error| failed(&error))?;
        Ok(Self { http, settings: Arc::new(settings) })
    }

    /// The address that a text is, where it may be asked. Names are judged when they are resolved.
    fn checked(&self, url: Url) -> Result<Url, Failure> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Failure::Address);
        }
        let ip = match url.host().ok_or(Failure::Address)? {
            Host::Ipv4(v4) => IpAddr::V4(v4),
            Host::Ipv6(v6) => IpAddr::V6(v6),
            Host::Domain(_) => return Ok(url),
        };
        if self.settings.allow_private || is_public(ip) { Ok(url) } else { Err(Failure::Private) }
    }

    /// Asks.
    ///
    /// # Errors
    /// Where there is no answer; an answer of any status is one.
    pub async fn send(&self, request: Request) -> Result<Reply, Failure> {
        let (timeout, limit) = (request.timeout, request.limit);
        let deadline = tokio::time::Instant::now() + timeout;
        let found = tokio::time::timeout_at(deadline, self.follow(request))
            .await
            .map_err(|_| Failure::Slow)??;
        let (status, headers, url) = (found.status(), found.headers().clone(), found.url().clone());
        let stated = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if stated.is_some_and(|stated| stated > limit) {
            return Err(Failure::TooLarge(limit));
        }
        let pieces =
            futures::stream::try_unfold((found, 0_u64), move |(mut found, had)| async move {
                let piece = tokio::time::timeout_at(deadline, found.chunk())
                    .await
                    .map_err(|_| Failure::Slow)?
                    .map_err(|error| failure(&error))?;
                let Some(piece) = piece else { return Ok(None) };
                let had = had.saturating_add(piece.len() as u64);
                if had > limit {
                    return Err(Failure::TooLarge(limit));
                }
                Ok(Some((piece, (found, had))))
            });
        Ok(Reply { status, headers, url, body: pieces.boxed() })
    }

    /// Asks, and asks on where the answer sends to.
    async fn follow(&self, request: Request) -> Result<reqwest::Response, Failure> {
        let Request { mut method, url, mut headers, mut body, .. } = request;
        let mut url = self.checked(Url::parse(url.trim()).map_err(|_| Failure::Address)?)?;
        for _ in 0..=self.settings.redirects {
            let asked = self
                .http
                .request(method.clone(), url.clone())
                .headers(headers.clone())
                .body(body.clone());
            let found = asked.send().await.map_err(|error| failure(&error))?;
            let status = found.status();
            let elsewhere = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
                .then(|| found.headers().get(LOCATION))
                .flatten();
            let Some(elsewhere) = elsewhere else { return Ok(found) };
            let next = elsewhere.to_str().ok().and_then(|to| url.join(to).ok());
            let next = self.checked(next.ok_or(Failure::Redirects)?)?;
            if next.origin() != url.origin() {
                // What proves who we are is for the one it was meant for.
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            if !matches!(status.as_u16(), 307 | 308) && method != Method::HEAD {
                method = Method::GET;
                body = Bytes::new();
                headers.remove(CONTENT_TYPE);
            }
            url = next;
        }
        Err(Failure::Redirects)
    }
}

/// What went wrong, told from what the layers below say.
fn failure(error: &reqwest::Error) -> Failure {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    let mut deepest = String::new();
    while let Some(cause) = source {
        if cause.is::<NoPublicAddress>() {
            return Failure::Private;
        }
        deepest = cause.to_string();
        source = cause.source();
    }
    if error.is_timeout() {
        return Failure::Slow;
    }
    if error.is_builder() {
        return Failure::Address;
    }
    Failure::Unreachable(deepest)
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body as AxumBody;
    use axum::http::HeaderMap as AxumHeaders;
    use axum::response::Redirect;
    use axum::routing::{get, post};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn client(allow_private: bool) -> Client {
        Client::new(Settings { allow_private, ..Settings::default() }).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    fn serve(listener: tokio::net::TcpListener, router: Router) {
        tokio::spawn(async move { axum::serve(listener, router).await });
    }

    /// A server on this machine, while the test runs.
    async fn server() -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port();
        let router = Router::new()
            .route("/hello", get(|| async { "hello" }))
            .route("/echo", post(|body: String| async move { body }))
            .route("/round", get(|| async { Redirect::temporary("/round") }))
            .route("/once", get(|| async { Redirect::to("/hello") }))
            .route("/metadata", get(|| async { Redirect::to("http://169.254.169.254/latest") }))
            .route("/file", get(|| async { Redirect::to("file:///etc/passwd") }))
            .route("/see-other", post(|| async { Redirect::to("/hello") }))
            .route("/again", post(|| async { Redirect::temporary("/echo") }))
            .route(
                "/secret",
                get(|headers: AxumHeaders| async move {
                    headers.get("authorization").map_or("none", |_| "some").to_owned()
                }),
            )
            .route("/secret/here", get(|| async { Redirect::to("/secret") }))
            .route(
                "/secret/there",
                get(
                    move || async move { Redirect::to(&format!("http://localhost:{port}/secret")) },
                ),
            )
            .route(
                "/endless",
                get(|| async {
                    AxumBody::from_stream(futures::stream::repeat_with(|| {
                        Ok::<_, std::io::Error>(Bytes::from_static(&[0; 1024]))
                    }))
                }),
            )
            .route("/slow", get(|| async { futures::future::pending::<String>().await }));
        serve(listener, router);
        format!("http://{address}")
    }

    async fn text(client: &Client, url: String) -> Result<String, Failure> {
        let reply = client.send(Request::get(url, SECOND, 4096)).await?;
        Ok(String::from_utf8_lossy(&reply.bytes().await?).into_owned())
    }

    #[tokio::test]
    async fn reads_and_follows() {
        let (base, client) = (server().await, client(true));
        assert_eq!(text(&client, format!("{base}/hello")).await.as_deref(), Ok("hello"));
        assert_eq!(text(&client, format!("{base}/once")).await.as_deref(), Ok("hello"));
        let mut asked = Request::get(format!("{base}/see-other"), SECOND, 4096);
        (asked.method, asked.body) = (Method::POST, Bytes::from_static(b"mine"));
        assert_eq!(client.send(asked.clone()).await.unwrap().bytes().await.unwrap(), "hello");
        asked.url = format!("{base}/again");
        assert_eq!(client.send(asked).await.unwrap().bytes().await.unwrap(), "mine");
    }

    #[tokio::test]
    async fn keeps_out_of_private_networks() {
        let base = server().await;
        for url in [
            &format!("{base}/hello"),
            "http://localhost/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(text(&client(false), url.to_owned()).await, Err(Failure::Private), "{url}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_checked_like_the_first_address() {
        let (base, lenient) = (server().await, client(true));
        // Names are let through by the one, addresses are judged by the other: only the second hop is refused.
        let strict = Client { http: lenient.http.clone(), settings: client(false).settings };
        let port = Url::parse(&base).unwrap().port().unwrap();
        let asked = format!("http://localhost:{port}/metadata");
        assert_eq!(text(&strict, asked).await, Err(Failure::Private));
        assert_eq!(text(&lenient, format!("{base}/file")).await, Err(Failure::Address));
        assert_eq!(text(&lenient, format!("{base}/round")).await, Err(Failure::Redirects));
    }

    #[tokio::test]
    async fn credentials_stay_with_their_origin() {
        let (base, client) = (server().await, client(true));
        for (path, expected) in
            [("/secret", "some"), ("/secret/here", "some"), ("/secret/there", "none")]
        {
            let mut asked = Request::get(format!("{base}{path}"), SECOND, 4096);
            asked.headers.insert(AUTHORIZATION, http::HeaderValue::from_static("Bearer x"));
            let reply = client.send(asked).await.unwrap();
            assert_eq!(reply.bytes().await.unwrap(), expected, "{path}");
        }
    }

    #[tokio::test]
    async fn sizes_and_times_end() {
        let (base, client) = (server().await, client(true));
        assert_eq!(text(&client, format!("{base}/endless")).await, Err(Failure::TooLarge(4096)));
        let asked = Request::get(format!("{base}/slow"), Duration::from_millis(50), 4096);
        assert_eq!(client.send(asked).await.unwrap_err(), Failure::Slow);
        let nobody = text(&client, "http://127.0.0.1:1/".to_owned()).await;
        assert!(matches!(nobody, Err(Failure::Unreachable(_))), "{nobody:?}");
        for url in [
            "",
            "not_a_url",
            "ftp://example.com/a",
            "file:///etc/hostname",
            "http://",
            "javascript:1",
        ] {
            assert_eq!(text(&client, url.to_owned()).await, Err(Failure::Address), "{url}");
        }
    }

    #[test]
    fn only_public_addresses_of_a_name_are_used() {
        let both = ["10.0.0.1:80", "1.1.1.1:80", "[::1]:80"].map(|a| a.parse().unwrap());
        assert_eq!(allowed(both.into_iter(), false), ["1.1.1.1:80".parse().unwrap()]);
        assert_eq!(allowed(both.into_iter(), true).len(), 3);
    }
}
