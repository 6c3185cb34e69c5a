//! What each type of channel has, beside its inbox (`resources.md §4`).

use chatwarden_db::Tx;
use serde_json::{Map, Value, json};

use super::Channel;
use crate::error::{Error, Invalid, Result};
use crate::ids::AccountId;
use crate::values::{self, is_scalar};
use crate::{sealed, users};

/// An API client's channel.
pub const API: &str = "Channel::Api";
/// A website's widget.
pub const WEB_WIDGET: &str = "Channel::WebWidget";
/// A mailbox.
pub const EMAIL: &str = "Channel::Email";
/// Short messages.
pub const SMS: &str = "Channel::Sms";

/// The attribute of API inboxes that says for how many hours agents may answer.
const REPLY_WINDOW: &str = "agent_reply_time_window";
/// What the sealed settings of channels are sealed for.
const PURPOSE: &str = "inboxes.channel";
/// The longest text where nothing else is said.
const TEXT: usize = 255;
/// The longest text that may have lines.
const LONG_TEXT: usize = 20_000;
/// The longest address that is called (`behaviours.md §18`).
const ADDRESS: usize = 2048;

/// The channel type that clients call by a short name.
pub fn named(name: &str) -> Option<&'static str> {
    match name {
        "api" => Some(API),
        "web_widget" => Some(WEB_WIDGET),
        "email" => Some(EMAIL),
        "sms" => Some(SMS),
        _ => None,
    }
}

/// What a setting holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A text of so many characters at most.
    Text(usize),
    Flag,
    /// A flag that says something where it is sent.
    YesOrNo,
    Integer,
    Object,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// One of these, by its name or its place.
    Numbered(&'static [&'static str]),
    /// Some of these, in this order.
    SomeOf(&'static [&'static str]),
    /// The form before a chat.
    Form,
    /// What is read only to be used, or shown to administrators: a text or an object.
    Secret,
    /// Something that this server can't do: it stays off.
    Off,
}

const FLAGS: &[&str] = &[
    "attachments",
    "emoji_picker",
    "end_conversation",
    "use_inbox_avatar_for_bot",
    "allow_mobile_webview",
];
const REPLY_TIMES: &[&str] = &["in_a_few_minutes", "in_a_few_hours", "in_a_day"];

const WEB_WIDGET_SETTINGS: &[(&str, Kind)] = &[
    ("website_url", Kind::Text(TEXT)),
    ("widget_color", Kind::Text(TEXT)),
    ("welcome_title", Kind::Text(TEXT)),
    ("welcome_tagline", Kind::Text(TEXT)),
    ("reply_time", Kind::Numbered(REPLY_TIMES)),
    ("pre_chat_form_enabled", Kind::Flag),
    ("pre_chat_form_options", Kind::Form),
    ("continuity_via_email", Kind::YesOrNo),
    ("allowed_domains", Kind::Text(LONG_TEXT)),
    ("selected_feature_flags", Kind::SomeOf(FLAGS)),
];
const API_SETTINGS: &[(&str, Kind)] =
    &[("webhook_url", Kind::Text(ADDRESS)), ("additional_attributes", Kind::Object)];
const EMAIL_SETTINGS: &[(&str, Kind)] = &[
    ("email", Kind::Text(TEXT)),
    ("imap_enabled", Kind::Off),
    ("imap_login", Kind::Text(TEXT)),
    ("imap_password", Kind::Secret),
    ("imap_address", Kind::Text(TEXT)),
    ("imap_port", Kind::Integer),
    ("imap_enable_ssl", Kind::Flag),
    ("imap_authentication", Kind::OneOf(&["plain", "login", "cram-md5"])),
    ("smtp_enabled", Kind::Off),
    ("smtp_login", Kind::Text(TEXT)),
    ("smtp_password", Kind::Secret),
    ("smtp_address", Kind::Text(TEXT)),
    ("smtp_port", Kind::Integer),
    ("smtp_domain", Kind::Text(TEXT)),
    ("smtp_enable_ssl_tls", Kind::Flag),
    ("smtp_enable_starttls_auto", Kind::Flag),
    ("smtp_openssl_verify_mode", Kind::Text(TEXT)),
    ("smtp_authentication", Kind::Text(TEXT)),
    ("provider", Kind::Text(TEXT)),
    ("verified_for_sending", Kind::Flag),
];
const SMS_SETTINGS: &[(&str, Kind)] = &[
    ("phone_number", Kind::Text(TEXT)),
    ("provider", Kind::OneOf(&["default"])),
    ("provider_config", Kind::Secret),
];

