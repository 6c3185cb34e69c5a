//! Counts of conversations, kept instead of counted.
//!
//! A trigger adds rows to `conversation_deltas` in the transaction that changes a conversation, so that nobody
//! waits for anybody, and no change goes by uncounted. A job adds them up into `conversation_counts`; what is read
//! is the sum of both.

use std::collections::BTreeMap;

use chatwarden_db::{DbError, Tx, args, statements};
use chatwarden_jobs::{Every, Job, JobError, Schedule};

use super::lists::{Counts, Filter, sight};
use crate::Store;
use crate::error::Result;
use crate::ids::{AccountId, InboxId, TeamId};
use crate::scope::{Agent, Scope};
use crate::teams;

/// The kind of the job that adds up.
pub const FOLD: &str = "conversations.fold_counts";
/// When it comes: what is read in between grows by what happened.
pub const FOLDS: Schedule =
    Schedule { name: "conversations.fold_counts", every: Every::Seconds(15), kind: FOLD };
/// The kind of the job that compares the counts with the rows.
pub const VERIFY: &str = "conversations.verify_counts";
/// When it comes.
pub const VERIFIES: Schedule = Schedule {
    name: "conversations.verify_counts",
    every: Every::Cron("41 3 * * *"),
    kind: VERIFY,
};
/// The rows that are added up in one transaction.
const BATCH: usize = 1000;

/// All counts of an account: those added up and those to come.
macro_rules! kept {
    () => {
        "(select inbox_id, team_id, assignee_id, status, unread, n from conversation_counts where account_id = $1
          union all
          select inbox_id, team_id, assignee_id, status, unread, n from conversation_deltas where account_id = $1) k "
    };
}

