//! Mail that goes out, by SMTP. This crate knows what a letter is and how it is handed to a mail
//! server; who is written to, and why, it does not.
//!
//! A letter is handed over on a connection of its own. Its `Message-ID` is the caller's: a letter that
//! is sent again because it is not known whether it arrived is the same letter to whoever gets it.

mod sign_in;

use std::time::Duration;

use lettre::address::Envelope;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

/// How long a step with the mail server may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// AUTH PLAIN.
    Plain,
    /// AUTH LOGIN.
    Login,
    /// AUTH CRAM-MD5.
    CramMd5,
}

/// When the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Never.
    Never,
    /// As soon as the server offers it.
    WhenOffered,
    /// From the start.
    FromTheStart,
}

/// Whom the mail server is shown.
#[derive(Clone)]
pub struct Account {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
    /// How.
    pub mechanism: Mechanism,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("username", &self.username).finish_non_exhaustive()
    }
}

/// The mail server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The name it is greeted with; this machine's, where none is given.
    pub hello: Option<String>,
    /// Whom it is shown; nobody, where it does not ask.
    pub account: Option<Account>,
    /// When the connection is encrypted.
    pub encryption: Encryption,
    /// Whether its certificate has to be valid.
    pub verify: bool,
}

/// A letter.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Who it is from: an address, or `Name <address>`.
    pub from: String,
    /// Where answers go, if not there.
    pub reply_to: Option<String>,
    /// Whom it is to.
    pub to: Vec<String>,
    /// What it is about.
    pub subject: String,
    /// What it says, as HTML.
    pub html: String,
    /// Its id, with its brackets; the same whenever it is sent again.
    pub message_id: String,
}

/// Why a letter is not sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It never will be: the server does not take it, or it is no letter.
    #[error("{0}")]
    Refused(String),
    /// It may be later: the server is away, busy, or does not know us.
    #[error("{0}")]
    Later(String),
}

/// Hands letters to a mail server.
#[derive(Debug, Clone)]
pub struct Mailer {
    settings: Settings,
}

fn later(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Later(format!("{what}: {error}"))
}

impl Mailer {
    /// A mailer that nobody has spoken to yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Where the mail server is.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}:{}", self.settings.host, self.settings.port)
    }

    /// Hands a letter over.
    ///
    /// # Errors
    /// [`Failure`]: whether it is worth trying again.
    pub async fn send(&self, letter: &Letter) -> Result<(), Failure> {
        let (envelope, bytes) = form(letter)?;
        let mut connection = self.connect().await?;
        let sent = connection.send(&envelope, &bytes).await;
        match sent {
            Ok(_) => {
                // It is taken: a farewell that fails changes nothing.
                if let Err(error) = connection.quit().await {
                    tracing::debug!(%error, "the mail server hung up first");
                }
                Ok(())
            }
            Err(error) if error.is_permanent() || error.is_client() => {
                Err(Failure::Refused(format!("the mail server refuses the letter: {error}")))
            }
            Err(error) => Err(later("the letter is not taken", &error)),
        }
    }

    /// Speaks to the mail server without sending anything.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn check(&self) -> Result<(), Failure> {
        let mut connection = self.connect().await?;
        connection.quit().await.map_err(|error| later("the mail server hung up", &error))?;
        Ok(())
    }

    fn tls(&self) -> Result<TlsParameters, Failure> {
        let accept = !self.settings.verify;
        TlsParameters::builder(self.settings.host.clone())
            .dangerous_accept_invalid_certs(accept)
            .dangerous_accept_invalid_hostnames(accept)
            .build_rustls()
            .map_err(|error| later("TLS can't be set up", &error))
    }

    /// A connection that is ready for a letter.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let Settings { host, port, hello, account, encryption, .. } = &self.settings;
        let hello = match hello {
            Some(name) => ClientId::Domain(name.clone()),
            None => ClientId::default(),
        };
        let at_once = match encryption {
            Encryption::FromTheStart => Some(self.tls()?),
            Encryption::Never | Encryption::WhenOffered => None,
        };
        let server = (host.as_str(), *port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(server, Some(PATIENCE), &hello, at_once, None);
        let mut connection = tokio::time::timeout(PATIENCE, connecting)
            .await
            .map_err(|error| later("the mail server does not answer", &error))?
            .map_err(|error| later("the mail server can't be reached", &error))?;
        if *encryption == Encryption::WhenOffered && connection.can_starttls() {
            let encrypting = connection.starttls(self.tls()?, &hello);
            tokio::time::timeout(PATIENCE, encrypting)
                .await
                .map_err(|error| later("the mail server does not answer", &error))?
                .map_err(|error| later("TLS fails", &error))?;
        }
        if let Some(account) = account {
            let signing_in = sign_in::sign_in(&mut connection, account);
            tokio::time::timeout(PATIENCE, signing_in)
                .await
                .map_err(|error| later("the mail server does not answer", &error))??;
        }
        Ok(connection)
    }
}

impl Account {
    fn credentials(&self) -> Credentials {
        Credentials::new(self.username.clone(), self.password.clone())
    }
}

/// The letter as it goes over the line.
fn form(letter: &Letter) -> Result<(Envelope, Vec<u8>), Failure> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|error| Failure::Refused(format!("{text:?} is no address: {error}")))
    };
    let mut message = Message::builder()
        .from(mailbox(&letter.from)?)
        .subject(letter.subject.replace(['\r', '\n'], " "))
        .message_id(Some(letter.message_id.clone()))
        .header(ContentType::TEXT_HTML);
    for address in &letter.to {
        message = message.to(mailbox(address)?);
    }
    if let Some(address) = &letter.reply_to {
        message = message.reply_to(mailbox(address)?);
    }
    let message = message
        .body(letter.html.clone())
        .map_err(|error| Failure::Refused(format!("it is no letter: {error}")))?;
    Ok((message.envelope().clone(), message.formatted()))
}
