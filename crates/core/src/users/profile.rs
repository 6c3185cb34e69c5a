//! A person as they see themselves: with their accounts and their API token (`resources.md §2`).

use chatwarden_db::{Json, Timestamp, Tx, args};
use serde_json::Value;

use super::{Availability, Role, User, shown, sql};
use crate::accounts::Status;
use crate::error::Result;
use crate::ids::{AccountId, AccountUserId, UserId};
use crate::tokens::{self, Owner};

chatwarden_db::row! {
    /// A person's membership, with what they are told about the account.
    pub struct Membership {
        pub id: AccountUserId,
        pub account_id: AccountId,
        pub account_name: String,
        pub account_status: Status,
        pub account_locale: String,
        pub account_custom_attributes: Json<Value>,
        pub feature_flags: i64,
        pub feature_flags_ext_1: i64,
        pub role: Role,
        pub inviter_id: Option<UserId>,
        pub availability: Availability,
        pub auto_offline: bool,
        pub active_at: Option<Timestamp>,
    }
}

impl Membership {
    /// The availability that others see.
    pub fn availability_status(&self, tx: &Tx<'_>, user: UserId) -> Availability {
        shown(tx, self.account_id, user, self.availability, self.auto_offline)
    }
}

/// A person's memberships, oldest first.
///
/// # Errors
/// What the database says.
pub async fn memberships(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Membership>> {
    Ok(tx.all(&sql::MEMBERSHIPS, args![user]).await?)
}

/// A person as they see themselves.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The person.
    pub user: User,
    /// The memberships, oldest first.
    pub memberships: Vec<Membership>,
    /// The API token.
    pub token: String,
}

impl Profile {
    /// Of a person.
    ///
    /// # Errors
    /// What the database says.
    pub async fn of(tx: &mut Tx<'_>, user: User) -> Result<Self> {
        let memberships = memberships(tx, user.id).await?;
        let token = tokens::of(tx, Owner::User(user.id)).await?.unwrap_or_default();
        Ok(Self { user, memberships, token })
    }

    /// The membership that was active last; the first one where none ever was.
    pub fn current(&self) -> Option<&Membership> {
        let mut found: Option<&Membership> = None;
        for membership in &self.memberships {
            if found.is_none_or(|best| membership.active_at > best.active_at) {
                found = Some(membership);
            }
        }
        found
    }
}
