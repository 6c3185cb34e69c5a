//! Pictures of people, contacts, inboxes and bots.
//!
//! The owner's row carries what the picture's address is made of, so that showing a list of owners
//! reads nothing else.

use chatwarden_db::{Cell, Column, ColumnType, ToValue, Tx, Value};

use super::url::thumb_url;
use crate::ids::{AccountId, BlobId};

/// An owner's picture: the file, and the name it was given. Written `account.blob/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar {
    /// The file's account; 0 for the pictures of people, who belong to none.
    pub account_id: AccountId,
    /// The file.
    pub blob_id: BlobId,
    /// Its name.
    pub filename: String,
}

impl Avatar {
    fn parse(text: &str) -> Option<Self> {
        let (ids, filename) = text.split_once('/')?;
        let (account, blob) = ids.split_once('.')?;
        Some(Self {
            account_id: AccountId(account.parse().ok()?),
            blob_id: BlobId(blob.parse().ok()?),
            filename: filename.to_owned(),
        })
    }
}

impl std::fmt::Display for Avatar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}/{}", self.account_id, self.blob_id, self.filename)
    }
}

impl Column for Avatar {
    const TYPE: ColumnType = ColumnType::Text;
    fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Text(text) => Self::parse(text).ok_or_else(|| format!("{text:?}")),
            other => Err(format!("{other:?}")),
        }
    }
}

impl ToValue for Avatar {
    fn to_value(&self) -> Value {
        self.to_string().to_value()
    }
}

/// Where an owner's picture is; `""` where there is none.
pub fn avatar_url(tx: &Tx<'_>, avatar: Option<&Avatar>) -> String {
    avatar.map_or_else(String::new, |it| thumb_url(tx, it.account_id, it.blob_id, &it.filename))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_its_column() {
        for (account, filename) in
            [(0, "me.png"), (7, "a/b.c/d.png"), (7, "Überblick 2 (final).png")]
        {
            let avatar = Avatar {
                account_id: AccountId(account),
                blob_id: BlobId(12),
                filename: filename.to_owned(),
            };
            assert_eq!(Avatar::parse(&avatar.to_string()), Some(avatar));
        }
        for broken in ["", "1/x", "1.2", "a.b/x"] {
            assert_eq!(Avatar::parse(broken), None, "{broken}");
        }
    }
}
