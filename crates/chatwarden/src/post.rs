//! How the product's jobs hand letters to the mail server.

use std::time::Instant;

use async_trait::async_trait;
use chatwarden_core::mail::Letter;
use chatwarden_core::outside::{Failure, Post};
use chatwarden_mail as mail;

/// The mail server.
#[derive(Debug, Clone)]
pub struct MailServer(pub mail::Mailer);

#[async_trait]
impl Post for MailServer {
    async fn send(&self, letter: Letter) -> Result<(), Failure> {
        let Letter { from, reply_to, to, subject, html, message_id } = letter;
        let letter = mail::Letter { from, reply_to, to, subject, html, message_id };
        let began = Instant::now();
        let sent = self.0.send(&letter).await;
        let outcome = match &sent {
            Ok(()) => "success",
            Err(mail::Failure::Refused(_)) => "refused",
            Err(mail::Failure::Later(_)) => "failure",
        };
        metrics::histogram!("email.send", "outcome" => outcome).record(began.elapsed());
        sent.map_err(|failure| match failure {
            mail::Failure::Refused(text) => Failure::Refused(text),
            mail::Failure::Later(text) => Failure::Unreachable(text),
        })
    }
}
