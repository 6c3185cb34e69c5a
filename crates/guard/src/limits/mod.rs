//! What a request may weigh and how long it may take (operations.md §6.2, §11.2).
//!
//! Fails closed. Counter: `http.limits.refused{reason}` with `headers`, `target`, `body`,
//! `slow_body`, `timeout`, `overload`.

mod body;
mod time;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::answer;
use crate::filter::{Admission, Filter, FilterLayer};
use crate::path::{self, PathPattern};
use body::{GuardedBody, Outcome};
pub use time::{LimitTime, LimitTimeService, layer as time_layer};

const MIB: u64 = 1 << 20;

/// Settings of the layers.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Largest body that carries no file. Env `MAX_BODY_SIZE_MB`, default 10 MiB.
    pub body: u64,
    /// Largest file. Env `MAXIMUM_FILE_UPLOAD_SIZE` in MB, default 40.
    pub file: u64,
    /// Largest body that carries several files. Env `MAX_UPLOAD_REQUEST_MB`, default 128 MiB.
    pub upload: u64,
    /// Time until the head of the response. Env `REQUEST_TIMEOUT`, default 30 s.
    pub timeout: Duration,
    /// The same for requests that carry files. Env `UPLOAD_TIMEOUT`, default 300 s.
    pub upload_timeout: Duration,
    /// What a client may take for its body besides the time at [`LimitsConfig::body_rate`].
    pub body_grace: Duration,
    /// Slowest body, bytes a second.
    pub body_rate: u64,
    /// Requests in progress at a time; more are refused at once, so that those admitted stay
    /// fast. Env `MAX_CONCURRENT_REQUESTS`, default 2048.
    pub in_flight: usize,
    /// Most header fields.
    pub header_count: usize,
    /// Most bytes of header fields, names included.
    pub header_bytes: usize,
    /// Longest request target in bytes.
    pub target_bytes: usize,
    /// First path segments that are answered however busy the server is.
    pub always: Vec<String>,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            body: 10 * MIB,
            file: 40 * MIB,
            upload: 128 * MIB,
            timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_secs(300),
            body_grace: Duration::from_secs(10),
            body_rate: 1024,
            in_flight: 2048,
            header_count: 64,
            header_bytes: 16 << 10,
            target_bytes: 8 << 10,
            always: ["health", "livez", "readyz", "actuator"].map(String::from).to_vec(),
        }
    }
}

/// Attachments of a message (behaviours.md §18).
const ATTACHMENTS: u64 = 15;

/// Paths whose body may carry several files.
const SEVERAL: &[PathPattern] = &[
    PathPattern("/api/v1/accounts/{account}/conversations"),
    PathPattern("/api/v1/accounts/{account}/conversations/{id}/messages"),
    PathPattern("/api/v1/widget/conversations"),
    PathPattern("/api/v1/widget/messages"),
    PathPattern("/public/api/v1/inboxes/{inbox}/contacts/{contact}/conversations/{id}/messages"),
];

/// Paths whose body is a file without a multipart wrapper.
const RAW: &[PathPattern] =
    &[PathPattern("/rails/active_storage/disk/{token}"), PathPattern("/rails/action_mailbox/**")];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Plain,
    File,
    Files,
}

impl Content {
    fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let multipart = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|it| it.as_bytes().get(..10))
            .is_some_and(|it| it.eq_ignore_ascii_case(b"multipart/"));
        if multipart {
            let several = SEVERAL.iter().any(|pattern| pattern.matches(path));
            if several { Self::Files } else { Self::File }
        } else if !matches!(*request.method(), Method::GET | Method::HEAD)
            && RAW.iter().any(|pattern| pattern.matches(path))
        {
            Self::File
        } else {
            Self::Plain
        }
    }
}

impl LimitsConfig {
    fn bytes(&self, content: Content) -> u64 {
        // A mebibyte for boundaries, names and the other fields.
        match content {
            Content::Plain => self.body,
            Content::File => self.file.saturating_add(MIB).max(self.body),
            Content::Files => {
                let files = self.file.saturating_mul(ATTACHMENTS).min(self.upload.max(self.file));
                files.saturating_add(MIB).max(self.body)
            }
        }
    }
}

/// The layer of sizes and of the number of requests in progress.
#[must_use]
pub fn layer(config: LimitsConfig) -> FilterLayer<LimitSize> {
    let permits = Arc::new(Semaphore::new(config.in_flight.min(Semaphore::MAX_PERMITS)));
    FilterLayer(LimitSize { config: Arc::new(config), permits })
}

/// Refuses what is too large or too much.
#[derive(Debug, Clone)]
pub struct LimitSize {
    config: Arc<LimitsConfig>,
    permits: Arc<Semaphore>,
}

/// A request in progress.
#[derive(Debug)]
pub struct InFlight {
    _permit: Option<OwnedSemaphorePermit>,
    outcome: Arc<Outcome>,
}

impl Filter for LimitSize {
    type Ticket = InFlight;

    fn admit(&self, request: &mut Request) -> Admission<InFlight> {
        let config = &self.config;
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if target > config.target_bytes {
            return refuse("target", StatusCode::URI_TOO_LONG, "The request target is too long");
        }
        let fields = request.headers();
        let bytes: usize =
            fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if fields.len() > config.header_count || bytes > config.header_bytes {
            return refuse(
                "headers",
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request has too many or too large header fields",
            );
        }
        let limit = config.bytes(Content::of(request));
        let stated = fields
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse::<u64>().ok());
        if stated.is_some_and(|stated| stated > limit) {
            return refuse("body", StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
        }

        let first = path::segments(request.uri().path()).next().unwrap_or_default();
        let permit = if config.always.iter().any(|always| always == first) {
            None
        } else {
            match Arc::clone(&self.permits).try_acquire_owned() {
                Ok(permit) => Some(permit),
                Err(_) => {
                    refused("overload");
                    return Admission::Answer(answer::unavailable("The server is overloaded", 1));
                }
            }
        };

        let outcome = Arc::new(Outcome::default());
        let body = std::mem::take(request.body_mut());
        if !http_body::Body::is_end_stream(&body) {
            let body = GuardedBody::new(
                body,
                limit,
                config.body_grace,
                config.body_rate,
                Arc::clone(&outcome),
            );
            *request.body_mut() = Body::new(body);
        }
        Admission::Pass(InFlight { _permit: permit, outcome })
    }

    /// A handler that lost its body answers in its own way; what happened to the body is known
    /// better here.
    fn seal(&self, ticket: InFlight, response: &mut Response) {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        if failed && let Some((reason, status, text)) = ticket.outcome.refusal() {
            refused(reason);
            *response = *answer::json(status, &json!({"error": text}));
        }
    }
}

const TOO_LARGE: &str = "The request body is too large";

fn refuse(reason: &'static str, status: StatusCode, text: &str) -> Admission<InFlight> {
    refused(reason);
    Admission::Answer(answer::json(status, &json!({"error": text})))
}

fn refused(reason: &'static str) {
    metrics::counter!("http.limits.refused", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests;
