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
}
