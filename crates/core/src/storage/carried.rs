//! What messages carry: put on, listed, and taken off with them.

use std::collections::HashMap;

use chatwarden_db::{Json, Tx, WriteTx, args};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Attachment, Blob, FileOf, FileType, find_all, give_up_detached, of_signed_id, refer, sql,
};
use crate::error::{Error, Invalid, Result};
use crate::ids::{AttachmentId, BlobId, ContactId, ConversationId, DisplayId, MessageId};
use crate::messages::{self, Sent};
use crate::scope::{self, Scope};

/// What a message may carry at most (`behaviours.md §18`).
const MOST: usize = 15;
/// Attachments on a page of a list (`behaviours.md §6`).
const PAGE: i64 = 100;

/// Something that a new message is to carry.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAttachment {
    /// What it is.
    pub file_type: FileType,
    /// The file, where the server has one.
    pub file: Option<FileOf>,
    /// Where it is, where the server has no file.
    pub external_url: Option<String>,
    /// A title.
    pub fallback_title: Option<String>,
    /// Latitude and longitude.
    pub coordinates: Option<(f64, f64)>,
    /// What else is known of it: an object.
    pub meta: Value,
}

impl NewAttachment {
    /// A stored file; `voice` marks a sound as a voice note.
    pub fn of(blob: &Blob, voice: bool) -> Self {
        let file_type = FileType::of_content(&blob.content_type);
        let voice = voice && file_type == FileType::Audio;
        Self {
            file_type,
            file: Some(blob.file()),
            external_url: None,
            fallback_title: None,
            coordinates: None,
            meta: if voice { json!({"is_voice_message": true}) } else { json!({}) },
        }
    }
}

/// The files that names name, in the order of the names: those of the account that messages may
/// carry, with their content.
///
/// # Errors
/// [`Error::Unprocessable`] for a name that names none of them.
pub async fn find_signed(tx: &mut Tx<'_>, scope: &Scope, names: &[String]) -> Result<Vec<Blob>> {
    let unknown = || Error::Unprocessable("attachments: a signed id is not valid".to_owned());
    let account = scope.account_id();
    let mut ids: Vec<BlobId> = Vec::new();
    for name in names {
        let (of, id) = of_signed_id(tx, name).ok_or_else(unknown)?;
        if of != account {
            return Err(unknown());
        }
        ids.push(id);
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found: HashMap<i64, Blob> =
        find_all(tx, account, &ids).await?.into_iter().map(|blob| (blob.id.0, blob)).collect();
    let usable = |blob: &&Blob| {
        blob.stored_at.is_some()
            && matches!(blob.purpose, super::Purpose::Attachment | super::Purpose::Linked)
    };
    ids.iter().map(|id| found.get(&id.0).filter(usable).cloned().ok_or_else(unknown)).collect()
}

/// Types of documents that websites take (`behaviours.md §18`).
const DOCUMENTS: &[&str] = &[
    "text/csv",
    "text/plain",
    "text/rtf",
    "text/xml",
    "application/xml",
    "application/x-pkcs12",
    "application/pkcs12",
    "application/json",
    "application/pdf",
    "application/zip",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-tar",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/rtf",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
];

fn websites_take(file: &FileOf) -> bool {
    let content_type = file.content_type.as_str();
    let nameless = matches!(content_type, "" | "application/octet-stream");
    ["image/", "video/", "audio/"].iter().any(|kind| content_type.starts_with(kind))
        || DOCUMENTS.contains(&content_type)
        || (nameless
            && file
                .extension()
                .is_some_and(|it| it.eq_ignore_ascii_case("pfx") || it.eq_ignore_ascii_case("xml")))
}

/// Refuses what a message in an inbox of this channel may not carry.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check(channel_type: &str, carried: &[NewAttachment]) -> Result<()> {
    let mut faults = Invalid::default();
    if carried.len() > MOST {
        faults.add("attachments", "exceeded maximum allowed");
    }
    if channel_type == "Channel::WebWidget" {
        let files = carried.iter().filter_map(|it| it.file.as_ref());
        if files.into_iter().any(|file| !websites_take(file)) {
            faults.add("attachments.file", "type not supported");
        }
    }
    faults.check()
}

/// The row as the statement reads it.
#[derive(Serialize)]
struct Inserted<'a> {
    file_type: i64,
    blob_id: Option<BlobId>,
    external_url: Option<&'a str>,
    fallback_title: Option<&'a str>,
    lat: Option<f64>,
    long: Option<f64>,
    meta: &'a Value,
}

