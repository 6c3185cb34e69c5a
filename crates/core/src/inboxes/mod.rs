//! Inboxes: where an account is written to, and their channels.

mod bot;
mod channel;
pub mod doors;
mod draft;
pub mod hours;
pub mod members;
pub mod purge;
pub mod sql;

pub use bot::{bot, set_bot};
pub use channel::{API, EMAIL, SMS, WEB_WIDGET, named};
pub use draft::{Draft, create, remove_avatar, reset_secret, update};
pub use purge::delete;

use chatwarden_db::{Json, Timestamp, Tx, WriteTx};
use serde_json::Value;

use self::hours::Day;
use crate::error::{Error, Result};
use crate::ids::{AccountId, ChannelId, InboxId};
use crate::scope::Scope;
use crate::storage::Avatar;

/// Whose name mails carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderName {
    /// The agent's and the business's.
    Friendly,
    /// The business's alone.
    Professional,
}

crate::integer_enum! { SenderName { Friendly = 0 "friendly", Professional = 1 "professional" } }

chatwarden_db::row! {
    /// An inbox of the account.
    pub struct Inbox {
        pub id: InboxId,
        pub account_id: AccountId,
        pub name: String,
        pub channel_type: String,
        pub greeting_enabled: bool,
        pub greeting_message: Option<String>,
        pub enable_email_collect: bool,
        pub csat_survey_enabled: bool,
        pub csat_config: Json<Value>,
        pub enable_auto_assignment: bool,
        pub auto_assignment_config: Json<Value>,
        pub working_hours_enabled: bool,
        pub working_hours: Json<Vec<Day>>,
        pub out_of_office_message: Option<String>,
        pub timezone: String,
        pub allow_messages_after_resolved: bool,
        pub lock_to_single_conversation: bool,
        pub sender_name_type: SenderName,
        pub business_name: Option<String>,
        pub portal_id: Option<i64>,
        pub avatar: Option<Avatar>,
        pub created_at: Timestamp,
        pub updated_at: Timestamp,
    }
}

chatwarden_db::row! {
    /// What an inbox's channel needs.
    pub struct Channel {
        pub id: ChannelId,
        pub inbox_id: InboxId,
        pub channel_type: String,
        pub token: String,
        pub hmac_token: String,
        pub secret: String,
        pub hmac_mandatory: bool,
        pub address: Option<String>,
        pub settings: Json<Value>,
    }
}

chatwarden_db::joined! {
    /// An inbox with its channel.
    pub struct InboxWithChannel {
        pub inbox: Inbox,
        pub channel: Channel,
    }
}

/// An inbox as the outside reaches it: by its channel's token, without any other credential. It is
/// one of the ways to a [`Scope`].
#[derive(Debug, Clone)]
pub struct Door {
    /// The tenant.
    pub scope: Scope,
    /// The inbox.
    pub inbox: Inbox,
    /// Its channel.
    pub channel: Channel,
}

/// The inbox of an API channel's identifier or a website's token. In a transaction that reads it comes first: what
/// was [found lately](doors) is no older than what is read after it.
///
/// # Errors
/// [`Error::NotFound`] where no channel of that type has the token.
pub async fn door(tx: &mut Tx<'_>, channel_type: &str, token: &str) -> Result<Door> {
    if tx.writes() {
        return look_for(tx, channel_type, token).await;
    }
    let doors = crate::desk::desk(tx).doors.clone();
    if let Some(door) = doors.find(tx.now(), channel_type, token) {
        return Ok(door);
    }
    let changes = doors.changes();
    let door = look_for(tx, channel_type, token).await?;
    doors.keep(tx.now(), token, changes, &door);
    Ok(door)
}

async fn look_for(tx: &mut Tx<'_>, channel_type: &str, token: &str) -> Result<Door> {
    let found = tx
        .opt(&sql::BY_TOKEN, chatwarden_db::args![channel_type, token])
        .await?
        .ok_or(Error::NotFound)?;
    Ok(Door {
        scope: Scope::of_account(found.inbox.account_id),
        inbox: found.inbox,
        channel: found.channel,
    })
}

impl Inbox {
    /// Whether nobody is there now, by its hours.
    pub fn out_of_office(&self, now: Timestamp) -> bool {
        self.working_hours_enabled && !hours::attended(&self.working_hours.0, &self.timezone, now)
    }
}

/// Tells dashboards that their list of inboxes is out of date (`behaviours.md §15`).
async fn changed(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<()> {
    doors::forget(tx);
    crate::accounts::touch_cache(tx, scope, "inbox").await
}

/// The present offset of a time zone: `+01:00`; that of UTC where the zone is unknown.
pub fn utc_offset(zone: &str, now: Timestamp) -> String {
    use chrono::TimeZone as _;
    let zone: chrono_tz::Tz = zone.parse().unwrap_or(chrono_tz::Tz::UTC);
    match zone.timestamp_opt(now.unix(), 0).single() {
        Some(at) => at.format("%:z").to_string(),
        None => "+00:00".to_owned(),
    }
}
