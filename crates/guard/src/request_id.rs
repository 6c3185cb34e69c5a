//! Request id, correlation id and trace context (operations.md §8.2, §9.1).
//!
//! The request id is ours (UUIDv7) unless a trusted proxy made one already; what a stranger sends
//! is kept as the correlation id only. A stranger's `traceparent` doesn't decide our ids or our
//! sampling: it becomes a link. Fails open: what is malformed is dropped and counted,
//! `requestid.rejected{header}`.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ambient::Ambient;
use crate::client_ip::ClientIp;
use crate::filter::{Admission, Filter, FilterLayer};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Settings of the layer.
#[derive(Debug, Clone)]
pub struct RequestIdConfig {
    /// Share of the new traces that are sampled, 0 to 1. Env `OTEL_TRACES_SAMPLER_ARG`.
    pub sampling: f64,
}

impl Default for RequestIdConfig {
    fn default() -> Self {
        Self { sampling: 0.05 }
    }
}

/// The ids of a request, as a request and response extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId {
    /// Answered as `X-Request-ID`.
    pub id: Arc<str>,
    /// What the caller calls this request: its id, else the trace id. Answered as
    /// `X-Correlation-ID` if the caller sent one.
    pub correlation: Arc<str>,
    /// Where the request stands in a trace.
    pub trace: TraceContext,
}

/// W3C trace context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace this request belongs to.
    pub trace_id: u128,
    /// The span of this request.
    pub span_id: u64,
    /// The caller's span, if the caller is trusted.
    pub parent: Option<u64>,
    /// Whether spans are exported.
    pub sampled: bool,
    /// Trace and span of a stranger, to be linked from our root span.
    pub link: Option<(u128, u64)>,
}

impl TraceContext {
    /// The `traceparent` to send on.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = &'static str;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or("the request id layer is missing")
    }
}

/// Makes the ids. Needs [`ClientIp`] to know whom to trust; without it nobody is trusted.
#[derive(Debug, Clone)]
pub struct AssignRequestId {
    sampling: f64,
    ambient: Ambient,
}

/// The layer.
#[must_use]
pub fn layer(config: &RequestIdConfig, ambient: Ambient) -> FilterLayer<AssignRequestId> {
    FilterLayer(AssignRequestId { sampling: config.sampling, ambient })
}

impl Filter for AssignRequestId {
    type Ticket = (RequestId, bool);

    fn admit(&self, request: &mut Request) -> Admission<Self::Ticket> {
        let trusted =
            request.extensions().get::<ClientIp>().is_some_and(|client| client.peer_trusted);
        let headers = request.headers();
        let stated =
            well_formed(headers, &X_REQUEST_ID).or_else(|| well_formed(headers, &X_CORRELATION_ID));
        let trace = self.trace(headers, trusted);
        let id = match &stated {
            Some(stated) if trusted => stated.clone(),
            _ => self.new_id(),
        };
        let correlated = stated.is_some();
        let correlation = stated.unwrap_or_else(|| format!("{:032x}", trace.trace_id).into());
        let ids = RequestId { id, correlation, trace };
        request.extensions_mut().insert(ids.clone());
        Admission::Pass((ids, correlated))
    }

    fn seal(&self, (ids, correlated): Self::Ticket, response: &mut Response) {
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&ids.id) {
            headers.insert(X_REQUEST_ID, id);
        }
        if correlated && let Ok(correlation) = HeaderValue::from_str(&ids.correlation) {
            headers.insert(X_CORRELATION_ID, correlation);
        }
        response.extensions_mut().insert(ids);
    }
}

impl AssignRequestId {
    fn new_id(&self) -> Arc<str> {
        let millis = u64::try_from(self.ambient.clock.unix().as_millis()).unwrap_or(u64::MAX);
        let random = self.ambient.random::<10>();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string().into()
    }

