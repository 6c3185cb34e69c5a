//! Inboxes and their members (`resources.md §4`).

use axum::Json;
use axum::extract::State;
use chatwarden_core::desk::desk;
use chatwarden_core::ids::InboxId;
use chatwarden_core::inboxes::{self, API, Inbox, InboxWithChannel, NewInbox, WEB_WIDGET};
use chatwarden_core::storage::avatar_url;
use chatwarden_core::{Error, users};
use chatwarden_db::{Timestamp, Tx};
use serde_json::{Value, json};

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::conversations::agent_json;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/inboxes", index)
        .post("/inboxes", create)
        .get("/inboxes/{inbox_id}", show)
        .post("/inbox_members", add_members)
        .get("/inbox_members/{inbox_id}", members)
}

/// The inbox that the parameters name; what is no number names none.
fn inbox_id(params: &Params) -> Result<InboxId, ApiError> {
    params.integer("inbox_id").map(InboxId).ok_or_else(ApiError::not_found)
}

/// The inboxes that the member sees, by name.
async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let mut found = inboxes::sql::list(tx, &scope).await?;
        found.sort_by_cached_key(|i| (i.inbox.name.to_lowercase(), i.inbox.id));
        let payload: Vec<Value> =
            found.iter().map(|i| inbox_json(tx, i, scope.is_admin())).collect();
        Ok(Json(json!({"payload": payload})))
    })
    .await
}

/// One inbox.
async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.read(async move |tx| {
        let found = inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        if !scope.is_admin() && !inboxes::sql::is_member(tx, &scope, id, scope.user_id()).await? {
            return Err(Error::not_authorized().into());
        }
        Ok(Json(inbox_json(tx, &found, scope.is_admin())))
    })
    .await
}

/// Adds an inbox with an API or a website channel.
async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let channel = params.inner("channel").unwrap_or_default();
    let channel_type = match channel.text("type").as_deref() {
        Some("api") => API,
        Some("web_widget") => WEB_WIDGET,
        _ => return Err(Error::invalid("channel", "must exist").into()),
    };
    let flag = |name: &str, otherwise: bool| params.flag(name).unwrap_or(otherwise);
    let new = NewInbox {
        name: params.text("name").unwrap_or_default(),
        channel_type,
        greeting_enabled: flag("greeting_enabled", false),
        greeting_message: params.text("greeting_message"),
        enable_email_collect: flag("enable_email_collect", true),
        csat_survey_enabled: flag("csat_survey_enabled", false),
        enable_auto_assignment: flag("enable_auto_assignment", true),
        allow_messages_after_resolved: flag("allow_messages_after_resolved", true),
        lock_to_single_conversation: flag("lock_to_single_conversation", false),
        hmac_mandatory: channel.flag("hmac_mandatory").unwrap_or(false),
        settings: inboxes::settings(channel_type, channel.values()),
    };
    app.write(async move |tx| {
        let made = inboxes::create(tx, &scope, &new).await?;
        Ok(Json(inbox_json(tx, &made, true)))
    })
    .await
}

/// The members of an inbox.
async fn members(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.read(async move |tx| {
        inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let ids = inboxes::sql::member_ids(tx, &scope, id).await?;
        if !scope.is_admin() && !ids.contains(&scope.user_id()) {
            return Err(Error::not_authorized().into());
        }
        Ok(Json(members_json(tx, &scope, &ids).await?))
    })
    .await
}

/// Makes users members of an inbox.
async fn add_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    let users = params.integers("user_ids").unwrap_or_default();
    app.write(async move |tx| {
        inboxes::add_members(tx, &scope, id, &users).await?;
        let ids = inboxes::sql::member_ids(tx, &scope, id).await?;
        Ok(Json(members_json(tx, &scope, &ids).await?))
    })
    .await
}

async fn members_json(
    tx: &mut Tx<'_>,
    scope: &chatwarden_core::Scope,
    ids: &[chatwarden_core::ids::UserId],
) -> Result<Value, Error> {
    let mut members = users::sql::members(tx, scope, ids).await?;
    members.sort_by_key(|member| member.id);
    let payload: Vec<Value> = members.iter().map(|member| agent_json(tx, member)).collect();
    Ok(json!({"payload": payload}))
}

/// An inbox; secrets for administrators alone.
pub(crate) fn inbox_json(tx: &Tx<'_>, found: &InboxWithChannel, admin: bool) -> Value {
    let InboxWithChannel { inbox, channel } = found;
    let setting = |key: &str| channel.settings.0.get(key).cloned().unwrap_or(Value::Null);
    let website = inbox.channel_type == WEB_WIDGET;
    let of_website = |value: Value| if website { value } else { Value::Null };
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
        "callback_webhook_url": null,
        "allow_messages_after_resolved": inbox.allow_messages_after_resolved,
        "lock_to_single_conversation": inbox.lock_to_single_conversation,
        "sender_name_type": sender_name_type(inbox),
        "business_name": inbox.business_name,
        "allowed_domains": of_website(setting("allowed_domains")),
        "widget_color": of_website(setting("widget_color")),
        "website_url": of_website(setting("website_url")),
        "hmac_mandatory": channel.hmac_mandatory,
        "welcome_title": of_website(setting("welcome_title")),
        "welcome_tagline": of_website(setting("welcome_tagline")),
        "web_widget_script": of_website(json!(script(tx, &channel.token))),
        "website_token": of_website(json!(channel.token)),
        "selected_feature_flags": of_website(setting("selected_feature_flags")),
        "reply_time": of_website(setting("reply_time")),
        "messaging_service_sid": null,
        "phone_number": null,
        "provider": null,
    });
    let more = if website {
        json!({
            "pre_chat_form_enabled": setting("pre_chat_form_enabled"),
            "pre_chat_form_options": setting("pre_chat_form_options"),
            "continuity_via_email": setting("continuity_via_email"),
        })
    } else {
        json!({
            "webhook_url": setting("webhook_url"),
            "inbox_identifier": channel.token,
            "additional_attributes": setting("additional_attributes"),
        })
    };
    let secrets = match (admin, website) {
        (false, _) => json!({}),
        (true, true) => json!({"hmac_token": channel.hmac_token}),
        (true, false) => json!({"hmac_token": channel.hmac_token, "secret": channel.secret}),
    };
    if let Some(object) = out.as_object_mut() {
        for part in [more, secrets] {
            if let Value::Object(part) = part {
                object.extend(part);
            }
        }
    }
    out
}

fn sender_name_type(inbox: &Inbox) -> &'static str {
    if inbox.sender_name_type == 1 { "professional" } else { "friendly" }
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
        "sender_name_type": sender_name_type(inbox),
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
