//! Who may call what: every route, by everybody. A new route without a row, or one whose row changes, shows
//! in `docs/reference/authz.txt`.

use std::fmt::Write as _;

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_cable::{Outgoing, Protocol};
use chatwarden_testkit::{Actor, App, golden};
use http::Method;
use serde_json::{Value, json};

/// Everybody, and what they are after: the account of the administrator.
struct Cast {
    app: App,
    account: i64,
    agent: i64,
    conversation: i64,
    contact: i64,
    inbox: i64,
    message: i64,
    agent_bot: i64,
    label: i64,
    team: i64,
    canned_response: i64,
    inbox_identifier: String,
    source_id: String,
    website_token: String,
    callers: Vec<(&'static str, Actor)>,
}

async fn cast() -> Cast {
    let (app, admin) = App::start().await;
    let account = admin.account.expect("an account");
    let agent = app.member(account, "Grace", "agent").await;
    let outsider = app.member(account, "Alan", "agent").await;
    let elsewhere = app.account("Elsewhere").await;
    let stranger = app.member(elsewhere, "Eve", "administrator").await;
    let id = |value: &Value, key: &str| {
        value[key].as_i64().unwrap_or_else(|| panic!("no {key} in {value}"))
    };
    let text = |value: &Value, key: &str| {
        value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}")).to_owned()
    };

    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let members = json!({"inbox_id": id(&inbox, "id"), "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let website_token = text(&admin.post("/inboxes", site).await.ok(), "website_token");
    let contact =
        admin.post("/contacts", json!({"name": "Vera", "inbox_id": id(&inbox, "id")})).await.ok();
    let source_id = text(&contact["payload"]["contact_inbox"], "source_id");
    let contact = id(&contact["payload"]["contact"], "id");
    let opened = admin
        .post(
            "/conversations",
            json!({"inbox_id": id(&inbox, "id"), "contact_id": contact, "source_id": source_id}),
        )
        .await
        .ok();
    let conversation = id(&opened, "id");
    let sent = admin
        .post(&format!("/conversations/{conversation}/messages"), json!({"content": "Hello"}))
        .await
        .ok();
    let label = admin.post("/labels", json!({"title": "vip"})).await.ok();
    let team = admin.post("/teams", json!({"name": "care"})).await.ok();
    let canned = json!({"short_code": "hi", "content": "Hello"});
    let canned = admin.post("/canned_responses", canned).await.ok();
    let bot = admin.post("/agent_bots", json!({"name": "Robby", "outgoing_url": ""})).await.ok();
    let bot_caller = app.anyone().with_header("api_access_token", &text(&bot, "access_token"));
    let config = app
        .anyone()
        .post(&format!("/api/v1/widget/config?website_token={website_token}"), json!({}))
        .await
        .ok();
    let visitor = app
        .anyone()
        .with_header("x-auth-token", &text(&config["website_channel_config"], "auth_token"));
    let agent_id = agent.id.expect("an id");
    Cast {
        account,
        agent: agent_id,
        conversation,
        contact,
        inbox: id(&inbox, "id"),
        message: id(&sent, "id"),
        agent_bot: id(&bot, "id"),
        label: id(&label, "id"),
        team: id(&team, "id"),
        canned_response: id(&canned, "id"),
        inbox_identifier: text(&inbox, "inbox_identifier"),
        source_id,
        website_token,
        callers: vec![
            ("nobody", app.anyone()),
            ("visitor", visitor),
            ("stranger", stranger),
            ("outsider", outsider),
            ("agent", agent),
            ("bot", bot_caller),
            ("platform", app.platform()),
            ("admin", admin),
        ],
        app,
    }
}

impl Cast {
    /// The path of a route with real ids in it.
    fn path(&self, route: &Route) -> String {
        let mut before = "";
        let mut out = String::new();
        for segment in route.path.split('/').skip(1) {
            let filled = match (segment, before) {
                ("{account_id}", _) | ("{id}", "accounts") => self.account.to_string(),
                ("{conversation_id}", _) => self.conversation.to_string(),
                ("{message_id}", _) => self.message.to_string(),
                ("{contact_id}", _) => self.contact.to_string(),
                ("{inbox_id}", _) => self.inbox.to_string(),
                ("{id}", "agent_bots") => self.agent_bot.to_string(),
                ("{id}", "labels") => self.label.to_string(),
                ("{team_id}", _) => self.team.to_string(),
                ("{id}", "canned_responses") => self.canned_response.to_string(),
                ("{id}", "agents" | "users") => self.agent.to_string(),
                ("{id}", "sessions") => "1".to_owned(),
                ("{inbox_identifier}", _) => self.inbox_identifier.clone(),
                ("{source_id}", _) => self.source_id.clone(),
                ("{link}", _) => "nolink".to_owned(),
                ("{*path}", "health") => "readiness".to_owned(),
                ("{name}", "metrics") => "chatwoot.api.requests".to_owned(),
                (parameter, _) if parameter.starts_with('{') => {
                    panic!("teach this sweep what {parameter} of {} is", route.path)
                }
                (plain, _) => plain.to_owned(),
            };
            let _ = write!(out, "/{filled}");
            before = segment;
        }
        if out.starts_with("/api/v1/widget") {
            let _ = write!(out, "?website_token={}", self.website_token);
        }
        out
    }
}

/// Routes that change what the callers after them could do are tried by each caller on a fresh server.
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
    for route in table() {
        let mut row = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let fresh = if disturbs(&route) { Some(cast().await) } else { None };
            let cast = fresh.as_ref().unwrap_or(&shared);
            let (called, caller) = &cast.callers[index];
            assert_eq!(called, name);
            let body = if route.method == Method::GET { Value::Null } else { json!({}) };
            let reply = caller.send(route.method.clone(), &cast.path(&route), body).await;
            let failed = reply.status.as_u16() >= 500;
            assert!(!failed, "{} {} as {name}: {}", route.method, route.path, reply.text());
            row.push(format!("{:>8}", reply.status.as_u16()));
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
        let (_, caller) = cast.callers.iter().find(|(n, _)| *n == name).expect("a caller");
        let profile = caller.get("/api/v1/profile").await.ok();
        (profile["id"].clone(), profile["pubsub_token"].clone())
    };
    let (agent, agent_token) = profile("agent").await;
    let (stranger, stranger_token) = profile("stranger").await;
    let contact = cast
        .app
        .anyone()
        .get(&format!(
            "/public/api/v1/inboxes/{}/contacts/{}",
            cast.inbox_identifier, cast.source_id
        ))
        .await
        .ok();
    let room = |token: &Value, account: i64, user: &Value| json!({"channel": "RoomChannel", "pubsub_token": token, "account_id": account, "user_id": user});
    let rows = [
        ("a member, by their own token", room(&agent_token, cast.account, &agent)),
        ("a stranger, by their own token", room(&stranger_token, cast.account, &stranger)),
        (
            "a stranger, by a member's id and their own token",
            room(&stranger_token, cast.account, &agent),
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
    for (who, identifier) in rows {
        let (mut connection, mut waiting) =
            cast.app.node().hub.connect(Protocol::V1Json, cast.app.node().app.channels().clone());
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
