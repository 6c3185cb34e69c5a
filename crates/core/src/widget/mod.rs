//! The website's widget: visitors known by a signed token (`widget.md §4.3`, §5).

pub mod languages;

use chatwarden_db::{Tx, WriteTx};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::contacts::{self, Contact, ContactInbox, NewContact};
use crate::conversations::{self, Conversation, NewConversation};
use crate::desk::desk;
use crate::error::{Error, Result};
use crate::events::Performer;
use crate::ids::InboxId;
use crate::inboxes::{self, Door, WEB_WIDGET};
use crate::{accounts, events};

/// What a visitor's token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// What the inbox calls the contact.
    pub source_id: String,
    /// The inbox.
    pub inbox_id: i64,
    /// Until when it is good, unix seconds.
    pub exp: i64,
    /// When it was made, unix seconds.
    pub iat: i64,
}

/// A visitor of a website.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The website's inbox, and with it the scope.
    pub door: Door,
    /// Where the visitor writes from.
    pub contact_inbox: ContactInbox,
    /// Who it is.
    pub contact: Contact,
}

/// A token for a contact inbox.
pub fn token(tx: &Tx<'_>, inbox: InboxId, source_id: &str) -> String {
    let now = tx.now().unix();
    let desk = desk(tx);
    let claims = Claims {
        source_id: source_id.to_owned(),
        inbox_id: inbox.0,
        exp: now + desk.widget_token_days * 86_400,
        iat: now,
    };
    // Signing four plain values can't fail.
    jsonwebtoken::encode(
        &Header::default(),
        &claims,
        &EncodingKey::from_secret(desk.secret.as_bytes()),
    )
    .unwrap_or_default()
}

/// What a token says, if it is ours and still good.
pub fn claims(tx: &Tx<'_>, token: &str) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The expiry is judged by the transaction's clock.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(desk(tx).secret.as_bytes());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
    (claims.exp > tx.now().unix()).then_some(claims)
}

/// The website of a token, while its account works.
///
/// # Errors
/// [`Error::NotFound`] for an unknown website, [`Error::Unauthorized`] for a suspended account.
pub async fn website(tx: &mut Tx<'_>, website_token: &str) -> Result<(Door, accounts::Account)> {
    let door = inboxes::door(tx, WEB_WIDGET, website_token).await?;
    let account = accounts::of(tx, &door.scope).await?;
    if account.status == accounts::Status::Suspended {
        return Err(Error::Unauthorized("Account is suspended".to_owned()));
    }
    Ok((door, account))
}

/// The visitor that a token stands for.
///
/// # Errors
/// [`Error::NotFound`] where the website or the visitor is unknown, or the token is none of ours (`widget.md §5`).
pub async fn visitor(tx: &mut Tx<'_>, website_token: &str, auth_token: &str) -> Result<Visitor> {
    let (door, _) = website(tx, website_token).await?;
    let claims = claims(tx, auth_token).ok_or(Error::NotFound)?;
    let contact_inbox =
        contacts::sql::contact_inbox_by_source(tx, &door.scope, door.inbox.id, &claims.source_id)
            .await?
            .ok_or(Error::NotFound)?;
    let contact = contacts::sql::get(tx, &door.scope, contact_inbox.contact_id)
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Visitor { door, contact_inbox, contact })
}

/// The visitor of a page: the one the token stands for, else a new one with a name of chance.
///
/// # Errors
/// As [`website`].
pub async fn arrive(
    tx: &mut WriteTx<'_>,
    website_token: &str,
    auth_token: Option<&str>,
) -> Result<(Visitor, accounts::Account, String)> {
    let (door, account) = website(tx, website_token).await?;
    if let Some(auth_token) = auth_token {
        match visitor(tx, website_token, auth_token).await {
            Ok(visitor) => return Ok((visitor, account, auth_token.to_owned())),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let name = name(tx);
    let contact =
        contacts::create(tx, &door.scope, NewContact { name, ..NewContact::default() }).await?;
    let contact_inbox =
        contacts::contact_inbox(tx, &door.scope, contact.id, door.inbox.id, None).await?;
    let token = token(tx, door.inbox.id, &contact_inbox.source_id);
    Ok((Visitor { door, contact_inbox, contact }, account, token))
}

/// A name for somebody who has not given one: `snowy-waterfall-311`.
fn name(tx: &Tx<'_>) -> String {
    const HOW: [&str; 16] = [
        "autumn", "bold", "calm", "crimson", "dawn", "frosty", "gentle", "golden", "misty",
        "quiet", "silent", "snowy", "spring", "still", "summer", "wild",
    ];
    const WHAT: [&str; 16] = [
        "breeze",
        "brook",
        "cloud",
        "dew",
        "field",
        "fire",
        "forest",
        "lake",
        "leaf",
        "meadow",
        "moon",
        "river",
        "sea",
        "star",
        "sunset",
        "waterfall",
    ];
    let [how, what, high, low] = tx.ambient().bytes::<4>();
    let of = |words: &[&'static str; 16], byte: u8| {
        words.get(usize::from(byte % 16)).copied().unwrap_or_default()
    };
    let number = (u16::from_be_bytes([high, low])) % 1000;
    format!("{}-{}-{number}", of(&HOW, how), of(&WHAT, what))
}

impl Visitor {
    /// The visitor's current conversation: the newest; locked.
    ///
    /// # Errors
    /// What the database says.
    pub async fn lock_conversation(&self, tx: &mut WriteTx<'_>) -> Result<Option<Conversation>> {
        let (scope, inbox) = (&self.door.scope, self.door.inbox.id);
        Ok(conversations::sql::latest_of_contact_inbox(tx, scope, self.contact_inbox.id, inbox)
            .await?)
    }

    /// The same, to look at.
    ///
    /// # Errors
    /// What the database says.
    pub async fn conversation(&self, tx: &mut Tx<'_>) -> Result<Option<Conversation>> {
        let (scope, inbox) = (&self.door.scope, self.door.inbox.id);
        Ok(conversations::sql::newest_of_contact_inbox(tx, scope, self.contact_inbox.id, inbox)
            .await?)
    }

    /// Opens a conversation; announced by the caller once its first message stands or at once.
    ///
    /// # Errors
    /// What the database says.
    pub async fn open(&self, tx: &mut WriteTx<'_>, new: NewConversation) -> Result<Conversation> {
        let scope = &self.door.scope;
        let (made, _) = conversations::create(
            tx,
            scope,
            &self.door.inbox,
            &self.contact_inbox,
            self.contact.blocked,
            new,
        )
        .await?;
        Ok(made)
    }

    /// The visitor as the one who acts.
    pub fn performer(&self) -> events::Performer {
        Performer::Contact(self.contact.name.clone())
    }
}
