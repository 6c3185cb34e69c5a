//! Teams and their members (`resources.md §8`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::ids::TeamId;
use chatwarden_core::teams::{self, Draft, Found, Team};
use serde_json::{Value, json};

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::conversations::agent_json;
use crate::error::{Answer, ApiError, done, sent_to};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/teams")
        .get("", index)
        .post("", create)
        .get("/{team_id}", show)
        .patch("/{team_id}", update)
        .delete("/{team_id}", destroy)
        .get("/{team_id}/team_members", members)
        .post("/{team_id}/team_members", add_members)
        .patch("/{team_id}/team_members", set_members)
        .delete("/{team_id}/team_members", remove_members)
}

/// What may be sent without being wrapped in `team`.
const FIELDS: &[&str] = &["name", "description", "allow_auto_assign", "icon", "icon_color"];
/// As many may be named at once.
const MANY: usize = 1000;

fn draft(params: &Params) -> Answer<Draft> {
    let sent = params.record("team", FIELDS)?;
    let text = |key: &str| sent.has(key).then(|| sent.text(key).unwrap_or_default());
    Ok(Draft {
        name: text("name"),
        description: sent.has("description").then(|| sent.text("description")),
        allow_auto_assign: sent.flag("allow_auto_assign"),
        icon: text("icon"),
        icon_color: text("icon_color"),
    })
}

fn id(params: &Params) -> Answer<TeamId> {
    params.id("team_id").map(TeamId)
}

fn users(params: &Params) -> Answer<Vec<i64>> {
    let mut users = params.ids("user_ids")?;
    users.sort_unstable();
    users.dedup();
    if users.len() > MANY {
        return Err(ApiError::unprocessable(format!("user_ids: at most {MANY} at once")));
    }
    Ok(users)
}

/// A team as a member sees it.
pub(crate) fn team_json(team: &Team, is_member: bool) -> Value {
    json!({
        "id": team.id,
        "name": team.name,
        "description": team.description,
        "allow_auto_assign": team.allow_auto_assign,
        "icon": team.icon,
        "icon_color": team.icon_color,
        "account_id": team.account_id,
        "is_member": is_member,
    })
}

/// The record of a team: every column (`resources.md §0`, raw record).
pub(crate) fn raw_team_json(team: &Team) -> Value {
    json!({
        "id": team.id,
        "name": team.name,
        "description": team.description,
        "allow_auto_assign": team.allow_auto_assign,
        "account_id": team.account_id,
        "created_at": team.created_at.iso(),
        "updated_at": team.updated_at.iso(),
        "icon": team.icon,
        "icon_color": team.icon_color,
    })
}

fn found_json(found: &Found) -> Value {
    team_json(&found.team, found.membership.is_member)
}

async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = teams::list(tx, &scope).await?;
        Ok(Json(found.iter().map(found_json).collect()))
    })
    .await
}

async fn show(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| Ok(Json(found_json(&teams::find(tx, &scope, id).await?)))).await
}

async fn create(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let draft = draft(&params)?;
    app.write(async move |tx| Ok(Json(found_json(&teams::create(tx, &scope, draft).await?)))).await
}

async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, draft) = (id(&params)?, draft(&params));
    app.write(async move |tx| {
        let draft = sent_to(draft, teams::find(tx, &scope, id)).await?;
        let changed = teams::update(tx, &scope, id, draft).await?;
        Ok(Json(found_json(&changed)))
    })
    .await
}

async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = id(&params)?;
    app.write(async move |tx| teams::delete(tx, &scope, id).await).await?;
    Ok(done())
}

async fn members(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = id(&params)?;
    app.read(async move |tx| {
        let found = teams::members(tx, &scope, id).await?;
        Ok(Json(found.iter().map(|member| agent_json(tx, member)).collect()))
    })
    .await
}

/// Takes members in; those who were not there yet are given back.
async fn add_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, users) = (id(&params)?, users(&params));
    app.write(async move |tx| {
        let users = sent_to(users, teams::find(tx, &scope, id)).await?;
        let added = teams::add_members(tx, &scope, id, &users).await?;
        Ok(Json(added.iter().map(|member| agent_json(tx, member)).collect()))
    })
    .await
}

/// Makes these the members and nobody else.
async fn set_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, users) = (id(&params)?, users(&params));
    app.write(async move |tx| {
        let users = sent_to(users, teams::find(tx, &scope, id)).await?;
        let all = teams::set_members(tx, &scope, id, &users).await?;
        Ok(Json(all.iter().map(|member| agent_json(tx, member)).collect()))
    })
    .await
}

async fn remove_members(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (id, users) = (id(&params)?, users(&params));
    app.write(async move |tx| {
        let users = sent_to(users, teams::find(tx, &scope, id)).await?;
        Ok::<_, ApiError>(teams::remove_members(tx, &scope, id, &users).await?)
    })
    .await?;
    Ok(done())
}
