//! The rows of stored files. A file's row is there before its content, and goes after it: nothing on the disk
//! is unknown.

use chatwarden_db::{Timestamp, Tx, WriteTx, args};
use serde::Serialize;

use super::{FileOf, sql};
use crate::error::{Error, Result};
use crate::ids::{AccountId, BlobId};

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be carried by messages; where none does, it goes.
    Attachment,
    /// To be linked to by a text: it stays as long as the account.
    Linked,
    /// A person's picture.
    UserAvatar,
    /// A contact's picture.
    ContactAvatar,
    /// An inbox's picture.
    InboxAvatar,
    /// A bot's picture.
    BotAvatar,
}

crate::integer_enum! { Purpose {
    Attachment = 0, Linked = 1, UserAvatar = 2, ContactAvatar = 3, InboxAvatar = 4, BotAvatar = 5,
} }

impl Purpose {
    /// Whether it is somebody's or something's picture.
    pub fn is_avatar(self) -> bool {
        !matches!(self, Self::Attachment | Self::Linked)
    }
}

chatwarden_db::row! {
    /// A stored file.
    pub struct Blob {
        pub account_id: AccountId,
        pub id: BlobId,
        pub key: String,
        pub filename: String,
        pub content_type: String,
        pub byte_size: i64,
        pub checksum: String,
        pub width: Option<i64>,
        pub height: Option<i64>,
        pub purpose: Purpose,
        pub created_at: Timestamp,
        pub stored_at: Option<Timestamp>,
    }
}

impl Blob {
    /// The file, as attachments show it.
    pub fn file(&self) -> FileOf {
        FileOf {
            blob_id: self.id,
            filename: self.filename.clone(),
            content_type: self.content_type.clone(),
            byte_size: self.byte_size,
            width: self.width,
            height: self.height,
        }
    }
}

/// What is known of a file before it has a row.
#[derive(Debug, Clone)]
pub struct NewBlob {
    /// Its name, tidied.
    pub filename: String,
    /// Its type.
    pub content_type: String,
    /// Its size in bytes.
    pub byte_size: i64,
    /// Its MD5 in base64.
    pub checksum: String,
    /// Width and height in pixels, where it is a picture.
    pub size: Option<(u32, u32)>,
}

/// The row as the statement reads it.
#[derive(Serialize)]
struct Inserted<'a> {
    key: &'a str,
    filename: &'a str,
    content_type: &'a str,
    byte_size: i64,
    checksum: &'a str,
    width: Option<i64>,
    height: Option<i64>,
    purpose: i64,
    owner_id: Option<i64>,
}

/// Makes room for files of an account (0 for those of people): their content may come now.
///
/// # Errors
/// What the database says.
pub async fn announce(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    purpose: Purpose,
    owner_id: Option<i64>,
    files: Vec<NewBlob>,
) -> Result<Vec<Blob>> {
    let now = tx.now();
    let mut made: Vec<Blob> = files
        .into_iter()
        .map(|new| Blob {
            account_id: account,
            id: BlobId(0),
            key: tx.ambient().token(28).to_ascii_lowercase(),
            filename: new.filename,
            content_type: new.content_type,
            byte_size: new.byte_size,
            checksum: new.checksum,
            width: new.size.map(|(width, _)| i64::from(width)),
            height: new.size.map(|(_, height)| i64::from(height)),
            purpose,
            created_at: now,
            stored_at: None,
        })
        .collect();
    let rows: Vec<Inserted<'_>> = made
        .iter()
        .map(|blob| Inserted {
            key: &blob.key,
            filename: &blob.filename,
            content_type: &blob.content_type,
            byte_size: blob.byte_size,
            checksum: &blob.checksum,
            width: blob.width,
            height: blob.height,
            purpose: purpose.integer(),
            owner_id,
        })
        .collect();
    let rows = serde_json::to_string(&rows).unwrap_or_default();
    let ids = tx.all(&sql::INSERT, args![account, rows, now]).await?;
    for (blob, (id,)) in made.iter_mut().zip(ids) {
        blob.id = BlobId(id);
    }
    Ok(made)
}

/// Files by their ids, in no order; those that were given up are gone.
///
/// # Errors
/// What the database says.
pub async fn find_all(tx: &mut Tx<'_>, account: AccountId, ids: &[BlobId]) -> Result<Vec<Blob>> {
    let ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    Ok(tx.all(&sql::FIND, args![account, ids]).await?)
}

/// A file.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn find(tx: &mut Tx<'_>, account: AccountId, id: BlobId) -> Result<Blob> {
    find_all(tx, account, &[id]).await?.pop().ok_or(Error::NotFound)
}

/// Notes that a file's content is there, and what it turned out to be.
///
/// # Errors
/// [`Error::NotFound`] where it was given up meanwhile.
pub async fn stored(
    tx: &mut WriteTx<'_>,
    blob: &Blob,
    content_type: &str,
    size: Option<(u32, u32)>,
) -> Result<()> {
    let (width, height) = (size.map(|(w, _)| i64::from(w)), size.map(|(_, h)| i64::from(h)));
    let now = tx.now();
    let args = args![blob.account_id, blob.id, content_type, width, height, now];
    if tx.run(&sql::STORED, args).await? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Notes that something refers to files whose content is there, from this transaction on.
///
/// # Errors
/// [`Error::NotFound`] where one was given up.
pub async fn refer(tx: &mut WriteTx<'_>, account: AccountId, ids: &[BlobId]) -> Result<()> {
    let mut ids: Vec<i64> = ids.iter().map(|id| id.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let (wanted, now) = (ids.len() as u64, tx.now());
    if tx.run(&sql::REFER, args![account, ids, now]).await? == wanted {
        Ok(())
    } else {
        Err(Error::NotFound)
    }
}
