//! Files that nobody needs any more: given up in a transaction, they go from the disk by a job, and then
//! their rows.

use std::time::Duration;

use chatwarden_db::{Timestamp, WriteTx, args};
use chatwarden_jobs::{Every, Job, JobError, NewJob, Schedule, enqueue};
use serde_json::Value;

use super::sql;
use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{AccountId, BlobId};
use crate::outside::Outside;

/// The kind of the job that removes what was given up.
pub const PURGE: &str = "storage.purge";
/// The kind of the job that gives up what nothing refers to.
pub const SWEEP: &str = "storage.sweep";
/// When it is looked for what nothing refers to.
pub const SCHEDULE: Schedule =
    Schedule { name: "storage.sweep", every: Every::Seconds(3600), kind: SWEEP };

/// Files that nothing refers to for so long are orphans: whoever uploads has a day to send.
const ORPHANED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Files that go in one round.
const BATCH: i64 = 100;

chatwarden_db::row! {
    /// A file on its way out.
    pub struct Given {
        pub account_id: AccountId,
        pub id: BlobId,
        pub key: String,
    }
}

/// Has what the transaction gives up removed once it is committed.
async fn purge_soon(tx: &mut WriteTx<'_>) -> Result<()> {
    let job = NewJob::new(0, PURGE, Value::Null).unique(PURGE);
    enqueue(tx, &job).await?;
    Ok(())
}

/// Gives files up: nothing refers to them any more.
///
/// # Errors
/// What the database says.
pub async fn give_up(tx: &mut WriteTx<'_>, account: AccountId, ids: &[BlobId]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let now = tx.now();
    tx.run(&sql::GIVE_UP, args![account, ids, now]).await?;
    purge_soon(tx).await
}

/// Gives files up that nothing began to refer to since `before`: what was found unused a moment ago may be used by now.
///
/// # Errors
/// What the database says.
pub async fn give_up_unused(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    ids: &[BlobId],
    before: Timestamp,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let now = tx.now();
    tx.run(&sql::GIVE_UP_UNUSED, args![account, ids, now, before]).await?;
    purge_soon(tx).await
}

/// Gives up those of some files that messages referred to, and none does any more.
///
/// # Errors
/// What the database says.
pub async fn give_up_detached(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    ids: &[BlobId],
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    let now = tx.now();
    tx.all(&sql::LOCK, args![account, ids]).await?;
    if tx.run(&sql::GIVE_UP_DETACHED, args![account, ids, now]).await? > 0 {
        purge_soon(tx).await?;
    }
    Ok(())
}

/// Gives up some files of an account that was removed; whether there may be more.
///
/// # Errors
/// What the database says.
pub(crate) async fn give_up_of_account(tx: &mut WriteTx<'_>, account: AccountId) -> Result<bool> {
    let now = tx.now();
    let given = tx.run(&sql::GIVE_UP_OF_ACCOUNT, args![account, now]).await?;
    if given > 0 {
        purge_soon(tx).await?;
    }
    Ok(given > 0)
}

/// Removes what was given up: the content first, then the rows. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the disk or the database fails.
pub async fn purge(store: Store, outside: Outside, _: Job) -> Result<(), JobError> {
    loop {
        let found = store.read(async |tx| tx.all(&sql::GIVEN_UP, args![BATCH]).await).await?;
        let Some(first) = found.first().map(|it| it.account_id) else { return Ok(()) };
        // A tenant a round: a statement says whose rows it deletes.
        let mut ids = Vec::new();
        for file in found.iter().filter(|file| file.account_id == first) {
            let removed = outside.disk.remove(&file.key).await;
            removed.map_err(|error| JobError::Retry(format!("{}: {error}", file.key)))?;
            ids.push(file.id.0);
        }
        store.write(async move |tx| tx.run(&sql::DELETE, args![first, ids]).await).await?;
    }
}

/// Gives up what nothing refers to, and removes what was received in part.
///
/// # Errors
/// To be tried again where the disk or the database fails.
pub async fn sweep(store: Store, outside: Outside, job: Job) -> Result<(), JobError> {
    let now = store.db().ambient().now();
    let since_epoch = Duration::from_micros(u64::try_from(now.micros()).unwrap_or_default());
    let swept = outside.disk.sweep(since_epoch, ORPHANED_AFTER).await;
    swept.map_err(|error| JobError::Retry(error.to_string()))?;
    let age = i64::try_from(ORPHANED_AFTER.as_secs()).unwrap_or(i64::MAX);
    let before = Timestamp::from_unix(now.unix().saturating_sub(age));
    let mut at = (AccountId(-1), BlobId(0));
    loop {
        let (account, id) = at;
        let found = store
            .read(async move |tx| tx.all(&sql::ORPHANS, args![account, id, before, BATCH]).await)
            .await?;
        // What was given up while the last purge ended is nobody else's business.
        let Some(first) = found.first().map(|it| it.account_id) else {
            return purge(store, outside, job).await;
        };
        let ids: Vec<BlobId> =
            found.iter().filter(|it| it.account_id == first).map(|it| it.id).collect();
        at = (first, ids.last().copied().unwrap_or(id));
        store
            .write(async move |tx| give_up_unused(tx, first, &ids, before).await)
            .await
            .map_err(|error: Error| JobError::Retry(error.to_string()))?;
    }
}
