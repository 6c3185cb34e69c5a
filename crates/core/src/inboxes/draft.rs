//! What is said of an inbox, new or not (`behaviours.md §13`).

use chatwarden_db::{Json, OnConflict as _, WriteTx, args};
use serde_json::{Map, Value, json};

use super::{
    Channel, EMAIL, Inbox, InboxWithChannel, SenderName, changed, channel, doors, hours, sql,
};
use crate::error::{Error, Invalid, Result, TAKEN};
use crate::ids::{ChannelId, InboxId};
use crate::scope::{Admin, Scope};
use crate::storage;
use crate::values::{is_scalar, scalars};

/// The longest name.
const NAME: usize = 255;
/// The longest greeting and answer out of hours (`behaviours.md §18`).
const SAYING: usize = 10_000;

/// What was sent of an inbox; the rest stays as it is.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The name.
    pub name: Option<Option<String>>,
    /// Whether a new conversation is greeted.
    pub greeting_enabled: Option<bool>,
    /// With what.
    pub greeting_message: Option<Option<String>>,
    /// Whether visitors are asked for an address.
    pub enable_email_collect: Option<bool>,
    /// Whether a resolved conversation is surveyed.
    pub csat_survey_enabled: Option<bool>,
    /// And how.
    pub csat_config: Option<Map<String, Value>>,
    /// Whether conversations are handed out.
    pub enable_auto_assignment: Option<bool>,
    /// Whether there are hours.
    pub working_hours_enabled: Option<bool>,
    /// Days of the week, as they were sent.
    pub working_hours: Option<Vec<Value>>,
    /// What visitors are told out of hours.
    pub out_of_office_message: Option<Option<String>>,
    /// By whose clocks.
    pub timezone: Option<Option<String>>,
    /// Whether visitors may go on after a conversation was resolved.
    pub allow_messages_after_resolved: Option<bool>,
    /// Whether a contact has one conversation at a time.
    pub lock_to_single_conversation: Option<bool>,
    /// Whose name mails carry.
    pub sender_name_type: Option<SenderName>,
    /// The business's own.
    pub business_name: Option<Option<String>>,
    /// What its channel is to have, as it was sent.
    pub channel: Option<Map<String, Value>>,
}

/// What is kept of what was sent about surveys.
fn kept(sent: &Map<String, Value>) -> Map<String, Value> {
    let mut out = scalars(sent, &["display_type", "message", "button_text", "language"]);
    if let Some(Value::Object(rules)) = sent.get("survey_rules") {
        let mut kept = scalars(rules, &["operator"]);
        if let Some(Value::Array(values)) = rules.get("values") {
            let values = values.iter().filter(|value| is_scalar(value)).cloned();
            kept.insert("values".to_owned(), values.collect());
        }
        out.insert("survey_rules".to_owned(), Value::Object(kept));
    }
    if let Some(Value::Object(template)) = sent.get("template") {
        let template = scalars(template, &["name", "template_id", "created_at", "language"]);
        out.insert("template".to_owned(), Value::Object(template));
    }
    out
}

/// How conversations are surveyed: what is not said is as usual.
fn csat_config(sent: &Map<String, Value>) -> Value {
    let text = |key: &str, otherwise: &str| -> String {
        sent.get(key).and_then(Value::as_str).unwrap_or(otherwise).to_owned()
    };
    let rules = sent.get("survey_rules");
    let operator = rules.and_then(|it| it.get("operator")).and_then(Value::as_str);
    let values = rules.and_then(|it| it.get("values")).and_then(Value::as_array);
    let mut out = json!({
        "display_type": text("display_type", "emoji"),
        "message": text("message", ""),
        "survey_rules": {
            "operator": operator.unwrap_or("contains"),
            "values": values.cloned().unwrap_or_default(),
        },
        "button_text": text("button_text", "Please rate us"),
        "language": text("language", "en"),
    });
    let template = sent.get("template").and_then(Value::as_object);
    if let (Some(template), Some(out)) = (template.filter(|it| !it.is_empty()), out.as_object_mut())
    {
        out.insert("template".to_owned(), Value::Object(template.clone()));
    }
    out
}

