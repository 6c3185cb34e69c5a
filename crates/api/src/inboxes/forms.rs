//! Inboxes as answers show them (`resources.md §4`).

use chatwarden_core::desk::desk;
use chatwarden_core::inboxes::{API, Channel, EMAIL, InboxWithChannel, SMS, WEB_WIDGET};
use chatwarden_core::storage::avatar_url;
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Map, Value, json};

/// An inbox; secrets for administrators alone.
pub(crate) fn inbox_json(tx: &Tx<'_>, found: &InboxWithChannel, admin: bool) -> Value {
    let InboxWithChannel { inbox, channel } = found;
    let website = inbox.channel_type == WEB_WIDGET;
    let of_website = |value: Value| if website { value } else { Value::Null };
    let signs = matches!(inbox.channel_type.as_str(), API | WEB_WIDGET);
    let of_sms = |value: Value| if inbox.channel_type == SMS { value } else { Value::Null };
    let mut out = json!({
        "id": inbox.id,
        "avatar_url": avatar_url(tx, inbox.avatar.as_ref()),
        "channel_id": channel.id,
        "name": inbox.name,
        "channel_type": inbox.channel_type,
        "greeting_enabled": inbox.greeting_enabled,
        "greeting_message": inbox.greeting_message,
        "working_hours_enabled": inbox.working_hours_enabled,
        "working_hours": inbox.working_hours.0,
        "out_of_office_message": inbox.out_of_office_message,
        "timezone": inbox.timezone,
        "enable_email_collect": inbox.enable_email_collect,
        "csat_survey_enabled": inbox.csat_survey_enabled,
        "csat_config": inbox.csat_config.0,
        "enable_auto_assignment": inbox.enable_auto_assignment,
        "auto_assignment_config": inbox.auto_assignment_config.0,
        "callback_webhook_url": of_sms(json!(callback(tx, channel))),
        "allow_messages_after_resolved": inbox.allow_messages_after_resolved,
        "lock_to_single_conversation": inbox.lock_to_single_conversation,
        "sender_name_type": inbox.sender_name_type,
        "business_name": inbox.business_name,
        "allowed_domains": of_website(channel.setting("allowed_domains")),
        "widget_color": of_website(channel.setting("widget_color")),
        "website_url": of_website(channel.setting("website_url")),
        "hmac_mandatory": if signs { json!(channel.hmac_mandatory) } else { Value::Null },
        "welcome_title": of_website(channel.setting("welcome_title")),
        "welcome_tagline": of_website(channel.setting("welcome_tagline")),
        "web_widget_script": of_website(json!(script(tx, &channel.token))),
        "website_token": of_website(json!(channel.token)),
        "selected_feature_flags": of_website(channel.setting("selected_feature_flags")),
        "reply_time": of_website(channel.setting("reply_time")),
        "messaging_service_sid": null,
        "phone_number": of_sms(channel.setting("phone_number")),
        "provider": channel.setting("provider"),
    });
    if let Some(out) = out.as_object_mut() {
        out.extend(channel_json(tx, found, admin));
    }
    out
}

/// What an inbox shows of its channel, beside what all show.
fn channel_json(tx: &Tx<'_>, found: &InboxWithChannel, admin: bool) -> Map<String, Value> {
    const PRE_CHAT: &[&str] =
        &["pre_chat_form_enabled", "pre_chat_form_options", "continuity_via_email"];
    const MAIL: &[&str] = &[
        "imap_login",
        "imap_address",
        "imap_port",
        "imap_enabled",
        "imap_enable_ssl",
        "imap_authentication",
        "smtp_login",
        "smtp_address",
        "smtp_port",
        "smtp_enabled",
        "smtp_domain",
        "smtp_enable_ssl_tls",
        "smtp_enable_starttls_auto",
        "smtp_openssl_verify_mode",
        "smtp_authentication",
    ];
    let InboxWithChannel { inbox, channel } = found;
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    let hmac = || json!(channel.hmac_token);
    match inbox.channel_type.as_str() {
        WEB_WIDGET => {
            for key in PRE_CHAT {
                put(key, channel.setting(key));
            }
            if admin {
                put("hmac_token", hmac());
            }
        }
        API => {
            put("webhook_url", channel.setting("webhook_url"));
            put("inbox_identifier", json!(channel.token));
            put("additional_attributes", channel.setting("additional_attributes"));
            if admin {
                put("hmac_token", hmac());
                put("secret", json!(channel.secret));
            }
        }
        EMAIL => {
            put("email", channel.setting("email"));
            put("forwarding_enabled", json!(false));
            if admin {
                for key in MAIL {
                    put(key, channel.setting(key));
                }
                for key in ["imap_password", "smtp_password"] {
                    put(key, channel.secret_setting(tx, inbox.account_id, key));
                }
            }
        }
        _ => {}
    }
    out
}

/// Where the provider of an SMS channel calls.
fn callback(tx: &Tx<'_>, channel: &Channel) -> String {
    let number = channel.address.as_deref().unwrap_or_default().trim_start_matches('+');
    format!("{}/webhooks/sms/{number}", desk(tx).frontend_url)
}

/// The snippet for the website (`widget.md §1`).
fn script(tx: &Tx<'_>, token: &str) -> String {
    let base = &desk(tx).frontend_url;
    format!(
        r#"
      <script>
        (function(d,t) {{
          var BASE_URL="{base}";
          var g=d.createElement(t),s=d.getElementsByTagName(t)[0];
          g.src=BASE_URL+"/packs/js/sdk.js";
          g.async = true;
          s.parentNode.insertBefore(g,s);
          g.onload=function(){{
            window.chatwootSDK.run({{
              websiteToken: '{token}',
              baseUrl: BASE_URL
            }})
          }}
        }})(document,"script");
      </script>
      "#
    )
}

/// The record of an inbox, as contact creation answers it.
pub(crate) fn raw_inbox_json(found: &InboxWithChannel) -> Value {
    let InboxWithChannel { inbox, channel } = found;
    json!({
        "id": inbox.id,
        "channel_id": channel.id,
        "account_id": inbox.account_id,
        "name": inbox.name,
        "created_at": Timestamp::iso(inbox.created_at),
        "updated_at": Timestamp::iso(inbox.updated_at),
        "channel_type": inbox.channel_type,
        "enable_auto_assignment": inbox.enable_auto_assignment,
        "greeting_enabled": inbox.greeting_enabled,
        "greeting_message": inbox.greeting_message,
        "email_address": null,
        "working_hours_enabled": inbox.working_hours_enabled,
        "out_of_office_message": inbox.out_of_office_message,
        "timezone": inbox.timezone,
        "enable_email_collect": inbox.enable_email_collect,
        "csat_survey_enabled": inbox.csat_survey_enabled,
        "allow_messages_after_resolved": inbox.allow_messages_after_resolved,
        "auto_assignment_config": inbox.auto_assignment_config.0,
        "lock_to_single_conversation": inbox.lock_to_single_conversation,
        "portal_id": inbox.portal_id,
        "sender_name_type": inbox.sender_name_type,
        "business_name": inbox.business_name,
        "csat_config": inbox.csat_config.0,
    })
}

/// An inbox as contacts show it (`resources.md §4`, slim).
pub(crate) fn slim_inbox_json(
    tx: &Tx<'_>,
    of: &chatwarden_core::contacts::InboxOfContact,
) -> Value {
    json!({
        "id": of.inbox_id, "avatar_url": avatar_url(tx, of.avatar.as_ref()), "channel_id": of.channel_id, "name": of.name,
        "channel_type": of.channel_type, "provider": null,
    })
}
