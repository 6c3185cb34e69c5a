//! Time-based one-time passwords: RFC 6238 with SHA-1, six digits and half minutes, as every
//! authenticator app speaks it.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;

/// Seconds that a code is shown.
const STEP: i64 = 30;
/// As many steps a clock may be off, either way.
const DRIFT: i64 = 1;

/// The code of a secret at a step (RFC 4226 §5.3).
fn code(secret: &[u8], step: i64) -> Option<String> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).ok()?;
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest.last()? & 0x0f);
    let part: [u8; 4] = digest.get(offset..offset + 4)?.try_into().ok()?;
    let number = (u32::from_be_bytes(part) & 0x7fff_ffff) % 1_000_000;
    Some(format!("{number:06}"))
}

/// The step at which `shown` is the code, near `now` (unix seconds) and after the step that was
/// used last: a code is good once.
pub(super) fn step_of(secret: &[u8], shown: &str, now: i64, last: i64) -> Option<i64> {
    let shown: String = shown.chars().filter(|c| !c.is_whitespace()).collect();
    let present = now.div_euclid(STEP);
    let mut found = None;
    // All are compared, so that the time taken tells nothing.
    for step in (present - DRIFT)..=(present + DRIFT) {
        let matches =
            code(secret, step).is_some_and(|code| code.as_bytes().ct_eq(shown.as_bytes()).into());
        if matches && step > last {
            found = Some(step);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_codes_of_rfc_6238() {
        // Appendix B, the last six of the eight digits.
        let check = |time: i64, expected: &str| {
            let found = code(b"12345678901234567890", time / STEP);
            assert_eq!(found.as_deref(), Some(expected), "{time}");
        };
        check(59, "287082");
        check(1_111_111_109, "081804");
        check(1_111_111_111, "050471");
        check(1_234_567_890, "005924");
        check(2_000_000_000, "279037");
        check(20_000_000_000, "353130");
    }

    #[test]
    fn takes_a_code_once_and_only_near_its_time() {
        let secret = b"12345678901234567890";
        let check = |shown: &str, now: i64, last: i64, expected: Option<i64>| {
            assert_eq!(step_of(secret, shown, now, last), expected, "{shown} {now} {last}");
        };
        check("287082", 59, 0, Some(1));
        check("287 082", 59, 0, Some(1));
        check("287082", 59, 1, None);
        check("287082", 30 + 59, 0, Some(1));
        check("287082", 60 + 59, 0, None);
        check("287082", 0, 0, Some(1));
        check("abcdef", 59, 0, None);
        check("", 59, 0, None);
    }
}
