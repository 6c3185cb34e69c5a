//! What is going on right now: open conversations, for the overview of a desk.

use chatwarden_db::{Tx, args, statements};

use crate::error::Result;
use crate::ids::TeamId;
use crate::scope::{Admin, Scope};

/// A contact waits: nobody has answered yet, or not since they wrote last.
macro_rules! unattended {
    () => {
        "cast(coalesce(sum(case when c.status = 0
            and (c.first_reply_created_at is null or c.waiting_since is not null) then 1 else 0 end), 0) as bigint)"
    };
}

statements! {
    /// $1 account, $2 team (null: all)
    NOW: (i64, i64, i64, i64) = "conversations.live", (concat!(
        "select cast(coalesce(sum(case when c.status = 0 then 1 else 0 end), 0) as bigint), ", unattended!(), ",
                cast(coalesce(sum(case when c.status = 0 and c.assignee_id is null then 1 else 0 end), 0) as bigint),
                cast(coalesce(sum(case when c.status = 2 then 1 else 0 end), 0) as bigint)
         from conversations c where c.account_id = $1 and c.status in (0, 2)
         and (cast($2 as bigint) is null or c.team_id = $2)"));
    /// $1 account: open ones by assignee
    BY_ASSIGNEE: (Option<i64>, i64, i64, i64) = "conversations.live_by_assignee", (concat!(
        "select c.assignee_id, count(*), ", unattended!(), ",
                cast(coalesce(sum(case when c.assignee_id is null then 1 else 0 end), 0) as bigint)
         from conversations c where c.account_id = $1 and c.status = 0 group by c.assignee_id order by c.assignee_id"));
    /// $1 account: open ones by team
    BY_TEAM: (Option<i64>, i64, i64, i64) = "conversations.live_by_team", (concat!(
        "select c.team_id, count(*), ", unattended!(), ",
                cast(coalesce(sum(case when c.assignee_id is null then 1 else 0 end), 0) as bigint)
         from conversations c where c.account_id = $1 and c.status = 0 group by c.team_id order by c.team_id"));
}

/// Conversations as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Open.
    pub open: i64,
    /// Open, and the contact waits.
    pub unattended: i64,
    /// Open, and nobody's.
    pub unassigned: i64,
}

/// What open conversations are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// Who they are assigned to.
    Assignee,
    /// Which team they belong to.
    Team,
}

/// The conversations of the account or of a team, and how many are pending.
///
/// # Errors
/// What the database says.
pub async fn now(
    tx: &mut Tx<'_>,
    scope: &Scope<Admin>,
    team: Option<TeamId>,
) -> Result<(Live, i64)> {
    let team = team.map(|team| team.0);
    let (open, unattended, unassigned, pending) =
        tx.one(&NOW, args![scope.account_id(), team]).await?;
    Ok((Live { open, unattended, unassigned }, pending))
}

/// The open conversations by what is asked; first those of nobody.
///
/// # Errors
/// What the database says.
pub async fn grouped(
    tx: &mut Tx<'_>,
    scope: &Scope<Admin>,
    by: GroupBy,
) -> Result<Vec<(Option<i64>, Live)>> {
    let statement = match by {
        GroupBy::Assignee => &BY_ASSIGNEE,
        GroupBy::Team => &BY_TEAM,
    };
    let mut rows = tx.all(statement, args![scope.account_id()]).await?;
    // The engines don't agree on where what is unknown comes.
    rows.sort_by_key(|(group, ..)| *group);
    let row =
        |(group, open, unattended, unassigned)| (group, Live { open, unattended, unassigned });
    Ok(rows.into_iter().map(row).collect())
}
