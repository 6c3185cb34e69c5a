//! Taking conversations from who, or what, is gone: some at a time, once the removal stands.
//!
//! Until then nobody sees a difference: what shows a conversation joins the assignee's membership, the team, the bot.

use chatwarden_db::{WriteTx, args, statements};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Store;
use crate::error::{Error, Result};
use crate::ids::{AccountId, AgentBotId, TeamId, UserId};

/// The kind of the job.
pub const RELEASE: &str = "conversations.release";
/// The conversations that are released in one transaction.
const BATCH: u64 = 500;
/// The seconds after which no transaction can be under way that had not seen the removal.
const SETTLED: i64 = 60;

statements! {
    /// $1 account, $2 user, $3 now: whoever came back meanwhile keeps what they were given since
    OF_ASSIGNEE: () = "conversations.release_assignee",
        "update conversations set assignee_id = null, updated_at = $3 where account_id = $1 and id in (
            select id from conversations where account_id = $1 and assignee_id = $2
                and not exists (select 1 from account_users au where au.account_id = $1 and au.user_id = $2)
            limit 500)";
    /// $1 account, $2 team, $3 now
    OF_TEAM: () = "conversations.release_team",
        "update conversations set team_id = null, updated_at = $3 where account_id = $1 and id in (
            select id from conversations where account_id = $1 and team_id = $2 limit 500)";
    /// $1 bot, $2 now: whatever the account, a bot of the installation serves many
    OF_AGENT_BOT: () = "conversations.release_agent_bot",
        "update conversations set assignee_agent_bot_id = null, updated_at = $2 where id in (
            select id from conversations where assignee_agent_bot_id = $1 limit 500)";
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
        let released = store
            .write(async move |tx| {
                let now = tx.now();
                match holder {
                    Holder::Assignee(user) => tx.run(&OF_ASSIGNEE, args![account, user, now]).await,
                    Holder::Team(team) => tx.run(&OF_TEAM, args![account, team, now]).await,
                    Holder::AgentBot(bot) => tx.run(&OF_AGENT_BOT, args![bot, now]).await,
                }
                .map_err(Error::from)
            })
            .await
            .map_err(|error| JobError::Retry(error.to_string()))?;
        if released < BATCH {
            return Ok(());
        }
    }
}
