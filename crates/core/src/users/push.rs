//! A person in cable frames and as the sender of messages (`realtime.md §7`).

use chatwarden_db::Tx;
use serde::Serialize;

use super::{Availability, Member};
use crate::ids::UserId;
use crate::storage::avatar_url;

/// The push form of a user.
#[derive(Debug, Clone, Serialize)]
pub struct UserPush {
    /// The person.
    pub id: UserId,
    /// The name.
    pub name: String,
    /// The name that others see.
    pub available_name: String,
    /// The picture, `""` when there is none.
    pub avatar_url: String,
    /// `user`
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Null where the account is not known (public API).
    pub availability_status: Option<Availability>,
    /// The picture again.
    pub thumbnail: String,
}

impl UserPush {
    /// Of a member, as the account sees it.
    pub fn of(tx: &Tx<'_>, member: &Member) -> Self {
        let avatar = avatar_url(tx, member.avatar.as_ref());
        Self {
            id: member.id,
            name: member.name.clone(),
            available_name: member.available_name().to_owned(),
            avatar_url: avatar.clone(),
            kind: "user",
            availability_status: Some(member.availability_status(tx)),
            thumbnail: avatar,
        }
    }
}
