//! Secrets that must be read again: sealed with a key of the installation's (`SECRET_KEY_BASE`)
//! before they are stored, so that a copy of the database alone gives none of them away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use chatwarden_db::Tx;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::desk::desk;

/// The length of a nonce that may be drawn at random.
const NONCE: usize = 24;

/// A key of the installation's for one purpose: keys of two purposes have nothing in common.
pub fn key(tx: &Tx<'_>, purpose: &str) -> [u8; 32] {
    mac(desk(tx).secret.as_bytes(), purpose.as_bytes())
}

/// HMAC-SHA256 (RFC 2104).
pub fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    // HMAC takes keys of any length.
    match <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(text);
            mac.finalize().into_bytes().into()
        }
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

/// Seals a text for one purpose and one owner: moved to another row it no longer opens.
pub fn seal(tx: &Tx<'_>, purpose: &str, owner: i64, text: &str) -> String {
    let nonce: [u8; NONCE] = tx.ambient().bytes();
    let cipher = XChaCha20Poly1305::new(&Key::from(key(tx, purpose)));
    let payload = Payload { msg: text.as_bytes(), aad: &owner.to_be_bytes() };
    // Encrypting fails only for texts of more than 256 GiB.
    let sealed = cipher.encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
    STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
}

/// Opens what was [sealed](seal) for this purpose and owner; none where it was not, or with another key.
pub fn open(tx: &Tx<'_>, purpose: &str, owner: i64, sealed: &str) -> Option<String> {
    let bytes = STANDARD_NO_PAD.decode(sealed).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
    let cipher = XChaCha20Poly1305::new(&Key::from(key(tx, purpose)));
    let payload = Payload { msg: sealed, aad: &owner.to_be_bytes() };
    let text = cipher.decrypt(&XNonce::from(*nonce), payload).ok()?;
    String::from_utf8(text).ok()
}