statements! {
    /// $1 account, $2 user, $3 of all inboxes, $4 inboxes, $5 statuses, $6 team (null: all)
    OF_LIST: (i64, i64, i64) = "conversations.kept_counts", (concat!(
        "select cast(coalesce(sum(case when k.assignee_id = $2 then k.n else 0 end), 0) as bigint),
                cast(coalesce(sum(case when k.assignee_id = 0 then k.n else 0 end), 0) as bigint),
                cast(coalesce(sum(k.n), 0) as bigint)
         from ", kept!(), "where ($3 or k.inbox_id @in($4)) and k.status @in($5)
         and (cast($6 as bigint) is null or k.team_id = $6)"));
    /// $1 account, $2 sees all inboxes, $3 inboxes: unread ones by inbox and team (0: none)
    UNREAD: (InboxId, TeamId, i64) = "conversations.kept_unread", (concat!(
        "select k.inbox_id, k.team_id, cast(sum(k.n) as bigint) from ", kept!(),
        "where k.status = 0 and k.unread = 1 and ($2 or k.inbox_id @in($3)) group by k.inbox_id, k.team_id"));
    /// $1 account, $2 sees all inboxes, $3 inboxes: unread ones by the label that they bear
    UNREAD_LABELS: (i64, i64) = "conversations.unread_labels",
        sqlite: "select l.id, count(*) from conversations c, json_each(c.labels) held
                 join labels l on l.account_id = c.account_id and l.title = held.value
                 where c.account_id = $1 and c.status = 0 and c.unread_count > 0 and ($2 or c.inbox_id @in($3))
                 and l.show_on_sidebar group by l.id",
        postgres: "select l.id, count(*) from conversations c
                   cross join lateral jsonb_array_elements_text(c.labels) held (value)
                   join labels l on l.account_id = c.account_id and l.title = held.value
                   where c.account_id = $1 and c.status = 0 and c.unread_count > 0 and ($2 or c.inbox_id @in($3))
                   and l.show_on_sidebar group by l.id";
    /// Of every account: what is to be added up next
    NEXT: (AccountId, i64) = "conversations.deltas_to_fold",
        "select d.account_id, d.id from conversation_deltas d order by d.account_id, d.id limit 1000 @skip_locked";
    /// $1 account, $2 deltas
    ADD_UP: () = "conversations.add_up_deltas",
        "insert into conversation_counts (account_id, inbox_id, team_id, assignee_id, status, unread, n)
         select d.account_id, d.inbox_id, d.team_id, d.assignee_id, d.status, d.unread, cast(sum(d.n) as bigint)
         from conversation_deltas d where d.account_id = $1 and d.id @in($2)
         group by d.account_id, d.inbox_id, d.team_id, d.assignee_id, d.status, d.unread
         having sum(d.n) <> 0
         on conflict (account_id, inbox_id, team_id, assignee_id, status, unread)
         do update set n = conversation_counts.n + excluded.n";
    /// $1 account, $2 deltas
    DELETE_DELTAS: () = "conversations.delete_deltas",
        "delete from conversation_deltas where account_id = $1 and id @in($2)";
    /// $1 account: what counts nothing any more
    DELETE_EMPTY: () = "conversations.delete_empty_counts",
        "delete from conversation_counts where account_id = $1 and n = 0";
    /// $1 after, $2 limit: across accounts, for the job that compares
    ACCOUNTS: (AccountId,) = "conversations.accounts_to_verify",
        "select id from accounts where id > $1 order by id limit $2";
    /// $1 account: where counts and rows differ, the difference is made good. One statement: it sees the rows and
    /// their counts as they were at one moment.
    REPAIR: (i64,) = "conversations.repair_counts",
        "insert into conversation_deltas (account_id, inbox_id, team_id, assignee_id, status, unread, n)
         select $1, k.inbox_id, k.team_id, k.assignee_id, k.status, k.unread, cast(sum(k.n) as bigint) from (
            select c.inbox_id, coalesce(c.team_id, 0) as team_id, coalesce(c.assignee_id, 0) as assignee_id, c.status,
                case when c.unread_count > 0 then 1 else 0 end as unread, 1 as n
            from conversations c where c.account_id = $1
            union all
            select inbox_id, team_id, assignee_id, status, unread, - n from conversation_counts where account_id = $1
            union all
            select inbox_id, team_id, assignee_id, status, unread, - n from conversation_deltas where account_id = $1) k
         group by k.inbox_id, k.team_id, k.assignee_id, k.status, k.unread
         having sum(k.n) <> 0 returning n";
}

/// The counts beside a list that is narrowed by status, inbox and team alone, of these inboxes or of all.
pub(super) async fn of_list(
    tx: &mut Tx<'_>,
    scope: &Scope<Agent>,
    filter: &Filter,
    inboxes: Option<Vec<i64>>,
) -> Result<Counts> {
    let statuses: Vec<i64> = filter.statuses.iter().map(|status| status.integer()).collect();
    let (mine, unassigned, all) = tx
        .one(
            &OF_LIST,
            args![
                scope.account_id(),
                scope.user_id(),
                inboxes.is_none(),
                inboxes.unwrap_or_default(),
                statuses,
                filter.team
            ],
        )
        .await?;
    Ok(Counts { mine, unassigned, all })
}

/// Conversations whose contact wrote since an agent looked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unread {
    /// All that the member sees.
    pub all: i64,
    /// By inbox.
    pub inboxes: BTreeMap<i64, i64>,
    /// By team: those of the member, or all of them.
    pub teams: BTreeMap<i64, i64>,
    /// By label: those that the sidebar shows.
    pub labels: BTreeMap<i64, i64>,
}

/// How many open conversations the member has not read yet (`behaviours.md §8`, unread_counts).
///
/// # Errors
/// What the database says.
pub async fn unread(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Unread> {
    let sight = sight(tx, scope).await?;
    let (all, seen) = (sight.is_none(), sight.unwrap_or_default());
    let own = if all { Vec::new() } else { teams::of_viewer(tx, scope).await? };
    let mut out = Unread::default();
    for (inbox, team, n) in tx.all(&UNREAD, args![scope.account_id(), all, seen.clone()]).await? {
        if n == 0 {
            continue;
        }
        out.all += n;
        *out.inboxes.entry(inbox.0).or_default() += n;
        if team.0 != 0 && (all || own.contains(&team)) {
            *out.teams.entry(team.0).or_default() += n;
        }
    }
    let labels = tx.all(&UNREAD_LABELS, args![scope.account_id(), all, seen]).await?;
    out.labels = labels.into_iter().collect();
    Ok(out)
}

/// Adds up what happened since it was added up last.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn fold(store: Store, _: Job) -> Result<(), JobError> {
    loop {
        let folded = store
            .write(async move |tx| {
                let next = tx.all(&NEXT, args![]).await?;
                let folded = next.len();
                let mut of_each: BTreeMap<AccountId, Vec<i64>> = BTreeMap::new();
                for (account, id) in next {
                    of_each.entry(account).or_default().push(id);
                }
                for (account, ids) in of_each {
                    tx.run(&ADD_UP, args![account, ids.clone()]).await?;
                    tx.run(&DELETE_DELTAS, args![account, ids]).await?;
                    tx.run(&DELETE_EMPTY, args![account]).await?;
                }
                Ok(folded)
            })
            .await
            .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
        if folded < BATCH {
            return Ok(());
        }
    }
}

/// Compares the counts of each account with its rows, and makes good what differs.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn verify(store: Store, _: Job) -> Result<(), JobError> {
    let mut after = AccountId(0);
    loop {
        let accounts = store
            .read(async move |tx| tx.all(&ACCOUNTS, args![after, 100_i64]).await)
            .await
            .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
        let Some((last,)) = accounts.last() else { return Ok(()) };
        after = *last;
        for (account,) in accounts {
            let repaired = store
                .write(async move |tx| tx.all(&REPAIR, args![account]).await)
                .await
                .map_err(|error: DbError| JobError::Retry(error.to_string()))?;
            if !repaired.is_empty() {
                let by: i64 = repaired.iter().map(|(n,)| n.abs()).sum();
                tracing::warn!(
                    account = account.0,
                    counts = repaired.len(),
                    by,
                    "counts of conversations were wrong and were made good"
                );
            }
        }
    }
}
