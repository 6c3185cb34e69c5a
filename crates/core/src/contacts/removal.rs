//! Removing contacts: gone at once for everybody, their conversations are deleted a few at a time.

use chatwarden_db::{Tx, WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde_json::json;

use super::{Contact, announce, lock, sql};
use crate::Store;
use crate::conversations::destroy::remove_all;
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events;
use crate::ids::{AccountId, ContactId};
use crate::messages::capitalised;
use crate::scope::Scope;

/// The kind of the job that deletes a removed contact's conversations.
pub const JOB: &str = "contacts.purge";

statements! {
    /// $1 account, $2 contact; the sockets' tokens come back
    DELETE_CONTACT_INBOXES: (String,) = "contact_removal.delete_contact_inboxes",
        "delete from contact_inboxes where account_id = $1 and contact_id = $2 returning pubsub_token";
    /// $1 account, $2 contact
    DELETE_NOTES: () = "contact_removal.delete_notes", "delete from notes where account_id = $1 and contact_id = $2";
    /// $1 account, $2 contact: some of its conversations, locked
    CONVERSATIONS: (i64,) = "contact_removal.conversations",
        "select c.id from conversations c where c.account_id = $1 and c.contact_id = $2 order by c.id limit 100 @lock(c)";
}

/// Whether a contact was seen lately.
pub fn is_online(tx: &Tx<'_>, contact: &Contact) -> bool {
    desk(tx).presence.contact_online(contact.account_id, contact.id, tx.now())
}

/// Removes a contact; one who is present only where those go as well.
///
/// # Errors
/// [`Error::NotFound`] where there is none; [`Error::Invalid`] while it is present and stays for that.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: ContactId,
    present_too: bool,
) -> Result<()> {
    let account = scope.account_id();
    // Contact inboxes are locked before the contact, as those do who open a conversation.
    let mut tokens = tx.all(&DELETE_CONTACT_INBOXES, args![account, id]).await?;
    let contact = lock(tx, scope, id).await?;
    // What whoever held the contact until now gave it: another's by a merge, a new one.
    tokens.extend(tx.all(&DELETE_CONTACT_INBOXES, args![account, id]).await?);
    if !present_too && is_online(tx, &contact) {
        let fault = format!("{} is Online, please try again later", capitalised(&contact.name));
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
    let contact = job.payload.get("contact_id").and_then(serde_json::Value::as_i64);
    let contact = contact.ok_or_else(|| JobError::Fail("no contact_id".to_owned()))?;
    let account = AccountId(job.account_id);
    remove_all(&store, account, &CONVERSATIONS, contact)
        .await
        .map_err(|error| JobError::Retry(error.to_string()))
}
