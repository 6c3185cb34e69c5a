//! Inboxes, who sits at them and which bot serves them (`resources.md §4`).

mod forms;

pub(crate) use forms::{inbox_json, raw_inbox_json, slim_inbox_json};

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::error::Invalid;
use chatwarden_core::ids::{AccountId, AgentBotId, InboxId, UserId};
use chatwarden_core::inboxes::{self, API, Draft, EMAIL, InboxWithChannel, SenderName, members};
use chatwarden_core::storage::{self, Purpose};
use chatwarden_core::tokens::{self, Owner};
use chatwarden_core::{Error, agent_bots, users, values};
use chatwarden_db::{Tx, WriteTx};
use chatwarden_guard::headers::parse_ancestor;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::actors::{Admin, Agent};
use crate::agent_bots::{Viewer, bots_json, slim_bot_json};
use crate::app::App;
use crate::avatars::Picture;
use crate::conversations::agent_json;
use crate::error::{Answer, ApiError, done, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/inboxes", index)
        .post("/inboxes", create)
        .get("/inboxes/{inbox_id}", show)
        .patch("/inboxes/{inbox_id}", update)
        .delete("/inboxes/{inbox_id}", destroy)
        .delete("/inboxes/{inbox_id}/avatar", delete_avatar)
        .post("/inboxes/{inbox_id}/reset_secret", reset_secret)
        .get("/inboxes/{inbox_id}/agent_bot", agent_bot)
        .post("/inboxes/{inbox_id}/set_agent_bot", set_agent_bot)
        .get("/inboxes/{inbox_id}/assignable_agents", assignable_agents_of)
        .get("/inboxes/{inbox_id}/campaigns", campaigns)
        .post("/inboxes/{inbox_id}/sync_templates", sync_templates)
        .get("/inboxes/{inbox_id}/health", health)
        .post("/inboxes/{inbox_id}/register_webhook", register_webhook)
        .get("/inboxes/{inbox_id}/csat_template", csat_template)
        .post("/inboxes/{inbox_id}/csat_template", csat_template)
        .get("/assignable_agents", assignable_agents)
        .post("/inbox_members", add_members)
        .patch("/inbox_members", replace_members)
        .delete("/inbox_members", remove_members)
        .get("/inbox_members/{inbox_id}", show_members)
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
        let found = members::visible(tx, &scope, id).await?;
        Ok(Json(inbox_json(tx, &found, scope.is_admin())))
    })
    .await
}

/// The sites that may frame a website's widget: joined unchecked, one could add directives of its own to the
/// page's policy.
fn check_domains(channel: &Map<String, Value>) -> Answer<()> {
    let list = channel.get("allowed_domains").and_then(Value::as_str).unwrap_or_default();
    let mut entries = list.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
    match entries.find(|entry| parse_ancestor(entry, false).is_err()) {
        Some(entry) => {
            let fault = format!("has '{entry}', which is no [scheme://][*.]host[:port]");
            Err(Error::invalid("channel.allowed_domains", fault).into())
        }
        None => Ok(()),
    }
}

/// Days of the week, which must be a list where they are sent.
fn working_hours(params: &Params) -> Answer<Option<Vec<Value>>> {
    match params.get("working_hours") {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(word) if *word == json!("null") => Ok(None),
        Some(_) => {
            let days = params.list("working_hours");
            let no_list = || Error::invalid("working_hours", "must be a list of days");
            Ok(Some(days.ok_or_else(no_list)?))
        }
    }
}

/// What was sent of an inbox. The word `null` means none, as forms can't say it otherwise.
fn draft(params: &Params) -> Answer<Draft> {
    let channel = params.object("channel");
    check_domains(channel.as_ref().unwrap_or(&Map::new()))?;
    let said = |key: &str| params.get(key).filter(|value| **value != json!("null"));
    let text = |key: &str| params.has(key).then(|| said(key).and_then(|_| params.text(key)));
    let flag = |key: &str| said(key).and_then(|_| params.flag(key));
    let lock_to_single_conversation = flag("lock_to_single_conversation");
    let sender_name_type = match said("sender_name_type") {
        Some(_) => params.one_of(
            "sender_name_type",
            SenderName::ALL,
            SenderName::name,
            SenderName::integer,
        )?,
        None => None,
    };
    // These two are one or the other with every inbox.
    let mut faults = Invalid::default();
    for (key, is_said) in [
        ("lock_to_single_conversation", lock_to_single_conversation.is_some()),
        ("sender_name_type", sender_name_type.is_some()),
    ] {
        if params.has(key) && !is_said {
            faults.add(key, "can't be blank");
        }
    }
    faults.check()?;
    Ok(Draft {
        name: text("name"),
        greeting_enabled: flag("greeting_enabled"),
        greeting_message: text("greeting_message"),
        enable_email_collect: flag("enable_email_collect"),
        csat_survey_enabled: flag("csat_survey_enabled"),
        csat_config: params.object("csat_config"),
        enable_auto_assignment: flag("enable_auto_assignment"),
        working_hours_enabled: flag("working_hours_enabled"),
        working_hours: None,
        out_of_office_message: text("out_of_office_message"),
        timezone: text("timezone"),
        allow_messages_after_resolved: flag("allow_messages_after_resolved"),
        lock_to_single_conversation,
        sender_name_type,
        business_name: text("business_name"),
        channel,
    })
}

