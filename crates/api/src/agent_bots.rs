//! Agent bots of an account (`resources.md §13`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::agent_bots::{self, AgentBot, Draft};
use chatwarden_core::ids::{AccountId, AgentBotId};
use chatwarden_core::storage::{self, Purpose, avatar_url};
use chatwarden_core::tokens::{self, Owner};
use chatwarden_db::{Tx, WriteTx};
use serde_json::{Map, Value, json};

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::avatars::Picture;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/agent_bots")
        .get("", index)
        .post("", create)
        .get("/{id}", show)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
        .delete("/{id}/avatar", delete_avatar)
        .post("/{id}/reset_access_token", reset_access_token)
        .post("/{id}/reset_secret", reset_secret)
}

/// What was sent of a bot.
///
/// # Errors
/// 422 for another kind of bot than there is.
pub(crate) fn draft(params: &Params) -> Answer<Draft> {
    if let Some(kind) = params.present("bot_type").filter(|kind| kind != "webhook" && kind != "0") {
        return Err(ApiError::unprocessable(format!("'{kind}' is not a valid bot_type")));
    }
    let text = |key: &str| params.has(key).then(|| params.text(key));
    Ok(Draft {
        name: params.has("name").then(|| params.text("name").unwrap_or_default()),
        description: text("description"),
        outgoing_url: text("outgoing_url"),
        bot_config: params.object("bot_config").map(Value::Object),
    })
}

/// Who sees a bot: administrators see what signs and opens, of their own bots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Viewer {
    /// The account that looks.
    pub account: AccountId,
    /// Whether it is an administrator.
    pub admin: bool,
}

/// Bots, to a viewer.
pub(crate) async fn bots_json(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    bots: &[AgentBot],
) -> Answer<Vec<Value>> {
    let own = |bot: &AgentBot| viewer.admin && bot.account_id == Some(viewer.account);
    let ids: Vec<AgentBotId> = bots.iter().filter(|bot| own(bot)).map(|bot| bot.id).collect();
    let tokens = if ids.is_empty() { Vec::new() } else { tokens::of_bots(tx, &ids).await? };
    let row = |bot: &AgentBot| {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("id", json!(bot.id));
        put("name", json!(bot.name));
        put("description", json!(bot.description));
        put("thumbnail", json!(avatar_url(tx, bot.avatar.as_ref())));
        if !bot.is_system() {
            put("outgoing_url", json!(bot.outgoing_url));
        }
        put("bot_type", json!("webhook"));
        put("bot_config", bot.bot_config.0.clone());
        put("account_id", json!(bot.account_id));
        if own(bot) {
            let token = tokens.iter().find(|(id, _)| *id == bot.id).map(|(_, token)| token);
            put("access_token", json!(token));
            put("secret", json!(bot.secret));
        }
        put("system_bot", json!(bot.is_system()));
        Value::Object(out)
    };
    Ok(bots.iter().map(row).collect())
}

/// A bot as the one who has a conversation (`resources.md §6.1`).
pub(crate) fn slim_bot_json(tx: &Tx<'_>, bot: &AgentBot) -> Value {
    let mut out = json!({
        "id": bot.id,
        "name": bot.name,
        "description": bot.description,
        "thumbnail": avatar_url(tx, bot.avatar.as_ref()),
        "bot_type": "webhook",
    });
    if let Some(out) = out.as_object_mut().filter(|_| !bot.is_system()) {
        out.insert("outgoing_url".to_owned(), json!(bot.outgoing_url));
    }
    out
}

async fn bot_json(tx: &mut Tx<'_>, viewer: Viewer, bot: AgentBot) -> Answer<Json<Value>> {
    Ok(Json(bots_json(tx, viewer, &[bot]).await?.pop().unwrap_or_default()))
}

fn id(params: &Params) -> Answer<AgentBotId> {
    params.id("id").map(AgentBotId)
}

async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let viewer = Viewer { account: scope.account_id(), admin: scope.is_admin() };
        let found = agent_bots::list(tx, &scope).await?;
        Ok(Json(Value::Array(bots_json(tx, viewer, &found).await?)))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let viewer = Viewer { account: scope.account_id(), admin: scope.is_admin() };
        let bot = agent_bots::find(tx, &scope, id).await?;
        bot_json(tx, viewer, bot).await
    })
    .await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    let account = scope.account_id();
    let picture = Picture::of(&app, account, Purpose::BotAvatar, &params).await?;
    let received = picture.received();
    let made = app.write(async move |tx| {
        let viewer = Viewer { account, admin: true };
        let mut made = agent_bots::create_own(tx, &scope, draft).await?;
        show_picture(tx, &mut made, &picture).await?;
        bot_json(tx, viewer, made).await
    });
    received.kept_if(&app, made).await
}

/// Gives a bot the picture that came with its values.
pub(crate) async fn show_picture(
    tx: &mut WriteTx<'_>,
    bot: &mut AgentBot,
    picture: &Picture,
) -> chatwarden_core::Result<()> {
    picture.give(tx, storage::Owner::Bot(bot.account_id, bot.id), &mut bot.avatar).await?;
    Ok(())
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params)?);
    let account = scope.account_id();
    let picture = Picture::of(&app, account, Purpose::BotAvatar, &params).await?;
    let received = picture.received();
    let changed = app.write(async move |tx| {
        let viewer = Viewer { account, admin: true };
        let mut bot = agent_bots::find_own(tx, &scope, id).await?;
        agent_bots::update(tx, &mut bot, draft).await?;
        show_picture(tx, &mut bot, &picture).await?;
        bot_json(tx, viewer, bot).await
    });
    received.kept_if(&app, changed).await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let bot = agent_bots::find_own(tx, &scope, id).await?;
        agent_bots::delete(tx, &bot).await
    })
    .await?;
    Ok(done())
}

/// Takes the picture away.
async fn delete_avatar(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let viewer = Viewer { account: scope.account_id(), admin: true };
        let mut bot = agent_bots::find_own(tx, &scope, id).await?;
        bot.avatar =
            storage::set_avatar(tx, storage::Owner::Bot(bot.account_id, bot.id), None).await?;
        bot_json(tx, viewer, bot).await
    })
    .await
}

/// A new API token; the old one stops working.
async fn reset_access_token(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let viewer = Viewer { account: scope.account_id(), admin: true };
        let bot = agent_bots::find_own(tx, &scope, id).await?;
        tokens::renew(tx, Owner::AgentBot(bot.id)).await?;
        bot_json(tx, viewer, bot).await
    })
    .await
}

/// A new secret to sign with; the old one counts no more.
async fn reset_secret(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.write(async move |tx| {
        let viewer = Viewer { account: scope.account_id(), admin: true };
        let mut bot = agent_bots::find_own(tx, &scope, id).await?;
        agent_bots::reset_secret(tx, &mut bot).await?;
        bot_json(tx, viewer, bot).await
    })
    .await
}
