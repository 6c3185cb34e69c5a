//! Stored files: what messages carry, pictures, what was uploaded for a text (`behaviours.md §14`).

mod attachment;
mod avatar;
pub mod signing;
mod url;

pub use attachment::{Attachment, FileOf, FileType, pushes};
pub use avatar::{Avatar, avatar_url};
pub use url::{Variation, blob_url, of_signed_id, of_signed_variation, signed_id, thumb_url};
