//! What the product reaches outside the database: the web, and the disk. Jobs and handlers have it;
//! operations do not.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chatwarden_files::Disk;
use futures::stream::{BoxStream, StreamExt as _};

/// The world outside. Clones share it.
#[derive(Clone)]
pub struct Outside {
    /// Other servers.
    pub web: Arc<dyn Web>,
    /// Stored files.
    pub disk: Disk,
    /// The mail server; none where no mail is sent.
    pub post: Option<Arc<dyn Post>>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outside").field("disk", &self.disk).finish_non_exhaustive()
    }
}

/// Asks other servers; keeps out of private networks unless the operator lets it in.
#[async_trait]
pub trait Web: Send + Sync {
    /// Asks; an answer of any status is one.
    async fn ask(&self, request: Request) -> Result<Reply, Failure>;
}

/// Hands letters to a mail server.
#[async_trait]
pub trait Post: Send + Sync {
    /// Hands one over; [`Failure::Refused`] where it will never be taken.
    async fn send(&self, letter: crate::mail::Letter) -> Result<(), Failure>;
}

/// What another server is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The address, as somebody wrote it.
    pub url: String,
    /// Header fields.
    pub headers: Vec<(String, String)>,
    /// What is sent; `None` only reads.
    pub body: Option<Bytes>,
    /// How long it may take, the answer's body included.
    pub timeout: Duration,
    /// How large the answer's body may be.
    pub limit: u64,
}

impl Request {
    /// Reads an address.
    pub fn get(url: impl Into<String>, timeout: Duration, limit: u64) -> Self {
        Self { url: url.into(), headers: Vec::new(), body: None, timeout, limit }
    }

    /// Sends to an address; what is told back hardly matters.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>, timeout: Duration) -> Self {
        let body = Some(body.into());
        Self { url: url.into(), headers: Vec::new(), body, timeout, limit: 1 << 20 }
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// What another server answers.
pub struct Reply {
    /// The status.
    pub status: u16,
    /// What the body is said to be.
    pub content_type: Option<String>,
    /// Seconds to wait before asking again, where it says so.
    pub retry_after: Option<u64>,
    /// Where it came from, after all redirects.
    pub url: String,
    /// The body, as it comes.
    pub body: BoxStream<'static, Result<Bytes, Failure>>,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Reply {
    /// Whether it did what was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

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
    /// It will never work: the address is none, or in a private network.
    #[error("{0}")]
    Refused(String),
    /// It was larger than asked for.
    #[error("{0}")]
    TooLarge(String),
    /// It may work later.
    #[error("{0}")]
    Unreachable(String),
}