    fn trace(&self, headers: &HeaderMap, trusted: bool) -> TraceContext {
        let caller = headers.get(TRACEPARENT).and_then(|value| {
            let caller = value.to_str().ok().and_then(parse_traceparent);
            if caller.is_none() {
                rejected("traceparent");
            }
            caller
        });
        // All-zero ids are invalid: the lowest bit is cheaper than drawing again.
        let span_id = u64::from_be_bytes(self.ambient.random()) | 1;
        match caller {
            Some((trace_id, parent, sampled)) if trusted => {
                TraceContext { trace_id, span_id, parent: Some(parent), sampled, link: None }
            }
            caller => {
                let trace_id = u128::from_be_bytes(self.ambient.random()) | 1;
                TraceContext {
                    trace_id,
                    span_id,
                    parent: None,
                    sampled: sampled(trace_id, self.sampling),
                    link: caller.map(|(trace_id, span_id, _)| (trace_id, span_id)),
                }
            }
        }
    }
}

/// Decided by the trace id alone, so that every service of a trace decides alike.
fn sampled(trace_id: u128, share: f64) -> bool {
    let low = (trace_id & u128::from(u32::MAX)) as f64;
    low < share * (f64::from(u32::MAX) + 1.0)
}

fn well_formed(headers: &HeaderMap, name: &HeaderName) -> Option<Arc<str>> {
    let value = headers.get(name)?;
    let text = value.to_str().unwrap_or_default();
    let fits = (8..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !fits {
        rejected("request_id");
    }
    fits.then(|| text.into())
}

fn rejected(header: &'static str) {
    metrics::counter!("requestid.rejected", "header" => header).increment(1);
}

/// Trace id, parent span id and the sampled flag (W3C Trace Context level 1, §3.2). A later
/// version may append fields.
fn parse_traceparent(text: &str) -> Option<(u128, u64, bool)> {
    let mut fields = text.splitn(5, '-');
    let version = hex(fields.next()?, 2)?;
    let trace_id = hex(fields.next()?, 32)?;
    let span_id = u64::try_from(hex(fields.next()?, 16)?).ok()?;
    let flags = hex(fields.next()?, 2)?;
    let rest = fields.next();
    let valid =
        trace_id != 0 && span_id != 0 && version != 0xff && (version != 0 || rest.is_none());
    valid.then_some((trace_id, span_id, flags & 1 == 1))
}

fn hex(text: &str, length: usize) -> Option<u128> {
    let plain = text.len() == length
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    plain.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::fixed;
    use crate::client_ip::{self, ClientIpConfig};
    use crate::testing::Recorded;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use std::net::SocketAddr;
    use tower::{ServiceBuilder, ServiceExt};

    #[test]
    fn traceparent_is_read_as_the_recommendation_says() {
        let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        let ids = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);
        for (text, expected) in [
            (format!("00-{trace}-{span}-01"), Some((ids.0, ids.1, true))),
            (format!("00-{trace}-{span}-00"), Some((ids.0, ids.1, false))),
            (format!("00-{trace}-{span}-03"), Some((ids.0, ids.1, true))),
            (format!("cc-{trace}-{span}-01-what-comes"), Some((ids.0, ids.1, true))),
            (format!("00-{trace}-{span}-01-extra"), None),
            (format!("ff-{trace}-{span}-01"), None),
            (format!("00-{trace}-0000000000000000-01"), None),
            (format!("00-{}-{span}-01", "0".repeat(32)), None),
            (format!("00-{}-{span}-01", trace.to_uppercase()), None),
            (format!("00-{trace}-{span}"), None),
            (format!("00-{trace}-+0f067aa0ba902b7-01"), None),
            (String::new(), None),
        ] {
            assert_eq!(parse_traceparent(&text), expected, "{text}");
        }
    }

    #[test]
    fn sampling_follows_the_share() {
        assert!(!sampled(0, 0.0));
        assert!(sampled(u128::MAX, 1.0));
        assert!(sampled(u128::from(u32::MAX / 100), 0.05));
        assert!(!sampled(u128::from(u32::MAX / 10), 0.05));
    }

    struct Case {
        peer: &'static str,
        headers: &'static [(&'static str, &'static str)],
        adopted: Option<&'static str>,
        correlation: Option<&'static str>,
        rejected: u64,
    }

    #[tokio::test]
    async fn only_trusted_proxies_name_a_request() {
        let (proxy, public) = ("10.0.0.1:1", "203.0.113.5:1");
        let cases = [
            Case { peer: public, headers: &[], adopted: None, correlation: None, rejected: 0 },
            Case {
                peer: public,
                headers: &[("x-request-id", "abcdefgh-1")],
                adopted: None,
                correlation: Some("abcdefgh-1"),
                rejected: 0,
            },
            Case {
                peer: proxy,
                headers: &[("x-request-id", "abcdefgh-1")],
                adopted: Some("abcdefgh-1"),
                correlation: Some("abcdefgh-1"),
                rejected: 0,
            },
            Case {
                peer: proxy,
                headers: &[("x-correlation-id", "order.4711")],
                adopted: Some("order.4711"),
                correlation: Some("order.4711"),
                rejected: 0,
            },
            Case {
                peer: proxy,
                headers: &[("x-request-id", "short")],
                adopted: None,
                correlation: None,
                rejected: 1,
            },
            Case {
                peer: proxy,
                headers: &[("x-request-id", "no spaces please")],
                adopted: None,
                correlation: None,
                rejected: 1,
            },
            Case {
                peer: proxy,
                headers: &[("traceparent", "garbage")],
                adopted: None,
                correlation: None,
                rejected: 1,
            },
        ];
        for case in cases {
            let recorded = Recorded::start();
            let config = ClientIpConfig { trusted_proxies: "private".parse().unwrap(), tls: false };
            let app = Router::new()
                .route("/", get(|ids: RequestId| async move { ids.id.to_string() }))
                .layer(
                    ServiceBuilder::new()
                        .layer(client_ip::layer(config))
                        .layer(layer(&RequestIdConfig::default(), fixed::ambient().0)),
                );
            let mut request = Request::get("/").body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo(case.peer.parse::<SocketAddr>().unwrap()));
            for (name, value) in case.headers {
                request.headers_mut().insert(*name, HeaderValue::from_static(value));
            }
            let response = app.oneshot(request).await.unwrap();
            let header = |name: &HeaderName| {
                response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
            };
            let (id, correlation) = (header(&X_REQUEST_ID).unwrap(), header(&X_CORRELATION_ID));
            assert_eq!(correlation.as_deref(), case.correlation, "{:?}", case.headers);
            match case.adopted {
                Some(adopted) => assert_eq!(id, adopted),
                None => assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7),
            }
            assert_eq!(crate::testing::body_text(response).await, id);
            assert_eq!(
                recorded.count("requestid.rejected", &[]),
                case.rejected,
                "{:?}",
                case.headers
            );
        }
    }

    #[test]
    fn a_stranger_is_linked_and_a_proxy_continued() {
        let (ambient, _) = fixed::ambient();
        let assign = AssignRequestId { sampling: 0.0, ambient };
        let mut headers = HeaderMap::new();
        headers.insert(
            TRACEPARENT,
            HeaderValue::from_static("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        );
        let (caller, span) = (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0x00f0_67aa_0ba9_02b7);

        let continued = assign.trace(&headers, true);
        assert_eq!(
            (continued.trace_id, continued.parent, continued.sampled, continued.link),
            (caller, Some(span), true, None)
        );
        assert!(continued.traceparent().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        assert!(continued.traceparent().ends_with("-01"));

        let rooted = assign.trace(&headers, false);
        assert_ne!(rooted.trace_id, caller);
        assert_eq!(
            (rooted.parent, rooted.sampled, rooted.link),
            (None, false, Some((caller, span)))
        );
    }
}
