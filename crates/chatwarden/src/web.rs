//! How the product's jobs and handlers reach other servers.

use std::time::Duration;

use async_trait::async_trait;
use chatwarden_core::outside::{Failure, Reply, Request, Web};
use chatwarden_outbound as outbound;
use futures::StreamExt as _;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// The guarded HTTP client.
#[derive(Debug, Clone)]
pub struct GuardedWeb(outbound::Client);

impl GuardedWeb {
    /// The client; `allow_private` lets it into private networks
    /// (`SAFE_FETCH_ALLOW_PRIVATE_NETWORK`).
    ///
    /// # Errors
    /// Where TLS can't be set up.
    pub fn new(allow_private: bool) -> Result<Self, outbound::Failure> {
        let connect = Duration::from_secs(2);
        let settings = outbound::Settings { allow_private, connect, ..Default::default() };
        outbound::Client::new(settings).map(Self)
    }
}

/// What a failure means to whoever asked.
fn failure(failure: outbound::Failure) -> Failure {
    let text = failure.to_string();
    match failure {
        outbound::Failure::Address | outbound::Failure::Private => Failure::Refused(text),
        outbound::Failure::TooLarge(_) => Failure::TooLarge(text),
        outbound::Failure::Redirects
        | outbound::Failure::Slow
        | outbound::Failure::Unreachable(_) => Failure::Unreachable(text),
    }
}

#[async_trait]
impl Web for GuardedWeb {
    async fn ask(&self, request: Request) -> Result<Reply, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) else {
                return Err(Failure::Refused("a header field can't be sent".to_owned()));
            };
            headers.append(name, value);
        }
        let asked = outbound::Request {
            method: if request.body.is_some() { Method::POST } else { Method::GET },
            url: request.url,
            headers,
            body: request.body.unwrap_or_default(),
            timeout: request.timeout,
            limit: request.limit,
        };
        let reply = self.0.send(asked).await.map_err(failure)?;
        let text = |name| reply.headers.get(name).and_then(|v| v.to_str().ok());
        Ok(Reply {
            status: reply.status.as_u16(),
            content_type: text(CONTENT_TYPE).map(str::to_owned),
            retry_after: text(RETRY_AFTER).and_then(|seconds| seconds.trim().parse().ok()),
            url: reply.url.into(),
            body: reply.body.map(|piece| piece.map_err(failure)).boxed(),
        })
    }
}
