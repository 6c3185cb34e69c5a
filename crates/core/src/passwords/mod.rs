//! Passwords: what they must be like, and their hashes.
//!
//! [`hash`] and [`verify`] take tens of milliseconds and tens of megabytes on purpose: run them
//! where blocking is allowed, before or after a transaction, never inside one.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use crate::error::Invalid;

/// The fewest characters of a password.
const SHORTEST: usize = 6;
/// The most characters of a password.
const LONGEST: usize = 128;
/// What counts as a special character.
const SPECIAL: &str = " !@#$%^&*()_+-=[]{}|\"/\\.,`<>:;?~'";

/// A password's hash: Argon2id, in the form of PHC strings. Nothing else is ever stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashed(String);

impl Hashed {
    /// The text to store.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash of nothing: for whoever signs in by other means, until a password is set.
    pub const fn unusable() -> Self {
        Self(String::new())
    }
}

impl std::fmt::Debug for Hashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hashed(…)")
    }
}

impl chatwarden_db::ToValue for Hashed {
    fn to_value(&self) -> chatwarden_db::Value {
        chatwarden_db::Value::Text(self.0.clone())
    }
}

/// Adds what `password` lacks, as faults of `field` (`behaviours.md §2.1`).
pub fn check(faults: &mut Invalid, field: &'static str, password: &str) {
    let length = password.chars().count();
    if length < SHORTEST {
        faults.add(field, format!("must contain at least {SHORTEST} characters"));
    }
    if length > LONGEST {
        faults.add(field, format!("is too long (maximum is {LONGEST} characters)"));
    }
    let mut want = |has: fn(char) -> bool, what: &str| {
        if !password.chars().any(has) {
            faults.add(field, format!("must contain at least 1 {what}"));
        }
    };
    want(|c| c.is_ascii_uppercase(), "uppercase character  (A..Z)");
    want(|c| c.is_ascii_lowercase(), "lowercase character  (a..z)");
    want(|c| c.is_ascii_digit(), "number character  (0..9)");
    want(|c| SPECIAL.contains(c), &format!("special character  ({SPECIAL})"));
}

/// Hashes a password. Slow; none where it is longer than any that is accepted.
pub fn hash(password: &str, salt: &[u8; 16]) -> Option<Hashed> {
    if password.chars().count() > LONGEST {
        return None;
    }
    let hashed = Argon2::default().hash_password_with_salt(password.as_bytes(), salt).ok()?;
    Some(Hashed(hashed.to_string()))
}

/// What came of comparing a password with a stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Another password, or nobody's.
    Wrong,
    /// The right one.
    Right,
    /// The right one, stored in a form that is no longer made: hash it anew.
    Outdated,
}

/// Compares a password with a stored hash, of ours or of Devise (bcrypt). Slow, and as slow where
/// there is no hash to compare with: how long it takes says nothing about who exists.
pub fn verify(password: &str, stored: Option<&str>) -> Verdict {
    if password.chars().count() > LONGEST {
        return Verdict::Wrong;
    }
    match stored.filter(|stored| !stored.is_empty()) {
        Some(stored) if stored.starts_with("$2") => match bcrypt::verify(password, stored) {
            Ok(true) => Verdict::Outdated,
            Ok(false) | Err(_) => Verdict::Wrong,
        },
        Some(stored) if matches(password, stored) => Verdict::Right,
        Some(_) => Verdict::Wrong,
        None => {
            matches(password, nobody());
            Verdict::Wrong
        }
    }
}

fn matches(password: &str, stored: &str) -> bool {
    PasswordHash::new(stored)
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}

/// A hash that nobody has, made at its first use.
fn nobody() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash("", &[0; 16]).map(|hashed| hashed.0).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_a_password_lacks() {
        let check = |password: &str, expected: &[&str]| {
            let mut faults = Invalid::default();
            check(&mut faults, "password", password);
            let words = faults.to_string();
            let found: Vec<&str> =
                if words.is_empty() { Vec::new() } else { words.split(", Password ").collect() };
            assert_eq!(found.len(), expected.len(), "{password}: {words}");
            for (found, expected) in found.iter().zip(expected) {
                assert!(found.contains(expected), "{password}: {words}");
            }
        };
        check("Passw0rd!23", &[]);
        check("Passw0rd 23", &[]);
        check("secret", &["uppercase", "number", "special"]);
        check("short", &["at least 6 characters", "uppercase", "number", "special"]);
        check("", &["at least 6 characters", "uppercase", "lowercase", "number", "special"]);
        check(&format!("Aa1!{}", "x".repeat(124)), &[]);
        check(&format!("Aa1!{}", "x".repeat(125)), &["is too long (maximum is 128 characters)"]);
        // Letters and digits of other scripts count as neither.
        check("ÄÖÜäöü٣!", &["uppercase", "lowercase", "number"]);
    }

    #[test]
    fn knows_its_own_hashes_and_those_of_devise() {
        let own = hash("Passw0rd!23", &[7; 16]).unwrap();
        assert!(own.as_str().starts_with("$argon2id$v=19$"), "{own:?} {}", own.as_str());
        assert_ne!(own, hash("Passw0rd!23", &[8; 16]).unwrap());
        let devise = bcrypt::hash("Passw0rd!23", 4).unwrap().replace("$2b$", "$2a$");
        let check = |password: &str, stored: Option<&str>, expected: Verdict| {
            assert_eq!(verify(password, stored), expected, "{password} {stored:?}");
        };
        check("Passw0rd!23", Some(own.as_str()), Verdict::Right);
        check("Passw0rd!24", Some(own.as_str()), Verdict::Wrong);
        check("Passw0rd!23", Some(&devise), Verdict::Outdated);
        check("Passw0rd!24", Some(&devise), Verdict::Wrong);
        check("Passw0rd!23", None, Verdict::Wrong);
        check("", None, Verdict::Wrong);
        check("", Some(Hashed::unusable().as_str()), Verdict::Wrong);
        check("Passw0rd!23", Some("$argon2id$broken"), Verdict::Wrong);
        check("Passw0rd!23", Some("$2a$broken"), Verdict::Wrong);
        check(&"x".repeat(129), Some(own.as_str()), Verdict::Wrong);
    }

    #[test]
    fn never_shows_a_hash() {
        assert_eq!(format!("{:?}", hash("Passw0rd!23", &[7; 16]).unwrap()), "Hashed(…)");
    }
}
