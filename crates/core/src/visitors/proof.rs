//! Proofs of identity: the customer's server signs the identifier with the channel's secret
//! (`behaviours.md §20`, HMAC).

use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq as _;

use crate::error::{Error, Result};
use crate::inboxes::Channel;
use crate::sealed::mac;

/// What a client shows.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// The customer's own id of the visitor.
    pub identifier: Option<String>,
    /// HMAC-SHA256 of it in lower-case hexadecimal, with the channel's secret.
    pub hash: Option<String>,
}

impl Proof {
    /// Whether the hash is that of the identifier.
    fn holds(&self, secret: &str) -> bool {
        let identifier = self.identifier.as_deref().unwrap_or_default();
        let expected = HEXLOWER.encode(&mac(secret.as_bytes(), identifier.as_bytes()));
        let shown = self.hash.as_deref().unwrap_or_default();
        bool::from(expected.as_bytes().ct_eq(shown.as_bytes()))
    }

    /// Whether the identity is proved. Without a hash none is asked for, unless the channel wants one
    /// of everybody.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] for a proof that is wrong or missing.
    pub fn check(&self, channel: &Channel) -> Result<bool> {
        if self.hash.as_deref().is_none_or(str::is_empty) && !channel.hmac_mandatory {
            return Ok(false);
        }
        if self.holds(&channel.hmac_token) {
            Ok(true)
        } else {
            Err(Error::Unauthorized("HMAC failed: Invalid Identifier Hash Provided".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_identifier_and_secret_alone() {
        // RFC 4231, test case 2.
        let hash = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let check = |identifier: &str, hash: &str, secret: &str, expected: bool| {
            let proof =
                Proof { identifier: Some(identifier.to_owned()), hash: Some(hash.to_owned()) };
            assert_eq!(proof.holds(secret), expected, "{identifier} {hash} {secret}");
        };
        let said = "what do ya want for nothing?";
        check(said, hash, "Jefe", true);
        check(said, hash, "jefe", false);
        check("what do ya want?", hash, "Jefe", false);
        check(said, &hash.to_uppercase(), "Jefe", false);
        check(said, hash.get(..63).unwrap(), "Jefe", false);
        check(said, "", "Jefe", false);
        assert!(!Proof::default().holds("Jefe"));
    }
}
