//! Who hears what over the socket: the rules of a subscription (`realtime.md §3`), and who is present.

pub mod sql;
pub mod typing;

use chatwarden_db::{Tx, args};
use serde_json::{Map, Value, json};

use crate::desk::desk;
use crate::error::Result;
use crate::events::{account_stream, admins_stream, inbox_stream};
use crate::ids::{AccountId, ContactId, UserId};
use crate::scope::Scope;
use crate::users::{Member, Role};

/// Whoever subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupant {
    /// A member of the account.
    User(AccountId, UserId),
    /// A visitor.
    Contact(AccountId, ContactId),
}

/// An accepted subscription.
#[derive(Debug, Clone)]
pub struct Room {
    /// Who it is.
    pub occupant: Occupant,
    /// What they hear besides what is meant for their own token.
    pub streams: Vec<String>,
}

impl Occupant {
    /// The account.
    pub fn account(self) -> AccountId {
        match self {
            Self::User(account, _) | Self::Contact(account, _) => account,
        }
    }
}

/// A user's subscription: the token must be theirs, and they must be members of the account.
///
/// # Errors
/// What the database says.
pub async fn of_user(
    tx: &mut Tx<'_>,
    account: AccountId,
    user: UserId,
    token: &str,
) -> Result<Option<Room>> {
    let Some(row) = tx.opt(&sql::USER, args![account, user, token]).await? else { return Ok(None) };
    let scope = Scope::of_account(account);
    let member = Member::from(row);
    let mut streams = vec![account_stream(account)];
    if member.role == Role::Administrator {
        streams.push(admins_stream(account));
    } else {
        let inboxes = crate::inboxes::sql::ids_of_user(tx, &scope, user).await?;
        streams.extend(inboxes.into_iter().map(inbox_stream));
    }
    Ok(Some(Room { occupant: Occupant::User(account, user), streams }))
}

/// A visitor's subscription: whoever holds the token.
///
/// # Errors
/// What the database says.
pub async fn of_contact(tx: &mut Tx<'_>, token: &str) -> Result<Option<Room>> {
    let found = tx.opt(&crate::contacts::sql::BY_PUBSUB_TOKEN, args![token]).await?;
    Ok(found.map(|(account, contact)| Room {
        occupant: Occupant::Contact(AccountId(account), ContactId(contact)),
        streams: Vec::new(),
    }))
}

/// The cable message that tells an occupant who is present (`realtime.md §4`): users by their chosen availability,
/// and for users also contacts.
///
/// # Errors
/// What the database says.
pub async fn presence_update(tx: &mut Tx<'_>, occupant: Occupant) -> Result<Value> {
    let account = occupant.account();
    let scope = Scope::of_account(account);
    let presence = desk(tx).presence.clone();
    let now = tx.now();
    let seen = presence.users(account, now);
    let users: Map<String, Value> = sql::availabilities(tx, &scope)
        .await?
        .into_iter()
        .filter(|(user, _, auto_offline)| !auto_offline || seen.contains(user))
        .map(|(user, availability, _)| (user.to_string(), json!(availability)))
        .collect();
    let mut data = json!({"account_id": account, "users": users});
    if let (Occupant::User(..), Some(object)) = (occupant, data.as_object_mut()) {
        let contacts: Map<String, Value> = presence
            .contacts(account, now)
            .into_iter()
            .map(|id| (id.to_string(), json!("online")))
            .collect();
        object.insert("contacts".to_owned(), Value::Object(contacts));
    }
    Ok(json!({"event": "presence.update", "data": data}))
}
