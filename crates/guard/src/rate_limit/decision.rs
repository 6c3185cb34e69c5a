//! What a decision says to the client (operations.md §5.3).

use std::fmt::Write as _;
use std::time::Duration;

use axum::response::Response;
use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;

use super::quota::Reading;
use super::{Group, Quota};
use crate::answer;
use crate::request_id::RequestId;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The outcome of a check. Put it into the response's extensions and the layer merges it into the
/// `RateLimit` headers.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    pub(super) standings: Vec<Standing>,
    /// What was taken, to be given back.
    pub(super) taken: Vec<Taken>,
    /// 0 to 255: how much is added to `Retry-After`, up to a tenth.
    pub(super) jitter: u8,
    /// A class of providers was denied.
    pub(super) unavailable: bool,
    pub(super) headers: bool,
    pub(super) legacy: bool,
}

/// The class that a request came closest to the limit of, as an extension of its response: for the
/// request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateClass(pub &'static str);

/// A bucket after the decision.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) class: &'static str,
    /// The class has this many windows before this one.
    pub(super) window: u8,
    pub(super) quota: Quota,
    pub(super) reading: Reading,
}

/// Units taken from a store.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) group: Group,
    pub(super) shared: bool,
}

impl Standing {
    fn name(&self) -> String {
        if self.window == 0 {
            self.class.to_owned()
        } else {
            format!("{}-{}", self.class, self.quota.period.as_secs())
        }
    }

    /// Seconds, rounded up: until it is as good as new, or until the same request could succeed.
    fn seconds(&self) -> u64 {
        let micros = if self.reading.allowed { self.reading.reset } else { self.reading.retry };
        micros.div_ceil(1_000_000)
    }

    /// Ordered by what is left of the quota, in parts per thousand; a violated one comes first.
    fn tightness(&self) -> (bool, u64) {
        (
            self.reading.allowed,
            self.reading.remaining.saturating_mul(1000) / self.quota.limit.max(1),
        )
    }
}

impl Decision {
    /// May the request go on?
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.standings.iter().all(|standing| standing.reading.allowed)
    }

    /// The classes that refused.
    pub fn violated(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.standings.iter().filter(|it| !it.reading.allowed).map(|it| it.class)
    }

    /// The class of the tightest bucket: one that refused, or the one with the least left.
    #[must_use]
    pub fn class(&self) -> Option<&'static str> {
        self.standings.iter().min_by_key(|it| it.tightness()).map(|it| it.class)
    }

    /// How long the client shall wait: the longest of the violated buckets, and up to a tenth
    /// more, so that those turned away together don't return together.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        let violated = self.standings.iter().filter(|it| !it.reading.allowed);
        let micros = violated.map(|it| it.reading.retry).max().unwrap_or_default();
        let jitter = micros / 10 * u64::from(self.jitter) / 255;
        Duration::from_micros(micros.saturating_add(jitter))
    }

    /// The refusal, or none if the request may go on: `429` with the text `Retry later`
    /// (behaviours.md §17), or a problem document where the client asks for one.
    #[must_use]
    pub fn refusal(&self, request: &HeaderMap, ids: Option<&RequestId>) -> Option<Response> {
        let problem = request
            .get(ACCEPT)
            .and_then(|accept| accept.to_str().ok())
            .is_some_and(|accept| accept.contains("application/problem+json"));
        if problem {
            return self.problem(ids);
        }
        self.refused(|_| answer::text(StatusCode::TOO_MANY_REQUESTS, "Retry later\n"))
    }

    /// The refusal as a problem document, or none if the request may go on (operations.md §5.3).
    #[must_use]
    pub fn problem(&self, ids: Option<&RequestId>) -> Option<Response> {
        self.refused(|seconds| {
            let violated = self.standings.iter().filter(|it| !it.reading.allowed);
            answer::problem(
                StatusCode::TOO_MANY_REQUESTS,
                &json!({
                    "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
                    "title": "Too many requests",
                    "status": 429,
                    "detail": format!("Retry in {seconds} seconds"),
                    "violated-policies": violated.map(Standing::name).collect::<Vec<_>>(),
                    "retry_after": seconds,
                    "error": "Rate limit exceeded",
                    "request_id": ids.map(|ids| &*ids.id),
                }),
            )
        })
    }

    /// The refusal in the form that `worded` gives it, told the seconds to wait.
    fn refused(&self, worded: impl FnOnce(u64) -> Box<Response>) -> Option<Response> {
        if self.is_allowed() {
            return None;
        }
        let seconds = self.retry_after().as_micros().div_ceil(1_000_000).max(1);
        let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
        if self.unavailable {
            return Some(*answer::unavailable("Too many deliveries", seconds));
        }
        let mut response = worded(seconds);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        self.write_headers(response.headers_mut());
        self.write_class(&mut response);
        Some(*response)
    }

    /// Says in the response's extensions which class it is about.
    pub(super) fn write_class(&self, response: &mut Response) {
        if let Some(class) = self.class() {
            response.extensions_mut().insert(RateClass(class));
        }
    }

    /// Adds what another check of the same request said.
    pub fn merge(&mut self, other: &Self) {
        self.standings.extend(other.standings.iter().cloned());
    }

    /// `RateLimit-Policy` and `RateLimit`
    /// (draft-ietf-httpapi-ratelimit-headers), of the two tightest buckets.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        if !self.headers || self.standings.is_empty() {
            return;
        }
        let mut tightest: Vec<&Standing> = self.standings.iter().collect();
        tightest.sort_by_key(|standing| standing.tightness());
        let (mut policy, mut state) = (String::new(), String::new());
        for standing in tightest.iter().take(2) {
            let name = standing.name();
            let separator = if policy.is_empty() { "" } else { ", " };
            let (limit, window) = (standing.quota.limit, standing.quota.period.as_secs());
            let (left, seconds) = (standing.reading.remaining, standing.seconds());
            // Writing to a string can't fail.
            let _ = write!(policy, "{separator}\"{name}\";q={limit};w={window}");
            let _ = write!(state, "{separator}\"{name}\";r={left};t={seconds}");
        }
        for (name, value) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        if let (true, Some(standing)) = (self.legacy, tightest.first()) {
            for (name, value) in [
                ("x-ratelimit-limit", standing.quota.limit),
                ("x-ratelimit-remaining", standing.reading.remaining),
                ("x-ratelimit-reset", standing.seconds()),
            ] {
                headers.insert(name, HeaderValue::from(value));
            }
        }
    }
}