impl Draft {
    fn apply(self, inbox: &mut Inbox) -> Result<()> {
        fn set<T>(slot: &mut T, sent: Option<T>) {
            if let Some(sent) = sent {
                *slot = sent;
            }
        }
        if let Some(name) = self.name {
            inbox.name = name.unwrap_or_default();
        }
        set(&mut inbox.greeting_enabled, self.greeting_enabled);
        set(&mut inbox.greeting_message, self.greeting_message);
        set(&mut inbox.enable_email_collect, self.enable_email_collect);
        set(&mut inbox.csat_survey_enabled, self.csat_survey_enabled);
        let surveys = self.csat_config.as_ref().map(kept).filter(|kept| !kept.is_empty());
        set(&mut inbox.csat_config.0, surveys.as_ref().map(csat_config));
        set(&mut inbox.enable_auto_assignment, self.enable_auto_assignment);
        set(&mut inbox.working_hours_enabled, self.working_hours_enabled);
        set(&mut inbox.out_of_office_message, self.out_of_office_message);
        set(&mut inbox.timezone, self.timezone.map(Option::unwrap_or_default));
        set(&mut inbox.allow_messages_after_resolved, self.allow_messages_after_resolved);
        set(&mut inbox.lock_to_single_conversation, self.lock_to_single_conversation);
        set(&mut inbox.sender_name_type, self.sender_name_type);
        set(&mut inbox.business_name, self.business_name);
        check(inbox)?;
        if let Some(days) = self.working_hours {
            hours::change(&mut inbox.working_hours.0, &days)?;
        }
        Ok(())
    }
}

fn check(inbox: &Inbox) -> Result<()> {
    let mut faults = Invalid::default();
    if inbox.name.trim().is_empty() {
        faults.add("name", "can't be blank");
    }
    if inbox.timezone.parse::<chrono_tz::Tz>().is_err() {
        faults.add("timezone", "is not included in the list");
    }
    let mut limit = |field: &'static str, text: Option<&str>, most: usize| {
        if text.is_some_and(|text| text.chars().count() > most) {
            faults.add(field, format!("is too long (maximum is {most} characters)"));
        }
    };
    limit("name", Some(&inbox.name), NAME);
    limit("business_name", inbox.business_name.as_deref(), NAME);
    limit("greeting_message", inbox.greeting_message.as_deref(), SAYING);
    limit("out_of_office_message", inbox.out_of_office_message.as_deref(), SAYING);
    faults.check()
}

fn taken(channel_type: &str) -> Error {
    let field = if channel_type == EMAIL { "email" } else { "phone_number" };
    Error::invalid(field, TAKEN)
}

/// Adds an inbox with its channel.
///
/// # Errors
/// [`Error::Invalid`] where a rule is broken, or the channel's address is another's.
pub async fn create(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    channel_type: &'static str,
    mut draft: Draft,
) -> Result<InboxWithChannel> {
    let (now, account) = (tx.now(), admin.account_id());
    let mut channel = Channel {
        id: ChannelId(0),
        inbox_id: InboxId(0),
        channel_type: channel_type.to_owned(),
        token: tx.ambient().token(24),
        hmac_token: tx.ambient().token(24),
        secret: tx.ambient().token(24),
        hmac_mandatory: false,
        address: None,
        settings: Json(Value::Object(channel::defaults(channel_type))),
    };
    channel.change(tx, account, &draft.channel.take().unwrap_or_default())?;
    let mut inbox = Inbox {
        id: InboxId(0),
        account_id: account,
        name: String::new(),
        channel_type: channel_type.to_owned(),
        greeting_enabled: false,
        greeting_message: None,
        enable_email_collect: true,
        csat_survey_enabled: false,
        // A new inbox's surveys are as they were said; what is as usual is written with the first change.
        csat_config: Json(Value::Object(
            draft.csat_config.take().as_ref().map(kept).unwrap_or_default(),
        )),
        enable_auto_assignment: true,
        auto_assignment_config: Json(json!({})),
        working_hours_enabled: false,
        working_hours: Json(hours::ordinary_week()),
        out_of_office_message: None,
        timezone: "UTC".to_owned(),
        allow_messages_after_resolved: true,
        lock_to_single_conversation: false,
        sender_name_type: SenderName::Friendly,
        business_name: None,
        portal_id: None,
        avatar: None,
        created_at: now,
        updated_at: now,
    };
    draft.apply(&mut inbox)?;
    let (id,) = tx
        .one(
            &sql::INSERT,
            args![
                account,
                inbox.name,
                inbox.channel_type,
                inbox.greeting_enabled,
                inbox.greeting_message,
                inbox.enable_email_collect,
                inbox.csat_survey_enabled,
                inbox.csat_config,
                inbox.enable_auto_assignment,
                inbox.auto_assignment_config,
                inbox.working_hours_enabled,
                inbox.working_hours,
                inbox.out_of_office_message,
                inbox.timezone,
                inbox.allow_messages_after_resolved,
                inbox.lock_to_single_conversation,
                inbox.sender_name_type,
                inbox.business_name,
                now,
                channel.reply_window()
            ],
        )
        .await?;
    inbox.id = InboxId(id);
    channel.inbox_id = inbox.id;
    let (id,) = tx
        .one(
            &sql::INSERT_CHANNEL,
            args![
                account,
                inbox.id,
                channel.channel_type,
                channel.token,
                channel.hmac_token,
                channel.secret,
                channel.hmac_mandatory,
                channel.settings,
                channel.address,
                now
            ],
        )
        .await
        .on_conflict("channels_channel_type_address_key", || taken(channel_type))?;
    channel.id = ChannelId(id);
    changed(tx, admin).await?;
    Ok(InboxWithChannel { inbox, channel })
}

