//! What must not leave the process by a log, an exchange or a report
//! (`operations.md` §8.3): secrets by the name of their field, and values that
//! look like tokens wherever they stand.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What stands in the place of a secret.
pub const MASK: &str = "[redacted]";

/// Names that hide a value, alone or at the end of a longer name. Case and
/// separators don't matter.
const SECRET_SUFFIXES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "authorization",
    "cookie",
    "certificate",
    "backupcode",
    "signature",
    "encryptionkey",
    "privatekey",
    "apikey",
];

/// Names that hide a value, alone or as the last word of a longer name: they
/// also end innocent words (`discard`, `descrypt`).
const SECRET_WORDS: &[&str] = &[
    "client", "private", "otp", "mfa", "crypt", "salt", "hmac", "dsn", "session", "card", "iban",
    "ssn",
];

/// A token by name that everybody may see: it is in the page of the customer.
const PUBLIC_NAMES: &[&str] = &["websitetoken"];

/// Query parameters whose values are shown.
const PUBLIC_PARAMETERS: &[&str] = &["page", "sort", "status"];

/// Whether a field of this name is hidden whatever it holds.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    if !may_be_secret(name) {
        return false;
    }
    let ends = |pattern: &&str| suffix(name, pattern).is_some();
    let ends_in_word = |pattern: &&str| suffix(name, pattern) == Some(true);
    (SECRET_SUFFIXES.iter().any(ends) || SECRET_WORDS.iter().any(ends_in_word))
        && !PUBLIC_NAMES.iter().any(ends)
}

/// A quick look that spares most names the lists: whether the last three
/// letters end one of their entries.
fn may_be_secret(name: &str) -> bool {
    let mut letters = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    let mut next = || letters.next().map(|letter| letter.to_ascii_lowercase());
    let (Some(last), Some(second), Some(third)) = (next(), next(), next()) else {
        return false;
    };
    matches!(
        &[third, second, last],
        b"ord"
            | b"swd"
            | b"ase"
            | b"ret"
            | b"ken"
            | b"ion"
            | b"kie"
            | b"ate"
            | b"ode"
            | b"ure"
            | b"key"
            | b"ent"
            | b"otp"
            | b"mfa"
            | b"ypt"
            | b"alt"
            | b"mac"
            | b"dsn"
            | b"ard"
            | b"ban"
            | b"ssn"
    )
}

/// Whether `name` ends in `pattern`, and if so whether a word begins there.
fn suffix(name: &str, pattern: &str) -> Option<bool> {
    let mut rest = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    let mut first = 0;
    for expected in pattern.bytes().rev() {
        first = rest.next()?;
        if first.to_ascii_lowercase() != expected {
            return None;
        }
    }
    let letters = pattern.len();
    let before = name
        .bytes()
        .rev()
        .scan(0, |seen, byte| {
            if byte.is_ascii_alphanumeric() {
                *seen += 1;
            }
            Some((*seen, byte))
        })
        .find(|(seen, byte)| {
            *seen > letters || (*seen == letters && !byte.is_ascii_alphanumeric())
        });
    Some(match before {
        None => true,
        Some((_, byte)) => !byte.is_ascii_alphanumeric() || first.is_ascii_uppercase(),
    })
}

/// `text` without the values that look like secrets or like those of query
/// parameters.
#[must_use]
pub fn text(text: &str) -> Cow<'_, str> {
    let mut clean = Cow::Borrowed(text);
    if text.contains('?') {
        clean = Cow::Owned(parameters(text));
    }
    if !suspicious(clean.as_bytes()) {
        return clean;
    }
    let Some(tokens) = TOKENS.as_ref() else {
        // Fails closed; a test keeps this from happening.
        return Cow::Borrowed(MASK);
    };
    Cow::Owned(
        tokens.replace_all(&clean, |found: &Captures<'_>| replacement(&clean, found)).into_owned(),
    )
}

/// A query string with its keys, but only the values that are known harmless.
#[must_use]
pub fn query(query: &str) -> String {
    let shown: Vec<Cow<'_, str>> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !value.is_empty() && !PUBLIC_PARAMETERS.contains(&key) => {
                Cow::Owned(format!("{key}=…"))
            }
            _ => Cow::Borrowed(pair),
        })
        .collect();
    shown.join("&")
}

/// `text` with every query string in it reduced by [`query`].
fn parameters(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('?') {
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '#' | '"' | '\'' | '>' | ')'))
            .unwrap_or(after.len());
        let (parameters, tail) = after.split_at(end);
        shown.push_str(before);
        shown.push('?');
        shown.push_str(&query(parameters));
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

