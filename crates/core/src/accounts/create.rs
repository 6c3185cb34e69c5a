//! New accounts.

use chatwarden_db::{Json, WriteTx, args};
use serde_json::{Value, json};

use super::features::Features;
use super::{Account, Status, check, locale_named, sql};
use crate::desk::desk;
use crate::error::{Error, Invalid, Result};
use crate::ids::AccountId;

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
    Ok(account)
}
