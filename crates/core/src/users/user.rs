//! The person behind memberships: who signs in.

use std::collections::HashMap;

use chatwarden_db::{Json, OnConflict as _, Timestamp, Tx, WriteTx, args};
use serde::Serialize;
use serde_json::Value;

use super::{address, sql};
use crate::conversations::{self, Holder};
use crate::error::{Error, Invalid, Result, TAKEN};
use crate::events;
use crate::ids::{SessionId, UserId};
use crate::passwords::Hashed;
use crate::sessions;
use crate::storage::Avatar;
use crate::tokens::{self, Owner};

/// The longest text of a column that says nothing else (`behaviours.md §4`).
const TEXT: usize = 255;
/// The longest message signature (`behaviours.md §4`).
const LONG_TEXT: usize = 20_000;

chatwarden_db::row! {
    /// A person.
    pub struct User {
        pub id: UserId,
        pub email: String,
        pub uid: String,
        pub provider: String,
        pub name: String,
        pub display_name: Option<String>,
        pub encrypted_password: String,
        pub pubsub_token: String,
        pub kind: Option<String>,
        pub confirmed_at: Option<Timestamp>,
        pub unconfirmed_email: Option<String>,
        pub message_signature: Option<String>,
        pub ui_settings: Json<Value>,
        pub custom_attributes: Json<Value>,
        pub avatar: Option<Avatar>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

impl User {
    /// The name that others see.
    pub fn available_name(&self) -> &str {
        self.display_name.as_deref().filter(|n| !n.is_empty()).unwrap_or(&self.name)
    }

    /// Adds what is wrong with the names and texts.
    pub fn check(&self, faults: &mut Invalid) {
        check_name(faults, &self.name);
        let mut limit = |field: &'static str, text: &Option<String>, most: usize| {
            if text.as_ref().is_some_and(|text| text.chars().count() > most) {
                faults.add(field, format!("is too long (maximum is {most} characters)"));
            }
        };
        limit("display_name", &self.display_name, TEXT);
        limit("message_signature", &self.message_signature, LONG_TEXT);
    }
}

/// Adds what is wrong with a name.
pub fn check_name(faults: &mut Invalid, name: &str) {
    if name.trim().is_empty() {
        faults.add("name", "can't be blank");
    } else if name.chars().count() > TEXT {
        faults.add("name", format!("is too long (maximum is {TEXT} characters)"));
    }
}

/// A person to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The address, [normalised](address::normalised).
    pub email: String,
    /// The name.
    pub name: String,
    /// The name to show instead.
    pub display_name: Option<String>,
    /// The password's hash, made outside the transaction.
    pub password: Hashed,
    /// The person's own attributes: an object.
    pub custom_attributes: Value,
    /// Whether the address needs no confirmation.
    pub confirmed: bool,
}

impl NewUser {
    /// Adds what is wrong with the address and the names; the password was checked before it was hashed.
    pub fn check(&self, faults: &mut Invalid) {
        address::check(faults, &self.email);
        check_name(faults, &self.name);
        if self.display_name.as_ref().is_some_and(|name| name.chars().count() > TEXT) {
            faults.add("display_name", format!("is too long (maximum is {TEXT} characters)"));
        }
    }
}

fn taken() -> Error {
    Error::invalid("email", TAKEN)
}

/// A person as `users.insert` reads them.
#[derive(Serialize)]
struct Inserted<'a> {
    email: &'a str,
    name: &'a str,
    display_name: Option<&'a str>,
    encrypted_password: &'a str,
    pubsub_token: &'a str,
    confirmed_at: Option<Timestamp>,
    custom_attributes: &'a Value,
}

/// Makes a person, with an API token.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken or the address is somebody's.
pub async fn create(tx: &mut WriteTx<'_>, new: NewUser) -> Result<User> {
    create_all(tx, vec![new]).await?.pop().ok_or(Error::NotFound)
}

/// As [`create`], for several, in as many statements as for one; in their order.
///
/// # Errors
/// As [`create`].
pub(crate) async fn create_all(tx: &mut WriteTx<'_>, new: Vec<NewUser>) -> Result<Vec<User>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let mut faults = Invalid::default();
    for new in &new {
        new.check(&mut faults);
    }
    faults.check()?;
    let now = tx.now();
    let pubsub_tokens: Vec<String> = new.iter().map(|_| tx.ambient().token(24)).collect();
    let rows: Vec<Inserted<'_>> = new
        .iter()
        .zip(&pubsub_tokens)
        .map(|(new, pubsub_token)| Inserted {
            email: &new.email,
            name: &new.name,
            display_name: new.display_name.as_deref(),
            encrypted_password: new.password.as_str(),
            pubsub_token,
            confirmed_at: new.confirmed.then_some(now),
            custom_attributes: &new.custom_attributes,
        })
        .collect();
    let made = tx
        .all(&sql::INSERT, args![Json(&rows), now])
        .await
        .on_conflict("users_email_key", taken)?;
    // `returning` promises no order, and no address may get another's id.
    let mut ids: HashMap<String, UserId> =
        made.into_iter().map(|(id, email)| (email, id)).collect();
    tokens::renew_all(tx, ids.values().map(|id| Owner::User(*id))).await?;
    new.into_iter()
        .zip(pubsub_tokens)
        .map(|(new, pubsub_token)| {
            crate::meters::user(tx);
            Ok(User {
                id: ids.remove(&new.email).ok_or(Error::NotFound)?,
                uid: new.email.clone(),
                email: new.email,
                provider: "email".to_owned(),
                name: new.name,
                display_name: new.display_name,
                encrypted_password: new.password.as_str().to_owned(),
                pubsub_token,
                kind: None,
                confirmed_at: new.confirmed.then_some(now),
                unconfirmed_email: None,
                message_signature: None,
                ui_settings: Json(Value::Object(serde_json::Map::new())),
                custom_attributes: Json(new.custom_attributes),
                avatar: None,
                created_at: now,
                updated_at: now,
            })
        })
        .collect()
}

