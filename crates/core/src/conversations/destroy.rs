//! Deleting conversations: gone at once for everybody, with their messages deleted a few at a time.

use chatwarden_db::{DbError, WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde_json::json;

use crate::Store;
use crate::error::Result;
use crate::ids::{AccountId, ConversationId, DisplayId};
use crate::scope::{Admin, Scope};

/// The kind of the job that deletes the messages of a conversation that is gone.
pub const PURGE: &str = "conversations.purge";
/// The rows that go in one transaction.
const BATCH: u64 = 500;

statements! {
    /// $1 account, $2 conversation
    DELETE: () = "conversations.delete", "delete from conversations where account_id = $1 and id = $2";
    /// $1 account, $2 conversation
    DELETE_NOTIFICATIONS: () = "conversations.delete_notifications",
        "delete from notifications where account_id = $1 and primary_actor_id = $2";
    /// $1 account, $2 conversations
    DELETE_MENTIONS: () = "conversations.delete_mentions",
        "delete from mentions where account_id = $1 and conversation_id @in($2)";
    /// $1 account, $2 conversations, $3 now: what their messages carried, and nobody else's do
    GIVE_UP_FILES: () = "conversations.give_up_files",
        "update blobs set purged_at = $3 where account_id = $1 and purpose = 0 and purged_at is null
            and id in (select a.blob_id from attachments a where a.account_id = $1 and a.conversation_id @in($2))
            and not exists (select 1 from attachments a where a.account_id = $1 and a.blob_id = blobs.id
                and a.conversation_id @not_in($2))";
    /// $1 account, $2 conversation; their attachments go with them
    DELETE_MESSAGES: () = "conversations.delete_messages",
        "delete from messages where account_id = $1 and id in (
            select m.id from messages m where m.account_id = $1 and m.conversation_id = $2 order by m.id limit 500)";
}

/// Deletes a conversation.
///
/// # Errors
/// [`crate::Error::NotFound`] where the account has none of that number.
pub async fn destroy(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, id: DisplayId) -> Result<()> {
    let c = super::lock(tx, scope, id).await?;
    tx.run(&DELETE_NOTIFICATIONS, args![scope.account_id(), c.row.id]).await?;
    tx.run(&DELETE_MENTIONS, args![scope.account_id(), vec![c.row.id.0]]).await?;
    tx.run(&DELETE, args![scope.account_id(), c.row.id]).await?;
    let payload = json!({"conversation_id": c.row.id});
    enqueue(tx, &NewJob::new(scope.account_id().0, PURGE, payload)).await?;
    Ok(())
}

/// Deletes what is left of a conversation. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn purge(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    let Some(id) = job.payload.get("conversation_id").and_then(serde_json::Value::as_i64) else {
        return Err(JobError::Fail("the job names no conversation".to_owned()));
    };
    let (account, id) = (scope.account_id(), ConversationId(id));
    store
        .write(async move |tx| {
            let now = tx.now();
            tx.run(&GIVE_UP_FILES, args![account, vec![id.0], now]).await
        })
        .await
        .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
    loop {
        let deleted = store
            .write(async move |tx| tx.run(&DELETE_MESSAGES, args![account, id]).await)
            .await
            .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
        if deleted < BATCH {
            return Ok(());
        }
    }
}
