//! Agent bots of a platform app.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::agent_bots::{self, AgentBot};
use chatwarden_core::ids::{AccountId, AgentBotId};
use chatwarden_core::platform;
use chatwarden_core::storage::{self, Purpose};
use chatwarden_core::tokens;
use chatwarden_db::Tx;
use serde_json::{Value, json};

use crate::actors::Platform;
use crate::agent_bots::{draft, show_picture};
use crate::app::App;
use crate::avatars::Picture;
use crate::error::{Answer, done};
use crate::params::Params;

async fn bots_json(tx: &mut Tx<'_>, bots: &[AgentBot]) -> Answer<Vec<Value>> {
    let ids: Vec<AgentBotId> = bots.iter().map(|bot| bot.id).collect();
    let tokens = tokens::of_bots(tx, &ids).await?;
    let row = |bot: &AgentBot| {
        let token = tokens.iter().find(|(id, _)| *id == bot.id).map(|(_, token)| token);
        json!({
            "id": bot.id,
            "name": bot.name,
            "description": bot.description,
            "outgoing_url": bot.outgoing_url,
            "account_id": bot.account_id,
            "access_token": token,
        })
    };
    Ok(bots.iter().map(row).collect())
}

async fn bot_json(tx: &mut Tx<'_>, bot: AgentBot) -> Answer<Json<Value>> {
    Ok(Json(bots_json(tx, &[bot]).await?.pop().unwrap_or_default()))
}

pub(super) async fn index(
    Platform(app_id): Platform,
    State(app): State<App>,
) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = platform::list_agent_bots(tx, app_id).await?;
        Ok(Json(Value::Array(bots_json(tx, &found).await?)))
    })
    .await
}

pub(super) async fn create(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let account = params.integer("account_id").map(AccountId);
    let draft = draft(&params)?;
    let files_of = account.unwrap_or(AccountId(0));
    let picture = Picture::of(&app, files_of, Purpose::BotAvatar, &params).await?;
    let received = picture.received();
    let made = app.write(async move |tx| {
        let mut made = platform::create_agent_bot(tx, app_id, account, draft).await?;
        show_picture(tx, &mut made, &picture).await?;
        bot_json(tx, made).await
    });
    received.kept_if(&app, made).await
}

pub(super) async fn show(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AgentBotId(params.id("id")?);
    app.read(async move |tx| {
        let bot = platform::agent_bot(tx, app_id, id).await?;
        bot_json(tx, bot).await
    })
    .await
}

pub(super) async fn update(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AgentBotId(params.id("id")?);
    let draft = draft(&params)?;
    let bot = app.read(async move |tx| platform::agent_bot(tx, app_id, id).await).await?;
    let files_of = bot.account_id.unwrap_or(AccountId(0));
    let picture = Picture::of(&app, files_of, Purpose::BotAvatar, &params).await?;
    let received = picture.received();
    let changed = app.write(async move |tx| {
        let mut bot = platform::agent_bot(tx, app_id, id).await?;
        agent_bots::update(tx, &mut bot, draft).await?;
        show_picture(tx, &mut bot, &picture).await?;
        bot_json(tx, bot).await
    });
    received.kept_if(&app, changed).await
}

/// Takes the picture away.
pub(super) async fn delete_avatar(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = AgentBotId(params.id("id")?);
    app.write(async move |tx| {
        let mut bot = platform::agent_bot(tx, app_id, id).await?;
        let owner = storage::Owner::Bot(bot.account_id, bot.id);
        bot.avatar = storage::set_avatar(tx, owner, None).await?;
        bot_json(tx, bot).await
    })
    .await
}

pub(super) async fn destroy(
    Platform(app_id): Platform,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = AgentBotId(params.id("id")?);
    app.write(async move |tx| Ok(platform::delete_agent_bot(tx, app_id, id).await?))
        .await
        .map(|()| done())
}
