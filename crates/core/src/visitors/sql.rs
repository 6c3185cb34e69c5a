//! Statements on visitors' conversations.

use chatwarden_db::{DbError, Tx, WriteTx, args, statements};

use super::{Sight, Visitor};
use crate::conversations::sql::{conversation_columns, conversation_from};
use crate::conversations::{self, Conversation};
use crate::ids::{ConversationId, DisplayId, MessageId};
use crate::inboxes::WEB_WIDGET;

/// Which conversations a visitor sees: $1 account, $2 contact, $3 contact inbox, $4 whether all that come from
/// proved identities count, $5 whether all of the contact count.
macro_rules! visible {
    () => {
        "where c.account_id = $1 and c.contact_id = $2 and (c.contact_inbox_id = $3 or ($4 and ci.hmac_verified) or $5) "
    };
}

/// The same within an inbox: $6.
macro_rules! visible_in_inbox {
    () => {
        concat!(visible!(), "and c.inbox_id = $6 ")
    };
}

/// Locks are taken of the row alone: what is joined is read after, as it is by then.
macro_rules! lock_from {
    () => {
        "select c.id from conversations c
         join contact_inboxes ci on ci.account_id = c.account_id and ci.id = c.contact_inbox_id "
    };
}

statements! {
    /// As [`visible_in_inbox!`]
    NEWEST: Conversation = "visitors.newest", (concat!("select ", conversation_columns!(), " ", conversation_from!(),
        visible_in_inbox!(), "order by c.id desc limit 1"));
    /// As [`visible_in_inbox!`]
    LOCK_NEWEST: (ConversationId,) = "visitors.lock_newest", (concat!(lock_from!(), visible_in_inbox!(), "order by c.id desc limit 1 @lock(c)"));
    /// As [`visible!`], $6 display id
    CONVERSATION: Conversation = "visitors.conversation", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), visible!(), "and c.display_id = $6"));
    /// As [`visible!`], $6 display id
    LOCK_CONVERSATION: (ConversationId,) = "visitors.lock_conversation", (concat!(lock_from!(), visible!(), "and c.display_id = $6 @lock(c)"));
    /// As [`visible!`]; newest first
    CONVERSATIONS: Conversation = "visitors.conversations", (concat!("select ", conversation_columns!(), " ",
        conversation_from!(), visible!(), "order by c.id desc limit 100"));
    /// As [`visible_in_inbox!`], $7 message: the conversation it is in
    LOCK_OF_MESSAGE: (ConversationId,) = "visitors.lock_of_message", (concat!(lock_from!(), visible_in_inbox!(),
        "and c.id = (select m.conversation_id from messages m where m.account_id = $1 and m.id = $7) @lock(c)"));
    /// $1 account, $2 titles
    KNOWN_LABELS: (String,) = "visitors.known_labels",
        "select title from labels where account_id = $1 and title @in($2) order by title";
}

impl Visitor {
    /// An API inbox's client that has proved who it is sees all of the contact's conversations; a website's
    /// sees those of the website (`behaviours.md §20`, `widget.md §5`).
    fn sight(&self) -> Sight {
        if self.door.inbox.channel_type == WEB_WIDGET { Sight::Inbox } else { Sight::Contact }
    }

    /// Whether conversations from proved identities count, and whether all do.
    fn reach(&self) -> (bool, bool) {
        let proved = self.contact_inbox.hmac_verified;
        match self.sight() {
            Sight::Inbox => (proved, false),
            Sight::Contact => (proved, proved),
        }
    }
}

macro_rules! visible_args {
    ($visitor:expr $(, $more:expr)*) => {{
        let (proved, all) = $visitor.reach();
        args![
            $visitor.door.scope.account_id(),
            $visitor.contact_inbox.contact_id,
            $visitor.contact_inbox.id,
            proved,
            all
            $(, $more)*
        ]
    }};
}

/// A conversation that was locked.
async fn locked(
    tx: &mut WriteTx<'_>,
    v: &Visitor,
    found: Option<(ConversationId,)>,
) -> Result<Option<Conversation>, DbError> {
    match found {
        Some((id,)) => conversations::sql::get(tx, &v.door.scope, id).await,
        None => Ok(None),
    }
}

/// A visitor's newest conversation in the inbox.
pub async fn newest(tx: &mut Tx<'_>, v: &Visitor) -> Result<Option<Conversation>, DbError> {
    tx.opt(&NEWEST, visible_args![v, v.door.inbox.id]).await
}

/// The same, locked until the transaction ends.
pub async fn lock_newest(
    tx: &mut WriteTx<'_>,
    v: &Visitor,
) -> Result<Option<Conversation>, DbError> {
    let found = tx.opt(&LOCK_NEWEST, visible_args![v, v.door.inbox.id]).await?;
    locked(tx, v, found).await
}

/// A visitor's conversation by its number.
pub async fn conversation(
    tx: &mut Tx<'_>,
    v: &Visitor,
    id: DisplayId,
) -> Result<Option<Conversation>, DbError> {
    tx.opt(&CONVERSATION, visible_args![v, id]).await
}

/// The same, locked until the transaction ends.
pub async fn lock_conversation(
    tx: &mut WriteTx<'_>,
    v: &Visitor,
    id: DisplayId,
) -> Result<Option<Conversation>, DbError> {
    let found = tx.opt(&LOCK_CONVERSATION, visible_args![v, id]).await?;
    locked(tx, v, found).await
}

/// A visitor's newest conversations, newest first.
pub async fn conversations(tx: &mut Tx<'_>, v: &Visitor) -> Result<Vec<Conversation>, DbError> {
    tx.all(&CONVERSATIONS, visible_args![v]).await
}

/// The conversation, one of the visitor's in the inbox, that has a message; locked.
pub async fn lock_of_message(
    tx: &mut WriteTx<'_>,
    v: &Visitor,
    message: MessageId,
) -> Result<Option<Conversation>, DbError> {
    let found = tx.opt(&LOCK_OF_MESSAGE, visible_args![v, v.door.inbox.id, message]).await?;
    locked(tx, v, found).await
}
