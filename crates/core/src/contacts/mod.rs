//! Contacts: the people who write to an account, and where they write from.

mod change;
mod create;
pub mod lists;
mod merge;
pub mod push;
pub mod removal;
mod save;
pub mod sql;

pub use change::{Draft, destroy_custom_attributes, lock, update};
pub use create::{
    NewContact, contact_inbox, create, default_source_id, is_contact_email, is_e164, is_email,
    join_inbox,
};
pub(crate) use merge::lock_whole;
pub use merge::merge;
pub use push::{ContactPush, hide_records};
pub use removal::{delete, is_online};
pub(crate) use save::{deep_merge, without};
pub use save::{forget_attributes, save};

use chatwarden_db::{Json, Timestamp, WriteTx};
use serde_json::Value;

use crate::error::Result;
use crate::events::{self, Audience, Event};
use crate::ids::{AccountId, ContactId, ContactInboxId, InboxId};
use crate::scope::Scope;
use crate::storage::Avatar;

chatwarden_db::row! {
    /// A contact of the account.
    #[derive(PartialEq)]
    pub struct Contact {
        pub id: ContactId,
        pub account_id: AccountId,
        pub name: String,
        pub middle_name: String,
        pub last_name: String,
        pub email: Option<String>,
        pub phone_number: Option<String>,
        pub identifier: Option<String>,
        pub location: Option<String>,
        pub country_code: Option<String>,
        pub contact_type: i64,
        pub blocked: bool,
        pub additional_attributes: Json<Value>,
        pub custom_attributes: Json<Value>,
        pub labels: Json<Vec<String>>,
        pub avatar: Option<Avatar>,
        pub last_activity_at: Option<Timestamp>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::row! {
    /// A contact's presence in an inbox: what the channel calls it, and its socket's token.
    pub struct ContactInbox {
        pub id: ContactInboxId,
        pub contact_id: ContactId,
        pub inbox_id: InboxId,
        pub source_id: String,
        pub hmac_verified: bool,
        /// Whoever writes from here became the contact by what they typed, not by a proof.
        pub absorbed: bool,
        pub pubsub_token: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

impl ContactInbox {
    /// Whether the contact's record is that of who writes from here. A contact that absorbed them is shown to them by
    /// its id and name.
    pub fn owns_contact(&self) -> bool {
        self.hmac_verified || !self.absorbed
    }
}

chatwarden_db::row! {
    /// An inbox that a contact writes from.
    pub struct InboxOfContact {
        pub contact_id: ContactId,
        pub source_id: String,
        pub inbox_id: InboxId,
        pub channel_id: crate::ids::ChannelId,
        pub name: String,
        pub channel_type: String,
        pub avatar: Option<Avatar>,
    }
}

/// Notes that a contact was active, and tells the account of the contact as it is stored: somebody may
/// have changed it since it was read.
///
/// # Errors
/// What the database says.
pub async fn touch(tx: &mut WriteTx<'_>, scope: &Scope, contact: &mut Contact) -> Result<()> {
    let Some(stored) = sql::touch(tx, scope, contact.id).await? else { return Ok(()) };
    *contact = stored;
    announce(tx, scope, "contact.updated", contact);
    Ok(())
}

/// Tells the account's members of a contact.
pub fn announce(tx: &mut WriteTx<'_>, scope: &Scope, event: &'static str, contact: &Contact) {
    let push = ContactPush::of(tx, contact);
    let event = Event::new(event, Audience::account(scope)).by_the_scope();
    events::emit(tx, scope, &event, &push);
}
