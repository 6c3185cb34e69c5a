//! The installation itself: what is said once for all accounts.

pub mod census;
pub mod sql;

use chatwarden_db::{DbError, WriteTx, args};

/// The name of this database, made at its first use: a position in its history means nothing in
/// another.
///
/// # Errors
/// What the database says.
pub async fn epoch(tx: &mut WriteTx<'_>) -> Result<String, DbError> {
    let fresh = tx.ambient().token(12);
    tx.run(&sql::KEEP, args!["epoch", fresh]).await?;
    tx.one(&sql::GET, args!["epoch"]).await.map(|(value,)| value)
}
