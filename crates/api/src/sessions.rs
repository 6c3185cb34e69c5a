//! One's own sessions (`resources.md §2`).

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chatwarden_core::ids::SessionId;
use chatwarden_core::sessions;
use serde_json::{Value, json};

use crate::actors::Signed;
use crate::app::App;
use crate::auth::session_json;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/profile/sessions").get("", index).delete("/{id}", destroy)
}

/// The sessions that are still good, the latest activity first.
async fn index(signed: Signed, State(app): State<App>) -> Answer<Json<Value>> {
    let current = signed.session.map(|session| session.id);
    app.read(async move |tx| {
        let found = sessions::list(tx, signed.user).await?;
        let row = |session: &sessions::Session| {
            let mut row = session_json(session);
            if let Some(object) = row.as_object_mut() {
                object.insert("country_code".to_owned(), json!(session.country_code));
                object.insert("current".to_owned(), json!(Some(session.id) == current));
            }
            row
        };
        Ok(Json(found.iter().map(row).collect()))
    })
    .await
}

/// Ends another session than this one.
async fn destroy(signed: Signed, State(app): State<App>, params: Params) -> Answer<Response> {
    let id = SessionId(params.id("id")?);
    if signed.session.is_some_and(|session| session.id == id) {
        return Err(ApiError::unprocessable("You cannot revoke the current session."));
    }
    app.write(async move |tx| sessions::end(tx, signed.user, id).await).await?;
    Ok(done())
}
