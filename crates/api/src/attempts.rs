//! Attempts to authenticate, for the meters (operations.md §2.3).

use metrics::counter;

/// Counts an attempt by `method`: `password`, `mfa`, `link`, `token`, `widget`, `operator`.
pub(crate) fn attempt(method: &'static str) {
    counter!("chatwoot.auth.attempts", "method" => method).increment(1);
}

/// Counts one that was refused.
pub(crate) fn refused(method: &'static str, reason: &'static str) {
    counter!("chatwoot.auth.failures", "method" => method, "reason" => reason).increment(1);
}
