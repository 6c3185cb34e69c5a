//! The people of an account (`resources.md §3`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::agents::{self, Invitation, Terms};
use chatwarden_core::ids::UserId;
use chatwarden_core::users::{Availability, Role, address};
use serde_json::Value;

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::conversations::agent_json;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/agents")
        .get("", index)
        .post("", create)
        .post("/bulk_create", bulk_create)
        .patch("/{id}", update)
        .delete("/{id}", destroy)
}

/// What may be sent without being wrapped in `agent`.
const FIELDS: &[&str] = &["name", "email", "role", "availability", "auto_offline"];
/// As many may be invited at once.
const MANY: usize = 100;

/// The role that was sent, if any.
pub(crate) fn role(params: &Params) -> Answer<Option<Role>> {
    let Some(name) = params.present("role") else { return Ok(None) };
    let role = Role::named(&name);
    role.map(Some).ok_or_else(|| ApiError::unprocessable(format!("'{name}' is not a valid role")))
}

/// The availability that was sent, if any.
pub(crate) fn availability(params: &Params) -> Answer<Option<Availability>> {
    let Some(name) = params.present("availability") else { return Ok(None) };
    let availability = Availability::named(&name);
    availability
        .map(Some)
        .ok_or_else(|| ApiError::unprocessable(format!("'{name}' is not a valid availability")))
}

fn terms(sent: &Params) -> Answer<Terms> {
    Ok(Terms {
        role: role(sent)?,
        availability: availability(sent)?,
        auto_offline: sent.flag("auto_offline"),
    })
}

async fn index(Agent(scope, _): Agent, State(app): State<App>) -> Answer<Json<Value>> {
    app.read(async move |tx| {
        let found = agents::list(tx, &scope).await?;
        Ok(Json(found.iter().map(|member| agent_json(tx, member)).collect()))
    })
    .await
}

/// Invites somebody: a new person gets a mail to choose a password, a known one is a member at once.
async fn create(
    Admin(scope, account): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let sent = params.record("agent", FIELDS)?;
    let invitation = Invitation {
        email: address::normalised(&sent.text("email").unwrap_or_default()),
        name: sent.text("name"),
    };
    let terms = terms(&sent)?;
    app.write(async move |tx| {
        let member = agents::invite(tx, &scope, &account, invitation, terms).await?;
        Ok(Json(agent_json(tx, &member)))
    })
    .await
}

/// Invites several by their addresses; those that can't be invited are left out.
async fn bulk_create(
    Admin(scope, account): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let emails = params.texts("emails").unwrap_or_default();
    if emails.len() > MANY {
        return Err(ApiError::unprocessable(format!("emails: at most {MANY} at once")));
    }
    app.write(async move |tx| agents::invite_all(tx, &scope, &account, &emails).await).await?;
    Ok(done())
}

/// Changes a member: the address stays.
async fn update(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let id = UserId(params.id("id")?);
    let sent = params.record("agent", FIELDS)?;
    let (name, terms) = (sent.present("name"), terms(&sent)?);
    app.write(async move |tx| {
        let member = agents::update(tx, &scope, id, name, terms).await?;
        Ok(Json(agent_json(tx, &member)))
    })
    .await
}

/// Takes a member out of the account.
async fn destroy(
    Admin(scope, _): Admin,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let id = UserId(params.id("id")?);
    app.write(async move |tx| agents::remove(tx, &scope, id).await).await?;
    Ok(done())
}
