//! The removal of an inbox: its door shuts at once, its rows go a few at a time.

use chatwarden_db::{WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde_json::{Value, json};

use super::{changed, sql};
use crate::Store;
use crate::conversations::destroy::remove_all;
use crate::error::{Error, Result};
use crate::ids::{AccountId, InboxId};
use crate::scope::{Admin, Scope};

/// The kind of the job that deletes them.
pub const JOB: &str = "inboxes.purge";
/// The rows that go in one transaction.
const BATCH: u64 = 500;

statements! {
    /// $1 account, $2 inbox: some of its conversations, locked
    CONVERSATIONS: (i64,) = "inboxes.purge_conversations",
        "select c.id from conversations c where c.account_id = $1 and c.inbox_id = $2 order by c.id limit 100 @lock(c)";
    /// $1 account, $2 inbox
    CONTACT_INBOXES: () = "inboxes.purge_contact_inboxes",
        "delete from contact_inboxes where account_id = $1 and id in (
            select id from contact_inboxes where account_id = $1 and inbox_id = $2 limit 500)";
    /// $1 account, $2 inbox
    MEMBERS: () = "inboxes.purge_members", "delete from inbox_members where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox
    TURNS: () = "inboxes.purge_turns", "delete from assignment_turns where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox
    POLICY: () = "inboxes.purge_policy",
        "delete from inbox_assignment_policies where account_id = $1 and inbox_id = $2";
    /// $1 account, $2 inbox
    DELETE: () = "inboxes.delete", "delete from inboxes where account_id = $1 and id = $2";
}

/// Removes an inbox. From now on nobody reaches it: without its channel it has no door. Its
/// conversations go after that.
///
/// # Errors
/// [`Error::NotFound`] where the account has no such inbox.
pub async fn delete(tx: &mut WriteTx<'_>, admin: &Scope<Admin>, id: InboxId) -> Result<()> {
    let account = admin.account_id();
    if tx.run(&sql::DELETE_CHANNEL, args![account, id]).await? == 0 {
        return Err(Error::NotFound);
    }
    tx.run(&sql::DISCONNECT_BOT, args![account, id]).await?;
    enqueue(tx, &NewJob::new(account.0, JOB, json!({"inbox_id": id}))).await?;
    changed(tx, admin).await
}

/// Deletes the rows of the job's inbox. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn run(store: Store, job: Job) -> Result<(), JobError> {
    let scope = Scope::of_job(AccountId(job.account_id));
    let Some(inbox) = job.payload.get("inbox_id").and_then(Value::as_i64).map(InboxId) else {
        return Ok(());
    };
    purge(&store, &scope, inbox).await.map_err(|error| JobError::Retry(error.to_string()))
}

async fn purge(store: &Store, scope: &Scope, inbox: InboxId) -> Result<()> {
    let account = scope.account_id();
    remove_all(store, account, &CONVERSATIONS, inbox.0).await?;
    while store.write(async move |tx| tx.run(&CONTACT_INBOXES, args![account, inbox]).await).await?
        >= BATCH
    {}
    store
        .write(async move |tx| {
            tx.run(&MEMBERS, args![account, inbox]).await?;
            tx.run(&TURNS, args![account, inbox]).await?;
            tx.run(&POLICY, args![account, inbox]).await?;
            tx.run(&DELETE, args![account, inbox]).await?;
            Ok::<_, Error>(())
        })
        .await
}
