//! Stored files: what messages carry, pictures, what was uploaded for a text (`behaviours.md §14`).

mod attachment;
mod avatar;
mod blob;
mod carried;
mod fetch;
pub mod owner;
pub mod purge;
pub mod signing;
pub mod sql;
mod url;

pub use attachment::{Attachment, FileOf, FileType, pushes};
pub use avatar::{Avatar, avatar_url};
pub use blob::{Blob, NewBlob, Purpose, announce, find, find_all, refer, stored};
pub use carried::{
    Listed, NewAttachment, attach, check, detach, find_signed, of_contact, of_conversation,
};
pub use fetch::{Fetched, Unfetched, fetch};
pub use owner::{Owner, check_avatar, fetch_avatar, new_blob, offer_avatar, set_avatar};
pub use purge::{give_up_detached, give_up_unused};
pub use url::{
    Reading, Variation, Writing, blob_url, of_reading, of_signed_id, of_signed_variation,
    of_writing, reading_url, signed_id, thumb_url, writing_url,
};
