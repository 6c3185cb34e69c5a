//! E-mail addresses that people sign in with (`behaviours.md §2.1`).

use crate::error::Invalid;

/// An address as it is stored and compared: trimmed, lower case.
pub fn normalised(address: &str) -> String {
    address.trim().to_lowercase()
}

/// What stands before the `@`: the name of whoever has said no other.
pub fn local(address: &str) -> &str {
    address.split_once('@').map_or(address, |(local, _)| local)
}

/// Adds what is wrong with a normalised address, as faults of `email`.
pub fn check(faults: &mut Invalid, address: &str) {
    if address.is_empty() {
        faults.add("email", "can't be blank");
        return;
    }
    let halves = address.split_once('@');
    let split = halves.is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    if !split || address.contains(char::is_whitespace) {
        faults.add("email", "is invalid");
    }
    if !halves.is_some_and(|(local, domain)| is_local(local) && is_domain(domain)) {
        faults.add("email", "is not an email");
    }
    if address.chars().count() > 255 {
        faults.add("email", "is too long (maximum is 255 characters)");
    }
}

/// Whether an address could be one of a mailbox.
pub fn is_address(address: &str) -> bool {
    let mut faults = Invalid::default();
    check(&mut faults, address);
    faults.check().is_ok()
}

/// The local part: atoms of RFC 5322 between dots, or letters of other scripts (RFC 6531).
fn is_local(local: &str) -> bool {
    local.len() <= 64
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c))
        })
}

/// The domain: labels of letters, digits and inner hyphens.
fn is_domain(domain: &str) -> bool {
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_from_other_words() {
        let check = |address: &str, expected: &str| {
            let mut faults = Invalid::default();
            check(&mut faults, &normalised(address));
            assert_eq!(faults.to_string(), expected, "{address}");
        };
        for fine in [
            "a@b.c",
            " Ada.L+x@Example.COM ",
            "o'hara@example.com",
            "ä@bücher.example",
            "a@localhost",
        ] {
            check(fine, "");
        }
        check("", "Email can't be blank");
        check(" ", "Email can't be blank");
        check("odd", "Email is invalid, Email is not an email");
        check("a b@c.d", "Email is invalid, Email is not an email");
        check("a@b@c", "Email is invalid, Email is not an email");
        check("@b.c", "Email is invalid, Email is not an email");
        check("a@", "Email is invalid, Email is not an email");
        check("a..b@c.d", "Email is not an email");
        check("a@b..c", "Email is not an email");
        check("a@-b.c", "Email is not an email");
        check("a@b.c\u{0}", "Email is not an email");
        check("a\r\nbcc:x@b.c", "Email is invalid, Email is not an email");
        assert!(is_address("a@b.c") && !is_address("odd"));
    }
}
