//! Accounts: the tenants.

pub mod features;
pub mod sql;

use chatwarden_db::{Json, Timestamp, Tx};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::ids::{AccountId, UserId};
use crate::scope::{Agent, Scope};
use crate::users::{Member, MemberRow};

/// Whether an account works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// Its members and visitors are refused.
    Suspended,
}

crate::integer_enum! { Status { Active = 0 "active", Suspended = 1 "suspended" } }

chatwarden_db::row! {
    /// An account.
    pub struct Account {
        pub id: AccountId,
        pub name: String,
        pub locale: String,
        pub domain: Option<String>,
        pub support_email: Option<String>,
        pub status: Status,
        pub settings: Json<Value>,
        pub custom_attributes: Json<Value>,
        pub limits: Json<Value>,
        pub feature_flags: i64,
        pub feature_flags_ext_1: i64,
        pub cache_keys: Json<Value>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::joined! {
    /// An account as one user finds it.
    pub struct Entered {
        pub account: Account,
        pub member: ? MemberRow,
    }
}

/// Lets a user into an account: the way to a [`Scope<Agent>`] over HTTP (`behaviours.md §3`).
///
/// # Errors
/// [`Error::NotFound`] where there is no such account; [`Error::Unauthorized`] where the user is no member of
/// it, or it is suspended.
pub async fn enter(
    tx: &mut Tx<'_>,
    account: AccountId,
    user: UserId,
) -> Result<(Account, Scope<Agent>)> {
    let found =
        tx.opt(&sql::ENTER, chatwarden_db::args![account, user]).await?.ok_or(Error::NotFound)?;
    let Some(member) = found.member else {
        return Err(Error::Unauthorized(
            "You are not authorized to access this account".to_owned(),
        ));
    };
    if found.account.status == Status::Suspended {
        return Err(Error::Unauthorized("Account is suspended".to_owned()));
    }
    Ok((found.account, Scope::of_member(account, Member::from(member))))
}

/// Notes that lists of a kind (`label`, `inbox`, `team`) changed, and tells dashboards to compare
/// their copies (`behaviours.md §15`).
///
/// # Errors
/// What the database says.
pub async fn touch_cache(
    tx: &mut chatwarden_db::WriteTx<'_>,
    scope: &Scope,
    kind: &str,
) -> Result<()> {
    use crate::events::{Audience, Event, emit};
    let Some((mut keys,)) =
        tx.opt(&sql::CACHE_KEYS, chatwarden_db::args![scope.account_id()]).await?
    else {
        return Err(Error::NotFound);
    };
    let now = tx.now();
    if let Some(object) = keys.0.as_object_mut() {
        object.insert(kind.to_owned(), now.unix().to_string().into());
    }
    tx.run(&sql::SET_CACHE_KEYS, chatwarden_db::args![scope.account_id(), keys]).await?;
    let event = Event::new("account.cache_invalidated", Audience::account(scope));
    emit(tx, scope, &event, &serde_json::json!({"cache_keys": cache_keys(&keys.0)}));
    Ok(())
}

/// The cache keys as clients see them: all three, `"0000000000"` where nothing ever changed.
pub fn cache_keys(stored: &Value) -> Value {
    let of =
        |kind: &str| stored.get(kind).and_then(Value::as_str).unwrap_or("0000000000").to_owned();
    serde_json::json!({"label": of("label"), "inbox": of("inbox"), "team": of("team")})
}
