//! Who is told of an event. The statements are as many for a thousand members as for one.

use std::collections::HashMap;

use chatwarden_db::WriteTx;
use chatwarden_jobs::outbox::Stored;
use chatwarden_jobs::{Job, JobError, NewJob};
use serde_json::{Value, json};

use super::{Kind, Notification, push, sql};
use crate::Store;
use crate::conversations::{self, Conversation, Status};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events::{self, Audience, Event};
use crate::ids::{AccountId, ConversationId, MessageId, NotificationId, UserId};
use crate::mail::{self, Mail, Template};
use crate::messages::{self, Sent};
use crate::meters;
use crate::scope::Scope;
use crate::users::{Member, MemberRow};

/// The kind of the job.
pub const JOB: &str = "notifications.dispatch";

chatwarden_db::row! {
    /// What a member wants to be told, as bits.
    pub struct Wishes {
        pub email_flags: i64,
        pub push_flags: i64,
    }
}

chatwarden_db::joined! {
    /// A member who may be told.
    pub struct Recipient {
        pub member: MemberRow,
        pub wishes: Wishes,
    }
}

/// The job of an event that somebody may have to be told of. Most messages are in conversations nobody has,
/// or by those who have them: they cause none.
pub fn jobs_for(stored: &Stored) -> Option<NewJob> {
    let context = &stored.entry.context;
    let id = |key: &str| context.get(key).and_then(Value::as_i64);
    let somebody = match stored.entry.event.as_str() {
        "message.created" => {
            let flag = |key: &str| context.get(key) == Some(&Value::Bool(true));
            let others = id("assignee_id").is_some_and(|assignee| Some(assignee) != id("user_id"));
            let named = context.get("mentioned").and_then(Value::as_array);
            (flag("notifiable") && (others || flag("followed")))
                || named.is_some_and(|named| !named.is_empty())
        }
        "assignee.changed" => id("assignee_id").is_some_and(|assignee| Some(assignee) != id("by")),
        "conversation.created" | "conversation.bot_handoff" => true,
        _ => false,
    };
    somebody.then(|| {
        let payload = json!({"event": stored.entry.event, "context": context});
        NewJob::new(stored.entry.account_id, JOB, payload).unique(format!("notify:{}", stored.id))
    })
}

/// Makes the notifications of an event, once: a second time they would take the place of the first, read or not, and
/// be mailed again.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
pub async fn dispatch(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    store
        .write(async move |tx| {
            tell(tx, &scope, &job.payload).await?;
            // Last, however long the conversation was waited for: what of somebody else's job is given up.
            if job.finish(tx).await? { Ok(()) } else { Err(Error::NotFound) }
        })
        .await
        .map_err(|error: Error| JobError::Retry(error.to_string()))
}

async fn tell(tx: &mut WriteTx<'_>, scope: &Scope, payload: &Value) -> Result<()> {
    let context = payload.get("context").unwrap_or(&Value::Null);
    let id = |key: &str| context.get(key).and_then(Value::as_i64);
    let Some(conversation) = id("conversation_id").map(ConversationId) else { return Ok(()) };
    // Locked, so that two events of it leave each member one notification. Gone meanwhile: there is nothing to
    // tell of.
    let Some(c) = conversations::sql::lock_row(tx, scope, conversation).await? else {
        return Ok(());
    };
    let event = payload.get("event").and_then(Value::as_str).unwrap_or_default();
    let message = match id("message_id") {
        Some(id) => messages::get(tx, scope, MessageId(id)).await?,
        None => None,
    };
    if event == "message.created" {
        let Some(sent) = &message else { return Ok(()) };
        let sender = id("user_id");
        let named: Vec<i64> = context
            .get("mentioned")
            .and_then(Value::as_array)
            .map(|ids| ids.iter().filter_map(Value::as_i64).collect())
            .unwrap_or_default();
        let told = named.into_iter().filter(|id| Some(*id) != sender).collect();
        notify(tx, scope, &c, told, Kind::ConversationMention, Some(sent)).await?;
        if c.contact.blocked || context.get("notifiable") != Some(&Value::Bool(true)) {
            return Ok(());
        }
        let assignee = c.row.assignee_id.map(|id| id.0).filter(|id| Some(*id) != sender);
        let kind = Kind::AssignedConversationNewMessage;
        notify(tx, scope, &c, assignee.into_iter().collect(), kind, Some(sent)).await?;
        // Each is told once.
        let told: Vec<i64> = assignee.into_iter().chain(sender).collect();
        let followers = sql::following(tx, scope, &c, &told).await?;
        let kind = Kind::ParticipatingConversationNewMessage;
        return create(tx, scope, &c, followers, kind, Some(sent)).await;
    }
    if c.contact.blocked || c.row.status == Status::Pending {
        return Ok(());
    }
    match event {
        "assignee.changed" => {
            let assignee = id("assignee_id").into_iter().collect();
            notify(tx, scope, &c, assignee, Kind::ConversationAssignment, None).await
        }
        "conversation.created" | "conversation.bot_handoff" => {
            let kind = Kind::ConversationCreation;
            let members = sql::wanting(tx, scope, c.row.inbox_id, kind).await?;
            create(tx, scope, &c, members, kind, None).await
        }
        _ => Ok(()),
    }
}

