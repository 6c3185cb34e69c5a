//! Statements on people and memberships.

use chatwarden_db::{DbError, Tx, args, statements};

use super::{Member, MemberRow, Membership, User};
use crate::ids::UserId;
use crate::scope::Scope;

/// The columns of [`MemberRow`], for `users u` and `account_users au`.
#[macro_export]
#[doc(hidden)]
macro_rules! member_columns {
    () => {
        "u.id, au.id, au.account_id, au.role, u.name, u.display_name, u.email, u.provider, u.confirmed_at, \
         au.availability, au.auto_offline, u.pubsub_token, u.custom_attributes, u.avatar"
    };
}

/// The columns of [`User`], for `users u`.
macro_rules! user_columns {
    () => {
        "u.id, u.email, u.uid, u.provider, u.name, u.display_name, u.encrypted_password, u.pubsub_token, u.type, \
         u.confirmed_at, u.unconfirmed_email, u.message_signature, u.ui_settings, u.custom_attributes, \
         u.avatar, u.created_at, u.updated_at"
    };
}

statements! {
    /// $1 people, $2 now; ids by address. A fork: a list of rows is a document, which each engine reads its own way.
    INSERT: (UserId, String) = "users.insert",
        sqlite: "insert into users (email, uid, provider, name, display_name, encrypted_password, pubsub_token,
                confirmed_at, ui_settings, custom_attributes, created_at, updated_at)
            select value ->> 'email', value ->> 'email', 'email', value ->> 'name', value ->> 'display_name',
                value ->> 'encrypted_password', value ->> 'pubsub_token', value ->> 'confirmed_at', '{}',
                value -> 'custom_attributes', ?2, ?2
            from json_each(?1) where true order by key returning id, email",
        postgres: "insert into users (email, uid, provider, name, display_name, encrypted_password, pubsub_token,
                confirmed_at, ui_settings, custom_attributes, created_at, updated_at)
            select j ->> 'email', j ->> 'email', 'email', j ->> 'name', j ->> 'display_name',
                j ->> 'encrypted_password', j ->> 'pubsub_token', (j ->> 'confirmed_at')::bigint, '{}',
                j -> 'custom_attributes', $2, $2
            from jsonb_array_elements($1::text::jsonb) with ordinality as t(j, n) order by n returning id, email";
    /// $1 user
    GET: User = "users.get", (concat!("select ", user_columns!(), " from users u where u.id = $1"));
    /// $1 user
    LOCK: User = "users.lock", (concat!("select ", user_columns!(), " from users u where u.id = $1 @lock(u)"));
    /// $1 email
    BY_EMAIL: User = "users.by_email", (concat!("select ", user_columns!(), " from users u where u.email = $1"));
    /// $1 email. Locked by the address: somebody whose address changed meanwhile is not found.
    LOCK_BY_EMAIL: User = "users.lock_by_email",
        (concat!("select ", user_columns!(), " from users u where u.email = $1 @lock(u)"));
    /// $1 addresses, locked in their order, as by one address
    LOCK_BY_EMAILS: User = "users.lock_by_emails",
        (concat!("select ", user_columns!(), " from users u where u.email @in($1) order by u.email @lock(u)"));
    /// Everything that may change but the password, from the row in hand: it is locked. A link to a new password
    /// was sent to the address before, and is void with it.
    UPDATE: () = "users.update",
        "update users set email = $2, uid = $2, name = $3, display_name = $4, confirmed_at = $5, unconfirmed_email = $6,
            message_signature = $7, ui_settings = $8, custom_attributes = $9, updated_at = $10,
            reset_password_token = case when email = $2 then reset_password_token end,
            reset_password_sent_at = case when email = $2 then reset_password_sent_at end
         where id = $1";
    /// $1 user, $2 password, $3 socket token, $4 now
    SET_PASSWORD: () = "users.set_password",
        "update users set encrypted_password = $2, pubsub_token = $3, reset_password_token = null,
            reset_password_sent_at = null, updated_at = $4
         where id = $1";
    /// $1 people with new socket tokens, $2 password, $3 now. A fork: a list of rows is a document, which each engine
    /// reads its own way.
    RECLAIM: () = "users.reclaim",
        sqlite: "update users set encrypted_password = ?2, pubsub_token = taken.value ->> 'pubsub_token',
                unconfirmed_email = null, confirmation_token = null, confirmation_sent_at = null,
                reset_password_token = null, reset_password_sent_at = null, updated_at = ?3
            from json_each(?1) as taken where users.id = taken.value ->> 'id'",
        postgres: "update users set encrypted_password = $2, pubsub_token = taken.j ->> 'pubsub_token',
                unconfirmed_email = null, confirmation_token = null, confirmation_sent_at = null,
                reset_password_token = null, reset_password_sent_at = null, updated_at = $3
            from jsonb_array_elements($1::text::jsonb) as taken(j) where users.id = (taken.j ->> 'id')::bigint";
    /// $1 user, $2 old hash, $3 new hash: unless the password was changed meanwhile
    RENEW_HASH: () = "users.renew_hash",
        "update users set encrypted_password = $3 where id = $1 and encrypted_password = $2";
    /// $1 people with the hashes of their tokens, $2 now. A fork: a list of rows is a document, which each engine reads
    /// its own way.
    SET_RESET_TOKENS: () = "users.set_reset_tokens",
        sqlite: "update users set reset_password_token = sent.value ->> 'hash', reset_password_sent_at = ?2
            from json_each(?1) as sent where users.id = sent.value ->> 'id'",
        postgres: "update users set reset_password_token = sent.j ->> 'hash', reset_password_sent_at = $2
            from jsonb_array_elements($1::text::jsonb) as sent(j) where users.id = (sent.j ->> 'id')::bigint";
    /// $1 hash, $2 not sent before. Locked by the token: one that was replaced meanwhile finds nobody.
    BY_RESET_TOKEN: User = "users.by_reset_token", (concat!("select ", user_columns!(),
        " from users u where u.reset_password_token = $1 and u.reset_password_sent_at > $2 @lock(u)"));
    /// $1 user, $2 hash, $3 now
    SET_CONFIRMATION_TOKEN: () = "users.set_confirmation_token",
        "update users set confirmation_token = $2, confirmation_sent_at = $3 where id = $1";
    /// $1 hash. Locked by the token: one that was replaced meanwhile finds nobody.
    BY_CONFIRMATION_TOKEN: User = "users.by_confirmation_token", (concat!("select ", user_columns!(),
        " from users u where u.confirmation_token = $1 @lock(u)"));
    /// $1 user
    DELETE: () = "users.delete", "delete from users where id = $1";
    /// $1 user: across accounts, for the person
    MEMBERSHIPS: Membership = "users.memberships",
        "select au.id, au.account_id, a.name, a.status, a.locale, a.custom_attributes, a.feature_flags,
            a.feature_flags_ext_1, au.role, au.inviter_id, au.availability, au.auto_offline, au.active_at
         from account_users au join accounts a on a.id = au.account_id where au.user_id = $1 order by au.id";
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