/// Adds an inbox with its channel.
async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let channel = params.inner("channel").unwrap_or_default();
    let channel_type = channel.text("type").and_then(|name| inboxes::named(&name));
    let channel_type = channel_type.ok_or_else(|| Error::invalid("channel", "must exist"))?;
    let draft = draft(&params)?;
    let picture = Picture::of(&app, scope.account_id(), Purpose::InboxAvatar, &params).await?;
    let received = picture.received();
    let made = app.write(async move |tx| {
        let mut made = inboxes::create(tx, &scope, channel_type, draft).await?;
        show_picture(tx, scope.account_id(), &mut made, &picture).await?;
        Ok(Json(inbox_json(tx, &made, true)))
    });
    received.kept_if(&app, made).await
}

/// Gives an inbox the picture that came with its values.
async fn show_picture(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    of: &mut InboxWithChannel,
    picture: &Picture,
) -> chatwarden_core::Result<()> {
    let owner = storage::Owner::Inbox(account, of.inbox.id);
    picture.give(tx, owner, &mut of.inbox.avatar).await?;
    Ok(())
}

/// Changes an inbox and its channel.
async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    let draft = Draft { working_hours: working_hours(&params)?, ..draft(&params)? };
    let layout = params.present("branded_email_layout").filter(|layout| layout != "null");
    let picture = Picture::of(&app, scope.account_id(), Purpose::InboxAvatar, &params).await?;
    let received = picture.received();
    let changed = app.write(async move |tx| {
        let mut changed = inboxes::update(tx, &scope, id, draft).await?;
        if changed.inbox.channel_type == EMAIL && layout.is_some() {
            let text = "Branded email templates feature is not enabled";
            return Err(ApiError::unprocessable(text));
        }
        show_picture(tx, scope.account_id(), &mut changed, &picture).await?;
        Ok(Json(inbox_json(tx, &changed, true)))
    });
    received.kept_if(&app, changed).await
}

/// Removes an inbox: its conversations go after that.
async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.write(async move |tx| inboxes::delete(tx, &scope, id).await).await?;
    Ok(Json(json!({"message": "Your inbox deletion request will be processed in some time."})))
}

/// Takes the picture away.
async fn delete_avatar(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = inbox_id(&params)?;
    app.write(async move |tx| inboxes::remove_avatar(tx, &scope, id).await).await?;
    Ok(done())
}

/// A new secret to sign with; the old one counts no more.
async fn reset_secret(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.write(async move |tx| {
        let found = inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        if found.inbox.channel_type != API {
            return Err(ApiError::empty(StatusCode::NOT_FOUND));
        }
        let changed = inboxes::reset_secret(tx, &scope, id).await?;
        Ok(Json(inbox_json(tx, &changed, true)))
    })
    .await
}

/// The bot that serves an inbox.
async fn agent_bot(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.read(async move |tx| {
        members::visible(tx, &scope, id).await?;
        let Some(bot) = inboxes::bot(tx, &scope, id).await? else { return Ok(Json(json!({}))) };
        let viewer = Viewer { account: scope.account_id(), admin: scope.is_admin() };
        let id = bot.id;
        let mut row = bots_json(tx, viewer, &[bot]).await?.pop().unwrap_or_default();
        // Here alone the token is shown as the whole record of it.
        if let Some(shown) = row.get_mut("access_token") {
            let record = tokens::record(tx, Owner::AgentBot(id)).await?;
            *shown = record.map_or(Value::Null, |it| {
                json!({
                    "id": it.id, "owner_type": it.owner_type, "owner_id": it.owner_id, "token": it.token,
                    "created_at": it.created_at.iso(), "updated_at": it.updated_at.iso(),
                })
            });
        }
        Ok(Json(json!({"agent_bot": row})))
    })
    .await
}

/// Has a bot serve an inbox, or none.
async fn set_agent_bot(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = inbox_id(&params)?;
    let bot = match params.get("agent_bot") {
        None | Some(Value::Null) => None,
        Some(_) => Some(AgentBotId(params.integer("agent_bot").ok_or_else(ApiError::not_found)?)),
    };
    app.write(async move |tx| inboxes::set_bot(tx, &scope, id, bot).await).await?;
    Ok(done())
}

/// Who may be given the inbox's conversations.
async fn assignable_agents_of(
    agent: Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    assignable(agent, app, vec![inbox_id(&params)?], false).await
}

/// Who may be given conversations of all these inboxes; with bots where they are asked for.
async fn assignable_agents(
    agent: Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    // What is no number names no inbox.
    let id = |text: &String| values::leading_integer(text).map(InboxId);
    let ids: Option<Vec<InboxId>> =
        params.texts("inbox_ids").unwrap_or_default().iter().map(id).collect();
    let ids = ids.filter(|ids| !ids.is_empty()).ok_or_else(ApiError::not_found)?;
    let with_bots = params.flag("include_agent_bots") == Some(true);
    assignable(agent, app, ids, with_bots).await
}

