//! Files that are fetched from other servers.

use std::time::Duration;

use chatwarden_files::{Disk, Fault, Incoming, tidy};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::outside::{Failure, Outside, Request};

/// How long another server has for a file (`behaviours.md §14`).
const PATIENCE: Duration = Duration::from_secs(20);

/// A file that was fetched.
#[derive(Debug)]
pub struct Fetched {
    /// Its content.
    pub incoming: Incoming,
    /// Its name, as its address says it.
    pub filename: String,
    /// Its type, as the other server says it.
    pub content_type: String,
}

/// Why a file was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Unfetched {
    /// The address can't be asked.
    #[error("Invalid URL provided")]
    Address,
    /// It is none of the kinds that are wanted.
    #[error("File type not supported")]
    Kind,
    /// It is too large.
    #[error("File size is too big")]
    TooLarge,
    /// The other server did not hand it out; it may later.
    #[error("The file could not be fetched: {0}")]
    Server(String),
    /// It could not be kept.
    #[error(transparent)]
    Disk(Fault),
}

/// The name in an address.
fn name_in(url: &str) -> String {
    let path = Url::parse(url).ok().map(|url| url.path().to_owned()).unwrap_or_default();
    let last = path.rsplit('/').next().unwrap_or_default();
    tidy(&percent_decode_str(last).decode_utf8_lossy())
}

/// Fetches a file of at most `limit` bytes whose type `wanted` takes.
///
/// # Errors
/// [`Unfetched`].
pub async fn fetch(
    outside: &Outside,
    url: &str,
    limit: u64,
    wanted: fn(&str) -> bool,
) -> Result<Fetched, Unfetched> {
    let limit = limit.min(outside.disk.limit());
    let asked = outside.web.ask(Request::get(url, PATIENCE, limit)).await;
    let reply = asked.map_err(|failure| match failure {
        Failure::Refused(_) => Unfetched::Address,
        Failure::TooLarge(_) => Unfetched::TooLarge,
        Failure::Unreachable(text) => Unfetched::Server(text),
    })?;
    if !reply.is_success() {
        return Err(Unfetched::Server(format!("it answered {}", reply.status)));
    }
    let content_type = reply.content_type.clone().unwrap_or_default();
    if !wanted(&content_type) {
        return Err(Unfetched::Kind);
    }
    let filename = name_in(&reply.url);
    let incoming = receive(&outside.disk, reply).await?;
    Ok(Fetched { incoming, filename, content_type })
}

async fn receive(disk: &Disk, reply: crate::outside::Reply) -> Result<Incoming, Unfetched> {
    disk.receive(reply.body).await.map_err(|fault| match fault {
        Fault::TooLarge(_) => Unfetched::TooLarge,
        Fault::Sender(text) => Unfetched::Server(text),
        other => Unfetched::Disk(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_file() {
        let check = |url: &str, expected: &str| assert_eq!(name_in(url), expected, "{url}");
        check("https://example.com/a/dot.png?x=/y", "dot.png");
        check("https://example.com/%C3%9Cber%2Fblick.png", "Über-blick.png");
        check("https://example.com/", "file");
        check("nonsense", "file");
    }
}
