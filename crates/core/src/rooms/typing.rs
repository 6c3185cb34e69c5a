//! Who is writing just now (`realtime.md §6`, typing).

use chatwarden_db::WriteTx;
use serde::Serialize;
use serde_json::Value;

use crate::contacts::ContactPush;
use crate::conversations::{Conversation, ConversationPush};
use crate::error::Result;
use crate::events::{self, Audience, Event, Performer};
use crate::messages;
use crate::scope::Scope;
use crate::users::{Member, UserPush};

/// Who types.
#[derive(Debug, Clone, Copy)]
pub enum Typist<'a> {
    /// A member: who hears nothing of it.
    User(&'a Member),
    /// The conversation's contact: who hears nothing of it.
    Contact,
    /// An agent bot, by its push form.
    Bot(&'a Value),
}

#[derive(Serialize)]
struct Typing<'a> {
    conversation: ConversationPush<'a>,
    user: Who<'a>,
    is_private: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Who<'a> {
    User(UserPush),
    Contact(ContactPush<'a>),
    Bot(&'a Value),
}

/// Tells everybody else that somebody began (`on`) or stopped typing in a conversation.
///
/// # Errors
/// What the database says.
pub async fn tell(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    on: bool,
    typist: Typist<'_>,
    private: bool,
    by: &Performer,
) -> Result<()> {
    let last = match c.row.last_public_message_id {
        Some(id) => messages::get(tx, scope, id).await?,
        None => None,
    };
    let agents = Audience::inbox(scope, c.row.inbox_id);
    let (audience, user) = match typist {
        Typist::Contact => (agents, Who::Contact(ContactPush::of(tx, &c.contact))),
        Typist::Bot(push) => (agents.and_visitor(&c.contact_inbox), Who::Bot(push)),
        Typist::User(member) => (
            agents.and_visitor(&c.contact_inbox).except(member.pubsub_token.clone()),
            Who::User(UserPush::of(tx, member)),
        ),
    };
    let name = if on { "conversation.typing_on" } else { "conversation.typing_off" };
    let payload = Typing {
        conversation: ConversationPush::of(tx, c, last.as_ref()),
        user,
        is_private: private,
    };
    let context = serde_json::json!({"conversation_id": c.row.id});
    events::emit(tx, scope, &Event::new(name, audience).by(by).context(context), &payload);
    Ok(())
}
