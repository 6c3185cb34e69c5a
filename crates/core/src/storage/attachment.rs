//! What a message carries besides its text (`resources.md §7.3`).
//!
//! The rows say it; the message's own row has a copy of what its forms show, so that reading
//! messages reads nothing else.

use chatwarden_db::Tx;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::url::{blob_url, thumb_url};
use crate::ids::{AccountId, AttachmentId, BlobId, MessageId};

/// What an attachment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A picture that browsers show.
    Image,
    /// A sound.
    Audio,
    /// A film that browsers show.
    Video,
    /// Any other file.
    File,
    /// A place on the map.
    Location,
    /// What a channel could not hand over in another form.
    Fallback,
    /// A post that was shared.
    Share,
    /// A story that mentions the inbox.
    StoryMention,
    /// Somebody's contact data.
    Contact,
    /// A short film of Instagram or Facebook.
    IgReel,
    /// A post of Instagram.
    IgPost,
    /// A story of Instagram.
    IgStory,
    /// A page to be shown within.
    Embed,
}

crate::integer_enum! { FileType {
    Image = 0 "image", Audio = 1 "audio", Video = 2 "video", File = 3 "file", Location = 4 "location",
    Fallback = 5 "fallback", Share = 6 "share", StoryMention = 7 "story_mention", Contact = 8 "contact",
    IgReel = 9 "ig_reel", IgPost = 10 "ig_post", IgStory = 11 "ig_story", Embed = 12 "embed",
} }

impl<'de> Deserialize<'de> for FileType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::named(&name).ok_or_else(|| serde::de::Error::custom(format!("no file type {name}")))
    }
}

impl FileType {
    /// What a file of a type is (`behaviours.md §9.2`, file_type).
    pub fn of_content(content_type: &str) -> Self {
        match content_type {
            "image/jpeg" | "image/jpg" | "image/png" | "image/gif" | "image/bmp" | "image/webp" => {
                Self::Image
            }
            "video/ogg" | "video/mp4" | "video/webm" | "video/quicktime" => Self::Video,
            audio if audio.starts_with("audio/") => Self::Audio,
            _ => Self::File,
        }
    }
}

/// A stored file, as far as the forms of an attachment show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOf {
    /// The file.
    pub blob_id: BlobId,
    /// Its name.
    pub filename: String,
    /// Its type, as the server recognised it.
    pub content_type: String,
    /// Its size in bytes.
    pub byte_size: i64,
    /// Its width in pixels, where it is a picture.
    pub width: Option<i64>,
    /// Its height in pixels, where it is a picture.
    pub height: Option<i64>,
}

impl FileOf {
    /// What follows the last dot of the name.
    pub fn extension(&self) -> Option<&str> {
        self.filename
            .rsplit_once('.')
            .filter(|(stem, extension)| !stem.is_empty() && !extension.is_empty())
            .map(|(_, extension)| extension)
    }
}

/// Something that a message carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// The attachment.
    pub id: AttachmentId,
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

/// The addresses of an attachment: of itself, and of its small picture (`""` where there is none).
struct Addresses {
    data: Value,
    thumb: String,
}

impl Attachment {
    fn addresses(&self, tx: &Tx<'_>, account: AccountId) -> Addresses {
        let Some(file) = &self.file else {
            return Addresses { data: json!(self.external_url), thumb: String::new() };
        };
        let mut data = blob_url(tx, account, file.blob_id, &file.filename);
        if self.file_type == FileType::Audio {
            data.push_str("?disposition=inline");
        }
        let thumb = match self.file_type {
            FileType::Image => thumb_url(tx, account, file.blob_id, &file.filename),
            _ => String::new(),
        };
        Addresses { data: json!(data), thumb }
    }

    /// The form in messages, cable frames and webhooks.
    pub fn push(&self, tx: &Tx<'_>, account: AccountId, message: MessageId) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("id", json!(self.id));
        put("message_id", json!(message));
        put("file_type", json!(self.file_type));
        put("account_id", json!(account));
        let Addresses { data, thumb } = self.addresses(tx, account);
        match (self.file_type, &self.file) {
            (FileType::Location, _) => {
                put("coordinates_lat", json!(self.coordinates.map(|(lat, _)| lat)));
                put("coordinates_long", json!(self.coordinates.map(|(_, long)| long)));
                put("fallback_title", json!(self.fallback_title));
                put("data_url", data);
            }
            (FileType::Fallback, _) => {
                put("fallback_title", json!(self.fallback_title));
                put("data_url", data);
            }
            (FileType::Contact, _) => {
                put("fallback_title", json!(self.fallback_title));
                put("meta", self.meta.clone());
            }
            (FileType::Embed, _) => {
                put("data_url", data);
            }
            (_, None) => {
                put("data_url", data);
                put("thumb_url", json!(thumb));
            }
            (kind, Some(file)) => {
                put("extension", json!(file.extension()));
                put("content_type", json!(file.content_type));
                put("data_url", data);
                put("thumb_url", json!(thumb));
                put("file_size", json!(file.byte_size));
                put("width", json!(file.width));
                put("height", json!(file.height));
                if kind == FileType::Audio {
                    let text = self.meta.get("transcribed_text").and_then(Value::as_str);
                    put("transcribed_text", json!(text.unwrap_or_default()));
                }
            }
        }
        Value::Object(out)
    }

    /// The form in the lists of a conversation's and a contact's attachments (`resources.md §6.2`).
    pub fn listed(
        &self,
        tx: &Tx<'_>,
        account: AccountId,
        message: MessageId,
    ) -> Map<String, Value> {
        let Addresses { data, thumb } = self.addresses(tx, account);
        let file = self.file.as_ref();
        [
            ("id", json!(self.id)),
            ("message_id", json!(message)),
            ("thumb_url", json!(thumb)),
            ("data_url", data),
            ("file_size", json!(file.map(|file| file.byte_size))),
            ("file_type", json!(self.file_type)),
            ("extension", json!(file.and_then(FileOf::extension))),
            ("width", json!(file.and_then(|file| file.width))),
            ("height", json!(file.and_then(|file| file.height))),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// The forms of what a message carries.
pub fn pushes(
    tx: &Tx<'_>,
    account: AccountId,
    message: MessageId,
    attachments: &[Attachment],
) -> Vec<Value> {
    attachments.iter().map(|attachment| attachment.push(tx, account, message)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(filename: &str) -> FileOf {
        FileOf {
            blob_id: BlobId(1),
            filename: filename.to_owned(),
            content_type: "text/plain".to_owned(),
            byte_size: 1,
            width: None,
            height: None,
        }
    }

    #[test]
    fn the_extension_is_what_follows_the_last_dot() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(file(name).extension(), expected, "{name}");
        };
        check("a.txt", Some("txt"));
        check("a.tar.gz", Some("gz"));
        check("README", None);
        check(".profile", None);
        check("a.", None);
    }

    #[test]
    fn a_type_says_what_an_attachment_is() {
        let check = |content_type: &str, expected: FileType| {
            assert_eq!(FileType::of_content(content_type), expected, "{content_type}");
        };
        check("image/jpg", FileType::Image);
        check("image/svg+xml", FileType::File);
        check("image/tiff", FileType::File);
        check("video/quicktime", FileType::Video);
        check("video/x-matroska", FileType::File);
        check("audio/amr", FileType::Audio);
        check("application/pdf", FileType::File);
        check("", FileType::File);
    }
}