async fn assignable(
    Agent(scope, _): Agent,
    app: App,
    ids: Vec<InboxId>,
    with_bots: bool,
) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = members::assignable(tx, &scope, &ids).await?;
        let mut payload: Vec<Value> = found.iter().map(|member| agent_json(tx, member)).collect();
        if with_bots {
            for agent in payload.iter_mut().filter_map(Value::as_object_mut) {
                agent.insert("assignee_type".to_owned(), json!("User"));
            }
            let usable = agent_bots::list(tx, &scope).await?;
            payload.extend(usable.iter().map(|bot| {
                let mut row = slim_bot_json(tx, bot);
                if let Some(row) = row.as_object_mut() {
                    row.insert("assignee_type".to_owned(), json!("AgentBot"));
                    row.insert("icon".to_owned(), Value::Null);
                    row.insert("availability_status".to_owned(), json!("offline"));
                }
                row
            }));
        }
        Ok(Json(json!({"payload": payload})))
    })
    .await
}

/// An inbox's campaigns: there is no channel that has any.
async fn campaigns(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.read(async move |tx| {
        inboxes::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        Ok(Json(json!([])))
    })
    .await
}

/// Refuses what only WhatsApp channels can do, for an inbox of the account.
async fn only_whatsapp(
    scope: chatwarden_core::Scope<chatwarden_core::scope::Agent>,
    app: App,
    params: &Params,
    status: StatusCode,
    text: &'static str,
) -> Answer<Json<Value>> {
    let id = inbox_id(params)?;
    app.read(async move |tx| {
        members::visible(tx, &scope, id).await?;
        Err(ApiError::new(status, text))
    })
    .await
}

/// There are no templates to fetch.
async fn sync_templates(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let text = "Template sync is only available for WhatsApp channels";
    only_whatsapp((*scope).clone(), app, &params, StatusCode::UNPROCESSABLE_ENTITY, text).await
}

/// There is no provider to be asked.
async fn health(agent: Agent, State(app): State<App>, params: Params) -> Answer<Json<Value>> {
    let text = "Health data only available for WhatsApp Cloud API channels";
    only_whatsapp(agent.0, app, &params, StatusCode::BAD_REQUEST, text).await
}

/// There is no provider that calls.
async fn register_webhook(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let text = "Webhook registration only available for WhatsApp Cloud API channels";
    only_whatsapp((*scope).clone(), app, &params, StatusCode::BAD_REQUEST, text).await
}

/// There are no templates to be approved.
async fn csat_template(
    agent: Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let text = "CSAT template operations only available for WhatsApp and Twilio WhatsApp channels";
    only_whatsapp(agent.0, app, &params, StatusCode::BAD_REQUEST, text).await
}

/// The members of an inbox.
async fn show_members(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.read(async move |tx| {
        members::visible(tx, &scope, id).await?;
        members_json(tx, &scope, id).await
    })
    .await
}

/// The users that the parameters name, who must be named where there is such an inbox: else a forgotten list would
/// empty it.
async fn user_ids(
    tx: &mut Tx<'_>,
    scope: &chatwarden_core::Scope,
    id: InboxId,
    params: &Params,
) -> Answer<Vec<UserId>> {
    let found = async { inboxes::sql::get(tx, scope, id).await?.ok_or(Error::NotFound) };
    let users = sent_to(params.ids("user_ids"), found).await?;
    Ok(users.into_iter().map(UserId).collect())
}

/// Makes users members of an inbox.
async fn add_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.write(async move |tx| {
        let users = user_ids(tx, &scope, id, &params).await?;
        members::add(tx, &scope, id, &users).await?;
        members_json(tx, &scope, id).await
    })
    .await
}

/// Makes exactly these users the members of an inbox.
async fn replace_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = inbox_id(&params)?;
    app.write(async move |tx| {
        let users = user_ids(tx, &scope, id, &params).await?;
        members::replace(tx, &scope, id, &users).await?;
        members_json(tx, &scope, id).await
    })
    .await
}

/// Takes users out of an inbox.
async fn remove_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = inbox_id(&params)?;
    // Nobody named is nobody taken out.
    let users = params.integers("user_ids").unwrap_or_default();
    let users: Vec<UserId> = users.into_iter().map(UserId).collect();
    app.write(async move |tx| members::remove(tx, &scope, id, &users).await).await?;
    Ok(done())
}

async fn members_json(
    tx: &mut Tx<'_>,
    scope: &chatwarden_core::Scope,
    id: InboxId,
) -> Answer<Json<Value>> {
    let ids = inboxes::sql::member_ids(tx, scope, id).await?;
    let mut members = users::sql::members(tx, scope, &ids).await?;
    members.sort_by_key(|member| member.id);
    let payload: Vec<Value> = members.iter().map(|member| agent_json(tx, member)).collect();
    Ok(Json(json!({"payload": payload})))
}
