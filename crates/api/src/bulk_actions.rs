//! Many conversations or contacts at once (`behaviours.md §8`, bulk_actions).

use axum::extract::State;
use axum::response::Response;
use chatwarden_core::bulk_actions::{self, BulkAction, Contacts, Conversations};
use chatwarden_core::conversations::Status;
use chatwarden_core::labels;
use http::StatusCode;
use serde_json::json;

use crate::actors::Agent;
use crate::app::App;
use crate::error::{Answer, ApiError, done};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}/bulk_actions").post("", create)
}

/// As many may be acted on at once.
const MANY: usize = 10_000;

fn titles(params: &Params, key: &str) -> Answer<Vec<String>> {
    let sent = params.inner("labels").and_then(|labels| labels.texts(key)).unwrap_or_default();
    Ok(labels::tidy(&sent)?)
}

/// What was sent of an id that may be taken away: 0 where it was sent without a value.
fn id(params: &Params, key: &str) -> Option<i64> {
    params.has(key).then(|| params.integer(key).unwrap_or(0))
}

fn action(params: &Params) -> Answer<BulkAction> {
    let ids = params.integers("ids").unwrap_or_default();
    if ids.len() > MANY {
        return Err(ApiError::unprocessable(format!("ids: at most {MANY} at once")));
    }
    let (add, remove) = (titles(params, "add")?, titles(params, "remove")?);
    match params.text("type").unwrap_or_default().to_lowercase().as_str() {
        "conversation" => {
            let fields = params.inner("fields").unwrap_or_default();
            let status = fields.present("status");
            if let Some(name) = status.as_deref().filter(|name| Status::named(name).is_none()) {
                return Err(ApiError::unprocessable(format!("'{name}' is not a valid status")));
            }
            Ok(BulkAction::Conversations(Conversations {
                ids,
                status,
                snoozed_until: params.integer("snoozed_until"),
                assignee: id(&fields, "assignee_id"),
                team: id(&fields, "team_id"),
                add,
                remove,
            }))
        }
        "contact" => {
            let delete = params.text("action_name").as_deref() == Some("delete");
            Ok(BulkAction::Contacts(Contacts { ids, delete, add, remove }))
        }
        _ => {
            let body = json!({"success": false});
            Err(ApiError::with_body(StatusCode::UNPROCESSABLE_ENTITY, body))
        }
    }
}

/// Has it done in the background.
async fn create(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let action = action(&params)?;
    app.write(async move |tx| bulk_actions::start(tx, &scope, action).await).await?;
    Ok(done())
}
