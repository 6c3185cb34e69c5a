//! A notification by mail (`mail.md §1.2`): what it says, and whether it is still to be sent.

use chatwarden_db::{Tx, args};
use serde_json::{Value, json};

use super::dispatch::Recipient;
use super::{Kind, sql};
use crate::conversations::{self, Status};
use crate::desk::desk;
use crate::error::Result;
use crate::ids::{ConversationId, MessageId};
use crate::mail::{Filled, said_in};
use crate::markdown;
use crate::messages;
use crate::scope::Scope;
use crate::users::Member;

/// What the mail of a notification says; nothing where the member has read or removed it, may not see it, sits in
/// front of it, or does not want it any more. That something newer took its place in the list is no reason: who
/// wants to know of assignments is not told of them by a message.
///
/// # Errors
/// What the database says.
pub(crate) async fn letter(tx: &mut Tx<'_>, scope: &Scope, args: &Value) -> Result<Option<Filled>> {
    let id = |key: &str| args.get(key).and_then(Value::as_i64);
    let (Some(notification), Some(user), Some(conversation)) =
        (id("notification_id"), id("user_id"), id("conversation_id").map(ConversationId))
    else {
        return Ok(None);
    };
    let kind = args.get("kind").and_then(Value::as_str).and_then(Kind::named);
    let Some(kind) = kind else { return Ok(None) };
    let account = scope.account_id();
    let (news,) = tx.one(&sql::NEWS, args![account, user, conversation, notification]).await?;
    if !news {
        return Ok(None);
    }
    let Some(c) = conversations::sql::get(tx, scope, conversation).await? else { return Ok(None) };
    let recipient = sql::recipients(tx, scope, &c, &[user]).await?.into_iter().next();
    let Some(Recipient { member, wishes }) = recipient else { return Ok(None) };
    let member = Member::from(member);
    let mention = kind == Kind::ConversationMention;
    let pending = matches!(kind, Kind::ConversationCreation | Kind::ConversationAssignment)
        && c.row.status == Status::Pending;
    let new_message = matches!(
        kind,
        Kind::AssignedConversationNewMessage | Kind::ParticipatingConversationNewMessage
    );
    let present = desk(tx).presence.user_online(account, member.id, tx.now());
    if wishes.email_flags & kind.flag() == 0
        || !member.confirmed
        || (c.contact.blocked && !mention)
        || pending
        || (new_message && present)
    {
        return Ok(None);
    }
    let name = member.available_name().to_owned();
    let number = format!("[ID - {}]", c.row.display_id);
    let link = format!(
        "{}/app/accounts/{}/conversations/{}",
        desk(tx).frontend_url,
        account,
        c.row.display_id
    );
    let mut context = json!({
        "name": name, "link": link, "inbox": c.inbox.name, "contact": c.contact.name,
        "participating": kind == Kind::ParticipatingConversationNewMessage, "messages": [],
    });
    let mut put = |key: &str, value: Value| {
        if let Some(object) = context.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if !new_message {
        let recent = messages::list(tx, scope, c.row.id, None, None, true).await?;
        put("messages", said_in(tx, &c, &recent, Some(member.id), None));
    }
    if mention {
        let note = match id("message_id") {
            Some(id) => messages::get(tx, scope, MessageId(id)).await?,
            None => None,
        };
        let Some(note) = note else { return Ok(None) };
        let text = note.message.content.as_deref().unwrap_or_default();
        put("note", json!(markdown::to_html(text)));
        put("sender", json!(note.user.as_ref().map_or("somebody", |user| user.name.as_str())));
    }
    let (template, subject) = match kind {
        Kind::ConversationCreation => (
            "conversation_creation.html",
            format!("{name}, A new conversation {number} has been created in {}.", c.inbox.name),
        ),
        Kind::ConversationAssignment => (
            "conversation_assignment.html",
            format!("{name}, A new conversation {number} has been assigned to you."),
        ),
        Kind::ConversationMention => (
            "conversation_mention.html",
            format!("{name}, You have been mentioned in conversation {number}"),
        ),
        Kind::AssignedConversationNewMessage => (
            "new_message.html",
            format!("{name}, New message in your assigned conversation {number}."),
        ),
        Kind::ParticipatingConversationNewMessage => (
            "new_message.html",
            format!("{name}, New message in your participating conversation {number}."),
        ),
    };
    Ok(Some(Filled { template, from: None, reply_to: None, subject, context }))
}
