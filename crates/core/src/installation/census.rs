//! What there is in the whole installation, counted for the gauges (operations.md §2.3).

use chatwarden_db::{DbError, Tx, args, statements};

use crate::accounts::Status as Standing;
use crate::conversations::Status;
use crate::ids::AccountId;
use crate::storage::Purpose;
use crate::users::Role;

/// Rows of tables that grow without end are counted up to here: what is more is not told.
const AT_MOST: i64 = 1_000_000;

/// How many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// Accounts by status.
    pub accounts: Vec<(Standing, i64)>,
    /// People by role; who has both counts as both.
    pub people: Vec<(Role, i64)>,
    /// Sign-ins that are still good.
    pub sessions: i64,
    /// Conversations by status; those of them that are nobody's.
    pub conversations: Vec<(Status, i64, i64)>,
    /// Contacts, unless there are too many to count.
    pub contacts: Option<i64>,
    /// Messages, unless there are too many to count.
    pub messages: Option<i64>,
    /// Bytes of stored files by what they are for, unless there are too many files to add up.
    pub files: Option<Vec<(Purpose, i64)>>,
}

/// All kept counts of conversations.
macro_rules! kept {
    () => {
        "(select account_id, assignee_id, status, n from conversation_counts
          union all select account_id, assignee_id, status, n from conversation_deltas) k "
    };
}

statements! {
    /// Of all accounts, for the installation's gauges.
    ACCOUNTS: (Standing, i64) = "installation.accounts", "select status, count(*) from accounts group by status";
    /// Of all accounts, for the installation's gauges.
    PEOPLE: (Role, i64) = "installation.people", "select role, count(distinct user_id) from account_users group by role";
    /// $1 now
    SESSIONS: (i64,) = "installation.sessions", "select count(*) from user_sessions where expires_at > $1";
    /// Of all accounts, for the installation's gauges.
    CONVERSATIONS: (Status, i64, i64) = "installation.conversations", (concat!(
        "select k.status, cast(sum(k.n) as bigint),
                cast(sum(case when k.assignee_id = 0 then k.n else 0 end) as bigint) from ", kept!(), "group by k.status"));
    /// $1 at most: of all accounts, for the installation's gauges
    CONTACTS: (i64,) = "installation.contacts",
        "select count(*) from (select 1 from contacts limit $1) c";
    /// $1 at most: of all accounts, for the installation's gauges
    MESSAGES: (i64,) = "installation.messages",
        "select count(*) from (select 1 from messages limit $1) m";
    /// $1 at most: of all accounts, for the installation's gauges; what each is for, how many, and their bytes
    FILES: (Purpose, i64, i64) = "installation.files",
        "select f.purpose, count(*), cast(sum(f.byte_size) as bigint)
         from (select purpose, byte_size from blobs where stored_at is not null and purged_at is null limit $1) f
         group by f.purpose";
    /// $1 at most: the accounts with the most conversations
    LARGEST: (AccountId, i64) = "installation.largest_accounts", (concat!(
        "select k.account_id, cast(sum(k.n) as bigint) from ", kept!(),
        "group by k.account_id order by cast(sum(k.n) as bigint) desc, k.account_id limit $1"));
}

/// Counts.
///
/// # Errors
/// What the database says.
pub async fn take(tx: &mut Tx<'_>) -> Result<Census, DbError> {
    let now = tx.now();
    let countable = |(n,): (i64,)| (n <= AT_MOST).then_some(n);
    let files = tx.all(&FILES, args![AT_MOST + 1]).await?;
    let all_files = files.iter().map(|(_, n, _)| n).sum::<i64>() <= AT_MOST;
    Ok(Census {
        accounts: tx.all(&ACCOUNTS, []).await?,
        people: tx.all(&PEOPLE, []).await?,
        sessions: tx.one(&SESSIONS, args![now]).await?.0,
        conversations: tx.all(&CONVERSATIONS, []).await?,
        contacts: countable(tx.one(&CONTACTS, args![AT_MOST + 1]).await?),
        messages: countable(tx.one(&MESSAGES, args![AT_MOST + 1]).await?),
        files: all_files
            .then(|| files.into_iter().map(|(purpose, _, bytes)| (purpose, bytes)).collect()),
    })
}

/// The `n` accounts with the most conversations, the largest first.
///
/// # Errors
/// What the database says.
pub async fn largest(tx: &mut Tx<'_>, n: i64) -> Result<Vec<AccountId>, DbError> {
    Ok(tx.all(&LARGEST, args![n]).await?.into_iter().map(|(account, _)| account).collect())
}
