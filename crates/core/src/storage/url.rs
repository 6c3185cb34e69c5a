//! The addresses of stored files (`behaviours.md §14`).

use chatwarden_db::Tx;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::signing::{Purpose, sign, verify};
use crate::desk::desk;
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
