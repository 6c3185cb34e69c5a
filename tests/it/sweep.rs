//! Tenants are apart: every route, called by everybody of one account with the ids of another's records.
//! The calls are made from the route table, so that a new route is among them.

use std::collections::BTreeSet;

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_testkit::{Actor, App, Reply};
use http::Method;
use serde_json::{Value, json};

use crate::tenant::{NOWHERE, Tenant, parameters, path};

/// Parameters that are capabilities: who knows one is meant to be let in, whoever they are. And names of parts of
/// the server.
const CAPABILITIES: [&str; 9] = [
    "filename",
    "inbox_identifier",
    "link",
    "name",
    "path",
    "signed_id",
    "title",
    "token",
    "variation_key",
];

fn is_capability(route: &Route, place: usize) -> bool {
    let named = parameters(route);
    let (parameter, before) = &named[place];
    CAPABILITIES.contains(&parameter.as_str())
        || before == "csat_survey"
        // The page is the same for every link; what it asks the API for is not.
        || route.path.starts_with("/survey/responses/")
        || (place == 0 && route.path.starts_with("/public/api/v1/inboxes/"))
}

/// Two accounts with one of everything, and who calls: everybody of the first, and a platform app that made neither.
struct Two {
    mine: Tenant,
    theirs: Tenant,
    callers: Vec<(&'static str, Actor)>,
}

async fn two() -> Two {
    let app = App::empty().await;
    // The numbers of conversations count in each account: theirs has one that mine has not.
    let mine = Tenant::with(&app, "aardvark", 1).await;
    let theirs = Tenant::with(&app, "zebra", 7).await;
    let another =
        app.db().write(async |tx| chatwarden_core::platform::create_app(tx, "another").await);
    let another = app.anyone().with_header("api_access_token", &another.await.expect("an app"));
    let mut callers: Vec<(&'static str, Actor)> =
        mine.callers.iter().map(|(name, actor)| (*name, actor.clone())).collect();
    callers.retain(|(name, _)| *name != "platform");
    callers.push(("another platform app", another));
    Two { mine, theirs, callers }
}

async fn call(caller: &Actor, route: &Route, path: &str, body: Value) -> Reply {
    let body = if route.method == Method::GET { Value::Null } else { body };
    caller.send(route.method.clone(), path, body).await
}

#[tokio::test]
async fn every_parameter_of_every_route_is_known() {
    let app = App::empty().await;
    let tenant = Tenant::with(&app, "zebra", 1).await;
    let unknown: BTreeSet<String> = table()
        .iter()
        .flat_map(|route| {
            let missing = tenant.fillings(route).into_iter().filter_map(Result::err);
            missing
                .map(|parameter| format!("{{{parameter}}} of {}", route.path))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(unknown.is_empty(), "teach tests/it/tenant.rs what these are: {unknown:#?}");
}

#[tokio::test]
async fn what_belongs_to_others_is_as_what_is_not_there() {
    let Two { mine, theirs, callers } = two().await;
    let before = theirs.rows().await;
    let mut faults = Vec::new();
    for route in table() {
        let (own, foreign) = (mine.fillings(&route), theirs.fillings(&route));
        for place in 0..own.len() {
            if is_capability(&route, place) {
                continue;
            }
            // Up to here mine, from here on theirs.
            let mixed = |other: &dyn Fn(usize) -> String| {
                let filled = path(&route, |at| {
                    if at < place { own[at].clone().unwrap_or_default() } else { other(at) }
                });
                mine.asked(&route, filled)
            };
            let foreign = mixed(&|at| foreign[at].clone().unwrap_or_default());
            let missing = mixed(&|_| NOWHERE.to_owned());
            for (name, caller) in &callers {
                let answer = call(caller, &route, &foreign, json!({})).await;
                let absent = call(caller, &route, &missing, json!({})).await;
                let (status, expected) = (answer.status.as_u16(), absent.status.as_u16());
                let said =
                    format!("{} {foreign} as {name}: {status} {}", route.method, answer.text());
                // Another account's door is shut before anything is looked for; what is said of a body that
                // wants something is said of whatever is named.
                let refused = [401, 403, 404].contains(&status);
                let unread = [204, 400, 422].contains(&status)
                    && status == expected
                    && without_ids(&answer) == without_ids(&absent);
                if !(refused || unread) {
                    faults.push(format!("{said}; what is not there gives {expected}"));
                }
                if answer.text().contains(theirs.mark) {
                    faults.push(format!("{said}: it tells what is theirs"));
                }
            }
        }
        if theirs.rows().await != before {
            faults.push(format!("{} {} changed what is theirs", route.method, route.path));
            break;
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Ids of a tenant's records in a body, by every name that bodies have for them.
pub fn body_with(theirs: &Tenant) -> Value {
    let (contact, inbox) = (theirs.number("contacts"), theirs.number("inboxes"));
    let (agent, conversation) = (theirs.number("agents"), theirs.number("conversations"));
    let (bot, message) = (theirs.number("agent_bots"), theirs.number("messages"));
    let mut body = json!({
        "name": "Mine", "title": "mine", "content": "Mine", "email": "mine@example.com", "status": "open",
        "contact_id": contact, "contact_ids": [contact], "base_contact_id": contact, "mergee_contact_id": contact,
        "inbox_id": inbox, "inbox_ids": [inbox], "inbox": inbox, "source_id": theirs.name("source_id"),
        "user_id": agent, "user_ids": [agent], "agent_id": agent, "assignee_id": agent, "sender_id": agent,
        "conversation_id": conversation, "conversation_ids": [conversation], "ids": [conversation],
        "primary_actor_id": conversation, "primary_actor_type": "Conversation",
        "agent_bot": bot, "agent_bot_id": bot, "assignee_agent_bot_id": bot,
        "message_id": message, "in_reply_to": message, "content_attributes": {"in_reply_to": message},
        "account_id": theirs.account, "id": conversation, "type": "Conversation",
        "fields": {"assignee_id": agent}, "labels": ["mine"],
    });
    for (what, key) in [
        ("teams", "team_id"),
        ("labels", "label_id"),
        ("assignment_policies", "assignment_policy_id"),
    ] {
        if table().iter().any(|route| route.path.ends_with(&format!("/{what}"))) {
            body[key] = json!(theirs.number(what));
        }
    }
    body
}

/// The same as parameters of a query, but for what only texts are looked for by.
fn query_with(theirs: &Tenant) -> Vec<String> {
    let Value::Object(body) = body_with(theirs) else { return Vec::new() };
    let ids = body.into_iter().filter_map(|(key, value)| match value {
        Value::Array(list) => Some(format!("{key}[]={}", list.first()?.as_i64()?)),
        Value::Number(id) => Some(format!("{key}={id}")),
        Value::String(id) if key == "source_id" => Some(format!("{key}={id}")),
        _ => None,
    });
    ids.collect()
}

#[tokio::test]
async fn ids_of_others_in_a_body_or_a_query_reach_nothing() {
    let Two { mine, theirs, callers } = two().await;
    let (body, parameters) = (body_with(&theirs), query_with(&theirs));
    let before = theirs.rows().await;
    let mut faults = Vec::new();
    let mut routes = table();
    let ends = ["reset_access_token", "reset_secret", "sign_out"];
    routes.retain(|route| !ends.iter().any(|end| route.path.ends_with(end)));
    // What takes things away comes last, and what is within another before that.
    routes.sort_by_key(|route| match route.method {
        Method::DELETE => (1, std::cmp::Reverse(route.path.len())),
        _ => (0, std::cmp::Reverse(0)),
    });
    for route in routes {
        let mut queries = vec![String::new()];
        if route.method == Method::GET {
            queries = vec![parameters.join("&")];
            queries.extend_from_slice(&parameters);
        }
        for (name, caller) in &callers {
            // One by one as who may see the most.
            let asked = if *name == "admin" { queries.len() } else { 1 };
            for query in &queries[..asked] {
                let path = mine.path(&route);
                let joint = if path.contains('?') { '&' } else { '?' };
                let path = format!("{path}{joint}{query}");
                let answer = call(caller, &route, &path, body.clone()).await;
                let said = || {
                    let status = answer.status;
                    format!("{} {path} as {name}: {status} {}", route.method, answer.text())
                };
                if answer.text().contains(theirs.mark) {
                    faults.push(said());
                }
                assert!(answer.status.as_u16() < 500, "{}", said());
            }
        }
        if theirs.rows().await != before {
            faults.push(format!("{} {} changed what is theirs", route.method, route.path));
            break;
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// What an answer says, whatever it was asked of.
fn without_ids(answer: &Reply) -> String {
    answer.text().split(|c: char| c.is_ascii_digit()).collect()
}
