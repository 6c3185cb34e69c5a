//! Statements on memberships.

use chatwarden_db::statements;

use super::AccountUser;
use crate::users::MemberRow;

statements! {
    /// $1 account
    LIST: MemberRow = "agents.list", (concat!("select ", crate::member_columns!(),
        " from account_users au join users u on u.id = au.user_id where au.account_id = $1"));
    /// $1 account, $2 addresses: those of members
    MEMBERS_AT: (String,) = "agents.members_at",
        "select u.email from users u join account_users au on au.user_id = u.id
         where au.account_id = $1 and u.email @in($2)";
    /// $1 account
    ROWS: AccountUser = "agents.rows",
        "select id, account_id, user_id, role, inviter_id, availability, auto_offline, active_at, created_at, updated_at
         from account_users where account_id = $1 order by id";
    /// $1 account, $2 users, $3 role, $4 inviter, $5 availability, $6 auto offline, $7 now
    INSERT: AccountUser = "agents.insert",
        "insert into account_users (account_id, user_id, role, inviter_id, availability, auto_offline, created_at, updated_at)
         select $1, u.id, $3, $4, $5, $6, $7, $7 from users u where u.id @in($2) order by u.id
         returning id, account_id, user_id, role, inviter_id, availability, auto_offline, active_at, created_at, updated_at";
    /// $1 account, $2 user, $3 role, $4 availability, $5 auto offline, $6 now; null leaves as it is
    CHANGE: AccountUser = "agents.change",
        "update account_users set role = coalesce(cast($3 as bigint), role),
            availability = coalesce(cast($4 as bigint), availability), auto_offline = coalesce($5, auto_offline),
            updated_at = $6
         where account_id = $1 and user_id = $2
         returning id, account_id, user_id, role, inviter_id, availability, auto_offline, active_at, created_at, updated_at";
    /// $1 account, $2 user, $3 now
    MARK_ACTIVE: () = "agents.mark_active",
        "update account_users set active_at = $3 where account_id = $1 and user_id = $2";
    /// $1 account, $2 user
    DELETE: () = "agents.delete", "delete from account_users where account_id = $1 and user_id = $2";
    /// $1 account, $2 user
    LEAVE_INBOXES: () = "agents.leave_inboxes", "delete from inbox_members where account_id = $1 and user_id = $2";
}
