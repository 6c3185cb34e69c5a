//! Taking conversations from who, or what, is gone: some at a time, once the removal stands.
//!
//! What shows a conversation joins the assignee's membership, the team, the bot: until then nobody is shown who is gone.
//! Counts and filters, which look at the conversation alone, follow with the release.

use chatwarden_db::{WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AgentBotId, TeamId, UserId};

/// The kind of the job.
pub const RELEASE: &str = "conversations.release";
/// The seconds after which no transaction can be under way that had not seen the removal.
const SETTLED: i64 = 60;

statements! {
    /// $1 account, $2 user: whoever came back meanwhile keeps what they were given since
    OF_ASSIGNEE: (AccountId, i64) = "conversations.of_assignee",
        "select c.account_id, c.id from conversations c where c.account_id = $1 and c.assignee_id = $2
            and not exists (select 1 from account_users au where au.account_id = $1 and au.user_id = $2) limit 500";
    /// $1 account, $2 team
    OF_TEAM: (AccountId, i64) = "conversations.of_team",
        "select c.account_id, c.id from conversations c where c.account_id = $1 and c.team_id = $2 limit 500";
    /// $1 bot: whatever the account, a bot of the installation serves many
    OF_AGENT_BOT: (AccountId, i64) = "conversations.of_agent_bot",
        "select c.account_id, c.id from conversations c where c.assignee_agent_bot_id = $1 limit 500";
    /// $1 account, $2 conversations: in the order in which several are locked by everybody
    LOCK: (i64,) = "conversations.lock_several",
        "select c.id from conversations c where c.account_id = $1 and c.id @in($2) order by c.id @lock(c)";
    /// $1 account, $2 conversations, $3 user, $4 now
    RELEASE_ASSIGNEE: () = "conversations.release_assignee",
        "update conversations set assignee_id = null, updated_at = $4
         where account_id = $1 and id @in($2) and assignee_id = $3";
    /// $1 account, $2 conversations, $3 team, $4 now
    RELEASE_TEAM: () = "conversations.release_team",
        "update conversations set team_id = null, updated_at = $4
         where account_id = $1 and id @in($2) and team_id = $3";
    /// $1 account, $2 conversations, $3 bot, $4 now
    RELEASE_AGENT_BOT: () = "conversations.release_agent_bot",
        "update conversations set assignee_agent_bot_id = null, updated_at = $4
         where account_id = $1 and id @in($2) and assignee_agent_bot_id = $3";
}

/// Whose conversations are released.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// Of a user who is no member of the account any more, or not there at all.
    Assignee(UserId),
    /// Of a team.
    Team(TeamId),
    /// Of an agent bot, in every account.
    AgentBot(AgentBotId),
}

/// Has the conversations of `holder` released: at once, and once more for those that were given to it by who had
/// not seen that it goes.
///
/// # Errors
/// What the database says.
pub async fn release(tx: &mut WriteTx<'_>, account: AccountId, holder: Holder) -> Result<()> {
    release_all(tx, [account], holder).await
}

/// As [`release`], in several accounts.
///
/// # Errors
/// What the database says.
pub async fn release_all(
    tx: &mut WriteTx<'_>,
    accounts: impl IntoIterator<Item = AccountId>,
    holder: Holder,
) -> Result<()> {
    let settled = tx.now().plus_seconds(SETTLED);
    let jobs: Vec<NewJob> = accounts
        .into_iter()
        .map(|account| NewJob::new(account.0, RELEASE, json!({ "of": holder })))
        .flat_map(|job| [job.clone(), job.at(settled)])
        .collect();
    enqueue_all(tx, &jobs).await?;
    Ok(())
}

/// Releases the conversations of the job's holder. Stopped anywhere, it goes on where it was.
///
/// # Errors
/// To be tried again where the database failed.
pub async fn run(store: Store, mut job: Job) -> Result<(), JobError> {
    let account = AccountId(job.account_id);
    let of = job.payload.get_mut("of").map(Value::take).unwrap_or_default();
    let holder: Holder =
        serde_json::from_value(of).map_err(|error| JobError::Fail(error.to_string()))?;
    loop {
        let more = store
            .write(async move |tx| release_some(tx, account, holder).await)
            .await
            .map_err(|error: Error| JobError::Retry(error.to_string()))?;
        if !more {
            return Ok(());
        }
    }
}

/// Releases some of a holder's conversations, of one account; whether there may be more.
async fn release_some(tx: &mut WriteTx<'_>, account: AccountId, holder: Holder) -> Result<bool> {
    let found = match holder {
        Holder::Assignee(user) => tx.all(&OF_ASSIGNEE, args![account, user]).await?,
        Holder::Team(team) => tx.all(&OF_TEAM, args![account, team]).await?,
        Holder::AgentBot(bot) => tx.all(&OF_AGENT_BOT, args![bot]).await?,
    };
    let Some((account, _)) = found.first().copied() else { return Ok(false) };
    let ids: Vec<i64> = found.iter().filter(|(of, _)| *of == account).map(|(_, id)| *id).collect();
    let now = tx.now();
    tx.all(&LOCK, args![account, ids.clone()]).await?;
    match holder {
        Holder::Assignee(user) => tx.run(&RELEASE_ASSIGNEE, args![account, ids, user, now]).await?,
        Holder::Team(team) => tx.run(&RELEASE_TEAM, args![account, ids, team, now]).await?,
        Holder::AgentBot(bot) => tx.run(&RELEASE_AGENT_BOT, args![account, ids, bot, now]).await?,
    };
    Ok(true)
}