/// Has a message that was just added carry things, whose files are from now on not without an
/// owner.
///
/// # Errors
/// [`Error::NotFound`] where a file was given up meanwhile.
pub async fn attach(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    message: MessageId,
    new: Vec<NewAttachment>,
) -> Result<Vec<Attachment>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let (account, now) = (scope.account_id(), tx.now());
    let blobs: Vec<BlobId> =
        new.iter().filter_map(|it| it.file.as_ref().map(|file| file.blob_id)).collect();
    if !blobs.is_empty() {
        refer(tx, account, &blobs).await?;
    }
    let rows: Vec<Inserted<'_>> = new
        .iter()
        .map(|it| Inserted {
            file_type: it.file_type.integer(),
            blob_id: it.file.as_ref().map(|file| file.blob_id),
            external_url: it.external_url.as_deref(),
            fallback_title: it.fallback_title.as_deref(),
            lat: it.coordinates.map(|(lat, _)| lat),
            long: it.coordinates.map(|(_, long)| long),
            meta: &it.meta,
        })
        .collect();
    let rows = serde_json::to_string(&rows).unwrap_or_default();
    let ids = tx.all(&sql::ATTACH, args![account, message, conversation, rows, now]).await?;
    let made: Vec<Attachment> = new
        .into_iter()
        .zip(ids)
        .map(|(it, (id,))| Attachment {
            id: AttachmentId(id),
            file_type: it.file_type,
            file: it.file,
            external_url: it.external_url,
            fallback_title: it.fallback_title,
            coordinates: it.coordinates,
            meta: it.meta,
        })
        .collect();
    tx.run(&sql::COPY, args![account, message, Json(&made)]).await?;
    Ok(made)
}

/// Takes off what a message carries; files that no other message carries are given up.
///
/// # Errors
/// What the database says.
pub async fn detach(tx: &mut WriteTx<'_>, scope: &Scope, message: MessageId) -> Result<()> {
    let account = scope.account_id();
    let off = tx.all(&sql::DETACH, args![account, message]).await?;
    if off.is_empty() {
        return Ok(());
    }
    tx.run(&sql::COPY, args![account, message, Json(json!([]))]).await?;
    let blobs: Vec<BlobId> = off.into_iter().filter_map(|(id,)| id.map(BlobId)).collect();
    give_up_detached(tx, account, &blobs).await
}

/// A page of a list of attachments.
#[derive(Debug, Clone)]
pub struct Listed {
    /// How many there are on all pages.
    pub total: i64,
    /// Those of the page.
    pub found: Vec<Found>,
}

/// An attachment with the message that carries it.
#[derive(Debug, Clone)]
pub struct Found {
    /// The attachment.
    pub attachment: Attachment,
    /// The message.
    pub sent: Sent,
    /// The message's conversation.
    pub conversation: DisplayId,
}

/// The messages of attachments, in the order of the attachments.
async fn with_messages(
    tx: &mut Tx<'_>,
    scope: &Scope,
    total: i64,
    ids: Vec<(i64, i64, i64)>,
) -> Result<Listed> {
    let mut wanted: Vec<i64> = ids.iter().map(|(_, message, _)| *message).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let messages: HashMap<i64, Sent> = if wanted.is_empty() {
        HashMap::new()
    } else {
        let found = messages::by_ids(tx, scope, &wanted).await?;
        found.into_iter().map(|sent| (sent.message.id.0, sent)).collect()
    };
    let found = ids
        .into_iter()
        .filter_map(|(attachment, message, conversation)| {
            let sent = messages.get(&message)?.clone();
            let carried = sent.message.attachments.0.iter().find(|it| it.id.0 == attachment);
            let attachment = carried?.clone();
            Some(Found { attachment, sent, conversation: DisplayId(conversation) })
        })
        .collect();
    Ok(Listed { total, found })
}

/// What a conversation's messages carry, oldest first.
///
/// # Errors
/// What the database says.
pub async fn of_conversation(
    tx: &mut Tx<'_>,
    scope: &Scope,
    conversation: ConversationId,
    page: i64,
) -> Result<Listed> {
    let account = scope.account_id();
    let (total,) = tx.one(&sql::COUNT_OF_CONVERSATION, args![account, conversation]).await?;
    let skipped = page.saturating_sub(1).saturating_mul(PAGE);
    let ids = tx.all(&sql::OF_CONVERSATION, args![account, conversation, PAGE, skipped]).await?;
    with_messages(tx, scope, total, ids).await
}

/// What the messages of a contact's conversations carry, newest first: of those conversations that the
/// member may see.
///
/// # Errors
/// What the database says.
pub async fn of_contact(
    tx: &mut Tx<'_>,
    scope: &Scope<scope::Agent>,
    contact: ContactId,
    page: i64,
) -> Result<Listed> {
    let (account, user, all) = (scope.account_id(), scope.user_id(), scope.is_admin());
    let (total,) = tx.one(&sql::COUNT_OF_CONTACT, args![account, contact, user, all]).await?;
    let skipped = page.saturating_sub(1).saturating_mul(PAGE);
    let args = args![account, contact, user, all, PAGE, skipped];
    let ids = tx.all(&sql::OF_CONTACT, args).await?;
    with_messages(tx, scope, total, ids).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str, content_type: &str) -> FileOf {
        FileOf {
            blob_id: BlobId(1),
            filename: filename.to_owned(),
            content_type: content_type.to_owned(),
            byte_size: 1,
            width: None,
            height: None,
        }
    }

    #[test]
    fn websites_take_pictures_and_documents() {
        let check = |name: &str, content_type: &str, expected: bool| {
            assert_eq!(websites_take(&file(name, content_type)), expected, "{name} {content_type}");
        };
        check("a.png", "image/png", true);
        check("a.mkv", "video/x-matroska", true);
        check("a.pdf", "application/pdf", true);
        check("a.xml", "application/octet-stream", true);
        check("a.PFX", "", true);
        check("a.exe", "application/octet-stream", false);
        check("a.exe", "application/x-msdownload", false);
        check("a.html", "text/html", false);
        check("a.xml", "application/x-msdownload", false);
    }
}
