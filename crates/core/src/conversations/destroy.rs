//! Deleting conversations: gone at once for everybody, with what was said in them deleted a few rows at a time.

use chatwarden_db::{Statement, WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde_json::{Value, json};

use super::unread;
use crate::error::{Error, Result};
use crate::ids::{AccountId, BlobId, DisplayId};
use crate::scope::{Admin, Scope};
use crate::{Store, storage};

/// The kind of the job that deletes the messages of conversations that are gone.
pub const PURGE: &str = "conversations.purge";
/// The rows that go in one transaction.
const BATCH: usize = 500;

statements! {
    /// $1 account, $2 conversations
    DELETE: () = "conversations.delete", "delete from conversations where account_id = $1 and id @in($2)";
    /// $1 account, $2 conversations
    DELETE_NOTIFICATIONS: () = "conversations.delete_notifications",
        "delete from notifications where account_id = $1 and primary_actor_id @in($2)";
    /// $1 account, $2 conversations
    DELETE_MENTIONS: () = "conversations.delete_mentions",
        "delete from mentions where account_id = $1 and conversation_id @in($2)";
    /// $1 account, $2 conversations: some of what their messages carried; the files
    DETACH: (Option<BlobId>,) = "conversations.detach",
        "delete from attachments where account_id = $1 and id in (
            select a.id from attachments a where a.account_id = $1 and a.conversation_id @in($2) limit 500)
         returning blob_id";
    /// $1 account, $2 conversations
    DELETE_MESSAGES: () = "conversations.delete_messages",
        "delete from messages where account_id = $1 and id in (
            select m.id from messages m where m.account_id = $1 and m.conversation_id @in($2) limit 500)";
}

/// Deletes a conversation.
///
/// # Errors
/// [`crate::Error::NotFound`] where the account has none of that number.
pub async fn destroy(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, id: DisplayId) -> Result<()> {
    let c = super::lock(tx, scope, id).await?;
    unread::tell_gone(tx, scope, &c, &scope.performer(tx));
    remove(tx, scope.account_id(), vec![c.row.id.0]).await
}

/// Deletes conversations that the transaction holds locked: nobody writes into them any more. What was said in them
/// is deleted after that.
async fn remove(tx: &mut WriteTx<'_>, account: AccountId, ids: Vec<i64>) -> Result<()> {
    let job = NewJob::new(account.0, PURGE, json!({"conversation_ids": ids}));
    for statement in [&DELETE_NOTIFICATIONS, &DELETE_MENTIONS, &DELETE] {
        tx.run(statement, args![account, ids.clone()]).await?;
    }
    enqueue(tx, &job).await?;
    Ok(())
}

/// Deletes all conversations of `of` that `found` finds and locks, some of them in a transaction.
///
/// # Errors
/// What the database says.
pub(crate) async fn remove_all(
    store: &Store,
    account: AccountId,
    found: &'static Statement<(i64,)>,
    of: i64,
) -> Result<()> {
    loop {
        let more = store
            .write(async move |tx| {
                let ids = tx.all(found, args![account, of]).await?;
                let ids: Vec<i64> = ids.into_iter().map(|(id,)| id).collect();
                if ids.is_empty() {
                    return Ok::<_, Error>(false);
                }
                remove(tx, account, ids).await?;
                Ok(true)
            })
            .await?;
        if !more {
            return Ok(());
        }
    }
}

/// Deletes what is left of conversations. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn purge(store: Store, job: Job) -> Result<(), JobError> {
    let account = AccountId(job.account_id);
    let ids = job.payload.get("conversation_ids").and_then(Value::as_array);
    let Some(ids) = ids else {
        return Err(JobError::Fail("the job names no conversations".to_owned()));
    };
    let ids: Vec<i64> = ids.iter().filter_map(Value::as_i64).collect();
    loop {
        let these = ids.clone();
        let more = store
            .write(async move |tx| purge_some(tx, account, these).await)
            .await
            .map_err(|error: Error| JobError::Retry(error.to_string()))?;
        if !more {
            return Ok(());
        }
    }
}

/// Deletes some of what is left of conversations; whether there may be more.
async fn purge_some(tx: &mut WriteTx<'_>, account: AccountId, ids: Vec<i64>) -> Result<bool> {
    let off = tx.all(&DETACH, args![account, ids.clone()]).await?;
    let files: Vec<BlobId> = off.iter().filter_map(|(file,)| *file).collect();
    storage::give_up_detached(tx, account, &files).await?;
    if off.len() == BATCH {
        return Ok(true);
    }
    Ok(tx.run(&DELETE_MESSAGES, args![account, ids]).await? == BATCH as u64)
}
