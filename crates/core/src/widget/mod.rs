//! The website's widget: visitors known by a signed token (`widget.md §4.3`, §5).

pub mod languages;
pub mod sql;

use chatwarden_db::{Timestamp, Tx, WriteTx, args};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::accounts::{self, features::Features};
use crate::agent_bots::AgentBot;
use crate::contacts::{self, NewContact};
use crate::desk::{Desk, desk};
use crate::error::{Error, Result};
use crate::ids::InboxId;
use crate::inboxes::{self, Door, WEB_WIDGET};
use crate::users::Member;
use crate::visitors::{self, Identity, Manner, Proof, Visitor};

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
pub fn claims(desk: &Desk, now: Timestamp, token: &str) -> Option<Claims> {
    let mut validation = Validation::new(Algorithm::HS256);
    // The expiry is judged by our clock.
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(desk.secret.as_bytes());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).ok()?.claims;
    (claims.exp > now.unix()).then_some(claims)
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
/// [`Error::NotFound`] where the website or the visitor is unknown, or there is no token of ours (`widget.md §5`).
pub async fn visitor(
    tx: &mut Tx<'_>,
    website_token: &str,
    claims: Option<&Claims>,
) -> Result<Visitor> {
    let (door, _) = website(tx, website_token).await?;
    let claims = claims.ok_or(Error::NotFound)?;
    Visitor::find(tx, door, &claims.source_id).await
}

/// A visitor of a page, and what the page is told besides.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// The visitor.
    pub visitor: Visitor,
    /// The website's account.
    pub account: accounts::Account,
    /// The bot that serves the website.
    pub bot: Option<AgentBot>,
    /// The visitor's token.
    pub token: String,
}

impl Greeting {
    async fn of(
        tx: &mut Tx<'_>,
        visitor: Visitor,
        account: accounts::Account,
        token: String,
    ) -> Result<Self> {
        let bot = inboxes::bot(tx, &visitor.door.scope, visitor.door.inbox.id).await?;
        Ok(Self { visitor, account, bot, token })
    }

    /// Another token for the visitor, good from now on.
    pub fn fresh_token(&self, tx: &Tx<'_>) -> String {
        token(tx, self.visitor.door.inbox.id, &self.visitor.contact_inbox.source_id)
    }
}

/// The visitor of a page whom the token stands for; none where it stands for nobody.
///
/// # Errors
/// As [`website`].
pub async fn known(
    tx: &mut Tx<'_>,
    website_token: &str,
    auth_token: &str,
) -> Result<Option<Greeting>> {
    let (door, account) = website(tx, website_token).await?;
    let Some(claims) = claims(&desk(tx), tx.now(), auth_token) else { return Ok(None) };
    match Visitor::find(tx, door, &claims.source_id).await {
        Ok(visitor) => Ok(Some(Greeting::of(tx, visitor, account, auth_token.to_owned()).await?)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new visitor of a page, with a name of chance, and their token.
///
/// # Errors
/// As [`website`].
pub async fn arrive(
    tx: &mut WriteTx<'_>,
    website_token: &str,
    address: Option<String>,
) -> Result<Greeting> {
    let (door, account) = website(tx, website_token).await?;
    let address = address.filter(|_| Features::of(&account).has("ip_lookup"));
    let (visitor, token) = newcomer(tx, door, address).await?;
    Greeting::of(tx, visitor, account, token).await
}

/// A visitor who was never here, and their token.
async fn newcomer(
    tx: &mut WriteTx<'_>,
    door: Door,
    address: Option<String>,
) -> Result<(Visitor, String)> {
    let mut new = NewContact { name: visitors::some_name(tx), ..NewContact::default() };
    if let Some(address) = address {
        new.additional_attributes.insert("created_at_ip".to_owned(), address.into());
    }
    let contact = contacts::create(tx, &door.scope, new).await?;
    let contact_inbox =
        contacts::contact_inbox(tx, &door.scope, contact.id, door.inbox.id, None).await?;
    let token = token(tx, door.inbox.id, &contact_inbox.source_id);
    Ok((Visitor { door, contact_inbox, contact }, token))
}

/// Somebody is signed in on the customer's page (`widget.md §7.2`, set_user). Another person than the one the
/// browser was known as becomes a new visitor: their token.
///
/// # Errors
/// [`Error::Unauthorized`] for a proof that is wrong or missing.
pub async fn set_user(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    given: Identity,
    proof: &Proof,
) -> Result<Option<String>> {
    let anonymous = given.identifier.as_deref().is_none_or(|text| text.trim().is_empty());
    // Attributes alone say nothing of who it is.
    let proved = if anonymous && !given.custom_attributes.is_empty() {
        false
    } else {
        proof.check(&visitor.door.channel)?
    };
    let known = visitor.contact.identifier.as_deref();
    let mut token = None;
    if known.is_some() && known != given.identifier.as_deref() {
        let (other, made) = newcomer(tx, visitor.door.clone(), None).await?;
        *visitor = other;
        token = Some(made);
    }
    if proved {
        visitor.prove(tx).await?;
    }
    visitors::identify(tx, visitor, given, Manner { keep_name: false, drop_invalid: true }).await?;
    Ok(token)
}

/// Takes over what a visitor says of themselves; who says who they are must prove it where that is asked for.
///
/// # Errors
/// As [`set_user`].
pub async fn update(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    given: Identity,
    proof: &Proof,
) -> Result<()> {
    if given.identifier.as_deref().is_some_and(|text| !text.trim().is_empty()) {
        proof.check(&visitor.door.channel)?;
    }
    visitors::identify(tx, visitor, given, Manner { keep_name: false, drop_invalid: true }).await
}

/// Takes over what a visitor writes into the form before a chat. Their name counts while nothing else is
/// known of them.
///
/// # Errors
/// What the database says.
pub async fn introduce(
    tx: &mut WriteTx<'_>,
    visitor: &mut Visitor,
    mut given: Identity,
) -> Result<()> {
    given.name = visitors::name_for(&visitor.contact, given.name, given.email.as_deref());
    visitors::identify(tx, visitor, given, Manner { keep_name: true, drop_invalid: true }).await
}

/// The people who answer on a website.
///
/// # Errors
/// What the database says.
pub async fn people(tx: &mut Tx<'_>, door: &Door) -> Result<Vec<Member>> {
    let found = tx.all(&sql::PEOPLE, args![door.scope.account_id(), door.inbox.id]).await?;
    Ok(found.into_iter().map(Member::from).collect())
}

/// Whether a website's visitors may do something: `end_conversation`, `attachments`, …
pub fn may(door: &Door, feature: &str) -> bool {
    let features = door.channel.settings.0.get("selected_feature_flags");
    features
        .and_then(serde_json::Value::as_array)
        .is_some_and(|features| features.iter().any(|name| name.as_str() == Some(feature)))
}
