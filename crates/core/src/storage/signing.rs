//! Names that nobody can guess: signed ids of stored files, and links that end (`behaviours.md §14`).
//!
//! A name is `payload--signature`: the payload is base64 of what is named, for what purpose, and until
//! when; the signature is an HMAC-SHA256 of it. A name made for one purpose is none for another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatwarden_db::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// What a name is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Names a stored file, for good.
    Blob,
    /// Names a form of a picture, for good.
    Variation,
    /// Lets its holder read a file, for minutes.
    Read,
    /// Lets its holder write a file's content once, for minutes.
    Write,
}

impl Purpose {
    const fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob_id",
            Self::Variation => "variation",
            Self::Read => "blob_key",
            Self::Write => "blob_token",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Payload<T> {
    data: T,
    /// Unix seconds.
    exp: Option<i64>,
    pur: String,
}

/// The signature of a payload. The prefix keeps it apart from whatever else the secret signs.
fn mac(secret: &str, payload: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(b"storage:");
    mac.update(payload.as_bytes());
    Some(mac)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|v| u8::try_from(v).ok());
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some((value(*high)? << 4) | value(*low)?)).collect()
}

/// A name for `data`, good until `expires`.
pub fn sign<T: Serialize>(
    secret: &str,
    purpose: Purpose,
    data: &T,
    expires: Option<Timestamp>,
) -> String {
    let payload =
        Payload { data, exp: expires.map(Timestamp::unix), pur: purpose.name().to_owned() };
    // Ids and texts always serialise, and HMAC takes keys of any length: nothing here can fail.
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&payload).unwrap_or_default());
    let signature = mac(secret, &payload).map(|mac| hex(&mac.finalize().into_bytes()));
    format!("{payload}--{}", signature.unwrap_or_default())
}

/// What a name says, where it was made by [`sign`] for this purpose and is still good.
pub fn verify<T: DeserializeOwned>(
    secret: &str,
    purpose: Purpose,
    name: &str,
    now: Timestamp,
) -> Option<T> {
    let (payload, signature) = name.split_once("--")?;
    mac(secret, payload)?.verify_slice(&unhex(signature)?).ok()?;
    let payload: Payload<T> =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let good = payload.pur == purpose.name() && payload.exp.is_none_or(|exp| now.unix() < exp);
    good.then_some(payload.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

    #[test]
    fn a_name_is_good_for_one_purpose_one_secret_and_its_time() {
        let name = sign("secret", Purpose::Read, &(1, 7), Some(NOW.plus_seconds(300)));
        let read = |secret: &str, purpose, name: &str, now| {
            verify::<(i64, i64)>(secret, purpose, name, now)
        };
        assert_eq!(read("secret", Purpose::Read, &name, NOW), Some((1, 7)));
        assert_eq!(read("secret", Purpose::Read, &name, NOW.plus_seconds(299)), Some((1, 7)));
        assert_eq!(read("secret", Purpose::Read, &name, NOW.plus_seconds(300)), None);
        assert_eq!(read("secret", Purpose::Blob, &name, NOW), None);
        assert_eq!(read("other", Purpose::Read, &name, NOW), None);
        let forever = sign("secret", Purpose::Blob, &(1, 7), None);
        assert_eq!(forever, sign("secret", Purpose::Blob, &(1, 7), None));
        assert!(read("secret", Purpose::Blob, &forever, NOW.plus_seconds(1 << 40)).is_some());
        assert!(forever.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
    }

    #[test]
    fn forged_and_broken_names_are_none() {
        let good = sign("secret", Purpose::Blob, &(1, 7), None);
        let (payload, signature) = good.split_once("--").unwrap();
        let other = sign("secret", Purpose::Blob, &(1, 8), None);
        let (other_payload, _) = other.split_once("--").unwrap();
        for name in [
            "",
            "--",
            "forged--0000",
            payload,
            &format!("{payload}--"),
            &format!("{payload}--zz"),
            &format!("{payload}--é"),
            &format!("{payload}--{}", &signature[1..]),
            &format!("{payload}--{}", &signature[2..]),
            &format!("{other_payload}--{signature}"),
            &format!("{good}00"),
        ] {
            assert_eq!(verify::<(i64, i64)>("secret", Purpose::Blob, name, NOW), None, "{name}");
        }
    }
}