/// Changes an inbox and its channel.
///
/// # Errors
/// [`Error::NotFound`] where the account has no such inbox, [`Error::Invalid`] where a rule is broken.
pub async fn update(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    id: InboxId,
    mut draft: Draft,
) -> Result<InboxWithChannel> {
    let account = admin.account_id();
    let mut found = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    let sent = draft.channel.take();
    draft.apply(&mut found.inbox)?;
    found.inbox.updated_at = tx.now();
    let InboxWithChannel { inbox, channel } = &mut found;
    if let Some(sent) = &sent {
        channel.change(tx, account, sent)?;
    }
    tx.run(
        &sql::UPDATE,
        args![
            account,
            inbox.id,
            inbox.name,
            inbox.greeting_enabled,
            inbox.greeting_message,
            inbox.enable_email_collect,
            inbox.csat_survey_enabled,
            inbox.csat_config,
            inbox.enable_auto_assignment,
            inbox.working_hours_enabled,
            inbox.working_hours,
            inbox.out_of_office_message,
            inbox.timezone,
            inbox.allow_messages_after_resolved,
            inbox.lock_to_single_conversation,
            inbox.sender_name_type,
            inbox.business_name,
            inbox.updated_at,
            channel.reply_window()
        ],
    )
    .await?;
    if sent.is_some() {
        tx.run(
            &sql::UPDATE_CHANNEL,
            args![
                account,
                inbox.id,
                channel.hmac_mandatory,
                channel.settings,
                channel.address,
                inbox.updated_at
            ],
        )
        .await
        .on_conflict("channels_channel_type_address_key", || taken(&channel.channel_type))?;
    }
    changed(tx, admin).await?;
    Ok(found)
}

/// Gives an API channel a new secret to sign with.
///
/// # Errors
/// [`Error::NotFound`] where the account has no such inbox.
pub async fn reset_secret(
    tx: &mut WriteTx<'_>,
    admin: &Scope<Admin>,
    id: InboxId,
) -> Result<InboxWithChannel> {
    let account = admin.account_id();
    let mut found = tx.opt(&sql::LOCK, args![account, id]).await?.ok_or(Error::NotFound)?;
    found.channel.secret = tx.ambient().token(24);
    let now = tx.now();
    tx.run(&sql::SET_SECRET, args![account, id, found.channel.secret, now]).await?;
    doors::forget(tx);
    Ok(found)
}

/// Takes an inbox's picture away.
///
/// # Errors
/// [`Error::NotFound`] where the account has no such inbox.
pub async fn remove_avatar(tx: &mut WriteTx<'_>, admin: &Scope<Admin>, id: InboxId) -> Result<()> {
    let owner = storage::Owner::Inbox(admin.account_id(), id);
    storage::set_avatar(tx, owner, None).await?;
    changed(tx, admin).await
}
