//! What comes by itself, when, and when it came last (operations.md §1.3).

use axum::extract::State;
use axum::response::Response;
use chatwarden_jobs::schedules::{self, Planned, Rule};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Map, Value, json};

use super::access::Operator;
use super::answers::written;
use super::kept;
use crate::app::App;
use crate::error::ApiError;

/// The schedules, as all nodes know them, and the node that looks after them.
pub(super) async fn tasks(
    _: Operator,
    State(app): State<App>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let key = kept::key(&parts);
    let path = parts.uri.path();
    if let Some(text) = app.kept().find(&key) {
        return Ok(written(&parts.headers, path, StatusCode::OK, text.to_string()));
    }
    let standing = app.read(async |tx| schedules::standing(tx).await).await?;
    let (mut cron, mut rate) = (Vec::new(), Vec::new());
    for planned in &standing.next {
        match planned.rule() {
            Rule::Seconds(seconds) => {
                // A schedule that is new comes first after one interval.
                let interval = json!(seconds.saturating_mul(1000));
                rate.push(task(
                    planned,
                    [("interval", interval.clone()), ("initialDelay", interval)],
                ));
            }
            Rule::Cron(expression) => cron.push(task(planned, [("expression", json!(expression))])),
        }
    }
    let mut body = Map::new();
    body.insert("cron".to_owned(), json!(cron));
    body.insert("fixedDelay".to_owned(), json!([]));
    body.insert("fixedRate".to_owned(), json!(rate));
    body.insert("custom".to_owned(), json!([]));
    let leads = standing.led_until > app.db().ambient().now();
    if let Some(leader) = standing.leader.filter(|_| leads) {
        body.insert("leader".to_owned(), json!(leader));
    }
    let text = app.kept().keep(key, Value::Object(body).to_string());
    Ok(written(&parts.headers, path, StatusCode::OK, text.to_string()))
}

fn task<const N: usize>(planned: &Planned, rule: [(&str, Value); N]) -> Map<String, Value> {
    let mut task: Map<String, Value> =
        rule.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    task.insert("runnable".to_owned(), json!({"target": planned.name}));
    task.insert("nextExecution".to_owned(), json!({"time": planned.next.iso()}));
    if let Some(last) = planned.last {
        task.insert("lastExecution".to_owned(), json!({"time": last.iso()}));
    }
    task
}
