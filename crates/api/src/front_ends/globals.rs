//! What the pages tell their scripts (`serving-clients.md` §3): names, spellings and types are the
//! scripts' own, down to booleans that are texts.

use chatwarden_core::accounts::features::Features;
use chatwarden_core::desk::{Desk, Signup};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::widget::{Greeting, languages};
use chatwarden_db::Tx;
use serde_json::{Value, json};

use super::Settings;
use crate::widget::raw_hours;

const BRAND: &str = "Chatwoot";
const BRAND_URL: &str = "https://www.chatwoot.com";

fn enabled_languages() -> Vec<Value> {
    let language = |(code, name): &(&str, &str)| json!({"name": name, "iso_639_1_code": code});
    languages::ENABLED.iter().map(language).collect()
}

/// `window.chatwootConfig` of the dashboard and the sign-in pages.
pub(super) fn chatwoot(desk: &Desk, locale: &str) -> Value {
    json!({
        "hostURL": desk.frontend_url,
        "helpCenterURL": "",
        "fbAppId": "",
        "instagramAppId": "",
        "tiktokAppId": "",
        "fbApiVersion": "v18.0",
        "googleOAuthClientId": "",
        "googleOAuthCallbackUrl": "",
        "allowedLoginMethods": ["email"],
        "whatsappAppId": "",
        "whatsappConfigurationId": "",
        "whatsappApiVersion": "",
        "signupEnabled": if desk.signup == Signup::Open { "true" } else { "false" },
        "isEnterprise": "false",
        "isMfaEnabled": "true",
        "enabledLanguages": enabled_languages(),
        // Which articles there are is known to nobody here.
        "helpUrls": {},
        "inboxEventsEnabled": "false",
        "selectedLocale": locale,
    })
}

/// `window.globalConfig` of the dashboard and the sign-in pages.
pub(super) fn dashboard(desk: &Desk, settings: &Settings) -> Value {
    json!({
        "LOGO": "/brand-assets/logo.svg",
        "LOGO_DARK": "/brand-assets/logo_dark.svg",
        "LOGO_THUMBNAIL": "/brand-assets/logo_thumbnail.svg",
        "INSTALLATION_NAME": BRAND,
        "BRAND_NAME": BRAND,
        "BRAND_URL": BRAND_URL,
        "WIDGET_BRAND_URL": BRAND_URL,
        "TERMS_URL": "https://www.chatwoot.com/terms-of-service",
        "PRIVACY_URL": "https://www.chatwoot.com/privacy-policy",
        "DISPLAY_MANIFEST": settings.display_manifest,
        "DIRECT_UPLOADS_ENABLED": false,
        "IS_ENTERPRISE": null,
        // Its truth is asked for, so that a text would be true.
        "CREATE_NEW_ACCOUNT_FROM_DASHBOARD": desk.signup == Signup::Open,
        "DISABLE_USER_PROFILE_UPDATE": "false",
        "MAXIMUM_FILE_UPLOAD_SIZE": settings.maximum_file_upload_size,
        "APP_VERSION": crate::health::CHATWOOT_VERSION,
        "GIT_SHA": "unknown",
        "AZURE_APP_ID": null,
        "API_CHANNEL_NAME": null,
        "API_CHANNEL_THUMBNAIL": null,
        "CHATWOOT_INBOX_TOKEN": null,
        "HCAPTCHA_SITE_KEY": null,
        "LOGOUT_REDIRECT_LINK": "/app/login",
        "DEPLOYMENT_ENV": "self-hosted",
        "ACTIVE_PLATFORM_BANNERS": [],
    })
}

/// `window.globalConfig` of the survey.
pub(super) fn survey() -> Value {
    json!({
        "LOGO_THUMBNAIL": "/brand-assets/logo_thumbnail.svg",
        "BRAND_NAME": BRAND,
        "WIDGET_BRAND_URL": BRAND_URL,
        "INSTALLATION_NAME": BRAND,
    })
}

/// `window.globalConfig` of the widget.
pub(super) fn widget(settings: &Settings) -> Value {
    json!({
        "LOGO_THUMBNAIL": "/brand-assets/logo_thumbnail.svg",
        "BRAND_NAME": BRAND,
        "WIDGET_BRAND_URL": BRAND_URL,
        "INSTALLATION_NAME": BRAND,
        "DIRECT_UPLOADS_ENABLED": false,
        "MAXIMUM_FILE_UPLOAD_SIZE": settings.maximum_file_upload_size,
    })
}

/// `window.chatwootWebChannel`.
pub(super) fn web_channel(tx: &Tx<'_>, greeting: &Greeting) -> Value {
    let (door, account) = (&greeting.visitor.door, &greeting.account);
    let (inbox, channel) = (&door.inbox, &door.channel);
    let setting = |key: &str| channel.settings.0.get(key).cloned();
    let text = |key: &str| setting(key).unwrap_or_else(|| json!(""));
    json!({
        "avatarUrl": avatar_url(tx, inbox.avatar.as_ref()),
        // Its name: the script asks whether there is one.
        "hasAConnectedAgentBot": greeting.bot.as_ref().map_or("", |bot| bot.name.as_str()),
        "locale": account.locale,
        "websiteName": inbox.name,
        "websiteToken": channel.token,
        "welcomeTagline": text("welcome_tagline"),
        "welcomeTitle": text("welcome_title"),
        "widgetColor": text("widget_color"),
        "portal": null,
        // The script asks both what they include: they must be there.
        "enabledFeatures": setting("selected_feature_flags").filter(Value::is_array).unwrap_or_else(|| json!([])),
        "enabledLanguages": enabled_languages(),
        "replyTime": setting("reply_time").unwrap_or_else(|| json!("in_a_few_minutes")),
        "preChatFormEnabled": setting("pre_chat_form_enabled").unwrap_or(Value::Bool(false)),
        "preChatFormOptions": setting("pre_chat_form_options").unwrap_or_else(|| json!({})),
        "workingHoursEnabled": inbox.working_hours_enabled,
        "csatSurveyEnabled": inbox.csat_survey_enabled,
        "workingHours": raw_hours(inbox),
        "outOfOfficeMessage": inbox.out_of_office_message,
        "utcOffset": chatwarden_core::inboxes::utc_offset(&inbox.timezone, tx.now()),
        "timezone": inbox.timezone,
        "allowMessagesAfterResolved": inbox.allow_messages_after_resolved,
        "disableBranding": Features::of(account).has("disable_branding"),
    })
}

/// JSON that may stand in a script: nothing in it ends the script or a line of it.
pub(super) fn script(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing to a string can't fail.
                let _ =
                    std::fmt::Write::write_fmt(&mut out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_script() {
        let value = json!({"name": "</script><b>\u{2028}&'\"\\"});
        let text = script(&value);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
