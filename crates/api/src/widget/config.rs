//! The page's data, and what needs no visitor.

use axum::Json;
use axum::extract::State;
use chatwarden_core::accounts::features::Features;
use chatwarden_core::inboxes::Inbox;
use chatwarden_core::storage::avatar_url;
use chatwarden_core::widget::{self, Greeting, languages};
use chatwarden_db::Tx;
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use super::contact::shown;
use super::{Guest, greet};
use crate::app::App;
use crate::error::Answer;
use crate::params::Params;

/// The page's data for clients without the page; a new visitor is made where none is known. Whoever is known is
/// given another token, so that theirs never ends while they come back. Here alone the website may be named in the
/// body (`serving-clients.md §3.2`), where its query, by which CORS knows it, names none.
pub(super) async fn config(
    guest: Guest,
    State(app): State<App>,
    parts: Parts,
    params: Params,
) -> Answer<Json<Value>> {
    let Guest { mut website_token, auth_token, .. } = guest;
    if website_token.is_empty() {
        website_token = params.text("website_token").unwrap_or_default();
    }
    let largest = app.front_ends().settings().maximum_file_upload_size;
    let answer = move |tx: &Tx<'_>, greeting: &Greeting| config_json(tx, greeting, largest);
    Ok(Json(greet(&app, &parts, website_token, auth_token, answer).await??))
}

/// `largest`: mebibytes that a file may have.
fn config_json(tx: &Tx<'_>, greeting: &Greeting, largest: u64) -> Value {
    let (visitor, account) = (&greeting.visitor, &greeting.account);
    let (inbox, channel) = (&visitor.door.inbox, &visitor.door.channel);
    let setting = |key: &str| channel.settings.0.get(key).cloned().unwrap_or(Value::Null);
    let languages: Vec<Value> = languages::ENABLED
        .iter()
        .map(|(code, name)| json!({"name": name, "iso_639_1_code": code}))
        .collect();
    let contact = shown(visitor, &visitor.contact);
    json!({
        "website_channel_config": {
            "allow_messages_after_resolved": inbox.allow_messages_after_resolved,
            "api_host": chatwarden_core::desk::desk(tx).frontend_url,
            "auth_token": greeting.fresh_token(tx),
            "avatar_url": avatar_url(tx, inbox.avatar.as_ref()),
            "csat_survey_enabled": inbox.csat_survey_enabled,
            "disable_branding": Features::of(account).has("disable_branding"),
            "enabled_features": setting("selected_feature_flags"),
            "enabled_languages": languages,
            "locale": account.locale,
            "out_of_office_message": inbox.out_of_office_message,
            "portal": null,
            "pre_chat_form_enabled": setting("pre_chat_form_enabled"),
            "pre_chat_form_options": setting("pre_chat_form_options"),
            "reply_time": setting("reply_time"),
            "timezone": inbox.timezone,
            "utc_off_set": chatwarden_core::inboxes::utc_offset(&inbox.timezone, tx.now()),
            "website_name": inbox.name,
            "website_token": channel.token,
            "welcome_tagline": setting("welcome_tagline"),
            "welcome_title": setting("welcome_title"),
            "widget_color": setting("widget_color"),
            "working_hours": raw_hours(inbox),
            "working_hours_enabled": inbox.working_hours_enabled,
        },
        "contact": {
            "email": contact.email, "id": contact.id, "identifier": contact.identifier, "name": contact.name,
            "phone_number": contact.phone_number, "pubsub_token": visitor.contact_inbox.pubsub_token,
        },
        "global_config": {
            "LOGO_THUMBNAIL": "/brand-assets/logo_thumbnail.svg",
            "BRAND_NAME": "Chatwoot",
            "WIDGET_BRAND_URL": "https://www.chatwoot.com",
            "MAXIMUM_FILE_UPLOAD_SIZE": largest,
            "INSTALLATION_NAME": "Chatwoot",
        },
    })
}

/// The records of the days that an inbox is attended. They have no rows of their own: their ids are made of
/// the inbox's.
pub(crate) fn raw_hours(inbox: &Inbox) -> Value {
    let mut days = json!(inbox.working_hours.0);
    for (index, day) in days.as_array_mut().into_iter().flatten().enumerate() {
        if let Some(day) = day.as_object_mut() {
            let number = i64::try_from(index).unwrap_or_default();
            day.insert("id".to_owned(), json!(inbox.id.0.saturating_mul(7).saturating_add(number)));
            day.insert("inbox_id".to_owned(), json!(inbox.id));
            day.insert("account_id".to_owned(), json!(inbox.account_id));
            day.insert("created_at".to_owned(), json!(inbox.created_at.iso()));
            day.insert("updated_at".to_owned(), json!(inbox.updated_at.iso()));
        }
    }
    days
}

/// The people who answer, and which of them are there.
pub(super) async fn inbox_members(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let (door, _) = widget::website(tx, &guest.website_token).await?;
        let people = widget::people(tx, &door).await?;
        let payload: Vec<Value> = people
            .iter()
            .map(|member| {
                json!({
                    "id": member.id,
                    "name": member.available_name(),
                    "avatar_url": avatar_url(tx, member.avatar.as_ref()),
                    "availability_status": member.availability_status(tx),
                })
            })
            .collect();
        Ok(Json(json!({"payload": payload})))
    })
    .await
}

/// What the page brings up by itself: nothing yet.
pub(super) async fn campaigns(guest: Guest, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        widget::website(tx, &guest.website_token).await?;
        Ok(Json(json!([])))
    })
    .await
}

/// The page says that something happened on it: that it was opened. Nothing is kept of it.
pub(super) async fn event(guest: Guest, State(app): State<App>, _: Params) -> Answer<StatusCode> {
    app.read(async move |tx| {
        guest.visitor(tx).await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
