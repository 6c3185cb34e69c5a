//! Canned responses: texts that agents insert by a short code (`resources.md §8`).

pub mod sql;

use chatwarden_db::{OnConflict as _, Timestamp, Tx, WriteTx, args};

use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::{AccountId, CannedResponseId};
use crate::scope::Scope;

/// The longest short code.
const SHORT: usize = 255;
/// The longest content.
const LONG: usize = 20_000;

chatwarden_db::row! {
    /// A canned response.
    pub struct CannedResponse {
        pub id: CannedResponseId,
        pub account_id: AccountId,
        pub short_code: String,
        pub content: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// What is said of a canned response; what is not said stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// What calls it up.
    pub short_code: Option<String>,
    /// Its text.
    pub content: Option<String>,
}

/// Refuses a canned response that breaks a rule; `id` is its own, which has its code.
async fn check(
    tx: &mut Tx<'_>,
    scope: &Scope,
    id: CannedResponseId,
    short_code: &str,
    content: &str,
) -> Result<()> {
    let mut faults = Invalid::default();
    faults.limit("short_code", short_code, SHORT);
    faults.limit("content", content, LONG);
    for (field, text) in [("content", content), ("short_code", short_code)] {
        if text.trim().is_empty() {
            faults.add(field, "can't be blank");
        }
    }
    if tx.opt(&sql::HOLDER, args![scope.account_id(), short_code, id]).await?.is_some() {
        faults.add("short_code", TAKEN);
    }
    faults.check()
}

fn taken() -> Error {
    Error::invalid("short_code", TAKEN)
}

/// The account's canned responses. Where something is searched for, those whose code begins with it come first,
/// then those whose code holds it, then those whose content does.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx<'_>,
    scope: &Scope,
    search: Option<&str>,
) -> Result<Vec<CannedResponse>> {
    let mut found = tx.all(&sql::LIST, args![scope.account_id()]).await?;
    if let Some(wanted) = search.map(str::to_lowercase) {
        let rank = |of: &CannedResponse| {
            let code = of.short_code.to_lowercase();
            match () {
                () if code.starts_with(&wanted) => Some(0),
                () if code.contains(&wanted) => Some(1),
                () if of.content.to_lowercase().contains(&wanted) => Some(2),
                () => None,
            }
        };
        found.retain(|of| rank(of).is_some());
        found.sort_by_cached_key(rank);
    }
    Ok(found)
}

/// A canned response of the account, for changing: nobody else changes the row until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn lock(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: CannedResponseId,
) -> Result<CannedResponse> {
    tx.opt(&sql::LOCK, args![scope.account_id(), id]).await?.ok_or(Error::NotFound)
}

/// Adds a canned response.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken.
pub async fn create(tx: &mut WriteTx<'_>, scope: &Scope, draft: Draft) -> Result<CannedResponse> {
    let short_code = draft.short_code.unwrap_or_default();
    let content = draft.content.unwrap_or_default();
    check(tx, scope, CannedResponseId(0), &short_code, &content).await?;
    let now = tx.now();
    tx.one(&sql::INSERT, args![scope.account_id(), short_code, content, now])
        .await
        .on_conflict("canned_responses_account_id_short_code_key", taken)
}

/// Changes a canned response.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    id: CannedResponseId,
    draft: Draft,
) -> Result<CannedResponse> {
    let account = scope.account_id();
    let mut found = lock(tx, scope, id).await?;
    if let Some(short_code) = draft.short_code {
        found.short_code = short_code;
    }
    if let Some(content) = draft.content {
        found.content = content;
    }
    check(tx, scope, id, &found.short_code, &found.content).await?;
    found.updated_at = tx.now();
    let args = args![account, id, found.short_code, found.content, found.updated_at];
    tx.run(&sql::UPDATE, args)
        .await
        .on_conflict("canned_responses_account_id_short_code_key", taken)?;
    Ok(found)
}

/// Removes a canned response.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope, id: CannedResponseId) -> Result<()> {
    match tx.run(&sql::DELETE, args![scope.account_id(), id]).await? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}
