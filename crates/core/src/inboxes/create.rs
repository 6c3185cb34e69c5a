//! New inboxes (`behaviours.md §13`).

use chatwarden_db::WriteTx;
use serde_json::{Map, Value, json};

use super::{InboxWithChannel, sql};
use crate::error::{Error, Invalid, Result};
use crate::events;
use crate::ids::InboxId;
use crate::scope::{Admin, Scope};

/// An API client's channel.
pub const API: &str = "Channel::Api";
/// A website's widget.
pub const WEB_WIDGET: &str = "Channel::WebWidget";

/// What a new inbox holds.
#[derive(Debug, Clone)]
pub struct NewInbox {
    /// The name.
    pub name: String,
    /// `Channel::Api`, `Channel::WebWidget`
    pub channel_type: &'static str,
    /// Whether a new conversation is greeted.
    pub greeting_enabled: bool,
    /// With what.
    pub greeting_message: Option<String>,
    /// Whether visitors are asked for an address.
    pub enable_email_collect: bool,
    /// Whether a resolved conversation is surveyed.
    pub csat_survey_enabled: bool,
    /// Whether conversations are handed out.
    pub enable_auto_assignment: bool,
    /// Whether visitors may go on after a conversation was resolved.
    pub allow_messages_after_resolved: bool,
    /// Whether a contact has one conversation at a time.
    pub lock_to_single_conversation: bool,
    /// Whether the identity of contacts must be proved.
    pub hmac_mandatory: bool,
    /// What else the channel needs.
    pub settings: Map<String, Value>,
}

/// The week of a new inbox: Monday to Friday, nine to five.
pub fn working_hours() -> Value {
    (0..7)
        .map(|day| {
            let open = (1..=5).contains(&day);
            let at = |hour: i64| if open { json!(hour) } else { Value::Null };
            json!({
                "day_of_week": day, "closed_all_day": !open, "open_hour": at(9), "open_minutes": at(0),
                "close_hour": at(17), "close_minutes": at(0), "open_all_day": false,
            })
        })
        .collect()
}

impl NewInbox {
    fn check(&self) -> Result<()> {
        let mut invalid = Invalid::default();
        if self.name.trim().is_empty() {
            invalid.add("name", "can't be blank");
        }
        let said = |key: &str| {
            self.settings.get(key).and_then(Value::as_str).is_some_and(|s| !s.trim().is_empty())
        };
        if self.channel_type == WEB_WIDGET && !said("website_url") {
            invalid.add("website_url", "can't be blank");
        }
        invalid.check()
    }
}

/// Adds an inbox with its channel.
///
/// # Errors
/// [`Error::Invalid`] for a missing name or website.
pub async fn create(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    new: &NewInbox,
) -> Result<InboxWithChannel> {
    new.check()?;
    let id = sql::insert(tx, admin, new).await?;
    sql::insert_channel(tx, admin, id, new).await?;
    changed(tx, admin).await?;
    sql::get(tx, admin, id).await?.ok_or(Error::NotFound)
}

/// Tells dashboards that their list of inboxes is out of date (`behaviours.md §15`).
async fn changed(tx: &mut WriteTx<'_>, scope: &Scope) -> Result<()> {
    crate::accounts::touch_cache(tx, scope, "inbox").await
}

/// Makes `users` members of an inbox; those who are already stay. Every one must be a member of the account.
///
/// # Errors
/// [`Error::NotFound`] for an inbox the account lacks, [`Error::Invalid`] for a user it lacks.
pub async fn add_members(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    inbox: InboxId,
    users: &[i64],
) -> Result<()> {
    sql::get(tx, admin, inbox).await?.ok_or(Error::NotFound)?;
    let ids: Vec<crate::ids::UserId> = users.iter().map(|id| crate::ids::UserId(*id)).collect();
    let members = crate::users::sql::members(tx, admin, &ids).await?;
    if ids.iter().any(|id| !members.iter().any(|member| member.id == *id)) {
        return Err(Error::invalid("user", "must exist"));
    }
    sql::add_members(tx, admin, inbox, users).await?;
    for member in members {
        // What their sockets hear has changed.
        events::refresh(tx, member.pubsub_token);
    }
    changed(tx, admin).await
}

/// The form before a chat, while nobody changed it (`widget.md §8`).
fn pre_chat_form() -> Value {
    let field = |name: &str, kind: &str, label: &str, required: bool| {
        json!({
            "name": name, "type": kind, "label": label, "enabled": false, "required": required,
            "field_type": "standard",
        })
    };
    json!({
        "pre_chat_message": "Share your queries or comments here.",
        "pre_chat_fields": [
            field("emailAddress", "email", "Email Id", true),
            field("fullName", "text", "Full name", false),
            field("phoneNumber", "text", "Phone number", false),
        ],
    })
}

/// The settings of a channel that were sent, with defaults where none were.
pub fn settings(channel_type: &str, given: &Map<String, Value>) -> Map<String, Value> {
    let mut out = match channel_type {
        WEB_WIDGET => json!({
            "website_url": null, "widget_color": "#1f93ff", "welcome_title": null, "welcome_tagline": null,
            "reply_time": "in_a_few_minutes", "pre_chat_form_enabled": false, "pre_chat_form_options": pre_chat_form(),
            "continuity_via_email": true, "allowed_domains": "",
            "selected_feature_flags": ["attachments", "emoji_picker", "end_conversation"],
        }),
        _ => json!({"webhook_url": "", "additional_attributes": {}}),
    }
    .as_object()
    .cloned()
    .unwrap_or_default();
    for (key, value) in given {
        if out.contains_key(key) {
            out.insert(key.clone(), value.clone());
        }
    }
    out
}
