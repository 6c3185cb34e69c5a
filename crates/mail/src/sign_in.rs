//! Signing in to a mail server.

use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use lettre::transport::smtp::authentication::Mechanism as Sasl;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use md5::Md5;

use crate::{Account, Failure, Mechanism};

/// Shows the server who we are. A refusal is none of the letter's fault: it may be sent once the
/// password is put right.
pub(crate) async fn sign_in(
    connection: &mut AsyncSmtpConnection,
    account: &Account,
) -> Result<(), Failure> {
    let refused = |error: &dyn std::fmt::Display| {
        Failure::Later(format!("the mail server does not let us in: {error}"))
    };
    let mechanism = match account.mechanism {
        Mechanism::Plain => Sasl::Plain,
        Mechanism::Login => Sasl::Login,
        Mechanism::CramMd5 => {
            let challenge =
                connection.command("AUTH CRAM-MD5\r\n").await.map_err(|e| refused(&e))?;
            let challenge = challenge.first_word().unwrap_or_default();
            let answer = answer(account, challenge).ok_or_else(|| refused(&"no challenge"))?;
            connection.command(format!("{answer}\r\n")).await.map_err(|e| refused(&e))?;
            return Ok(());
        }
    };
    // A server that has another of the two will do as well: both show it the password.
    let others = [mechanism, Sasl::Plain, Sasl::Login];
    connection.auth(&others, &account.credentials()).await.map_err(|e| refused(&e))?;
    Ok(())
}

/// The answer to a challenge: the user, and the challenge signed with the password.
fn answer(account: &Account, challenge: &str) -> Option<String> {
    let challenge = BASE64.decode(challenge.as_bytes()).ok()?;
    let mut mac = Hmac::<Md5>::new_from_slice(account.password.as_bytes()).ok()?;
    mac.update(&challenge);
    let digest = HEXLOWER.encode(&mac.finalize().into_bytes());
    Some(BASE64.encode(format!("{} {digest}", account.username).as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_the_challenge_of_the_standard() {
        // RFC 2195, section 2.
        let account = Account {
            username: "tim".to_owned(),
            password: "tanstaaftanstaaf".to_owned(),
            mechanism: Mechanism::CramMd5,
        };
        let challenge = BASE64.encode(b"<1896.697170952@postoffice.reston.mci.net>");
        let expected = BASE64.encode(b"tim b913a602c7eda7a495b4e6e7334d3890");
        assert_eq!(answer(&account, &challenge), Some(expected));
        assert_eq!(answer(&account, "!"), None);
    }
}
