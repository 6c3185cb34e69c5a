//! Teams: groups of members that conversations are given to (`resources.md §8`, `behaviours.md §11`).

pub mod sql;

use chatwarden_db::{OnConflict as _, Timestamp, Tx, WriteTx, args};
use serde::Serialize;

use crate::accounts::touch_cache;
use crate::conversations::{self, Holder};
use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::{AccountId, ConversationId, InboxId, TeamId, UserId};
use crate::scope::{Admin, Agent, Scope};
use crate::users::{Availability, Member, MemberRow};

/// The longest name and icon.
const SHORT: usize = 255;
/// The longest description.
const LONG: usize = 20_000;

chatwarden_db::row! {
    /// A team.
    pub struct Team {
        pub id: TeamId,
        pub account_id: AccountId,
        pub name: String,
        pub description: Option<String>,
        pub allow_auto_assign: bool,
        pub icon: String,
        pub icon_color: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::row! {
    /// Whether the member who looks is in a team.
    pub struct Membership {
        pub is_member: bool,
    }
}

chatwarden_db::joined! {
    /// A team as one member finds it.
    pub struct Found {
        pub team: Team,
        pub membership: Membership,
    }
}

chatwarden_db::row! {
    /// The newest conversation that somebody was given.
    pub struct Newest {
        pub conversation_id: Option<ConversationId>,
    }
}

chatwarden_db::joined! {
    /// Somebody who may be given a conversation.
    pub struct Candidate {
        pub member: MemberRow,
        pub newest: Newest,
    }
}

/// A team in cable frames.
#[derive(Debug, Clone, Serialize)]
pub struct TeamPush<'a> {
    id: TeamId,
    name: &'a str,
    icon: &'a str,
    icon_color: &'a str,
}

impl<'a> TeamPush<'a> {
    /// Of a team.
    pub fn of(team: &'a Team) -> Self {
        Self { id: team.id, name: &team.name, icon: &team.icon, icon_color: &team.icon_color }
    }
}

/// What is said of a team; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<Option<String>>,
    /// Whether a conversation that it is given goes to one of its members.
    pub allow_auto_assign: Option<bool>,
    /// Its icon.
    pub icon: Option<String>,
    /// The icon's colour.
    pub icon_color: Option<String>,
}

/// A name as it is kept: lower-cased, trimmed, without control characters.
fn normalised(name: &str) -> String {
    let name: String = name.to_lowercase().chars().filter(|c| !c.is_control()).collect();
    name.trim().to_owned()
}

impl Draft {
    async fn apply(self, tx: &mut Tx<'_>, scope: &Scope, team: &mut Team) -> Result<()> {
        if let Some(name) = self.name {
            team.name = normalised(&name);
        }
        if let Some(description) = self.description {
            team.description = description;
        }
        if let Some(allow) = self.allow_auto_assign {
            team.allow_auto_assign = allow;
        }
        if let Some(icon) = self.icon {
            team.icon = icon;
        }
        if let Some(color) = self.icon_color {
            team.icon_color = color;
        }
        let mut faults = Invalid::default();
        faults.limit("name", &team.name, SHORT);
        faults.limit("description", team.description.as_deref().unwrap_or_default(), LONG);
        faults.limit("icon", &team.icon, SHORT);
        faults.limit("icon_color", &team.icon_color, SHORT);
        if team.name.is_empty() {
            faults.add("name", "must not be blank");
        }
        let held = args![scope.account_id(), team.name, team.id];
        if tx.opt(&sql::HOLDER, held).await?.is_some() {
            faults.add("name", TAKEN);
        }
        faults.check()
    }
}

fn taken() -> Error {
    Error::invalid("name", TAKEN)
}

/// The account's teams.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope<Agent>) -> Result<Vec<Found>> {
    Ok(tx.all(&sql::LIST, args![scope.account_id(), scope.user_id()]).await?)
}

/// A team, as the member finds it.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope<Agent>, id: TeamId) -> Result<Found> {
    let args = args![scope.account_id(), scope.user_id(), id];
    tx.opt(&sql::FIND, args).await?.ok_or(Error::NotFound)
}

/// A team, where the account has it.
///
/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx<'_>, scope: &Scope, id: TeamId) -> Result<Option<Team>> {
    Ok(tx.opt(&sql::GET, args![scope.account_id(), id]).await?)
}

/// Adds a team.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, draft: Draft) -> Result<Found> {
    let mut team = Team {
        id: TeamId(0),
        account_id: scope.account_id(),
        name: String::new(),
        description: None,
        allow_auto_assign: true,
        icon: String::new(),
        icon_color: String::new(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    draft.apply(tx, scope, &mut team).await?;
    let args = args![
        team.account_id,
        team.name,
        team.description,
        team.allow_auto_assign,
        team.icon,
        team.icon_color,
        team.created_at
    ];
    let (id,) = tx
        .one(&sql::INSERT, args)
        .await
        .on_conflict::<Error>("teams_account_id_name_key", taken)?;
    team.id = TeamId(id);
    touch_cache(tx, scope, "team").await?;
    Ok(Found { team, membership: Membership { is_member: false } })
}

/// Changes a team.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: TeamId,
    draft: Draft,
) -> Result<Found> {
    let account = scope.account_id();
    let mut team = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    draft.apply(tx, scope, &mut team).await?;
    team.updated_at = tx.now();
    let args = args![
        account,
        id,
        team.name,
        team.description,
        team.allow_auto_assign,
        team.icon,
        team.icon_color,
        team.updated_at
    ];
    tx.run(&sql::UPDATE, args).await.on_conflict::<Error>("teams_account_id_name_key", taken)?;
    touch_cache(tx, scope, "team").await?;
    find(tx, scope, id).await
}

