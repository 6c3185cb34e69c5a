//! Who is told of an event.

use chatwarden_db::WriteTx;
use chatwarden_jobs::outbox::Stored;
use chatwarden_jobs::{Job, JobError, NewJob};
use serde_json::{Value, json};

use super::{Kind, push, sql};
use crate::conversations::{self, Conversation, Status};
use crate::error::{Error, Result};
use crate::events::{self, Audience, Event};
use crate::ids::{AccountId, ConversationId, MessageId, UserId};
use crate::messages::{self, Sent};
use crate::scope::Scope;
use crate::{Store, users};

/// The kind of the job.
pub const JOB: &str = "notifications.dispatch";

/// The job of an event that somebody may have to be told of. Most messages are in conversations nobody has,
/// or by those who have them: they cause none.
pub fn jobs_for(stored: &Stored) -> Option<NewJob> {
    let context = &stored.entry.context;
    let id = |key: &str| context.get(key).and_then(Value::as_i64);
    let somebody = match stored.entry.event.as_str() {
        "message.created" => {
            context.get("public") == Some(&Value::Bool(true))
                && id("assignee_id").is_some_and(|assignee| Some(assignee) != id("user_id"))
        }
        "assignee.changed" => id("assignee_id").is_some_and(|assignee| Some(assignee) != id("by")),
        "conversation.created" => true,
        _ => false,
    };
    somebody.then(|| {
        let payload = json!({"event": stored.entry.event, "context": context});
        NewJob::new(stored.entry.account_id, JOB, payload).unique(format!("notify:{}", stored.id))
    })
}

/// Makes the notifications of an event.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
pub async fn dispatch(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    store
        .write(async move |tx| tell(tx, &scope, &job.payload).await)
        .await
        .map_err(|error: Error| JobError::Retry(error.to_string()))
}

async fn tell(tx: &mut WriteTx<'_>, scope: &Scope, payload: &Value) -> Result<()> {
    let context = payload.get("context").unwrap_or(&Value::Null);
    let id = |key: &str| context.get(key).and_then(Value::as_i64);
    let Some(conversation) = id("conversation_id").map(ConversationId) else { return Ok(()) };
    // Gone meanwhile: there is nothing to tell of.
    let Some(c) = conversations::sql::get(tx, scope, conversation).await? else { return Ok(()) };
    if c.contact.blocked {
        return Ok(());
    }
    let message = match id("message_id") {
        Some(id) => messages::get(tx, scope, MessageId(id)).await?,
        None => None,
    };
    match payload.get("event").and_then(Value::as_str) {
        Some("message.created") => {
            if let (Some(assignee), Some(sent)) = (c.row.assignee_id, &message) {
                create(tx, scope, &c, assignee, Kind::AssignedConversationNewMessage, Some(sent))
                    .await?;
            }
        }
        Some("assignee.changed") => {
            if let Some(assignee) = id("assignee_id").map(UserId) {
                create(tx, scope, &c, assignee, Kind::ConversationAssignment, None).await?;
            }
        }
        Some("conversation.created") if c.row.status != Status::Pending => {
            for user in sql::want_creation(tx, scope, c.row.inbox_id).await? {
                create(tx, scope, &c, user, Kind::ConversationCreation, None).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Tells one user, if they may see the conversation.
async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    user: UserId,
    kind: Kind,
    message: Option<&Sent>,
) -> Result<()> {
    let Some(member) = users::sql::member(tx, scope, user).await? else { return Ok(()) };
    let may_see = member.role == users::Role::Administrator
        || crate::inboxes::sql::is_member(tx, scope, c.row.inbox_id, user).await?;
    if !may_see {
        return Ok(());
    }
    let secondary = message.map(|sent| ("Message", sent.message.id.0));
    let made = sql::replace(tx, scope, user, kind, c.row.id, secondary).await?;
    let last = match c.row.last_public_message_id {
        Some(id) => messages::get(tx, scope, id).await?,
        None => None,
    };
    let unread = sql::unread(tx, scope, user).await?;
    let form = push::form(tx, &made, c, last.as_ref(), message, &member);
    let data = json!({"notification": form, "unread_count": unread, "count": unread});
    events::emit(
        tx,
        scope,
        &Event::new("notification.created", Audience::tokens([member.pubsub_token])),
        &data,
    );
    Ok(())
}
