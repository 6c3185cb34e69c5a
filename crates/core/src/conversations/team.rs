//! Giving conversations to teams (`behaviours.md §8`, assignments).

use chatwarden_db::WriteTx;
use serde_json::json;

use super::{Conversation, save};
use crate::error::Result;
use crate::events::Performer;
use crate::ids::{InboxId, UserId};
use crate::messages;
use crate::scope::Scope;
use crate::teams::{self, Team};
use crate::users;

/// Who has a conversation that `team` has: the assignee who is in it, else whom it chooses, if it does.
pub(super) async fn assignee_in(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    team: &Team,
    assignee: Option<UserId>,
    inbox: InboxId,
) -> Result<Option<UserId>> {
    if let Some(assignee) = assignee
        && teams::has(tx, scope, team.id, assignee).await?
    {
        return Ok(Some(assignee));
    }
    if !team.allow_auto_assign {
        return Ok(None);
    }
    Ok(teams::next_assignee(tx, scope, team.id, inbox).await?.map(|member| member.id))
}

/// Gives a conversation to a team, or to none. An assignee who is not in it is dropped; a team that assigns by
/// itself gives the conversation to one of its members.
///
/// # Errors
/// What the database says.
pub async fn assign_team(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    team: Option<Team>,
    by: &Performer,
) -> Result<()> {
    let before = c.row.clone();
    let old = std::mem::replace(&mut c.team, team);
    c.row.team_id = c.team.as_ref().map(|team| team.id);
    if before.team_id == c.row.team_id {
        return Ok(());
    }
    if let Some(team) = &c.team {
        let (assignee, inbox) = (c.row.assignee_id, c.row.inbox_id);
        c.row.assignee_id = assignee_in(tx, scope, team, assignee, inbox).await?;
    }
    let assigned = before.assignee_id != c.row.assignee_id;
    if assigned {
        c.assignee_row = match c.row.assignee_id {
            Some(user) => users::sql::member_row(tx, scope, user).await?,
            None => None,
        };
    }
    // One text for both changes.
    let assignee = c.assignee().filter(|_| assigned);
    let text = by.name().and_then(|name| match (&c.team, assignee, old) {
        (Some(team), Some(assignee), _) => {
            Some(format!("Assigned to {} via {} by {name}", assignee.name, team.name))
        }
        (Some(team), None, _) => Some(format!("Assigned to {} by {name}", team.name)),
        (None, _, Some(old)) => Some(format!("Unassigned from {} by {name}", old.name)),
        (None, _, None) => None,
    });
    if let Some(text) = text {
        messages::activity(tx, scope, c, &text, json!({})).await?;
    }
    save(tx, scope, c, &before, by).await
}