static TOKENS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        &[
            r"-----BEGIN [A-Z0-9 ]+-----(?s:.*?)(?:-----END [A-Z0-9 ]+-----|\z)",
            r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?",
            r"(?i:(?P<scheme>\b(?:bearer|basic)\s+)(?P<credential>[A-Za-z0-9._~+/=-]{6,}))",
            r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
            r"\bAIza[A-Za-z0-9_-]{35}",
            r"\bya29\.[A-Za-z0-9_-]{20,}",
            r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
            r"\bwhsec_[A-Za-z0-9+/=]{16,}",
            r"\bsk-[A-Za-z0-9_-]{20,}",
            r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
            r"\bxapp-[A-Za-z0-9-]{10,}",
            r"\bhooks\.slack\.com/services/[A-Za-z0-9/]+",
            r"\bEAA[A-Za-z0-9]{20,}",
            r"\bgh[opsur]_[A-Za-z0-9]{36,}",
            r"(?:\b|bot)[0-9]{8,10}:[A-Za-z0-9_-]{35}",
            r"(?P<slashes>://)[^\s/@?#]+@",
            r"(?P<digits>\b[0-9](?:[ -]?[0-9]){13,18}\b)",
        ]
        .join("|"),
    )
    .ok()
});

fn replacement(text: &str, found: &Captures<'_>) -> String {
    let Some(all) = found.get(0) else {
        return MASK.to_owned();
    };
    if let (Some(scheme), Some(credential)) = (found.name("scheme"), found.name("credential")) {
        // "basic authentication" is prose; a credential has more than one
        // kind of letter.
        let prose = credential.as_str().bytes().all(|b| b.is_ascii_lowercase());
        return if prose { all.as_str().to_owned() } else { format!("{}{MASK}", scheme.as_str()) };
    }
    if found.name("slashes").is_some() {
        return format!("://{MASK}@");
    }
    if found.name("digits").is_some() {
        let joined = |c: Option<char>| c == Some('-');
        let inside = joined(text.get(..all.start()).and_then(|t| t.chars().next_back()))
            || joined(text.get(all.end()..).and_then(|t| t.chars().next()));
        if inside || !is_card_number(all.as_str()) {
            return all.as_str().to_owned();
        }
    }
    MASK.to_owned()
}

/// Whether the digits have a card brand's prefix and length and the right
/// check digit (Luhn): ids and times in microseconds mostly don't.
fn is_card_number(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let prefix = digits.iter().take(4).fold(0, |sum, digit| sum * 10 + digit);
    let brand = match digits.len() {
        14 => matches!(prefix, 3000..=3059 | 3600..=3699 | 3800..=3999),
        15 => matches!(prefix, 3400..=3499 | 3700..=3799),
        16 => matches!(
            prefix,
            2221..=2720 | 3528..=3589 | 4000..=4999 | 5100..=5599 | 6011 | 6200..=6299
                | 6440..=6599
        ),
        17..=19 => matches!(prefix, 4000..=4999 | 6200..=6299),
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match digit * 2 {
            _ if index % 2 == 0 => *digit,
            double if double > 9 => double - 9,
            double => double,
        })
        .sum();
    brand && sum.is_multiple_of(10)
}

/// A quick look that spares most texts the regular expression: whether one of
/// its literals, or enough digits for a card, is in `text`.
fn suspicious(text: &[u8]) -> bool {
    let mut digits = 0;
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if digits >= 14 {
                    return true;
                }
            }
            b' ' => {}
            b'e' | b'A' | b'E' | b'y' | b's' | b'w' | b'x' | b'h' | b'b' | b'B' | b':' | b'_'
            | b'-' => {
                if literal(text, index, digits) {
                    return true;
                }
                // A hyphen may stand between the digits of a card, as a blank may.
                if *byte != b'-' {
                    digits = 0;
                }
            }
            _ => digits = 0,
        }
    }
    false
}