/// Tells those of the users who may see the conversation.
async fn notify(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: Vec<i64>,
    kind: Kind,
    message: Option<&Sent>,
) -> Result<()> {
    let recipients = sql::recipients(tx, scope, c, &users).await?;
    create(tx, scope, c, recipients, kind, message).await
}

/// Makes a notification for each, in the place of what they were told of the conversation before.
async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    recipients: Vec<Recipient>,
    kind: Kind,
    message: Option<&Sent>,
) -> Result<()> {
    if recipients.is_empty() {
        return Ok(());
    }
    let people: HashMap<UserId, (Member, Wishes)> = recipients
        .into_iter()
        .map(|Recipient { member, wishes }| (member.id, (Member::from(member), wishes)))
        .collect();
    let ids: Vec<i64> = people.keys().map(|id| id.0).collect();
    let removed = {
        let args = chatwarden_db::args![scope.account_id(), c.row.id, ids];
        tx.all(&sql::DELETE_OLDER, args).await?
    };
    let message_id = message.map(|sent| sent.message.id);
    let made = sql::insert(tx, scope, &ids, kind, c.row.id, message_id).await?;
    let unread: HashMap<UserId, i64> = sql::unread(tx, scope, &ids).await?.into_iter().collect();
    let quoted = push::quotes(tx, scope, &made, &[c], message).await?;
    let mut mails = Vec::new();
    for notification in &made {
        let Some((member, wishes)) = people.get(&notification.user_id) else { continue };
        let count = unread.get(&member.id).copied().unwrap_or(0);
        announce(tx, scope, "notification.created", notification, c, &quoted, member, count);
        meters::notified(tx, kind);
        if wishes.email_flags & kind.flag() != 0 && member.confirmed {
            mails.push(Mail {
                template: Template::Notification,
                to: member.email.clone(),
                locale: desk(tx).default_locale.clone(),
                args: json!({"notification_id": notification.id, "user_id": member.id, "kind": kind,
                    "conversation_id": c.row.id, "message_id": message_id, "at": notification.created_at}),
            });
        }
    }
    for (id, user) in removed {
        let Some((member, _)) = people.get(&user) else { continue };
        let count = unread.get(&user).copied().unwrap_or(0);
        announce_deleted(tx, scope, id, &member.pubsub_token, count);
    }
    mail::send_all(tx, Some(scope.account_id()), &mails).await
}

/// Tells a member's sockets of a notification of theirs.
#[expect(clippy::too_many_arguments, reason = "each is needed, and nothing holds them together")]
pub(super) fn announce(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    event: &'static str,
    notification: &Notification,
    c: &Conversation,
    quoted: &push::Quotes,
    member: &Member,
    unread: i64,
) {
    let form = push::form(tx, notification, c, quoted, member, push::Titles::OfSockets);
    let data = json!({"notification": form, "unread_count": unread, "count": unread});
    let audience = Audience::tokens([member.pubsub_token.clone()]);
    events::emit(tx, scope, &Event::new(event, audience).by_the_scope(), &data);
}

/// Tells a member's sockets that a notification of theirs is gone.
pub(super) fn announce_deleted(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: NotificationId,
    token: &str,
    unread: i64,
) {
    let data = json!({"notification": {"id": id}, "unread_count": unread, "count": unread});
    let audience = Audience::tokens([token.to_owned()]);
    events::emit(tx, scope, &Event::new("notification.deleted", audience).by_the_scope(), &data);
}
