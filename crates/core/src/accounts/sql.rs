//! Statements on accounts.

use chatwarden_db::{Json, statements};
use serde_json::Value;

use super::{Account, Entered};

/// The columns of [`Account`], for `accounts a`.
macro_rules! account_columns {
    () => {
        "a.id, a.name, a.locale, a.domain, a.support_email, a.status, a.settings, a.custom_attributes, a.limits, \
         a.feature_flags, a.feature_flags_ext_1, a.cache_keys, a.created_at, a.updated_at"
    };
}

statements! {
    /// $1 account, $2 user
    ENTER: Entered = "accounts.enter", (concat!("select ", account_columns!(), ", ", crate::member_columns!(),
        " from accounts a left join account_users au on au.account_id = a.id and au.user_id = $2
          left join users u on u.id = au.user_id where a.id = $1"));
    /// $1 account
    CACHE_KEYS: (Json<Value>,) = "accounts.cache_keys", "select a.cache_keys from accounts a where a.id = $1 @lock(a)";
    /// $1 account, $2 keys
    SET_CACHE_KEYS: () = "accounts.set_cache_keys", "update accounts set cache_keys = $2 where id = $1";
    /// $1 account
    GET: Account = "accounts.get", (concat!("select ", account_columns!(), " from accounts a where a.id = $1"));
    /// $1 account
    LOCK: Account = "accounts.lock", (concat!("select ", account_columns!(), " from accounts a where a.id = $1 @lock(a)"));
    /// $1 name, $2 locale, $3 domain, $4 support address, $5 status, $6 settings, $7 attributes, $8 limits, $9 flags,
    /// $10 more flags, $11 cache keys, $12 now
    INSERT: (i64,) = "accounts.insert",
        "insert into accounts (name, locale, domain, support_email, status, settings, custom_attributes, limits,
            feature_flags, feature_flags_ext_1, cache_keys, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12) returning id";
    /// $1 account
    INSERT_SEQUENCE: () = "accounts.insert_sequence",
        "insert into account_sequences (account_id, conversations) values ($1, 0)";
    /// Everything that may change but the cache keys, from the row in hand: it is locked.
    UPDATE: () = "accounts.update",
        "update accounts set name = $2, locale = $3, domain = $4, support_email = $5, status = $6, settings = $7,
            custom_attributes = $8, limits = $9, feature_flags = $10, feature_flags_ext_1 = $11, updated_at = $12
         where id = $1";
    /// $1 platform app: those that it made or was given
    OF_APP: Account = "accounts.of_app", (concat!("select ", account_columns!(),
        " from platform_app_permissibles p join accounts a on a.id = p.permissible_id
          where p.platform_app_id = $1 and p.permissible_type = 'Account' order by a.id"));
    /// $1 account
    DELETE: () = "accounts.delete", "delete from accounts where id = $1";
    /// $1 account
    DELETE_MEMBERS: () = "accounts.delete_members", "delete from account_users where account_id = $1";
    /// $1 account: its doors, through which visitors come without any other credential
    DELETE_CHANNELS: () = "accounts.delete_channels", "delete from channels where account_id = $1";
    /// $1 account
    MEMBER_TOKENS: (String,) = "accounts.member_tokens",
        "select u.pubsub_token from account_users au join users u on u.id = au.user_id where au.account_id = $1";
}
