//! Removing contacts: gone at once for everybody, their conversations are deleted a few at a time.

use chatwarden_db::{Tx, WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde_json::json;

use super::{Contact, announce, lock, sql};
use crate::Store;
use crate::conversations::destroy::{DELETE_MENTIONS, GIVE_UP_FILES};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events;
use crate::ids::{AccountId, ContactId, ConversationId};
use crate::scope::Scope;

/// The kind of the job that deletes a removed contact's conversations.
pub const JOB: &str = "contacts.purge";
/// Conversations that go in one transaction.
const CONVERSATIONS: i64 = 20;
/// Messages that go in one transaction.
const MESSAGES: u64 = 500;

statements! {
    /// $1 account, $2 contact; the sockets' tokens come back
    DELETE_CONTACT_INBOXES: (String,) = "contact_removal.delete_contact_inboxes",
        "delete from contact_inboxes where account_id = $1 and contact_id = $2 returning pubsub_token";
    /// $1 account, $2 contact
    DELETE_NOTES: () = "contact_removal.delete_notes", "delete from notes where account_id = $1 and contact_id = $2";
    /// $1 account, $2 contact, $3 as many
    SOME_CONVERSATIONS: (ConversationId,) = "contact_removal.some_conversations",
        "select id from conversations where account_id = $1 and contact_id = $2 order by id limit $3";
    /// $1 account, $2 conversations
    DELETE_MESSAGES: () = "contact_removal.delete_messages",
        "delete from messages where account_id = $1 and id in (
            select id from messages where account_id = $1 and conversation_id @in($2) order by id limit 500)";
    /// $1 account, $2 conversations
    DELETE_NOTIFICATIONS: () = "contact_removal.delete_notifications",
        "delete from notifications where account_id = $1 and primary_actor_id @in($2)";
    /// $1 account, $2 conversations
    DELETE_CONVERSATIONS: () = "contact_removal.delete_conversations",
        "delete from conversations where account_id = $1 and id @in($2)";
}

/// Whether a contact was seen lately.
pub fn is_online(tx: &Tx<'_>, contact: &Contact) -> bool {
    desk(tx).presence.contact_online(contact.account_id, contact.id, tx.now())
}

/// Removes a contact.
///
/// # Errors
/// [`Error::NotFound`] where there is none; [`Error::Invalid`] while it is present.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope, id: ContactId) -> Result<()> {
    let account = scope.account_id();
    // Contact inboxes are locked before the contact, as those do who open a conversation.
    let tokens = tx.all(&DELETE_CONTACT_INBOXES, args![account, id]).await?;
    let contact = lock(tx, scope, id).await?;
    if is_online(tx, &contact) {
        let fault = format!("{} is Online, please try again later", contact.name);
        return Err(Error::invalid("base", fault));
    }
    for (token,) in tokens {
        events::refresh(tx, token);
    }
    tx.run(&DELETE_NOTES, args![account, id]).await?;
    tx.run(&sql::DELETE, args![account, id]).await?;
    announce(tx, scope, "contact.deleted", &contact);
    let job = NewJob::new(account.0, JOB, json!({"contact_id": id}));
    enqueue(tx, &job).await?;
    Ok(())
}

/// Deletes the conversations of the job's contact. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn purge(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    let contact = job.payload.get("contact_id").and_then(serde_json::Value::as_i64);
    let contact = ContactId(contact.ok_or_else(|| JobError::Fail("no contact_id".to_owned()))?);
    loop {
        let scope = scope.clone();
        let done = store
            .write(async move |tx| purge_some(tx, &scope, contact).await)
            .await
            .map_err(|error: Error| JobError::Retry(error.to_string()))?;
        if done {
            return Ok(());
        }
    }
}

/// Deletes some messages of the contact's first conversations, and with the last of them the conversations.
/// Whether that was all.
async fn purge_some(tx: &mut WriteTx<'_>, scope: &Scope, contact: ContactId) -> Result<bool> {
    let (account, now) = (scope.account_id(), tx.now());
    let found = tx.all(&SOME_CONVERSATIONS, args![account, contact, CONVERSATIONS]).await?;
    let ids: Vec<i64> = found.iter().map(|(id,)| id.0).collect();
    if ids.is_empty() {
        return Ok(true);
    }
    tx.run(&GIVE_UP_FILES, args![account, ids, now]).await?;
    if tx.run(&DELETE_MESSAGES, args![account, ids]).await? == MESSAGES {
        return Ok(false);
    }
    tx.run(&DELETE_NOTIFICATIONS, args![account, ids]).await?;
    tx.run(&DELETE_MENTIONS, args![account, ids]).await?;
    tx.run(&DELETE_CONVERSATIONS, args![account, ids]).await?;
    Ok(false)
}
