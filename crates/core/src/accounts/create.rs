//! New accounts.

use chatwarden_db::{Json, WriteTx, args};
use serde_json::{Value, json};

use super::features::Features;
use super::{Account, Status, check, locale_named, sql};
use crate::agents::{self, Terms};
use crate::desk::desk;
use crate::error::{Error, Invalid, Result};
use crate::ids::{AccountId, UserId};
use crate::passwords::Hashed;
use crate::scope::Scope;
use crate::users::{self, NewUser, Role, User, links};

/// An account to be made.
#[derive(Debug, Clone, Default)]
pub struct NewAccount {
    /// The name.
    pub name: String,
    /// The language; the installation's where none is given.
    pub locale: Option<String>,
    /// The domain mails come in at.
    pub domain: Option<String>,
    /// The address that mails come from.
    pub support_email: Option<String>,
    /// Whether it works from the start.
    pub status: Option<Status>,
    /// Flags that differ from the default.
    pub features: Vec<(String, bool)>,
    /// Limits: an object.
    pub limits: Option<Value>,
    /// Attributes: an object.
    pub custom_attributes: Option<Value>,
}

/// Makes an account. Nobody is a member of it yet.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(tx: &mut WriteTx<'_>, new: NewAccount) -> Result<Account> {
    let locale = match new.locale.filter(|locale| !locale.is_empty()) {
        Some(locale) => locale_named(&locale)?,
        None => desk(tx).default_locale.clone(),
    };
    let mut features = Features::default();
    for (name, on) in &new.features {
        features.set(name, *on);
    }
    let now = tx.now();
    let mut account = Account {
        id: AccountId(0),
        name: new.name,
        locale,
        domain: new.domain,
        support_email: new.support_email,
        status: new.status.unwrap_or(Status::Active),
        settings: Json(json!({})),
        custom_attributes: Json(new.custom_attributes.unwrap_or_else(|| json!({}))),
        limits: Json(new.limits.unwrap_or_else(|| json!({}))),
        feature_flags: features.0,
        feature_flags_ext_1: features.1,
        cache_keys: Json(json!({})),
        created_at: now,
        updated_at: now,
    };
    let mut faults = Invalid::default();
    check(&mut faults, &account);
    faults.check()?;
    let (id,) = tx
        .one(
            &sql::INSERT,
            args![
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
                account.cache_keys,
                now
            ],
        )
        .await
        .map_err(Error::from)?;
    account.id = AccountId(id);
    tx.run(&sql::INSERT_SEQUENCE, args![account.id]).await?;
    crate::meters::account(tx);
    Ok(account)
}

/// Somebody who opens an account.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// The account's name.
    pub account_name: String,
    /// The person's name.
    pub name: String,
    /// The address, normalised.
    pub email: String,
    /// The password's hash.
    pub password: Hashed,
    /// The account's language.
    pub locale: Option<String>,
    /// The step of the set-up to begin with.
    pub step: &'static str,
}

/// Makes an account with its first administrator, whose address is still to be confirmed.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn sign_up(tx: &mut WriteTx<'_>, asked: SignUp) -> Result<User> {
    let new = NewUser {
        email: asked.email,
        name: asked.name,
        display_name: None,
        password: asked.password,
        custom_attributes: json!({}),
        confirmed: false,
    };
    let user = users::create(tx, new).await?;
    found(tx, user.id, asked.account_name, asked.locale, asked.step).await?;
    links::send_confirmation(tx, &user).await?;
    Ok(user)
}

/// Makes one more account for a person, its first administrator.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn open_for(
    tx: &mut WriteTx<'_>,
    user: UserId,
    name: String,
    locale: Option<String>,
) -> Result<Account> {
    found(tx, user, name, locale, "account_details").await
}

async fn found(
    tx: &mut WriteTx<'_>,
    user: UserId,
    name: String,
    locale: Option<String>,
    step: &str,
) -> Result<Account> {
    let new = NewAccount {
        name,
        locale,
        custom_attributes: Some(json!({"onboarding_step": step})),
        ..NewAccount::default()
    };
    let account = create(tx, new).await?;
    let terms = Terms { role: Some(Role::Administrator), ..Terms::default() };
    agents::join(tx, &Scope::of_account(account.id), user, terms, None).await?;
    Ok(account)
}
