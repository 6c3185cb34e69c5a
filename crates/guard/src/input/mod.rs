//! What a request target may be, and a sensor for attacks (operations.md §6).
//!
//! A target that can't be decoded, or that decodes to something a path can't be, is refused with
//! the problem named: closed. The detector only counts: open. Nothing is ever altered, and bodies
//! aren't looked at. Counter: `inputguard.findings{category,location,action}`.

mod detector;
mod target;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use serde_json::json;

pub use detector::{Category, Finding, findings};

use crate::answer;
use crate::filter::{Admission, Filter, FilterLayer};
use crate::request_id::RequestId;

/// What happens to findings of a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Not looked for.
    Off,
    /// Counted.
    #[default]
    Detect,
    /// Refused with `400`, where the location allows it.
    Block,
}

impl std::str::FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "detect" => Ok(Self::Detect),
            "block" => Ok(Self::Block),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// A mode that is not `off`, `detect` or `block`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not off, detect or block")]
pub struct UnknownMode(String);

/// Where something was found. Free text is never refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Location {
    /// The path.
    Path,
    /// A query parameter.
    Query,
    /// A query parameter in which people type: search terms and the like.
    Search,
    /// A header field.
    Header,
}

impl Location {
    fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Search => "search",
            Self::Header => "header",
        }
    }

    /// How much a finding weighs here, in tenths (operations.md §6.3).
    fn factor(self) -> u32 {
        match self {
            Self::Path | Self::Header => 10,
            Self::Query => 8,
            Self::Search => 4,
        }
    }
}

/// Settings of the layer.
#[derive(Debug, Clone)]
pub struct InputConfig {
    /// Env `INPUT_GUARD_ENCODING`, `_NULLBYTE`, `_TRAVERSAL`, `_CRLF`: what is wrong with the
    /// target itself. Default block.
    pub target: Mode,
    /// Env `INPUT_GUARD_DETECTOR`: everything else. Default detect; block refuses what scores 8
    /// or more outside of search terms.
    pub detector: Mode,
}

impl Default for InputConfig {
    fn default() -> Self {
        Self { target: Mode::Block, detector: Mode::Detect }
    }
}

/// The layer.
#[must_use]
pub fn layer(config: InputConfig) -> FilterLayer<GuardInput> {
    if config.detector != Mode::Off {
        detector::prepare();
    }
    FilterLayer(GuardInput { config: Arc::new(config) })
}

/// Refuses broken targets and counts findings.
#[derive(Debug, Clone)]
pub struct GuardInput {
    config: Arc<InputConfig>,
}

/// Score from which the detector refuses where it may.
const REFUSED: u32 = 8;

/// Query parameters in which people type.
const TYPED: [&str; 6] = ["q", "query", "search", "text", "title", "message"];

impl Filter for GuardInput {
    type Ticket = ();

    fn admit(&self, request: &mut Request) -> Admission<()> {
        let uri = request.uri();
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        if self.config.target != Mode::Off
            && let Err(problem) = target::check(path, query)
        {
            let block = self.config.target == Mode::Block;
            let action = if block { "block" } else { "detect" };
            found(problem.category(), problem.location(), action);
            if block {
                return refuse(problem.text(), request);
            }
        }
        if self.config.detector != Mode::Off && self.score(path, query, request.headers()) {
            return refuse("Request rejected", request);
        }
        Admission::Pass(())
    }

    fn seal(&self, (): (), _: &mut Response) {}
}

impl GuardInput {
    /// Counts what is found; whether the request is to be refused for it.
    fn score(&self, path: &str, query: &str, headers: &HeaderMap) -> bool {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).flat_map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let typed = TYPED.contains(&name);
            let location = if typed { Location::Search } else { Location::Query };
            [(Location::Query, name), (location, value)]
        });
        // The name of the client is what scanners and log injections fill; a referrer is a URL of
        // ours and looks like an attack on ourselves.
        let agent = headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let agent = agent.filter(|agent| !detector::names_a_client(agent));
        let parts = std::iter::once((Location::Path, path)).chain(pairs);
        let mut refused = false;
        for (location, text, encoded) in parts
            .map(|(location, text)| (location, text, true))
            .chain(agent.map(|text| (Location::Header, text, false)))
        {
            let found_here = findings(text, encoded);
            let score: u32 = found_here.iter().map(|finding| finding.weight).sum();
            let block = self.config.detector == Mode::Block
                && location != Location::Search
                && score * location.factor() >= REFUSED * 10;
            for finding in &found_here {
                found(finding.category, location, if block { "block" } else { "detect" });
            }
            refused |= block;
        }
        refused
    }
}

fn found(category: Category, location: Location, action: &'static str) {
    metrics::counter!(
        "inputguard.findings",
        "category" => category.name(),
        "location" => location.name(),
        "action" => action
    )
    .increment(1);
}

fn refuse(text: &str, request: &Request) -> Admission<()> {
    let id = request.extensions().get::<RequestId>().map(|ids| ids.id.to_string());
    Admission::Answer(answer::json(
        StatusCode::BAD_REQUEST,
        &json!({
            "status": 400, "error": "Bad Request", "message": text, "code": "input_rejected",
            "request_id": id,
        }),
    ))
}

#[cfg(test)]
mod tests;
