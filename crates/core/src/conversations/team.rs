//! Giving conversations to teams (`behaviours.md §8`, assignments).

use chatwarden_db::WriteTx;
use serde_json::json;

use super::{Conversation, save};
use crate::error::Result;
use crate::events::Performer;
use crate::messages;
use crate::scope::Scope;
use crate::teams::{self, Team};
use crate::users;

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
        if let Some(assignee) = c.row.assignee_id
            && !teams::has(tx, scope, team.id, assignee).await?
        {
            c.row.assignee_id = None;
        }
        if c.row.assignee_id.is_none() && team.allow_auto_assign {
            let next = teams::next_assignee(tx, scope, team.id, c.row.inbox_id).await?;
            c.row.assignee_id = next.map(|member| member.id);
        }
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
