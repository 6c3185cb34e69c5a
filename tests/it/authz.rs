//! Who may call what: every route, by everybody. A new route without a row, or one whose row changes, shows
//! in `docs/reference/authz.txt`.

use std::fmt::Write as _;

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_cable::{Outgoing, Protocol};
use chatwarden_testkit::{Actor, App, golden};
use http::Method;
use serde_json::{Value, json};

use crate::tenant::Tenant;

/// Everybody, and what they are after: the account of the administrator.
struct Cast {
    tenant: Tenant,
    stranger: Actor,
}

async fn cast() -> Cast {
    let app = App::empty().await;
    let tenant = Tenant::with(&app, "acme", 1).await;
    let elsewhere = app.account("Elsewhere").await;
    let stranger = app.member(elsewhere, "Eve", "administrator").await;
    Cast { tenant, stranger }
}

impl Cast {
    fn caller(&self, name: &str) -> &Actor {
        if name == "stranger" { &self.stranger } else { &self.tenant.callers[name] }
    }
}

/// Routes that, once they let somebody in, change what the callers after them could do: whoever comes next
/// calls on a fresh server.
fn disturbs(route: &Route) -> bool {
    route.method == Method::DELETE
        || ["reset_access_token", "reset_secret"].iter().any(|end| route.path.ends_with(end))
}

#[tokio::test]
async fn reference_of_who_may_call_what() {
    let mut out = String::from(
        "What each route answers each caller, with the ids of an account's own records and an empty body:\n\
         401 and 403 refuse, 404 hides, anything else lets in (400 and 422 find the empty body wanting).\n\n\
         nobody    no credential                         agent     of the account, in the inbox\n\
         visitor   of a website of the account           bot       an agent bot of the account\n\
         stranger  administrator of another account      platform  app that made the account\n\
         outsider  agent of the account, not the inbox   admin     administrator of the account\n\n",
    );
    let names = ["nobody", "visitor", "stranger", "outsider", "agent", "bot", "platform", "admin"];
    let _ = writeln!(out, "{:114} {}", "", names.map(|n| format!("{n:>8}")).join(" "));
    let shared = cast().await;
    let mut spare = cast().await;
    for route in table() {
        let mut row = Vec::new();
        for name in names {
            let on = if disturbs(&route) { &spare } else { &shared };
            let body = if route.method == Method::GET { Value::Null } else { json!({}) };
            let reply =
                on.caller(name).send(route.method.clone(), &on.tenant.path(&route), body).await;
            let failed = reply.status.as_u16() >= 500;
            assert!(!failed, "{} {} as {name}: {}", route.method, route.path, reply.text());
            row.push(format!("{:>8}", reply.status.as_u16()));
            if disturbs(&route) && reply.status.is_success() {
                spare = cast().await;
            }
        }
        let _ =
            writeln!(out, "{:6} {:107} {}", route.method.to_string(), route.path, row.join(" "));
    }
    out.push_str(&subscriptions(&shared).await);
    golden("docs/reference/authz.txt", &out);
}

/// What the cable answers to subscriptions, as rows.
async fn subscriptions(cast: &Cast) -> String {
    let profile = |name: &'static str| async move {
        let profile = cast.caller(name).get("/api/v1/profile").await.ok();
        (profile["id"].clone(), profile["pubsub_token"].clone())
    };
    let (agent, agent_token) = profile("agent").await;
    let (stranger, stranger_token) = profile("stranger").await;
    let contact = cast
        .tenant
        .app
        .anyone()
        .get(&format!(
            "/public/api/v1/inboxes/{}/contacts/{}",
            cast.tenant.name("inbox_identifier"),
            cast.tenant.name("source_id")
        ))
        .await
        .ok();
    let room = |token: &Value, account: i64, user: &Value| json!({"channel": "RoomChannel", "pubsub_token": token, "account_id": account, "user_id": user});
    let rows = [
        ("a member, by their own token", room(&agent_token, cast.tenant.account, &agent)),
        ("a stranger, by their own token", room(&stranger_token, cast.tenant.account, &stranger)),
        (
            "a stranger, by a member's id and their own token",
            room(&stranger_token, cast.tenant.account, &agent),
        ),
        (
            "a contact, by its token",
            json!({"channel": "RoomChannel", "pubsub_token": contact["pubsub_token"]}),
        ),
        (
            "whoever guesses a token",
            json!({"channel": "RoomChannel", "pubsub_token": "nosuchtoken"}),
        ),
        ("whoever has none", json!({"channel": "RoomChannel"})),
        ("another channel", json!({"channel": "AdminChannel", "pubsub_token": agent_token})),
    ];
    let mut out = String::from("\nsubscriptions to the account's room, over /cable:\n\n");
    let node = cast.tenant.app.node();
    for (who, identifier) in rows {
        let (mut connection, mut waiting) =
            node.hub.connect(Protocol::V1Json, node.app.channels().clone());
        let command = json!({"command": "subscribe", "identifier": identifier.to_string()});
        connection.receive(&command.to_string()).await;
        let answer = loop {
            let Some(Outgoing::Text(frame)) = waiting.recv().await else {
                break "closed".to_owned();
            };
            let frame: Value = serde_json::from_str(&frame).expect("a frame");
            match frame["type"].as_str() {
                Some("welcome") => {}
                other => break other.unwrap_or("data").to_owned(),
            }
        };
        let _ = writeln!(out, "{who:60} {answer}");
    }
    out
}
