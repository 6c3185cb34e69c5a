//! What the installation lends every transaction: its addresses, its limits, and who is present.

use std::fmt;
use std::sync::Arc;

use chatwarden_db::{Timestamp, Tx};

use crate::ids::{AccountId, ContactId, UserId};
use crate::inboxes::doors::Doors;

/// The installation, as operations know it.
#[derive(Clone)]
pub struct Desk {
    /// Where clients reach the server, without a trailing slash (`FRONTEND_URL`).
    pub frontend_url: String,
    /// The locale of new accounts (`DEFAULT_LOCALE`).
    pub default_locale: String,
    /// What accounts without a support address show (`MAILER_SENDER_EMAIL`).
    pub sender_email: String,
    /// Whether there is a mail server (`SMTP_ADDRESS`); without one no mail is made.
    pub sends_mail: bool,
    /// Signs widget tokens and links (`SECRET_KEY_BASE`).
    pub secret: Arc<str>,
    /// Sessions a user may have (`MAX_USER_SESSIONS`).
    pub max_user_sessions: i64,
    /// Days a widget token lives (`WIDGET_TOKEN_EXPIRY`).
    pub widget_token_days: i64,
    /// Conversations on a page (`CONVERSATION_RESULTS_PER_PAGE`).
    pub conversations_per_page: i64,
    /// Messages a conversation may get in a minute (`CONVERSATION_MESSAGE_PER_MINUTE_LIMIT`).
    pub messages_per_minute: i64,
    /// Who may sign up (`ENABLE_ACCOUNT_SIGNUP`).
    pub signup: Signup,
    /// Who is present.
    pub presence: Arc<dyn Presence>,
    /// The inboxes that were found lately by what the outside shows.
    pub doors: Doors,
}

/// Who may open an account without being asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Signup {
    /// Nobody.
    #[default]
    Closed,
    /// Everybody, once the address is confirmed.
    Open,
    /// Programs: what they open is theirs at once.
    ApiOnly,
}

/// Tells who was seen lately. Answers from memory: it is asked inside transactions.
pub trait Presence: Send + Sync {
    /// Whether a user was seen within the window (`realtime.md §4`).
    fn user_online(&self, account: AccountId, user: UserId, now: Timestamp) -> bool;
    /// Whether a contact was seen within the window.
    fn contact_online(&self, account: AccountId, contact: ContactId, now: Timestamp) -> bool;
    /// The users seen within the window.
    fn users(&self, account: AccountId, now: Timestamp) -> Vec<UserId>;
    /// The contacts seen within the window.
    fn contacts(&self, account: AccountId, now: Timestamp) -> Vec<ContactId>;
}

/// Nobody is present: for commands that run without a server.
#[derive(Debug, Default)]
pub struct NobodyPresent;

impl Presence for NobodyPresent {
    fn user_online(&self, _: AccountId, _: UserId, _: Timestamp) -> bool {
        false
    }
    fn contact_online(&self, _: AccountId, _: ContactId, _: Timestamp) -> bool {
        false
    }
    fn users(&self, _: AccountId, _: Timestamp) -> Vec<UserId> {
        Vec::new()
    }
    fn contacts(&self, _: AccountId, _: Timestamp) -> Vec<ContactId> {
        Vec::new()
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("frontend_url", &self.frontend_url).finish_non_exhaustive()
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            frontend_url: "http://127.0.0.1:3000".to_owned(),
            default_locale: "en".to_owned(),
            sender_email: "Chatwarden <accounts@chatwarden.local>".to_owned(),
            sends_mail: true,
            secret: Arc::from(""),
            max_user_sessions: 25,
            widget_token_days: 180,
            conversations_per_page: 25,
            messages_per_minute: 200,
            signup: Signup::Closed,
            presence: Arc::new(NobodyPresent),
            doors: Doors::default(),
        }
    }
}

impl Desk {
    /// Whether it is reached by HTTPS.
    pub fn is_secure(&self) -> bool {
        self.frontend_url.starts_with("https://")
    }
}

/// The installation that `tx` belongs to.
pub fn desk(tx: &Tx<'_>) -> Arc<Desk> {
    tx.ambient().lent.clone().downcast::<Desk>().unwrap_or_default()
}
