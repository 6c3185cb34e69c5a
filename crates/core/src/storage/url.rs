//! The addresses of stored files (`behaviours.md §14`).

use chatwarden_db::{Timestamp, Tx};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::signing::{Purpose, sign, verify};
use crate::desk::{Desk, desk};
use crate::ids::{AccountId, BlobId};

/// The route of everything below.
const BASE: &str = "rails/active_storage";
/// The width that pictures are shown in, in pixels.
const THUMB_WIDTH: u32 = 250;

/// What a path segment need not escape (RFC 3986 §3.3).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// A form of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Variation {
    /// The width to bring it to, in pixels; the height follows.
    pub width: u32,
}

impl Variation {
    /// What lists and previews show.
    pub const THUMB: Self = Self { width: THUMB_WIDTH };
}

/// What a link to a file's content says: enough to answer without asking the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Where the content is.
    pub key: String,
    /// The width of the form that is meant; `None` for the file itself.
    pub width: Option<u32>,
    /// Its type.
    pub content_type: String,
    /// Whether browsers may show it within a page.
    pub inline: bool,
}

/// What a link to where a file's content is to be put says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    /// The file's account.
    pub account_id: AccountId,
    /// The file.
    pub blob_id: BlobId,
}

/// Seconds that links to contents are good for (`behaviours.md §14`).
const LINK_SECONDS: i64 = 300;

/// A name as the last segment of a path.
pub(crate) fn escaped(filename: &str) -> String {
    utf8_percent_encode(filename, SEGMENT).to_string()
}

/// The name of a file that clients send back and addresses carry; it never ends.
pub fn signed_id(tx: &Tx<'_>, account: AccountId, blob: BlobId) -> String {
    sign(&desk(tx).secret, Purpose::Blob, &(account, blob), None)
}

/// The file that a name names.
pub fn of_signed_id(tx: &Tx<'_>, name: &str) -> Option<(AccountId, BlobId)> {
    verify(&desk(tx).secret, Purpose::Blob, name, tx.now())
}

/// The form of a picture that a name names.
pub fn of_signed_variation(tx: &Tx<'_>, name: &str) -> Option<Variation> {
    verify(&desk(tx).secret, Purpose::Variation, name, tx.now())
}

/// Where a file is.
pub fn blob_url(tx: &Tx<'_>, account: AccountId, blob: BlobId, filename: &str) -> String {
    let (base, id) = (&desk(tx).frontend_url, signed_id(tx, account, blob));
    format!("{base}/{BASE}/blobs/redirect/{id}/{}", escaped(filename))
}

/// Where a file's content is to be read, for some minutes.
pub fn reading_url(tx: &Tx<'_>, reading: &Reading, filename: &str) -> String {
    let (desk, until) = (desk(tx), tx.now().plus_seconds(LINK_SECONDS));
    let token = sign(&desk.secret, Purpose::Read, reading, Some(until));
    format!("{}/{BASE}/disk/{token}/{}", desk.frontend_url, escaped(filename))
}

/// Where a file's content is to be put, for some minutes.
pub fn writing_url(tx: &Tx<'_>, writing: Writing) -> String {
    let (desk, until) = (desk(tx), tx.now().plus_seconds(LINK_SECONDS));
    let token = sign(&desk.secret, Purpose::Write, &writing, Some(until));
    format!("{}/{BASE}/disk/{token}", desk.frontend_url)
}

/// The content that a link leads to, while it is good.
pub fn of_reading(desk: &Desk, token: &str, now: Timestamp) -> Option<Reading> {
    verify(&desk.secret, Purpose::Read, token, now)
}

/// The place that a link leads to, while it is good.
pub fn of_writing(desk: &Desk, token: &str, now: Timestamp) -> Option<Writing> {
    verify(&desk.secret, Purpose::Write, token, now)
}

/// Where the thumbnail of a picture is.
pub fn thumb_url(tx: &Tx<'_>, account: AccountId, blob: BlobId, filename: &str) -> String {
    let desk = desk(tx);
    let (base, id) = (&desk.frontend_url, signed_id(tx, account, blob));
    let variation = sign(&desk.secret, Purpose::Variation, &Variation::THUMB, None);
    format!("{base}/{BASE}/representations/redirect/{id}/{variation}/{}", escaped(filename))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_names_as_rails_does() {
        let check = |name: &str, expected: &str| assert_eq!(escaped(name), expected);
        check("note.txt", "note.txt");
        check("Überblick 2 (final).txt", "%C3%9Cberblick%202%20(final).txt");
        check("a/b?c#d%", "a%2Fb%3Fc%23d%25");
        check("\"<>\\^`{|}", "%22%3C%3E%5C%5E%60%7B%7C%7D");
    }
}
