//! Statements on people and memberships.

use chatwarden_db::{DbError, Tx, args, statements};

use super::{Member, MemberRow};
use crate::ids::UserId;
use crate::scope::Scope;

/// The columns of [`MemberRow`], for `users u` and `account_users au`.
#[macro_export]
#[doc(hidden)]
macro_rules! member_columns {
    () => {
        "u.id, au.id, au.account_id, au.role, u.name, u.display_name, u.email, u.provider, u.confirmed_at, \
         au.availability, au.auto_offline, u.pubsub_token, u.custom_attributes"
    };
}

statements! {
    /// $1 account, $2 user
    MEMBER: MemberRow = "users.member", (concat!("select ", member_columns!(),
        " from account_users au join users u on u.id = au.user_id where au.account_id = $1 and au.user_id = $2"));
    /// $1 account, $2 users
    MEMBERS: MemberRow = "users.members", (concat!("select ", member_columns!(),
        " from account_users au join users u on u.id = au.user_id where au.account_id = $1 and au.user_id @in($2)"));
}

/// A member of the account.
pub async fn member(
    tx: &mut Tx<'_>,
    scope: &Scope,
    user: UserId,
) -> Result<Option<Member>, DbError> {
    Ok(tx.opt(&MEMBER, args![scope.account_id(), user]).await?.map(Member::from))
}

/// Those of `users` that are members of the account.
pub async fn members(
    tx: &mut Tx<'_>,
    scope: &Scope,
    users: &[UserId],
) -> Result<Vec<Member>, DbError> {
    let users: Vec<i64> = users.iter().map(|u| u.0).collect();
    Ok(tx
        .all(&MEMBERS, args![scope.account_id(), users])
        .await?
        .into_iter()
        .map(Member::from)
        .collect())
}

/// A member of the account, as the row.
pub async fn member_row(
    tx: &mut Tx<'_>,
    scope: &Scope,
    user: UserId,
) -> Result<Option<MemberRow>, DbError> {
    tx.opt(&MEMBER, args![scope.account_id(), user]).await
}