/// A person.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn get(tx: &mut Tx<'_>, id: UserId) -> Result<User> {
    tx.opt(&sql::GET, args![id]).await?.ok_or(Error::NotFound)
}

/// A person, for changing: nobody else changes the row until the transaction ends.
///
/// # Errors
/// [`Error::NotFound`] where there is none.
pub async fn lock(tx: &mut WriteTx<'_>, id: UserId) -> Result<User> {
    tx.opt(&sql::LOCK, args![id]).await?.ok_or(Error::NotFound)
}

/// The person with a [normalised](address::normalised) address.
///
/// # Errors
/// What the database says.
pub async fn by_email(tx: &mut Tx<'_>, email: &str) -> Result<Option<User>> {
    Ok(tx.opt(&sql::BY_EMAIL, args![email]).await?)
}

/// The person with a [normalised](address::normalised) address, for changing: as [`lock`].
///
/// # Errors
/// What the database says.
pub async fn lock_by_email(tx: &mut WriteTx<'_>, email: &str) -> Result<Option<User>> {
    Ok(tx.opt(&sql::LOCK_BY_EMAIL, args![email]).await?)
}

/// The people with [normalised](address::normalised) addresses, for changing: as [`lock`].
///
/// # Errors
/// What the database says.
pub(crate) async fn lock_by_emails(tx: &mut WriteTx<'_>, emails: &[String]) -> Result<Vec<User>> {
    Ok(tx.all(&sql::LOCK_BY_EMAILS, args![emails]).await?)
}

/// Stores what was changed of a [locked](lock) person, apart from the password.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken or the address is somebody else's.
pub async fn save(tx: &mut WriteTx<'_>, user: &mut User) -> Result<()> {
    let mut faults = Invalid::default();
    user.check(&mut faults);
    faults.check()?;
    user.updated_at = tx.now();
    user.uid.clone_from(&user.email);
    tx.run(
        &sql::UPDATE,
        args![
            user.id,
            user.email,
            user.name,
            user.display_name,
            user.confirmed_at,
            user.unconfirmed_email,
            user.message_signature,
            user.ui_settings,
            user.custom_attributes,
            user.updated_at
        ],
    )
    .await
    .on_conflict("users_email_key", taken)
    .map(drop)
}

/// Sets a password: other sign-ins than `keep` end, a pending reset is void, and sockets need the
/// new token (`behaviours.md §2.1`).
///
/// # Errors
/// What the database says.
pub async fn set_password(
    tx: &mut WriteTx<'_>,
    user: &mut User,
    password: Hashed,
    keep: Option<SessionId>,
) -> Result<()> {
    let old = std::mem::replace(&mut user.pubsub_token, tx.ambient().token(24));
    user.updated_at = tx.now();
    tx.run(&sql::SET_PASSWORD, args![user.id, password, user.pubsub_token, user.updated_at])
        .await?;
    password.as_str().clone_into(&mut user.encrypted_password);
    sessions::end_others(tx, user.id, keep).await?;
    events::refresh(tx, old);
    Ok(())
}

/// Stores a hash of the same password in today's form.
///
/// # Errors
/// What the database says.
pub async fn renew_hash(tx: &mut WriteTx<'_>, id: UserId, old: &str, new: &Hashed) -> Result<()> {
    tx.run(&sql::RENEW_HASH, args![id, old, *new]).await?;
    Ok(())
}

/// Removes a person: memberships, sessions, seats and notifications refer to them and go along; conversations
/// lose their assignee.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut WriteTx<'_>, user: &User) -> Result<()> {
    let memberships = super::memberships(tx, user.id).await?;
    let accounts = memberships.iter().map(|membership| membership.account_id);
    conversations::release_all(tx, accounts, Holder::Assignee(user.id)).await?;
    tokens::remove(tx, Owner::User(user.id)).await?;
    tx.run(&sql::DELETE, args![user.id]).await?;
    events::refresh(tx, user.pubsub_token.clone());
    Ok(())
}
