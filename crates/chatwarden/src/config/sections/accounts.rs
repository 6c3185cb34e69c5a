//! What accounts and the people in them may do.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::config::setting::Fallback::Text;
use crate::config::setting::section;
use crate::config::value::{Mebibytes, Value, choices};

choices! {
    /// Who may open an account without being asked.
    pub enum Signup {
        /// Nobody.
        Closed = "false",
        /// Everybody.
        Open = "true",
        /// Programs, not browsers.
        ApiOnly = "api_only",
    }
}

/// The languages of Chatwoot's interface.
const LOCALES: &str = "ar bg ca cs da de el en es et fa fi fr he hu id is it ja ko lt lv ml nl no pl \
                       pt pt_BR ro ru sk sr sv ta th tr uk uz vi zh_CN zh_TW";

/// A language of the interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale(String);

impl Locale {
    /// The language as Chatwoot spells it, e.g. `pt_BR`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Locale {
    fn form() -> String {
        format!("one of {LOCALES}")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.replace('-', "_");
        LOCALES
            .split_whitespace()
            .find(|known| known.eq_ignore_ascii_case(&text))
            .map(|known| Self(known.to_owned()))
            .ok_or_else(String::new)
    }
}

section! {
    /// What accounts and the people in them may do.
    Accounts in "accounts" {
        /// Who may open an account without being asked: nobody, everybody, or programs only.
        enable_signup: Signup = "ENABLE_ACCOUNT_SIGNUP", Text("false"), "true";
        /// The language of people and accounts that have chosen none.
        default_locale: Locale = "DEFAULT_LOCALE", Text("en"), "de";
        /// Sessions a person may have at the same time.
        max_user_sessions: NonZeroU32 = "MAX_USER_SESSIONS", Text("25"), "25";
        /// Accounts at most.
        max_tenants: NonZeroU32 = "MAX_TENANTS", Text("1000"), "1000";
        /// Conversations on a page of a list.
        conversation_results_per_page: NonZeroU32 = "CONVERSATION_RESULTS_PER_PAGE",
            Text("25"), "25";
        /// How long an agent counts as online after the last sign of life.
        presence_duration: Duration = "PRESENCE_DURATION", Text("20s"), "20s";
        /// How long a visitor counts as online; the widget gives a sign of life each minute.
        contact_presence_duration: Duration = "CONTACT_PRESENCE_DURATION", Text("90s"), "90s";
        /// Days for which a visitor of the widget is known again.
        widget_token_expiry: NonZeroU32 = "WIDGET_TOKEN_EXPIRY", Text("180"), "180";
        /// Messages a conversation may get in a minute.
        messages_per_minute: NonZeroU32 = "CONVERSATION_MESSAGE_PER_MINUTE_LIMIT", Text("200"),
            "200";
        /// The largest file somebody may upload.
        maximum_file_upload_size: Mebibytes = "MAXIMUM_FILE_UPLOAD_SIZE", Text("40"), "40";
        /// Whether clients upload files before the message that carries them.
        direct_uploads_enabled: bool = "DIRECT_UPLOADS_ENABLED", Text("false"), "true";
        /// Whether webhooks may subscribe to the events of inboxes.
        enable_inbox_events: bool = "ENABLE_INBOX_EVENTS", Text("false"), "true";
    }
}