/// Whether one of the expression's literals begins, or for those with an underscore ends, at
/// `index`, before which stand so many `digits`.
fn literal(text: &[u8], index: usize, digits: u32) -> bool {
    let (before, rest) = text.split_at(index);
    let begins = |literal: &[u8]| rest.starts_with(literal);
    let begins_folded = |literal: &[u8]| {
        rest.get(..literal.len()).is_some_and(|head| head.eq_ignore_ascii_case(literal))
    };
    match rest.first() {
        Some(b'-') => begins(b"-----BEGIN "),
        Some(b'e') => begins(b"eyJ"),
        Some(b'A') => {
            [&b"AKIA"[..], b"ASIA", b"ABIA", b"ACCA", b"AIza"].iter().any(|known| begins(known))
        }
        Some(b'E') => begins(b"EAA"),
        Some(b'y') => begins(b"ya29."),
        Some(b's') => begins(b"sk-"),
        Some(b'w') => begins(b"whsec_"),
        Some(b'x') => begins(b"xox") || begins(b"xapp-"),
        Some(b'h') => begins(b"hooks.slack"),
        Some(b'_') => {
            matches!(before, [.., b's' | b'r' | b'p', b'k'] | [.., b'g', b'h', _])
        }
        Some(b':') => digits >= 8 || begins(b"://"),
        Some(b'b' | b'B') => begins_folded(b"bearer") || begins_folded(b"basic"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hide_their_values() {
        for name in [
            "password",
            "Password",
            "user.password",
            "new_password",
            "api_access_token",
            "access-token",
            "accessToken",
            "pubsubtoken",
            "HTTP_AUTHORIZATION",
            "set-cookie",
            "uid-cookie",
            "client",
            "otp",
            "user_otp",
            "userOtp",
            "hmac",
            "smtp.dsn",
            "credit_card",
            "creditCard",
            "encryption_key",
            "backup_code",
            "x-hub-signature",
            "_session",
        ] {
            assert!(is_secret(name), "{name} is shown");
        }
        for name in [
            "website_token",
            "websiteToken",
            "client.address",
            "discard",
            "token_kind",
            "sessions",
            "laptop",
            "tenant.id",
            "body",
            "",
        ] {
            assert!(!is_secret(name), "{name} is hidden");
        }
    }

    #[test]
    fn the_quick_look_lets_every_entry_pass() {
        for name in SECRET_SUFFIXES.iter().chain(SECRET_WORDS) {
            assert!(is_secret(name), "{name}");
            assert!(is_secret(&format!("a_{}", name.to_uppercase())), "{name}");
        }
    }

    #[track_caller]
    fn check(input: &str, expected: &str) {
        assert_eq!(text(input), expected);
    }

    #[test]
    fn values_shaped_like_secrets_are_hidden() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0abc.c2lnbmF0dXJl";
        check(&format!("got {jwt}, sorry"), "got [redacted], sorry");
        check("Authorization: Bearer abc.DEF-123", "Authorization: Bearer [redacted]");
        check("BASIC dXNlcjpwYXNz", "BASIC [redacted]");
        check("AKIAIOSFODNN7EXAMPLE", MASK);
        check(&format!("key=AIza{}", "a".repeat(35)), "key=[redacted]");
        check(&format!("sk_live_{}", "0".repeat(24)), MASK);
        check(&format!("a pk_test_{}", "0".repeat(24)), "a [redacted]");
        check(&format!("rk_live_{}", "0".repeat(24)), MASK);
        check(&format!("whsec_{}", "a".repeat(32)), MASK);
        check(&format!("sk-{}", "a".repeat(20)), MASK);
        check(&format!("ya29.{}", "a".repeat(20)), MASK);
        check("xoxb-1234567890-abc", MASK);
        check("xapp-1234567890-abc", MASK);
        check("https://hooks.slack.com/services/T0/B0/x", "https://[redacted]");
        check(&format!("EAA{}", "Z".repeat(40)), MASK);
        check(&format!("ghp_{}", "x".repeat(36)), MASK);
        check(
            &format!("https://api.telegram.org/bot12345678:{}/getMe", "A".repeat(35)),
            "https://api.telegram.org/[redacted]/getMe",
        );
        check("postgres://user:pw@db:5432/x", "postgres://[redacted]@db:5432/x");
        check("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----!", "[redacted]!");
        check("-----BEGIN RSA PRIVATE KEY-----\nMIIE cut", MASK);
        check("card 4111 1111 1111 1111.", "card [redacted].");
        check("card 4111-1111-1111-1111 ok", "card [redacted] ok");
        check("378282246310005", MASK);
    }

    #[test]
    fn ordinary_values_are_kept() {
        for kept in [
            "",
            "labels.insert",
            "basic authentication is off",
            "GET /api/v1/accounts/{account_id}/conversations 200 in 12 ms",
            "0190a6e4-7b1c-7000-8000-123456789012",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "1784139342123456",
            "4111 1111 1111 1112",
            "https://cw.example/app/accounts/1",
            "risk-free task_list",
            "2026-07-10T12:00:00.123456789Z",
        ] {
            check(kept, kept);
        }
    }

    #[test]
    fn parameters_keep_their_names() {
        check("/a?page=2&q=jane@example.com&empty=&flag", "/a?page=2&q=…&empty=&flag");
        check("GET http://h/p?token=abc#x failed", "GET http://h/p?token=…#x failed");
        check("really? yes=no", "really? yes=no");
        assert_eq!(query("sort=name&email=a&status=open"), "sort=name&email=…&status=open");
    }
}
