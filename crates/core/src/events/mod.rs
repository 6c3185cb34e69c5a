//! Events: what happened, for everybody who must hear of it.
//!
//! An operation emits an event within its transaction; it becomes an outbox row with the cable
//! message serialised once. After the commit it goes to the sockets at once, and the relay turns it
//! into jobs (`realtime.md §5`, §6).

use chatwarden_db::{DbError, WriteTx};
use chatwarden_jobs::outbox;
use serde::Serialize;
use serde_json::{Value, json};

use crate::contacts::{self, ContactInbox};
use crate::ids::{AccountId, InboxId};
use crate::scope::Scope;
use crate::users::UserPush;

/// Who acts: whose name activity messages carry, and who is the event's `performer`.
#[derive(Debug, Clone)]
pub enum Performer {
    /// A member.
    User(UserPush),
    /// An agent bot: its push form.
    Bot(Value),
    /// A contact, by name: no performer on the wire.
    Contact(String),
    /// The rules by which conversations are handed out, by name: no performer on the wire.
    Policy(String),
    /// Nobody: background work.
    System,
}

impl Performer {
    /// The name for activity messages.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::User(push) => Some(&push.name),
            Self::Bot(push) => push.get("name").and_then(Value::as_str),
            Self::Contact(name) | Self::Policy(name) => Some(name),
            Self::System => None,
        }
    }
}

/// Which sockets hear of an event. Streams are names that only the subscription side hands out.
#[derive(Debug, Clone, Default)]
pub struct Audience {
    streams: Vec<String>,
    /// Tokens of those who are shown contacts by their ids and names alone.
    strangers: Vec<String>,
    except: Option<String>,
}

/// The stream of every member of an account.
pub fn account_stream(account: AccountId) -> String {
    format!("account_{account}")
}

/// The stream of an account's administrators.
pub fn admins_stream(account: AccountId) -> String {
    format!("account_{account}_admins")
}

/// The stream of an inbox's members who are no administrators.
pub fn inbox_stream(inbox: InboxId) -> String {
    format!("inbox_{inbox}")
}

impl Audience {
    /// Every member of the account.
    pub fn account(scope: &Scope) -> Self {
        Self::default().and([account_stream(scope.account_id())])
    }

    /// The members of an inbox, and the administrators (`realtime.md §5.1`, IA).
    pub fn inbox(scope: &Scope, inbox: InboxId) -> Self {
        Self::default().and([inbox_stream(inbox), admins_stream(scope.account_id())])
    }

    /// Whoever holds one of the tokens.
    pub fn tokens(tokens: impl IntoIterator<Item = String>) -> Self {
        Self::default().and(tokens)
    }

    /// These and whoever holds one of the tokens.
    #[must_use]
    pub fn and(mut self, tokens: impl IntoIterator<Item = String>) -> Self {
        self.streams.extend(tokens);
        self
    }

    /// These and whoever writes from a contact inbox.
    #[must_use]
    pub fn and_visitor(mut self, of: &ContactInbox) -> Self {
        let ears = if of.owns_contact() { &mut self.streams } else { &mut self.strangers };
        ears.push(of.pubsub_token.clone());
        self
    }

    /// All of these but whoever holds `token`.
    #[must_use]
    pub fn except(mut self, token: impl Into<String>) -> Self {
        self.except = Some(token.into());
        self
    }
}

/// Who is said to have acted.
#[derive(Debug, Clone, Copy)]
enum By<'a> {
    Nobody,
    Somebody(&'a Performer),
    /// Whose scope it is.
    TheScope,
}

/// An event to be emitted: its name, who hears of it, and what jobs need to know.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    name: &'static str,
    audience: Audience,
    by: By<'a>,
    context: Value,
}

impl<'a> Event<'a> {
    /// An event without a performer.
    pub fn new(name: &'static str, audience: Audience) -> Self {
        Self { name, audience, by: By::Nobody, context: Value::Null }
    }

    /// With the one who acted.
    #[must_use]
    pub fn by(mut self, performer: &'a Performer) -> Self {
        self.by = By::Somebody(performer);
        self
    }

    /// With the member or the bot whose scope it is emitted for, where it is one's.
    #[must_use]
    pub fn by_the_scope(mut self) -> Self {
        self.by = By::TheScope;
        self
    }

    /// With ids for the jobs that the event causes.
    #[must_use]
    pub fn context(mut self, context: Value) -> Self {
        self.context = context;
        self
    }
}

#[derive(Serialize)]
struct Message<'a, T> {
    event: &'static str,
    data: Data<'a, T>,
}

#[derive(Serialize)]
struct Data<'a, T> {
    #[serde(flatten)]
    payload: &'a T,
    account_id: AccountId,
    #[serde(skip_serializing_if = "Option::is_none")]
    performer: Option<&'a Value>,
}

pub use chatwarden_jobs::outbox::position;

/// Emits an event: it exists exactly when the transaction's changes do.
pub fn emit<T: Serialize>(tx: &mut WriteTx<'_>, scope: &Scope, event: &Event<'_>, payload: &T) {
    let of_scope;
    let by = match event.by {
        By::Nobody => &Performer::System,
        By::Somebody(performer) => performer,
        By::TheScope => {
            of_scope = scope.performer(tx);
            &of_scope
        }
    };
    let performer = match by {
        Performer::User(push) => Some(json!(push)),
        Performer::Bot(push) => Some(push.clone()),
        Performer::Contact(_) | Performer::Policy(_) | Performer::System => None,
    };
    let message = Message {
        event: event.name,
        data: Data { payload, account_id: scope.account_id(), performer: performer.as_ref() },
    };
    // Payloads are structs with string keys: serialising them can't fail.
    let message = serde_json::to_string(&message).unwrap_or_default();
    let entry = outbox::Entry {
        account_id: scope.account_id().0,
        event: event.name.to_owned(),
        streams: event.audience.streams.clone(),
        except: event.audience.except.clone(),
        message,
        context: event.context.clone(),
    };
    if !event.audience.strangers.is_empty() {
        // What it causes, the other one does.
        outbox::push(
            tx,
            outbox::Entry {
                event: TOLD_TO_STRANGERS.to_owned(),
                streams: event.audience.strangers.clone(),
                message: to_strangers(&entry.message),
                context: Value::Null,
                ..entry.clone()
            },
        );
    }
    outbox::push(tx, entry);
}

/// The entry of an event that is told to those who must not see its contacts' records.
const TOLD_TO_STRANGERS: &str = "visitor.told";

fn to_strangers(message: &str) -> String {
    let mut message: Value = serde_json::from_str(message).unwrap_or_default();
    contacts::hide_records(&mut message);
    message.to_string()
}

/// The entry that has subscriptions checked again: those that hold its stream, a token. In the outbox as the
/// events are, so that no node misses it whatever becomes of the one that commits it.
pub const REFRESH: &str = "subscription.refresh";

/// Has the subscriptions that hold `token` checked again after the commit: its rights, or itself, changed.
pub fn refresh(tx: &mut WriteTx<'_>, token: impl Into<String>) {
    outbox::push(
        tx,
        outbox::Entry {
            // Tokens are people's, whose accounts may be several.
            account_id: 0,
            event: REFRESH.to_owned(),
            streams: vec![token.into()],
            except: None,
            message: "{}".to_owned(),
            context: Value::Null,
        },
    );
}

/// Writes what was emitted into the outbox; called once, as the last thing before the commit.
pub(crate) async fn flush(tx: &mut WriteTx<'_>) -> Result<Vec<outbox::Stored>, DbError> {
    outbox::flush(tx).await
}