/// Removes a team: its conversations are without one.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope<Admin>, id: TeamId) -> Result<()> {
    let account = scope.account_id();
    if tx.run(&sql::DELETE, args![account, id]).await? == 0 {
        return Err(Error::NotFound);
    }
    tx.run(&sql::DELETE_MEMBERS, args![account, id]).await?;
    conversations::release(tx, account, Holder::Team(id)).await?;
    touch_cache(tx, scope, "team").await
}

/// The members of a team.
///
/// # Errors
/// [`Error::NotFound`] where there is no such team.
pub async fn members(tx: &mut Tx<'_>, scope: &Scope, id: TeamId) -> Result<Vec<Member>> {
    get(tx, scope, id).await?.ok_or(Error::NotFound)?;
    let rows = tx.all(&sql::MEMBERS, args![scope.account_id(), id]).await?;
    Ok(rows.into_iter().map(Member::from).collect())
}

/// The team, where all of the users are members of the account.
async fn check(tx: &mut WriteTx<'_>, scope: &Scope, id: TeamId, users: &[i64]) -> Result<()> {
    let account = scope.account_id();
    tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    let known = tx.all(&sql::OF_ACCOUNT, args![account, users]).await?;
    if users.iter().all(|user| known.iter().any(|(known,)| known.0 == *user)) {
        Ok(())
    } else {
        Err(Error::Unauthorized("Invalid User IDs".to_owned()))
    }
}

/// Takes members of the account into a team; gives back those who were not in it.
///
/// # Errors
/// [`Error::NotFound`] where there is no such team, [`Error::Unauthorized`] where a user is no member of the account.
pub async fn add_members(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: TeamId,
    users: &[i64],
) -> Result<Vec<Member>> {
    check(tx, scope, id, users).await?;
    let now = tx.now();
    let added = tx.all(&sql::ADD, args![scope.account_id(), id, users, now]).await?;
    touch_cache(tx, scope, "team").await?;
    let mut all = members(tx, scope, id).await?;
    all.retain(|member| added.iter().any(|(user,)| *user == member.id));
    Ok(all)
}

/// Makes these users the members of a team.
///
/// # Errors
/// As [`add_members`].
pub async fn set_members(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: TeamId,
    users: &[i64],
) -> Result<Vec<Member>> {
    check(tx, scope, id, users).await?;
    let (account, now) = (scope.account_id(), tx.now());
    tx.run(&sql::KEEP, args![account, id, users]).await?;
    tx.all(&sql::ADD, args![account, id, users, now]).await?;
    touch_cache(tx, scope, "team").await?;
    members(tx, scope, id).await
}

/// Takes users out of a team.
///
/// # Errors
/// As [`add_members`].
pub async fn remove_members(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Admin>,
    id: TeamId,
    users: &[i64],
) -> Result<()> {
    check(tx, scope, id, users).await?;
    tx.run(&sql::REMOVE, args![scope.account_id(), id, users]).await?;
    touch_cache(tx, scope, "team").await
}

/// The teams of the member who looks; none where that is no member.
pub(crate) async fn of_viewer(tx: &mut Tx<'_>, scope: &Scope) -> Result<Vec<TeamId>> {
    let Some(viewer) = scope.viewer() else { return Ok(Vec::new()) };
    let found = tx.all(&sql::OF_USER, args![scope.account_id(), viewer]).await?;
    Ok(found.into_iter().map(|(team,)| team).collect())
}

/// Whether a user is in a team.
pub(crate) async fn has(
    tx: &mut Tx<'_>,
    scope: &Scope,
    team: TeamId,
    user: UserId,
) -> Result<bool> {
    let teams = tx.all(&sql::OF_USER, args![scope.account_id(), user]).await?;
    Ok(teams.iter().any(|(of,)| *of == team))
}

/// Whose turn it is to be given a conversation of an inbox by a team: of its members who are online and in the
/// inbox, the one whom it gave nothing for longest.
pub(crate) async fn next_assignee(
    tx: &mut Tx<'_>,
    scope: &Scope,
    team: TeamId,
    inbox: InboxId,
) -> Result<Option<Member>> {
    let found = tx.all(&sql::CANDIDATES, args![scope.account_id(), team, inbox]).await?;
    let turns = found.into_iter().map(|of| (of.newest.conversation_id, Member::from(of.member)));
    let online = turns.filter(|(_, member)| member.availability_status(tx) == Availability::Online);
    Ok(online.min_by_key(|(newest, member)| (*newest, member.id)).map(|(_, member)| member))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_names() {
        assert_eq!(normalised("  Sales\u{7} FORCE\n"), "sales force");
        assert_eq!(normalised("\t"), "");
    }
}
