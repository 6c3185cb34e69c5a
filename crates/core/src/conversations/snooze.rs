//! Reopening what was snoozed until a time.

use chatwarden_db::{DbError, WriteTx, args, statements};
use chatwarden_jobs::{Every, Job, JobError, Schedule};

use super::{Status, set_status, sql};
use crate::Store;
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::{AccountId, ConversationId};
use crate::scope::Scope;

/// The kind of the job.
pub const REOPEN: &str = "conversations.reopen_snoozed";
/// When it comes (`behaviours.md §8`, snooze).
pub const SNOOZES: Schedule =
    Schedule { name: "conversations.reopen_snoozed", every: Every::Seconds(300), kind: REOPEN };
/// The conversations that are looked up at once.
const BATCH: usize = 500;

statements! {
    /// $1 now: of every account, those whose time has come
    DUE: (AccountId, ConversationId) = "conversations.snoozes_due",
        "select account_id, id from conversations where status = 3 and snoozed_until <= $1
         order by snoozed_until, id limit 500";
}

/// Reopens the conversations whose time has come, each in a transaction of its own.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn reopen(store: Store, _: Job) -> Result<(), JobError> {
    loop {
        let due = store
            .read(async move |tx| {
                let now = tx.now();
                tx.all(&DUE, args![now]).await
            })
            .await
            .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
        let whole = due.len() == BATCH;
        let mut reopened = false;
        for (account, id) in due {
            reopened |= store
                .write(async move |tx| reopen_one(tx, &Scope::of_job(account), id).await)
                .await
                .map_err(|error: Error| JobError::Retry(error.to_string()))?;
        }
        // What can't be reopened, of a contact that is being removed, is still due.
        if !whole || !reopened {
            return Ok(());
        }
    }
}

/// Whether it was due.
async fn reopen_one(tx: &mut WriteTx<'_>, scope: &Scope, id: ConversationId) -> Result<bool> {
    let Some(mut c) = sql::lock_row(tx, scope, id).await? else { return Ok(false) };
    let now = tx.now();
    // Somebody else may have come first.
    let due =
        c.row.status == Status::Snoozed && c.row.snoozed_until.is_some_and(|until| until <= now);
    if due {
        set_status(tx, scope, &mut c, Status::Open, None, &Performer::System).await?;
    }
    Ok(due)
}