fn kinds(channel_type: &str) -> &'static [(&'static str, Kind)] {
    match channel_type {
        WEB_WIDGET => WEB_WIDGET_SETTINGS,
        EMAIL => EMAIL_SETTINGS,
        SMS => SMS_SETTINGS,
        _ => API_SETTINGS,
    }
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

/// What a new channel has while nobody said anything else.
pub(super) fn defaults(channel_type: &str) -> Map<String, Value> {
    let defaults = match channel_type {
        WEB_WIDGET => json!({
            "website_url": null, "widget_color": "#1f93ff", "welcome_title": null, "welcome_tagline": null,
            "reply_time": "in_a_few_minutes", "pre_chat_form_enabled": false, "pre_chat_form_options": pre_chat_form(),
            "continuity_via_email": true, "allowed_domains": "",
            "selected_feature_flags": ["attachments", "emoji_picker", "end_conversation"],
        }),
        EMAIL => json!({
            "email": null, "imap_enabled": false, "imap_login": "", "imap_password": "", "imap_address": "",
            "imap_port": 0, "imap_enable_ssl": true, "imap_authentication": "plain", "smtp_enabled": false,
            "smtp_login": "", "smtp_password": "", "smtp_address": "", "smtp_port": 0, "smtp_domain": "",
            "smtp_enable_ssl_tls": false, "smtp_enable_starttls_auto": true, "smtp_openssl_verify_mode": "none",
            "smtp_authentication": "login", "provider": null, "verified_for_sending": false,
        }),
        SMS => json!({"phone_number": null, "provider": "default", "provider_config": ""}),
        _ => json!({"webhook_url": "", "additional_attributes": {}}),
    };
    match defaults {
        Value::Object(defaults) => defaults,
        _ => Map::new(),
    }
}

/// What may be said of the form before a chat, and of each of its fields. One without fields is the form that there
/// is while nobody changed it.
fn form(value: &Value) -> Option<Value> {
    const FORM: &[&str] = &["pre_chat_message", "require_email"];
    const FIELD: &[&str] = &[
        "field_type",
        "label",
        "placeholder",
        "name",
        "enabled",
        "type",
        "required",
        "locale",
        "values",
        "regex_pattern",
        "regex_cue",
    ];
    let some_of = |of: &Map<String, Value>, keys: &[&str]| -> Map<String, Value> {
        of.iter()
            .filter(|(key, _)| keys.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let sent = value.as_object()?;
    let mut out = some_of(sent, FORM);
    let fields = sent.get("pre_chat_fields").and_then(Value::as_array);
    let fields = fields.into_iter().flatten().filter_map(Value::as_object);
    let fields: Vec<Value> = fields.map(|it| some_of(it, FIELD).into()).collect();
    if fields.is_empty() {
        return Some(pre_chat_form());
    }
    out.insert("pre_chat_fields".to_owned(), fields.into());
    Some(Value::Object(out))
}

fn not_valid(key: &str, sent: &str) -> Error {
    Error::Unprocessable(format!("'{sent}' is not a valid {key}"))
}

/// What a setting becomes by what was sent; none where it stays.
fn changed(
    tx: &Tx<'_>,
    account: AccountId,
    key: &'static str,
    kind: Kind,
    sent: &Value,
) -> Result<Option<Value>> {
    Ok(match kind {
        Kind::Text(_) if sent.is_null() => Some(Value::Null),
        Kind::Text(most) => {
            let text = values::text(sent);
            if text.as_ref().is_some_and(|it| it.chars().count() > most) {
                let fault = format!("is too long (maximum is {most} characters)");
                return Err(Error::invalid(key, fault));
            }
            text.map(Value::from)
        }
        Kind::Flag => values::flag(sent).map(Value::Bool),
        Kind::YesOrNo if is_scalar(sent) => {
            let flag = values::flag(sent).ok_or_else(|| Error::invalid(key, "can't be blank"))?;
            Some(json!(flag))
        }
        Kind::YesOrNo => None,
        Kind::Off => {
            if values::flag(sent) == Some(true) {
                return Err(Error::invalid(key, "is not available on this server"));
            }
            None
        }
        Kind::Integer => values::integer(sent).map(Value::from),
        Kind::Object => match sent {
            Value::Object(_) => Some(sent.clone()),
            Value::String(text) => {
                serde_json::from_str::<Map<String, Value>>(text).ok().map(Value::Object)
            }
            _ => None,
        },
        Kind::OneOf(names) => match sent.as_str() {
            Some(name) if names.contains(&name) => Some(json!(name)),
            Some(name) => return Err(not_valid(key, name)),
            None => None,
        },
        Kind::Numbered(names) => match values::text(sent).filter(|it| !it.trim().is_empty()) {
            Some(said) => {
                let place = sent.as_u64().and_then(|place| usize::try_from(place).ok());
                let known =
                    names.iter().enumerate().find(|(at, it)| **it == said || Some(*at) == place);
                let (_, name) = known.ok_or_else(|| not_valid(key, &said))?;
                Some(json!(name))
            }
            None => None,
        },
        Kind::SomeOf(names) => match sent.as_array() {
            Some(sent) if sent.iter().all(is_scalar) => {
                let said = |value: &Value| values::text(value).filter(|it| !it.trim().is_empty());
                let said: Vec<String> = sent.iter().filter_map(said).collect();
                if !said.iter().all(|name| names.contains(&name.as_str())) {
                    return Err(Error::invalid(key, "is not included in the list"));
                }
                Some(
                    names
                        .iter()
                        .filter(|name| said.iter().any(|it| it == *name))
                        .copied()
                        .collect(),
                )
            }
            _ => None,
        },
        Kind::Form => form(sent),
        Kind::Secret => match sent {
            Value::Null => Some(json!("")),
            Value::String(text) if text.is_empty() => Some(json!("")),
            value => Some(json!(sealed::seal(tx, PURPOSE, account.0, &value.to_string()))),
        },
    })
}

impl Channel {
    /// A setting.
    pub fn setting(&self, key: &str) -> Value {
        self.settings.0.get(key).cloned().unwrap_or(Value::Null)
    }

    /// A setting that is kept sealed; empty where it is none, or was sealed with another key.
    pub fn secret_setting(&self, tx: &Tx<'_>, account: AccountId, key: &str) -> Value {
        let sealed = self.settings.0.get(key).and_then(Value::as_str).unwrap_or_default();
        sealed::open(tx, PURPOSE, account.0, sealed)
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_else(|| json!(""))
    }

    /// Changes what was sent, and checks the whole.
    ///
    /// # Errors
    /// [`Error::Invalid`] and [`Error::Unprocessable`] where a rule is broken.
    pub(super) fn change(
        &mut self,
        tx: &Tx<'_>,
        account: AccountId,
        sent: &Map<String, Value>,
    ) -> Result<()> {
        let mut settings = match std::mem::take(&mut self.settings.0) {
            Value::Object(settings) => settings,
            _ => Map::new(),
        };
        for (key, kind) in kinds(&self.channel_type).iter().copied() {
            let Some(value) = sent.get(key) else { continue };
            if let Some(value) = changed(tx, account, key, kind, value)? {
                settings.insert(key.to_owned(), value);
            }
        }
        if matches!(self.channel_type.as_str(), API | WEB_WIDGET)
            && let Some(mandatory) = sent.get("hmac_mandatory").and_then(values::flag)
        {
            self.hmac_mandatory = mandatory;
        }
        self.settings.0 = Value::Object(settings);
        self.check()
    }

    fn check(&mut self) -> Result<()> {
        let mut faults = Invalid::default();
        let said = |key: &str| -> Option<String> {
            let text = self.settings.0.get(key).and_then(Value::as_str).unwrap_or_default().trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        let address = match self.channel_type.as_str() {
            WEB_WIDGET => {
                for key in ["website_url", "widget_color"] {
                    if said(key).is_none() {
                        faults.add(key, "can't be blank");
                    }
                }
                None
            }
            EMAIL => match said("email").map(|email| email.to_lowercase()) {
                None => {
                    faults.add("email", "can't be blank");
                    None
                }
                Some(email) => {
                    if !users::address::is_address(&email) {
                        faults.add("email", "is invalid");
                    }
                    Some(email)
                }
            },
            SMS => {
                let number = said("phone_number");
                if number.is_none() {
                    faults.add("phone_number", "can't be blank");
                }
                number
            }
            _ => {
                self.check_reply_window(&mut faults);
                None
            }
        };
        faults.check()?;
        self.address = address;
        Ok(())
    }

    /// The hours that agents have to answer in an API inbox, where they are said; what is no number is none.
    fn reply_hours(&self) -> Option<f64> {
        let window =
            self.settings.0.get("additional_attributes").and_then(|it| it.get(REPLY_WINDOW));
        let hours = match window {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) if text.trim().is_empty() => return None,
            Some(Value::String(text)) => text.trim().parse::<f64>().unwrap_or(0.0),
            Some(Value::Number(number)) => number.as_f64().unwrap_or(0.0),
            Some(_) => 0.0,
        };
        Some(if hours.is_nan() { 0.0 } else { hours })
    }

    /// Where the hours are said, there are some.
    fn check_reply_window(&self, faults: &mut Invalid) {
        if self.reply_hours().is_some_and(|hours| hours <= 0.0) {
            faults.add(REPLY_WINDOW, format!("{REPLY_WINDOW} must be greater than 0"));
        }
    }

    /// For how many microseconds after a contact's message agents may answer, where there is an end to it.
    pub(crate) fn reply_window(&self) -> Option<i64> {
        let hours = self.reply_hours().filter(|_| self.channel_type == super::API)?;
        #[expect(clippy::cast_possible_truncation, reason = "more than there is time is for ever")]
        Some((hours * 3_600_000_000.0) as i64)
    }
}
