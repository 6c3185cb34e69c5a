//! What is done to notifications in the background: removed on demand, woken, pruned.

use std::collections::HashMap;

use chatwarden_db::{DbError, args};
use chatwarden_jobs::{Every, Job, JobError, NewJob, Registry, Schedule, enqueue_all};
use serde_json::Value;

use super::dispatch::announce_deleted;
use super::own::announce_updated;
use super::{Notification, sql};
use crate::error::Error;
use crate::ids::{AccountId, UserId};
use crate::scope::Scope;
use crate::{Store, users};

/// The job that removes a member's notifications, some at a time.
pub(super) const DESTROY: &str = "notifications.destroy";
/// The scheduled job that finds whose snoozed notifications come back.
const WAKE_ALL: &str = "notifications.wake_all";
/// The job that has an account's come back.
const WAKE: &str = "notifications.wake";
/// The scheduled job that finds whose notifications are too old or too many.
const PRUNE_ALL: &str = "notifications.prune_all";
/// The job that prunes an account's.
const PRUNE: &str = "notifications.prune";

/// How many notifications a member keeps.
const KEPT: i64 = 300;
/// How long they are kept, in seconds.
const AGE: i64 = 30 * 24 * 60 * 60;
/// What is deleted in one transaction by [`prune`].
const BATCH: u64 = 500;

/// Has snoozed notifications come back when it is their time.
pub const WAKING: Schedule =
    Schedule { name: "notifications.wake", every: Every::Seconds(5 * 60), kind: WAKE_ALL };
/// Removes those that are too old or too many, each night.
pub const PRUNING: Schedule =
    Schedule { name: "notifications.prune", every: Every::Cron("20 3 * * *"), kind: PRUNE_ALL };

/// With who does what is done in the background.
pub fn upkeep(registry: Registry, store: &Store) -> Registry {
    macro_rules! of {
        ($job:ident) => {{
            let store = store.clone();
            move |job| $job(store.clone(), job)
        }};
    }
    registry
        .on(DESTROY, of!(destroy_some))
        .on(WAKE_ALL, of!(wake_all))
        .on(WAKE, of!(wake))
        .on(PRUNE_ALL, of!(prune_all))
        .on(PRUNE, of!(prune))
}

fn again(error: Error) -> JobError {
    JobError::Retry(error.to_string())
}

/// Removes what a member wanted removed.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
async fn destroy_some(store: Store, job: Job) -> Result<(), JobError> {
    let id = |key: &str| job.payload.get(key).and_then(Value::as_i64);
    let (Some(user), Some(last)) = (id("user_id"), id("last")) else { return Ok(()) };
    let read = job.payload.get("read") == Some(&Value::Bool(true));
    let account = AccountId(job.account_id);
    loop {
        let more = store
            .write(async move |tx| {
                let scope = Scope::of_job(account);
                let gone = tx.all(&sql::DELETE_SOME, args![account, user, read, last]).await?;
                let member = users::sql::member(tx, &scope, UserId(user)).await?;
                if let Some(member) = member.filter(|_| !gone.is_empty()) {
                    let unread = sql::unread(tx, &scope, &[user]).await?;
                    let unread = unread.first().map_or(0, |(_, n)| *n);
                    for (id,) in &gone {
                        announce_deleted(tx, &scope, *id, &member.pubsub_token, unread);
                    }
                }
                Ok::<_, Error>(!gone.is_empty())
            })
            .await
            .map_err(again)?;
        if !more {
            return Ok(());
        }
    }
}

/// Has a job done for each account that a statement finds.
async fn for_each_account(
    store: Store,
    kind: &'static str,
    statement: &'static chatwarden_db::Statement<(AccountId,)>,
    bounds: impl Fn(chatwarden_db::Timestamp) -> Vec<chatwarden_db::Value> + Send + 'static,
) -> Result<(), JobError> {
    // The search may be long: it is not the writer's. That two find the same is what unique keys are for.
    let accounts = store
        .read(async move |tx| {
            let bounds = bounds(tx.now());
            tx.all(statement, &bounds).await
        })
        .await
        .map_err(|error: DbError| again(error.into()))?;
    if accounts.is_empty() {
        return Ok(());
    }
    let job = |(account,): &(AccountId,)| {
        NewJob::new(account.0, kind, Value::Null).unique(format!("{kind}:{account}"))
    };
    let jobs: Vec<NewJob> = accounts.iter().map(job).collect();
    store
        .write(async move |tx| enqueue_all(tx, &jobs).await.map_err(Error::from))
        .await
        .map(drop)
        .map_err(again)
}

/// Finds whose snoozed notifications come back.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
async fn wake_all(store: Store, _: Job) -> Result<(), JobError> {
    for_each_account(store, WAKE, &sql::DUE, |now| args![now].to_vec()).await
}

/// Has the snoozed notifications of an account come back whose time it is.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
async fn wake(store: Store, job: Job) -> Result<(), JobError> {
    let account = AccountId(job.account_id);
    loop {
        let more = store
            .write(async move |tx| {
                let scope = Scope::of_job(account);
                let now = tx.now();
                let woken = tx.all(&sql::WAKE, args![account, now]).await?;
                let more = !woken.is_empty();
                let mut of: HashMap<UserId, Vec<Notification>> = HashMap::new();
                for notification in woken {
                    of.entry(notification.user_id).or_default().push(notification);
                }
                let ids: Vec<UserId> = of.keys().copied().collect();
                for member in users::sql::members(tx, &scope, &ids).await? {
                    let own = of.remove(&member.id).unwrap_or_default();
                    announce_updated(tx, &scope, &member, own).await?;
                }
                Ok::<_, Error>(more)
            })
            .await
            .map_err(again)?;
        if !more {
            return Ok(());
        }
    }
}

/// Finds whose notifications are too old or too many.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
async fn prune_all(store: Store, _: Job) -> Result<(), JobError> {
    let bounds = |now: chatwarden_db::Timestamp| args![now.plus_seconds(-AGE), KEPT].to_vec();
    for_each_account(store, PRUNE, &sql::EXCESSIVE, bounds).await
}

/// Removes an account's notifications that are too old or too many. Nobody is told.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
async fn prune(store: Store, job: Job) -> Result<(), JobError> {
    let account = AccountId(job.account_id);
    loop {
        let gone = store
            .write(async move |tx| {
                let old = tx.now().plus_seconds(-AGE);
                Ok::<_, Error>(tx.run(&sql::PRUNE, args![account, old, KEPT]).await?)
            })
            .await
            .map_err(again)?;
        if gone < BATCH {
            return Ok(());
        }
    }
}
