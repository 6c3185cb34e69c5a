//! API tokens: one for each user, bot and platform app (`behaviours.md §2.2`).

pub mod sql;

use chatwarden_db::{DbError, Json, Timestamp, Tx, WriteTx, args};
use serde::Serialize;

use crate::ids::{AgentBotId, PlatformAppId, UserId};

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A person.
    User(UserId),
    /// A bot.
    AgentBot(AgentBotId),
    /// An application of the platform API.
    PlatformApp(PlatformAppId),
}

impl Owner {
    const fn parts(self) -> (&'static str, i64) {
        match self {
            Self::User(id) => ("User", id.0),
            Self::AgentBot(id) => ("AgentBot", id.0),
            Self::PlatformApp(id) => ("PlatformApp", id.0),
        }
    }
}

/// A token that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Its number, for limits and logs.
    pub id: i64,
    /// Whose it is.
    pub owner: Owner,
}

chatwarden_db::row! {
    /// A token with all that is known of it.
    pub struct Record {
        pub id: i64,
        pub owner_type: String,
        pub owner_id: i64,
        pub token: String,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

/// The token of an owner, as the record.
///
/// # Errors
/// What the database says.
pub async fn record(tx: &mut Tx<'_>, owner: Owner) -> Result<Option<Record>, DbError> {
    let (kind, id) = owner.parts();
    tx.opt(&sql::RECORD, args![kind, id]).await
}

/// A token, where there is such a one.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx<'_>, token: &str) -> Result<Option<Token>, DbError> {
    let Some((id, kind, owner)) = tx.opt(&sql::FIND, args![token]).await? else { return Ok(None) };
    let owner = match kind.as_str() {
        "User" => Owner::User(UserId(owner)),
        "AgentBot" => Owner::AgentBot(AgentBotId(owner)),
        "PlatformApp" => Owner::PlatformApp(PlatformAppId(owner)),
        _ => return Ok(None),
    };
    Ok(Some(Token { id, owner }))
}

/// The token of an owner.
///
/// # Errors
/// What the database says.
pub async fn of(tx: &mut Tx<'_>, owner: Owner) -> Result<Option<String>, DbError> {
    let (kind, id) = owner.parts();
    Ok(tx.opt(&sql::OF, args![kind, id]).await?.map(|(token,)| token))
}

/// Gives an owner a new token; the old one stops working.
///
/// # Errors
/// What the database says.
pub async fn renew(tx: &mut WriteTx<'_>, owner: Owner) -> Result<String, DbError> {
    let renewed = Renewed::of(tx, owner);
    write(tx, std::slice::from_ref(&renewed)).await?;
    Ok(renewed.token)
}

/// A token as `tokens.renew` reads it.
#[derive(Serialize)]
struct Renewed {
    owner_type: &'static str,
    owner_id: i64,
    token: String,
}

impl Renewed {
    fn of(tx: &WriteTx<'_>, owner: Owner) -> Self {
        let (owner_type, owner_id) = owner.parts();
        Self { owner_type, owner_id, token: tx.ambient().token(24) }
    }
}

/// As [`renew`], for several in one statement.
///
/// # Errors
/// What the database says.
pub(crate) async fn renew_all(
    tx: &mut WriteTx<'_>,
    owners: impl IntoIterator<Item = Owner>,
) -> Result<(), DbError> {
    let renewed: Vec<Renewed> = owners.into_iter().map(|owner| Renewed::of(tx, owner)).collect();
    if renewed.is_empty() {
        return Ok(());
    }
    write(tx, &renewed).await
}

async fn write(tx: &mut WriteTx<'_>, renewed: &[Renewed]) -> Result<(), DbError> {
    let now = tx.now();
    tx.run(&sql::RENEW, args![Json(renewed), now]).await.map(|_| ())
}

/// Takes an owner's token away.
///
/// # Errors
/// What the database says.
pub async fn remove(tx: &mut WriteTx<'_>, owner: Owner) -> Result<(), DbError> {
    let (kind, id) = owner.parts();
    tx.run(&sql::REMOVE, args![kind, id]).await.map(drop)
}

/// The tokens of bots, by their ids.
///
/// # Errors
/// What the database says.
pub async fn of_bots(
    tx: &mut Tx<'_>,
    bots: &[AgentBotId],
) -> Result<Vec<(AgentBotId, String)>, DbError> {
    let bots: Vec<i64> = bots.iter().map(|bot| bot.0).collect();
    let found = tx.all(&sql::OF_BOTS, args![bots]).await?;
    Ok(found.into_iter().map(|(id, token)| (AgentBotId(id), token)).collect())
}
