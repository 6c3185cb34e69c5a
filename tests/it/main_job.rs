//! The main job: a visitor writes, an agent hears of it at once, answers, and resolves; who may see what; pages of
//! messages; and that a list costs as many statements as it has rows to show: always the same.

use chatwarden_cable::{Outbox, Outgoing, Protocol};
use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// An agent's socket.
struct Socket {
    _connection: chatwarden_cable::Connection,
    waiting: Outbox,
}

impl Socket {
    async fn open(app: &App, actor: &Actor) -> Self {
        let me = actor.get("/api/v1/profile").await.ok();
        let node = app.node();
        let (mut connection, waiting) =
            node.hub.connect(Protocol::V1Json, node.app.channels().clone());
        let identifier = json!({
            "channel": "RoomChannel", "pubsub_token": me["pubsub_token"],
            "account_id": actor.account, "user_id": me["id"],
        });
        let command = json!({"command": "subscribe", "identifier": identifier.to_string()});
        connection.receive(&command.to_string()).await;
        let mut socket = Self { _connection: connection, waiting };
        while socket.frame().await["type"] != "confirm_subscription" {}
        socket
    }

    async fn frame(&mut self) -> Value {
        match self.waiting.recv().await {
            Some(Outgoing::Text(frame)) => serde_json::from_str(&frame).expect("a frame"),
            other => panic!("{other:?} is no frame"),
        }
    }

    /// The data of the next event of this name.
    async fn event(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["message"]["event"] == name {
                return frame["message"]["data"].clone();
            }
        }
    }
}

/// An API inbox with an agent in it and one who is not.
struct Desk {
    app: App,
    admin: Actor,
    agent: Actor,
    outsider: Actor,
    inbox: Value,
}

