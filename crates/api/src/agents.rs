//! The people of an account (`resources.md §3`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::agents::{self, Invitation, Terms};
use chatwarden_core::error::Invalid;
use chatwarden_core::ids::UserId;
use chatwarden_core::users::{Availability, Role, address, check_name};
use serde_json::Value;

use crate::actors::{Admin, Agent};
use crate::app::App;
use crate::conversations::agent_json;
use crate::error::{Answer, ApiError, done, sent_to};
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

/// As many may be invited at once.
const MANY: usize = 100;

/// The role that was sent, if any.
pub(crate) fn role(params: &Params) -> Answer<Option<Role>> {
    params.one_of("role", Role::ALL, Role::name, Role::integer)
}

/// The availability that was sent, if any.
pub(crate) fn availability(params: &Params) -> Answer<Option<Availability>> {
    params.one_of("availability", Availability::ALL, Availability::name, Availability::integer)
}

fn terms(sent: &Params) -> Answer<Terms> {
    Ok(Terms {
        role: role(sent)?,
        availability: availability(sent)?,
        auto_offline: sent.flag("auto_offline"),
    })
}

/// What is to be changed of a member; the name is judged first.
fn terms_and_name(params: &Params) -> Answer<(Option<String>, Terms)> {
    let sent = params.whole_form("agent")?;
    let name = sent.text("name");
    if let Some(name) = &name {
        let mut faults = Invalid::default();
        check_name(&mut faults, name);
        faults.check()?;
    }
    Ok((name, terms(&sent)?))
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
    let sent = params.whole_form("agent")?;
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
    let emails = params
        .texts("emails")
        .ok_or_else(|| ApiError::unprocessable("emails must be a list of addresses"))?;
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
    let change = terms_and_name(&params);
    app.write(async move |tx| {
        let (name, terms) = sent_to(change, agents::find(tx, &scope, id)).await?;
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
