//! People, and their memberships of accounts.

pub mod address;
pub mod asked;
pub mod links;
mod profile;
pub mod push;
mod reclaim;
pub mod sql;
mod user;

pub use profile::{Membership, Profile, memberships};
pub use push::UserPush;
pub use reclaim::reclaim;
pub(crate) use reclaim::reclaim_all;
pub use user::{
    NewUser, User, by_email, check_name, create, delete, get, lock, lock_by_email, renew_hash,
    save, set_password,
};
pub(crate) use user::{create_all, lock_by_emails};

use chatwarden_db::{Timestamp, Tx};

use crate::desk::desk;
use crate::ids::{AccountId, AccountUserId, UserId};
use crate::storage::Avatar;

/// What a member may do (Chatwoot's integers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers conversations.
    Agent,
    /// Also runs the account.
    Administrator,
}

/// What a member wants to be shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Availability {
    /// Ready.
    Online,
    /// Away.
    Offline,
    /// There, but not to be disturbed.
    Busy,
}

crate::integer_enum! { Role { Agent = 0 "agent", Administrator = 1 "administrator" } }
crate::integer_enum! { Availability { Online = 0 "online", Offline = 1 "offline", Busy = 2 "busy" } }

/// A person as a member of an account.
#[derive(Debug, Clone)]
pub struct Member {
    /// The person.
    pub id: UserId,
    /// The membership.
    pub account_user_id: AccountUserId,
    /// The account.
    pub account_id: AccountId,
    /// The role.
    pub role: Role,
    /// The name.
    pub name: String,
    /// The name to show instead.
    pub display_name: Option<String>,
    /// The address.
    pub email: String,
    /// Where the person signs in: `email`, …
    pub provider: String,
    /// Whether the address was confirmed.
    pub confirmed: bool,
    /// The chosen availability.
    pub availability: Availability,
    /// Whether the person is shown offline when not present.
    pub auto_offline: bool,
    /// The socket's token.
    pub pubsub_token: String,
    /// The person's own attributes.
    pub custom_attributes: serde_json::Value,
    /// The picture.
    pub avatar: Option<Avatar>,
}

chatwarden_db::row! {
    /// A membership with its person.
    pub struct MemberRow {
        pub id: UserId,
        pub account_user_id: AccountUserId,
        pub account_id: AccountId,
        pub role: Role,
        pub name: String,
        pub display_name: Option<String>,
        pub email: String,
        pub provider: String,
        pub confirmed_at: Option<Timestamp>,
        pub availability: Availability,
        pub auto_offline: bool,
        pub pubsub_token: String,
        pub custom_attributes: chatwarden_db::Json<serde_json::Value>,
        pub avatar: Option<Avatar>,
    }
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self {
            id: row.id,
            account_user_id: row.account_user_id,
            account_id: row.account_id,
            role: row.role,
            name: row.name,
            display_name: row.display_name,
            email: row.email,
            provider: row.provider,
            confirmed: row.confirmed_at.is_some(),
            availability: row.availability,
            auto_offline: row.auto_offline,
            pubsub_token: row.pubsub_token,
            custom_attributes: row.custom_attributes.0,
            avatar: row.avatar,
        }
    }
}

impl Member {
    /// The name that others see.
    pub fn available_name(&self) -> &str {
        self.display_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&self.name)
    }

    /// The availability that others see: the chosen one while present, or always for who does not
    /// go offline by leaving (`realtime.md §4`).
    pub fn availability_status(&self, tx: &Tx<'_>) -> Availability {
        shown(tx, self.account_id, self.id, self.availability, self.auto_offline)
    }
}

/// The availability that others see.
fn shown(
    tx: &Tx<'_>,
    account: AccountId,
    user: UserId,
    chosen: Availability,
    auto_offline: bool,
) -> Availability {
    let present = || desk(tx).presence.user_online(account, user, tx.now());
    if !auto_offline || present() { chosen } else { Availability::Offline }
}