async fn desk() -> Desk {
    let (app, admin) = App::start().await;
    let account = admin.account.expect("an account");
    let agent = app.member(account, "Grace", "agent").await;
    let outsider = app.member(account, "Alan", "agent").await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let members = json!({"inbox_id": inbox["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    Desk { app, admin, agent, outsider, inbox }
}

impl Desk {
    /// A visitor with a conversation: where they write, and its number.
    async fn visitor(&self, name: &str) -> (String, i64) {
        let identifier = self.inbox["inbox_identifier"].as_str().expect("an identifier");
        let contacts = format!("/public/api/v1/inboxes/{identifier}/contacts");
        let anyone = self.app.anyone();
        let visitor = anyone.post(&contacts, json!({"name": name})).await.ok();
        let source = visitor["source_id"].as_str().expect("a source id");
        let conversations = format!("{contacts}/{source}/conversations");
        let opened = anyone.post(&conversations, json!({})).await.ok();
        let number = opened["id"].as_i64().expect("a number");
        (format!("{conversations}/{number}/messages"), number)
    }
}

#[tokio::test]
async fn a_visitor_is_heard_answered_and_done_with() {
    let desk = desk().await;
    let mut socket = Socket::open(&desk.app, &desk.agent).await;
    let (place, number) = desk.visitor("Vera").await;
    assert_eq!(socket.event("conversation.created").await["id"], json!(number));
    let visitor = desk.app.anyone();
    let written = visitor.post(&place, json!({"content": "Where is it?"})).await.ok();
    let heard = socket.event("message.created").await;
    assert_eq!(heard["id"], written["id"]);
    assert_eq!(heard["content"], json!("Where is it?"));
    assert_eq!(heard["message_type"], json!(0));
    assert_eq!(heard["conversation_id"], json!(number));

    let path = format!("/conversations/{number}");
    let answer = json!({"content": "It left today."});
    let answered = desk.agent.post(&format!("{path}/messages"), answer).await.ok();
    assert_eq!(answered["message_type"], json!(1));
    assert_eq!(socket.event("message.created").await["id"], answered["id"]);
    let note = json!({"content": "A regular.", "private": true});
    desk.agent.post(&format!("{path}/messages"), note).await.ok();
    let seen = visitor.get(&place).await.ok();
    let seen: Vec<&Value> =
        seen.as_array().expect("messages").iter().map(|m| &m["content"]).collect();
    assert_eq!(
        seen,
        [&json!("Where is it?"), &json!("It left today.")],
        "notes are not for visitors"
    );

    desk.agent.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await.ok();
    let changed = socket.event("conversation.status_changed").await;
    assert_eq!((&changed["id"], &changed["status"]), (&json!(number), &json!("resolved")));
    let open = desk.agent.get("/conversations?status=open").await.ok();
    assert_eq!(open["data"]["payload"], json!([]));
    // Who writes again is heard again.
    visitor.post(&place, json!({"content": "It came broken."})).await.ok();
    assert_eq!(desk.agent.get(&path).await.ok()["status"], json!("open"));
}

#[tokio::test]
async fn who_is_not_in_the_inbox_sees_and_hears_nothing_of_it() {
    let desk = desk().await;
    let (place, number) = desk.visitor("Vera").await;
    let mut outside = Socket::open(&desk.app, &desk.outsider).await;
    let visitor = desk.app.anyone();
    visitor.post(&place, json!({"content": "Where is it?"})).await.ok();
    let path = format!("/conversations/{number}");
    desk.outsider.get(&path).await.status(401);
    desk.outsider.get(&format!("{path}/messages")).await.status(401);
    desk.outsider.post(&format!("{path}/messages"), json!({"content": "Hello"})).await.status(401);
    desk.outsider.post(&format!("{path}/toggle_status"), json!({})).await.status(401);
    let listed = desk.outsider.get("/conversations").await.ok();
    assert_eq!(listed["data"]["meta"]["all_count"], json!(0));
    assert_eq!(listed["data"]["payload"], json!([]));
    assert_eq!(desk.admin.get(&path).await.ok()["id"], json!(number), "administrators see all");
    // The first thing that the socket hears is of the outsider themselves.
    desk.outsider
        .post(
            "/api/v1/profile/availability",
            json!({"profile": {
        "account_id": desk.outsider.account, "availability": "busy"}}),
        )
        .await
        .ok();
    let heard = outside.event("presence.update").await;
    assert!(heard.is_object(), "{heard}");
}

#[tokio::test]
async fn messages_come_in_pages_before_and_after() {
    let desk = desk().await;
    let (place, number) = desk.visitor("Vera").await;
    let visitor = desk.app.anyone();
    let mut ids = Vec::new();
    for n in 0..25 {
        let written = visitor.post(&place, json!({"content": format!("{n}")})).await.ok();
        ids.push(written["id"].as_i64().expect("an id"));
    }
    let page = async |query: String| -> Vec<i64> {
        let path = format!("/conversations/{number}/messages{query}");
        let payload = desk.agent.get(&path).await.ok()["payload"].clone();
        let messages = payload.as_array().expect("messages").clone();
        messages.iter().map(|m| m["id"].as_i64().expect("an id")).collect()
    };
    assert_eq!(page(String::new()).await, ids[5..], "the latest 20, oldest first");
    assert_eq!(page(format!("?before={}", ids[5])).await, ids[..5], "those before them");
    assert_eq!(page(format!("?before={}", ids[0])).await, Vec::<i64>::new());
    assert_eq!(page(format!("?after={}", ids[21])).await, ids[22..], "those after one");
    assert_eq!(page(format!("?after={}&before={}", ids[2], ids[6])).await.first(), Some(&ids[2]));
    assert_eq!(page(format!("?after={}&before={}", ids[2], ids[6])).await.last(), Some(&ids[5]));
}

/// The statements that a call took.
async fn statements(caller: &Actor, path: &str) -> u64 {
    let scope = UsageScope::default();
    usage_scope(scope.clone(), caller.get(path)).await.ok();
    scope.usage().statements
}

#[tokio::test]
async fn what_a_page_costs_does_not_grow_with_what_is_on_it() {
    let desk = desk().await;
    let (place, number) = desk.visitor("Vera").await;
    let visitor = desk.app.anyone();
    visitor.post(&place, json!({"content": "Hello"})).await.ok();
    let routes = [
        "/conversations".to_owned(),
        "/conversations/meta".to_owned(),
        format!("/conversations/{number}"),
        format!("/conversations/{number}/messages"),
        "/contacts".to_owned(),
        "/inboxes".to_owned(),
        "/agents".to_owned(),
        "/agent_bots".to_owned(),
        "/labels".to_owned(),
        "/teams".to_owned(),
        "/canned_responses".to_owned(),
        "/search?q=Hello".to_owned(),
        format!("/conversations/{number}/attachments"),
    ];
    let mut before = Vec::new();
    for route in &routes {
        before.push(statements(&desk.agent, route).await);
    }
    for n in 0..12 {
        let (place, _) = desk.visitor(&format!("Visitor {n}")).await;
        visitor.post(&place, json!({"content": "Hello"})).await.ok();
        desk.app.member(desk.admin.account.expect("an account"), "More", "agent").await;
        let more = json!({"name": format!("Desk {n}"), "channel": {"type": "api"}});
        let more = desk.admin.post("/inboxes", more).await.ok();
        let members = json!({"inbox_id": more["id"], "user_ids": [desk.agent.id]});
        desk.admin.post("/inbox_members", members).await.ok();
        desk.admin.post("/agent_bots", json!({"name": "Bot", "outgoing_url": ""})).await.ok();
    }
    for n in 0..15 {
        let answer = json!({"content": format!("{n}")});
        desk.agent.post(&format!("/conversations/{number}/messages"), answer).await.ok();
    }
    for (route, before) in routes.iter().zip(before) {
        let after = statements(&desk.agent, route).await;
        assert_eq!(after, before, "{route}: statements with more rows, and with one");
        assert!(after > 0 && after <= 12, "{route} takes {after} statements");
    }
}
