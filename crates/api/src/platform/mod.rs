//! The platform API (`resources.md §21`, `behaviours.md §25`).

mod account_users;
mod accounts;
mod agent_bots;
mod users;

use http::StatusCode;

use crate::actors::Platform;
use crate::error::{Answer, ApiError};
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/platform/api/v1")
        .get("/accounts", accounts::index)
        .post("/accounts", accounts::create)
        .get("/accounts/{id}", accounts::show)
        .patch("/accounts/{id}", accounts::update)
        .delete("/accounts/{id}", accounts::destroy)
        .get("/accounts/{id}/account_users", account_users::index)
        .post("/accounts/{id}/account_users", account_users::create)
        .delete("/accounts/{id}/account_users", account_users::destroy)
        .post("/accounts/{id}/email_channel_migrations", migrate_email_channels)
        .post("/users", users::create)
        .get("/users/{id}", users::show)
        .patch("/users/{id}", users::update)
        .delete("/users/{id}", users::destroy)
        .get("/users/{id}/login", users::login)
        .post("/users/{id}/token", users::token)
        .get("/agent_bots", agent_bots::index)
        .post("/agent_bots", agent_bots::create)
        .get("/agent_bots/{id}", agent_bots::show)
        .patch("/agent_bots/{id}", agent_bots::update)
        .delete("/agent_bots/{id}", agent_bots::destroy)
        .delete("/agent_bots/{id}/avatar", agent_bots::delete_avatar)
}

/// Moving mail inboxes between installations is never switched on here.
async fn migrate_email_channels(_: Platform) -> Answer {
    Err(ApiError::new(StatusCode::FORBIDDEN, "Email channel migration is not enabled"))
}
