//! Mail that goes out, and the domain for answers.

use crate::config::setting::Fallback::{Absent, Text};
use crate::config::setting::section;
use crate::config::value::{Secret, Value, choices};

choices! {
    /// How the mail server wants to be convinced.
    pub enum SmtpAuthentication {
        /// AUTH PLAIN.
        Plain = "plain",
        /// AUTH LOGIN.
        Login = "login",
        /// AUTH CRAM-MD5.
        CramMd5 = "cram_md5" | "cram-md5",
    }
}

choices! {
    /// Whether the mail server's certificate is checked.
    pub enum SmtpVerify {
        /// It has to be valid.
        Peer = "peer",
        /// Any will do.
        None = "none",
    }
}

/// A sender: `Name <address>`, or an address alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// The name people see, if any.
    pub name: Option<String>,
    /// The address.
    pub address: String,
}

impl Value for Mailbox {
    fn form() -> String {
        "an address, or `Name <address>`".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("it has a control character".into());
        }
        let (name, address) = match text.strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
            Some((name, address)) => (name.trim().trim_matches('"'), address.trim()),
            None => ("", text),
        };
        let sound = address.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
        if !sound || address.contains([' ', '<', '>', ',']) {
            return Err(format!("{address:?} is no address"));
        }
        let name = (!name.is_empty()).then(|| name.to_owned());
        Ok(Self { name, address: address.to_owned() })
    }
}

section! {
    /// Mail that goes out, and the domain for answers.
    Mail in "mail" {
        /// Host of the mail server. Without it no mail is sent, and what would send one says so.
        address: Option<String> = "SMTP_ADDRESS", Absent, "smtp.example.com";
        /// Its port.
        port: u16 = "SMTP_PORT", Text("587"), "587";
        /// The name this server greets it with.
        domain: Option<String> = "SMTP_DOMAIN", Absent, "desk.example.com";
        /// The user to sign in as.
        username: Option<String> = "SMTP_USERNAME", Absent, "desk@example.com";
        /// The password of the user.
        password: Option<Secret> = "SMTP_PASSWORD", Absent, "a-long-password";
        /// How to sign in.
        authentication: SmtpAuthentication = "SMTP_AUTHENTICATION", Text("login"), "plain";
        /// Whether TLS is switched on when the server offers it.
        enable_starttls_auto: bool = "SMTP_ENABLE_STARTTLS_AUTO", Text("true"), "true";
        /// Whether the connection is TLS from its start, as on port 465.
        tls: bool = "SMTP_TLS" | "SMTP_SSL", Text("false"), "true";
        /// Whether the server's certificate has to be valid.
        openssl_verify_mode: SmtpVerify = "SMTP_OPENSSL_VERIFY_MODE", Text("peer"), "peer";
        /// Who mails come from.
        sender: Mailbox = "MAILER_SENDER_EMAIL", Text("Chatwarden <accounts@localhost>"),
            "Example Desk <desk@example.com>";
        /// Domain whose mail reaches this server; answers to conversations go to addresses in it.
        inbound_domain: Option<String> = "MAILER_INBOUND_EMAIL_DOMAIN", Absent, "reply.example.com";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes() {
        let mailbox = |name: &str, address: &str| {
            Some(Mailbox {
                name: (!name.is_empty()).then(|| name.to_owned()),
                address: address.to_owned(),
            })
        };
        for (text, expected) in [
            ("desk@example.com", mailbox("", "desk@example.com")),
            ("Desk <desk@example.com>", mailbox("Desk", "desk@example.com")),
            ("\"Desk, Inc\" <d@example.com>", mailbox("Desk, Inc", "d@example.com")),
            ("Desk", None),
            ("Desk <desk>", None),
            ("a@b@c", None),
            ("Desk\r\nBcc: x <desk@example.com>", None),
        ] {
            assert_eq!(Mailbox::parse(text).ok(), expected, "{text:?}");
        }
    }
}
