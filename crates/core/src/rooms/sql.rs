//! Statements on subscriptions.

use chatwarden_db::{DbError, Tx, args, statements};

use crate::ids::UserId;
use crate::scope::Scope;
use crate::users::{Availability, MemberRow};

statements! {
    /// $1 account, $2 user, $3 pubsub token
    USER: MemberRow = "rooms.user", (concat!("select ", crate::member_columns!(),
        " from account_users au join users u on u.id = au.user_id
          where au.account_id = $1 and au.user_id = $2 and u.pubsub_token = $3"));
    /// $1 account
    AVAILABILITIES: (UserId, Availability, bool) = "rooms.availabilities",
        "select user_id, availability, auto_offline from account_users where account_id = $1";
}

/// What every member of the account wants to be shown as, and whether leaving makes them offline.
pub async fn availabilities(
    tx: &mut Tx<'_>,
    scope: &Scope,
) -> Result<Vec<(UserId, Availability, bool)>, DbError> {
    tx.all(&AVAILABILITIES, args![scope.account_id()]).await
}
