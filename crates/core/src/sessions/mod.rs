//! Sessions: sign-ins of people, one a client. The token is random and only its hash is kept
//! (`behaviours.md §2.1`).

mod device;
pub mod sql;

pub use device::{AppHeaders, Device};

use chatwarden_db::{Ambient, Timestamp, Tx, WriteTx, args};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::desk::desk;
use crate::error::{Error, Result};
use crate::ids::{SessionId, UserId};
use crate::users::User;

/// How long a session lasts.
const MONTHS: u32 = 2;
/// The note of the last activity is renewed after so many seconds.
const ACTIVITY: i64 = 5 * 60;

chatwarden_db::row! {
    /// A sign-in.
    pub struct Session {
        pub id: SessionId,
        pub user_id: UserId,
        pub client_id: String,
        pub token_hash: String,
        pub expires_at: Timestamp,
        pub ip_address: Option<String>,
        pub browser_name: Option<String>,
        pub browser_version: Option<String>,
        pub device_name: Option<String>,
        pub platform_name: Option<String>,
        pub platform_version: Option<String>,
        pub city: Option<String>,
        pub country: Option<String>,
        pub country_code: Option<String>,
        pub last_activity_at: Option<Timestamp>,
        pub created_at: Timestamp,
    }
}

impl Session {
    /// Whether the last activity is to be noted again.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.last_activity_at.is_none_or(|at| now.micros() - at.micros() >= ACTIVITY * 1_000_000)
    }
}

/// What a client shows to be recognised.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The person: the address.
    pub uid: String,
    /// The client.
    pub client: String,
    /// The secret.
    pub token: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("client", &self.client).finish_non_exhaustive()
    }
}

/// What to do about the sessions that are there when one more is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Room {
    /// End this one first.
    pub revoke: Option<SessionId>,
    /// End all first.
    pub revoke_all: bool,
    /// Let the person choose where there are too many; otherwise the oldest ends.
    pub ask: bool,
}

/// What came of opening a session.
#[derive(Debug)]
pub enum Opened {
    /// It is open.
    Yes(Credentials, Box<Session>),
    /// There are too many; these.
    Full(Vec<Session>),
}

/// The hash of a secret that is random enough to need no salt: SHA-256 in hexadecimal.
pub fn digest(secret: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(secret.as_bytes()).iter().fold(String::with_capacity(64), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// A secret of 128 bits, for links and sessions.
pub fn secret(ambient: &Ambient) -> String {
    ambient.token(22)
}

/// The session of these credentials, where they are good.
///
/// # Errors
/// What the database says.
pub async fn find(tx: &mut Tx<'_>, shown: &Credentials) -> Result<Option<Session>> {
    let now = tx.now();
    let found = tx.opt(&sql::FIND, args![shown.uid, shown.client, now]).await?;
    let hash = digest(&shown.token);
    Ok(found.filter(|session| session.token_hash.as_bytes().ct_eq(hash.as_bytes()).into()))
}

/// The sessions of a person that are still good, the latest activity first.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, user: UserId) -> Result<Vec<Session>> {
    let now = tx.now();
    Ok(tx.all(&sql::LIST, args![user, now]).await?)
}

/// Opens a session for a person, whose row the caller has locked.
///
/// # Errors
/// What the database says.
pub async fn open(tx: &mut WriteTx<'_>, user: &User, device: Device, room: Room) -> Result<Opened> {
    let now = tx.now();
    tx.run(&sql::DROP_EXPIRED, args![user.id, now]).await?;
    if room.revoke_all {
        end_others(tx, user.id, None).await?;
    } else if let Some(id) = room.revoke {
        tx.run(&sql::END, args![user.id, id]).await?;
    }
    let most = desk(tx).max_user_sessions.max(1);
    let mut there = list(tx, user.id).await?;
    let over = i64::try_from(there.len()).unwrap_or(i64::MAX) - most + 1;
    if over > 0 && room.ask {
        return Ok(Opened::Full(there));
    }
    if let Ok(over @ 1..) = usize::try_from(over) {
        there.sort_by_key(|session| session.id);
        let oldest: Vec<i64> = there.iter().take(over).map(|session| session.id.0).collect();
        tx.run(&sql::END_SOME, args![user.id, oldest]).await?;
    }
    let shown = Credentials {
        uid: user.uid.clone(),
        client: secret(tx.ambient()),
        token: secret(tx.ambient()),
    };
    let expires_at = chrono::DateTime::from_timestamp_micros(now.micros())
        .and_then(|at| at.checked_add_months(chrono::Months::new(MONTHS)))
        .map_or(now, |at| Timestamp::from_unix(at.timestamp()));
    let token_hash = digest(&shown.token);
    let (id,) = tx
        .one(
            &sql::INSERT,
            args![
                user.id,
                shown.client,
                token_hash,
                expires_at,
                device.user_agent,
                device.ip_address,
                device.browser_name,
                device.browser_version,
                device.device_name,
                device.platform_name,
                device.platform_version,
                now
            ],
        )
        .await?;
    let session = Session {
        id: SessionId(id),
        user_id: user.id,
        client_id: shown.client.clone(),
        token_hash,
        expires_at,
        ip_address: device.ip_address,
        browser_name: device.browser_name,
        browser_version: device.browser_version,
        device_name: device.device_name,
        platform_name: device.platform_name,
        platform_version: device.platform_version,
        city: None,
        country: None,
        country_code: None,
        last_activity_at: Some(now),
        created_at: now,
    };
    Ok(Opened::Yes(shown, Box::new(session)))
}

/// Notes that a session is being used.
///
/// # Errors
/// What the database says.
pub async fn touch(tx: &mut WriteTx<'_>, session: &Session) -> Result<()> {
    let now = tx.now();
    tx.run(&sql::TOUCH, args![session.user_id, session.id, now]).await?;
    Ok(())
}

/// Ends a session of a person.
///
/// # Errors
/// [`Error::NotFound`] where the person has none with this id.
pub async fn end(tx: &mut WriteTx<'_>, user: UserId, id: SessionId) -> Result<()> {
    if tx.run(&sql::END, args![user, id]).await? == 0 { Err(Error::NotFound) } else { Ok(()) }
}

/// Ends all sessions of a person but one.
///
/// # Errors
/// What the database says.
pub async fn end_others(tx: &mut WriteTx<'_>, user: UserId, keep: Option<SessionId>) -> Result<()> {
    tx.run(&sql::END_OTHERS, args![user, keep]).await?;
    Ok(())
}
