//! Notes: what members write down about a contact (`resources.md §5`).

pub mod sql;

use chatwarden_db::{Timestamp, Tx, WriteTx, args};

use crate::contacts;
use crate::error::{Error, Invalid, Result};
use crate::ids::{ContactId, NoteId};
use crate::scope::{Agent, Scope};
use crate::users::MemberRow;

/// The longest content.
const LONG: usize = 20_000;

chatwarden_db::row! {
    /// A note's own columns.
    pub struct NoteRow {
        pub id: NoteId,
        pub contact_id: ContactId,
        pub content: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::joined! {
    /// A note with its writer.
    pub struct Note {
        pub row: NoteRow,
        pub writer: ? MemberRow,
    }
}

fn check(content: &str) -> Result<()> {
    let mut faults = Invalid::default();
    if content.trim().is_empty() {
        faults.add("content", "can't be blank");
    } else if content.chars().count() > LONG {
        faults.add("content", format!("is too long (maximum is {LONG} characters)"));
    }
    faults.check()
}

/// The notes on a contact, newest first.
///
/// # Errors
/// [`Error::NotFound`] where there is no such contact.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope, contact: ContactId) -> Result<Vec<Note>> {
    contacts::sql::get(tx, scope, contact).await?.ok_or(Error::NotFound)?;
    Ok(tx.all(&sql::LIST, args![scope.account_id(), contact]).await?)
}

/// A note on a contact.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, scope: &Scope, contact: ContactId, id: NoteId) -> Result<Note> {
    tx.opt(&sql::FIND, args![scope.account_id(), contact, id]).await?.ok_or(Error::NotFound)
}

/// Writes a note on a contact.
///
/// # Errors
/// [`Error::NotFound`] where there is no such contact, [`Error::Invalid`] where a rule is broken.
pub async fn create(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    contact: ContactId,
    content: &str,
) -> Result<Note> {
    // Locked: a merge takes its notes along, a removal leaves none.
    contacts::lock(tx, scope, contact).await?;
    check(content)?;
    let now = tx.now();
    let args = args![scope.account_id(), contact, scope.user_id(), content, now];
    let (id,) = tx.one(&sql::INSERT, args).await?;
    find(tx, scope, contact, NoteId(id)).await
}

/// Writes a note anew; it is its last writer's.
///
/// # Errors
/// [`Error::NotFound`] where there is none, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    scope: &Scope<Agent>,
    contact: ContactId,
    id: NoteId,
    content: Option<String>,
) -> Result<Note> {
    let found = find(tx, scope, contact, id).await?;
    let content = content.unwrap_or(found.row.content);
    check(&content)?;
    let now = tx.now();
    let args = args![scope.account_id(), contact, id, scope.user_id(), content, now];
    tx.run(&sql::UPDATE, args).await?;
    find(tx, scope, contact, id).await
}

/// Removes a note.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn delete(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: ContactId,
    id: NoteId,
) -> Result<()> {
    match tx.run(&sql::DELETE, args![scope.account_id(), contact, id]).await? {
        0 => Err(Error::NotFound),
        _ => Ok(()),
    }
}
