//! Statements on teams and their members.

use chatwarden_db::statements;

use super::{Candidate, Found, Team};
use crate::ids::{TeamId, UserId};
use crate::users::MemberRow;

/// The columns of [`Team`], for `teams t`.
#[macro_export]
#[doc(hidden)]
macro_rules! team_columns {
    () => {
        "t.id, t.account_id, t.name, t.description, t.allow_auto_assign, t.icon, t.icon_color, t.created_at, t.updated_at"
    };
}

macro_rules! found_columns {
    () => {
        concat!(
            $crate::team_columns!(),
            ", exists (select 1 from team_members tm where tm.account_id = t.account_id and tm.team_id = t.id \
             and tm.user_id = $2) from teams t "
        )
    };
}

statements! {
    /// $1 account, $2 user
    LIST: Found = "teams.list", (concat!("select ", found_columns!(), "where t.account_id = $1 order by t.id"));
    /// $1 account, $2 user, $3 team
    FIND: Found = "teams.find", (concat!("select ", found_columns!(), "where t.account_id = $1 and t.id = $3"));
    /// $1 account, $2 team
    GET: Team = "teams.get", (concat!("select ", team_columns!(), " from teams t where t.account_id = $1 and t.id = $2"));
    /// $1 account, $2 team
    LOCK: Team = "teams.lock", (concat!("select ", team_columns!(),
        " from teams t where t.account_id = $1 and t.id = $2 @lock(t)"));
    /// $1 account, $2 name, $3 but this one: the team that has the name
    HOLDER: (TeamId,) = "teams.holder", "select id from teams where account_id = $1 and name = $2 and id <> $3";
    /// $1 account, $2 name, $3 description, $4 assigns by itself, $5 icon, $6 its colour, $7 now
    INSERT: (i64,) = "teams.insert",
        "insert into teams (account_id, name, description, allow_auto_assign, icon, icon_color, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $7) returning id";
    /// $1 account, $2 team, $3 name, $4 description, $5 assigns by itself, $6 icon, $7 its colour, $8 now
    UPDATE: () = "teams.update",
        "update teams set name = $3, description = $4, allow_auto_assign = $5, icon = $6, icon_color = $7, updated_at = $8
         where account_id = $1 and id = $2";
    /// $1 account, $2 team
    DELETE: () = "teams.delete", "delete from teams where account_id = $1 and id = $2";
    /// $1 account, $2 team
    DELETE_MEMBERS: () = "teams.delete_members", "delete from team_members where account_id = $1 and team_id = $2";
    /// $1 account, $2 team
    MEMBERS: MemberRow = "teams.members", (concat!("select ", crate::member_columns!(),
        " from team_members tm join account_users au on au.account_id = tm.account_id and au.user_id = tm.user_id
          join users u on u.id = au.user_id where tm.account_id = $1 and tm.team_id = $2 order by u.id"));
    /// $1 account, $2 users: those of them who are members of the account
    OF_ACCOUNT: (UserId,) = "teams.of_account",
        "select user_id from account_users where account_id = $1 and user_id @in($2)";
    /// $1 account, $2 team, $3 users, $4 now; gives back those who were not in it
    ADD: (UserId,) = "teams.add",
        "insert into team_members (account_id, team_id, user_id, created_at)
         select $1, $2, au.user_id, $4 from account_users au where au.account_id = $1 and au.user_id @in($3)
         on conflict do nothing returning user_id";
    /// $1 account, $2 team, $3 users
    REMOVE: () = "teams.remove",
        "delete from team_members where account_id = $1 and team_id = $2 and user_id @in($3)";
    /// $1 account, $2 team, $3 users who stay
    KEEP: () = "teams.keep",
        "delete from team_members where account_id = $1 and team_id = $2 and user_id @not_in($3)";
    /// $1 account, $2 user
    LEAVE: () = "teams.leave", "delete from team_members where account_id = $1 and user_id = $2";
    /// $1 account, $2 user
    OF_USER: (TeamId,) = "teams.of_user", "select team_id from team_members where account_id = $1 and user_id = $2";
    /// $1 account, $2 team, $3 inbox: the team's members in the inbox, whom it gave nothing for longest first
    CANDIDATES: Candidate = "teams.candidates", (concat!("select ", crate::member_columns!(),
        ", (select max(c.id) from conversations c where c.account_id = tm.account_id and c.assignee_id = tm.user_id
            and c.inbox_id = $3)
          from team_members tm join account_users au on au.account_id = tm.account_id and au.user_id = tm.user_id
          join users u on u.id = au.user_id
          join inbox_members im on im.account_id = tm.account_id and im.user_id = tm.user_id and im.inbox_id = $3
          where tm.account_id = $1 and tm.team_id = $2"));
}
