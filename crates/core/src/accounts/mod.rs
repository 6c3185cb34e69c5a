//! Accounts: the tenants.

mod create;
pub mod features;
pub mod purge;
pub mod settings;
pub mod sql;
pub mod walls;

pub use create::{NewAccount, SignUp, create, open_for, sign_up};

use chatwarden_db::{Json, Timestamp, Tx, WriteTx, args};
use serde_json::Value;

use crate::desk::desk;
use crate::error::{Error, Invalid, Result};
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

/// The languages that an account may speak (`behaviours.md §16`).
const LOCALES: &str = "ar bg ca cs da de el en es et fa fi fr he hu id is it ja ko lt lv ml nl no pl \
                       pt pt_BR ro ru sk sr sv ta th tr uk uz vi zh_CN zh_TW";
/// The longest domain and support address.
const SHORT: usize = 100;

/// A language by its code.
///
/// # Errors
/// [`Error::Unprocessable`] for one that there isn't.
pub fn locale_named(code: &str) -> Result<String> {
    LOCALES
        .split_whitespace()
        .find(|known| *known == code)
        .map(str::to_owned)
        .ok_or_else(|| Error::Unprocessable(format!("'{code}' is not a valid locale")))
}

/// Adds what is wrong with an account.
fn check(faults: &mut Invalid, account: &Account) {
    if account.name.trim().is_empty() {
        faults.add("name", "can't be blank");
    } else if account.name.chars().count() > 255 {
        faults.add("name", "is too long (maximum is 255 characters)");
    }
    settings::check(faults, &account.settings.0);
    for (field, text) in [("domain", &account.domain), ("support_email", &account.support_email)] {
        if text.as_ref().is_some_and(|text| text.chars().count() > SHORT) {
            faults.add(field, format!("is too long (maximum is {SHORT} characters)"));
        }
    }
    let address = account.support_email.as_deref().unwrap_or_default();
    if !address.is_empty() && !is_mailbox(address) {
        faults.add("support_email", "is invalid");
    }
}

/// Whether a text is an address, with or without a name: `Desk <desk@example.com>`.
fn is_mailbox(text: &str) -> bool {
    let address = match text.trim().strip_suffix('>').and_then(|text| text.rsplit_once('<')) {
        Some((_, address)) => address,
        None => text.trim(),
    };
    !text.contains(['\r', '\n']) && crate::users::address::is_address(&address.to_lowercase())
}

impl Account {
    /// The address that mails come from: the account's, else the installation's.
    pub fn support_address(&self, tx: &Tx<'_>) -> String {
        match self.support_email.as_deref().filter(|address| !address.is_empty()) {
            Some(address) => address.to_owned(),
            None => desk(tx).sender_email.clone(),
        }
    }

    /// The step of the first set-up that the account is at.
    pub fn onboarding_step(&self) -> Option<&str> {
        self.custom_attributes.0.get("onboarding_step").and_then(Value::as_str)
    }

    /// Notes that the first set-up is over.
    pub fn end_onboarding(&mut self) {
        if let Some(attributes) = self.custom_attributes.0.as_object_mut() {
            attributes.remove("onboarding_step");
        }
    }
}

/// An account, for changing: nobody else changes the row until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] where it was removed meanwhile.
pub async fn lock(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<Account> {
    tx.opt(&sql::LOCK, args![scope.account_id()]).await?.ok_or(Error::NotFound)
}

/// Stores what was changed of a [locked](lock) account.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn save(tx: &mut WriteTx<'_>, scope: &Scope, account: &mut Account) -> Result<()> {
    let mut faults = Invalid::default();
    check(&mut faults, account);
    faults.check()?;
    account.updated_at = tx.now();
    tx.run(
        &sql::UPDATE,
        args![
            scope.account_id(),
            account.name,
            account.locale,
            account.domain,
            account.support_email,
            account.status,
            account.settings,
            account.custom_attributes,
            account.limits,
            account.feature_flags,
            account.feature_flags_ext_1,
            account.updated_at
        ],
    )
    .await?;
    Ok(())
}

/// Removes an account: at once nobody gets in any more; its rows [go](purge) after that.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<()> {
    let account = scope.account_id();
    for (token,) in tx.all(&sql::MEMBER_TOKENS, args![account]).await? {
        crate::events::refresh(tx, token);
    }
    tx.run(&sql::DELETE_MEMBERS, args![account]).await?;
    tx.run(&sql::DELETE_CHANNELS, args![account]).await?;
    crate::inboxes::doors::forget(tx);
    tx.run(&sql::DELETE, args![account]).await?;
    purge::enqueue_for(tx, scope).await
}

/// Lets a member look at the account itself, also while it is suspended.
///
/// # Errors
/// [`Error::NotFound`] where there is no such account, or the user is no member of it.
pub async fn visit(
    tx: &mut Tx<'_>,
    account: AccountId,
    user: UserId,
) -> Result<(Account, Scope<Agent>)> {
    let found = tx.opt(&sql::ENTER, args![account, user]).await?.ok_or(Error::NotFound)?;
    let member = found.member.ok_or(Error::NotFound)?;
    Ok((found.account, Scope::of_member(account, Member::from(member))))
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
    let found = tx.opt(&sql::ENTER, args![account, user]).await?.ok_or(Error::NotFound)?;
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

/// The account of a scope.
///
/// # Errors
/// [`Error::NotFound`] where it is gone.
pub async fn of(tx: &mut Tx<'_>, scope: &Scope) -> Result<Account> {
    tx.opt(&sql::GET, chatwarden_db::args![scope.account_id()]).await?.ok_or(Error::NotFound)
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
    let event = Event::new("account.cache_invalidated", Audience::account(scope)).by_the_scope();
    emit(tx, scope, &event, &serde_json::json!({"cache_keys": cache_keys(&keys.0)}));
    Ok(())
}

/// The cache keys as clients see them: all three, `"0000000000"` where nothing ever changed.
pub fn cache_keys(stored: &Value) -> Value {
    let of =
        |kind: &str| stored.get(kind).and_then(Value::as_str).unwrap_or("0000000000").to_owned();
    serde_json::json!({"label": of("label"), "inbox": of("inbox"), "team": of("team")})
}
