//! What sockets hear, over real ones (`realtime.md`).

use std::net::SocketAddr;
use std::time::Duration;

use chatwarden_db::args;
use chatwarden_jobs::outbox;
use chatwarden_testkit::{Actor, App};
use futures::{SinkExt as _, StreamExt as _};
use http::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A server that sockets connect to, with an API inbox, a member of it and a visitor's conversation.
struct Desk {
    app: App,
    admin: Actor,
    agent: Actor,
    outsider: Actor,
    address: SocketAddr,
    /// Where the visitor writes.
    talk: String,
    number: Value,
    inbox: Value,
    contact: Value,
    /// What the visitor subscribes to.
    visitor: Value,
}

async fn desk() -> Desk {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let agent = app.member(account, "Grace", "agent").await;
    let outsider = app.member(account, "Alan", "agent").await;
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let members = json!({"inbox_id": inbox["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let people =
        format!("/public/api/v1/inboxes/{}/contacts", inbox["inbox_identifier"].as_str().unwrap());
    let contact = app.anyone().post(&people, json!({"name": "Vera"})).await.ok();
    let talks = format!("{people}/{}/conversations", contact["source_id"].as_str().unwrap());
    let number = app.anyone().post(&talks, json!({})).await.ok()["id"].clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = app.node().router();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Desk {
        talk: format!("{talks}/{number}"),
        visitor: json!({"channel": "RoomChannel", "pubsub_token": contact["pubsub_token"]}),
        app,
        admin,
        agent,
        outsider,
        address,
        number,
        inbox: inbox["id"].clone(),
        contact: contact["id"].clone(),
    }
}

impl Desk {
    async fn socket_of(&self, member: &Actor) -> Socket {
        Socket::open(self.address, &room(member).await, Value::Null).await
    }

    async fn visitor_says(&self, text: &str) {
        let path = format!("{}/messages", self.talk);
        self.app.anyone().post(&path, json!({"content": text})).await.ok();
    }

    async fn agent_says(&self, message: Value) {
        self.agent.post(&format!("/conversations/{}/messages", self.number), message).await.ok();
    }

    async fn visitor_types(&self, status: &str) {
        let path = format!("{}/toggle_typing", self.talk);
        self.app.anyone().post(&path, json!({"typing_status": status})).await.ok();
    }
}

async fn room(member: &Actor) -> Value {
    let profile = member.get("/api/v1/profile").await.ok();
    json!({
        "channel": "RoomChannel", "pubsub_token": profile["pubsub_token"], "account_id": member.account,
        "user_id": profile["id"],
    })
}

/// A socket that speaks the extended protocol, subscribed to a room.
struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects and subscribes, and gets back what it missed where a history is asked for.
    async fn open(address: SocketAddr, room: &Value, history: Value) -> Self {
        let mut this = Self::subscribing(address, room, history).await;
        this.until(|frame| frame["type"] == "confirm_subscription").await;
        this
    }

    async fn subscribing(address: SocketAddr, room: &Value, history: Value) -> Self {
        let mut request = format!("ws://{address}/cable").into_client_request().unwrap();
        let protocol = "actioncable-v1-ext-json".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol);
        let (socket, _) = connect_async(request).await.unwrap();
        let mut this = Self(socket);
        let mut command = json!({"command": "subscribe", "identifier": room.to_string()});
        if !history.is_null() {
            command["history"] = history;
        }
        this.0.send(Message::text(command.to_string())).await.unwrap();
        this
    }

    async fn next(&mut self) -> Value {
        let next = async {
            loop {
                let frame = self.0.next().await.expect("an open socket").unwrap();
                let frame: Value = serde_json::from_str(frame.to_text().unwrap()).unwrap();
                if frame["type"] != "ping" {
                    return frame;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), next).await.expect("a frame besides pings")
    }

    /// What comes before a frame, and the frame.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut before = Vec::new();
        loop {
            let frame = self.next().await;
            let found = wanted(&frame);
            before.push(frame);
            if found {
                return before;
            }
        }
    }

    /// The events up to the message of a text, which every ear of the conversation hears.
    async fn events_until(&mut self, content: &str) -> Vec<Value> {
        let frames = self.until(|frame| frame["message"]["data"]["content"] == content).await;
        frames.into_iter().filter(|f| !f["offset"].is_null()).collect()
    }
}

fn names(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["message"]["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_conversation_that_begins_with_a_message_is_told_of_with_it_and_first() {
    let desk = desk().await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let place = json!({
        "inbox_id": desk.inbox, "contact_id": desk.contact, "source_id": "second",
        "message": {"content": "Good morning"},
    });
    desk.admin.post("/conversations", place).await.ok();
    let heard = agent.until(|frame| frame["message"]["event"] == "message.created").await;
    let of_it =
        |message: &&Value| message["event"].as_str().is_some_and(|e| e != "presence.update");
    let heard: Vec<&Value> = heard.iter().map(|frame| &frame["message"]).filter(of_it).collect();
    assert_eq!(heard[0]["event"], "conversation.created");
    assert_eq!(heard[0]["data"]["messages"][0]["content"], "Good morning");
}

#[tokio::test]
async fn who_shows_unread_counts_hears_that_they_changed() {
    let desk = desk().await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let path = format!("/conversations/{}", desk.number);
    let changed = |frame: &Value| frame["message"]["event"] == "conversation.unread_count_changed";
    // Off by default.
    desk.visitor_says("Hello?").await;
    desk.admin.post(&format!("{path}/update_last_seen"), json!({})).await.ok();
    desk.agent_says(json!({"content": "Hi"})).await;
    assert!(!agent.events_until("Hi").await.iter().any(changed));
    let feature = json!({"features": {"conversation_unread_counts": true}});
    let account = format!("/platform/api/v1/accounts/{}", desk.admin.account.unwrap());
    desk.app.platform().patch(&account, feature).await.ok();
    desk.app.advance(Duration::from_secs(5));
    desk.visitor_says("Anybody?").await;
    let heard = agent.until(changed).await;
    let data = &heard.last().unwrap()["message"]["data"];
    assert_eq!(data, &json!({"account_id": desk.admin.account}));
    // What changes no count is none of its listeners' business.
    desk.visitor_says("Please").await;
    desk.agent.post(&format!("{path}/toggle_priority"), json!({"priority": "low"})).await.ok();
    desk.agent_says(json!({"content": "One moment", "private": true})).await;
    assert!(!agent.events_until("One moment").await.iter().any(changed));
    for (what, body, by) in [
        ("labels", json!({"labels": ["vip"]}), false),
        ("assignments", json!({"assignee_id": desk.agent.id}), false),
        ("update_last_seen", json!({}), true),
        ("unread", json!({}), true),
        ("toggle_status", json!({"status": "resolved"}), false),
        ("toggle_status", json!({"status": "open"}), false),
    ] {
        desk.agent.post(&format!("{path}/{what}"), body).await.ok();
        let heard = agent.until(changed).await;
        let performer = &heard.last().unwrap()["message"]["data"]["performer"];
        assert_eq!(performer["name"] == "Grace", by, "{what}: {performer}");
    }
    desk.admin.delete(&path).await.status(200);
    agent.until(changed).await;
}

#[tokio::test]
async fn who_has_saved_filters_counted_hears_of_whatever_they_may_ask() {
    let desk = desk().await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let on = json!({"conversation_unread_counts": true, "unread_count_for_filters": true});
    let account = format!("/platform/api/v1/accounts/{}", desk.admin.account.unwrap());
    desk.app.platform().patch(&account, json!({"features": on})).await.ok();
    let path = format!("/conversations/{}", desk.number);
    let followers = json!({"user_ids": [desk.agent.id]});
    for (method, what, body) in [
        (Method::POST, "messages", json!({"content": "A note", "private": true})),
        (Method::POST, "toggle_priority", json!({"priority": "low"})),
        (Method::POST, "custom_attributes", json!({"custom_attributes": {"plan": "gold"}})),
        (
            Method::POST,
            "toggle_status",
            json!({"status": "snoozed", "snoozed_until": 2_051_222_400}),
        ),
        (Method::POST, "participants", followers.clone()),
        (Method::DELETE, "participants", followers.clone()),
        (Method::PATCH, "participants", followers),
    ] {
        desk.agent.send(method, &format!("{path}/{what}"), body).await;
        let changed =
            |frame: &Value| frame["message"]["event"] == "conversation.unread_count_changed";
        agent.until(changed).await;
    }
}

#[tokio::test]
async fn a_socket_that_was_away_catches_up_exactly_what_it_missed() {
    let desk = desk().await;
    let room = room(&desk.agent).await;
    let mut away = Socket::open(desk.address, &room, Value::Null).await;
    let mut stays = Socket::open(desk.address, &room, Value::Null).await;
    desk.agent_says(json!({"content": "before"})).await;
    let seen = away.events_until("before").await;
    stays.events_until("before").await;
    let last = seen.last().unwrap();
    let position = json!({"offset": last["offset"], "epoch": last["epoch"]});
    let stream = last["stream_id"].as_str().unwrap().to_owned();
    // What else "before" causes comes later to both.
    drop(away);

    desk.visitor_says("one").await;
    desk.visitor_types("on").await;
    desk.agent_says(json!({"content": "a note", "private": true})).await;
    desk.agent_says(json!({"content": "two"})).await;
    let expected = stays.events_until("two").await;
    assert!(names(&expected).contains(&"conversation.typing_on"), "{:?}", names(&expected));

    let history = json!({"streams": {stream: position}});
    let mut back = Socket::open(desk.address, &room, history).await;
    let replayed = back.until(|frame| frame["type"] == "confirm_history").await;
    let replayed: Vec<Value> =
        // A resume begins some seconds earlier: whoever was there drops what they know.
        replayed.into_iter().filter(|frame| frame["offset"].as_i64() > last["offset"].as_i64()).collect();
    assert_eq!(&replayed[..expected.len()], &expected[..], "what the other socket heard, in order");

    desk.agent_says(json!({"content": "live"})).await;
    let live = back.events_until("live").await;
    let all: Vec<i64> =
        replayed.iter().chain(&live).map(|frame| frame["offset"].as_i64().unwrap()).collect();
    assert!(all.is_sorted_by(|a, b| a < b), "nothing twice: {all:?}");
    assert_eq!(
        [&replayed[expected.len()..], &live[..]].concat(),
        stays.events_until("live").await,
        "no hole where the past ends"
    );
}

/// As where a node dies between its commit and what follows: the database knows.
#[tokio::test]
async fn rights_that_were_taken_away_and_told_to_nobody_are_gone_all_the_same() {
    chatwarden_db::statements! {
        LEAVE: () = "test.leave", "delete from account_users where user_id = $1";
    }
    let desk = desk().await;
    let mut socket = desk.socket_of(&desk.agent).await;
    let token = room(&desk.agent).await["pubsub_token"].as_str().unwrap().to_owned();
    let agent = desk.agent.id;
    let left = desk.app.db().write(async move |tx| {
        tx.run(&LEAVE, args![agent]).await?;
        chatwarden_core::events::refresh(tx, token);
        outbox::flush(tx).await
    });
    left.await.unwrap();
    desk.app.advance(Duration::from_secs(10));
    desk.app.settle().await;
    socket.until(|frame| frame["type"] == "reject_subscription").await;
}

#[tokio::test]
async fn a_position_of_another_database_is_refused() {
    let desk = desk().await;
    let room = room(&desk.agent).await;
    let history = json!({"streams": {"elsewhere": {"offset": 1, "epoch": "another"}}});
    let mut socket = Socket::open(desk.address, &room, history).await;
    socket.until(|frame| frame["type"] == "reject_history").await;
}

#[tokio::test]
async fn what_is_too_much_to_look_through_is_not_replayed() {
    chatwarden_db::statements! {
        /// $1 entry, $2 copies, $3 streams, $4 message
        COPY: () = "test.copy_outbox",
            "insert into outbox (account_id, event, streams, message, context, trace_id, xid, created_at, dispatched_at)
             with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < $2)
             select o.account_id, o.event, $3, $4, o.context, o.trace_id, o.xid, o.created_at, o.created_at
             from outbox o cross join n where o.id = $1";
    }
    for (copies, own, bytes, more) in
        [(19_900, false, 100, 200), (1_900, true, 100, 200), (30, true, 100_000, 20)]
    {
        let desk = desk().await;
        let room = room(&desk.agent).await;
        let mut away = Socket::open(desk.address, &room, Value::Null).await;
        desk.agent_says(json!({"content": "before"})).await;
        let seen = away.events_until("before").await;
        let last = seen.last().unwrap();
        let position = json!({"offset": last["offset"], "epoch": last["epoch"]});
        let stream = last["stream_id"].as_str().unwrap().to_owned();
        let heard_at = format!("inbox_{}", desk.inbox);
        let history = json!({"streams": {stream: position}});
        let copy = async |copies: i64| {
            let of = last["offset"].as_i64().unwrap();
            let streams = chatwarden_db::Json(json!([if own { &heard_at } else { "elsewhere" }]));
            let message = json!({"event": "page:reload", "data": "x".repeat(bytes)}).to_string();
            let copied = desk
                .app
                .db()
                .write(async move |tx| tx.run(&COPY, args![of, copies, streams, message]).await);
            assert_eq!(copied.await.unwrap(), copies.cast_unsigned());
        };
        for (copies, answer) in [(copies, "confirm_history"), (more, "reject_history")] {
            copy(copies).await;
            let mut back = Socket::subscribing(desk.address, &room, history.clone()).await;
            let history = |frame: &Value| frame["type"].as_str().unwrap_or_default().to_owned();
            let told = back.until(|frame| history(frame).ends_with("_history")).await;
            assert_eq!(
                told.last().unwrap()["type"],
                answer,
                "{copies} of {bytes} bytes, own: {own}"
            );
        }
    }
}

#[tokio::test]
async fn who_knows_of_no_protocols_speaks_the_plain_one() {
    let desk = desk().await;
    let request = format!("ws://{}/cable", desk.address).into_client_request().unwrap();
    let (socket, answer) = connect_async(request).await.unwrap();
    assert!(!answer.headers().contains_key("sec-websocket-protocol"));
    let mut socket = Socket(socket);
    let room = room(&desk.agent).await.to_string();
    let command = json!({"command": "subscribe", "identifier": room}).to_string();
    socket.0.send(Message::text(command)).await.unwrap();
    let first = socket.until(|frame| frame["type"] == "confirm_subscription").await;
    assert_eq!(first[0], json!({"type": "welcome"}));
    desk.visitor_says("one").await;
    let heard = socket.until(|frame| frame["message"]["event"] == "message.created").await;
    assert!(heard.iter().all(|frame| frame.get("offset").is_none()));
}

#[tokio::test]
async fn a_frame_longer_than_a_command_ends_the_socket() {
    let desk = desk().await;
    let mut socket = desk.socket_of(&desk.agent).await;
    let MaybeTlsStream::Plain(stream) = socket.0.get_mut() else { unreachable!("it is plain") };
    // RFC 6455 §5.2: a masked text frame of 1 MiB is announced; nothing of it comes.
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0, 1, 2, 3, 4];
    stream.write_all(&head).await.unwrap();
    let end = async { while let Some(Ok(_)) = socket.0.next().await {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("it ends");
}

#[tokio::test]
async fn a_visitor_has_no_more_than_ten_pages_open() {
    let desk = desk().await;
    let mut pages = Vec::new();
    for _ in 0..10 {
        pages.push(Socket::open(desk.address, &desk.visitor, Value::Null).await);
    }
    let mut one_more = Socket::subscribing(desk.address, &desk.visitor, Value::Null).await;
    one_more.until(|frame| frame["type"] == "reject_subscription").await;
    desk.visitor_says("Hello").await;
    for page in &mut pages {
        page.events_until("Hello").await;
    }
    desk.socket_of(&desk.agent).await;
}

#[tokio::test]
async fn typing_is_told_to_all_but_who_types() {
    let desk = desk().await;
    let mut visitor = Socket::open(desk.address, &desk.visitor, Value::Null).await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let mut admin = desk.socket_of(&desk.admin).await;
    let mut outsider = desk.socket_of(&desk.outsider).await;
    desk.visitor_types("on").await;
    desk.visitor_types("nonsense").await;
    desk.visitor_types("off").await;
    desk.agent_says(json!({"content": "end"})).await;
    desk.admin.post("/contacts", json!({"name": "end"})).await.ok();
    for ears in [&mut agent, &mut admin] {
        let heard = ears.events_until("end").await;
        assert_eq!(names(&heard)[..2], ["conversation.typing_on", "conversation.typing_off"]);
        let data = &heard[0]["message"]["data"];
        assert_eq!(data["user"]["name"], json!("Vera"));
        assert_eq!(data["user"]["type"], json!("contact"));
        assert_eq!(data["conversation"]["id"], desk.number);
        assert_eq!(data["is_private"], json!(false));
        assert_eq!(data["performer"], Value::Null);
    }
    assert_eq!(names(&visitor.events_until("end").await), ["message.created"]);
    let heard = outsider.until(|frame| frame["message"]["data"]["name"] == "end").await;
    let events = heard.iter().filter_map(|frame| frame["message"]["event"].as_str());
    let events: Vec<&str> = events.filter(|name| *name != "presence.update").collect();
    assert_eq!(events, ["contact.created"], "of the account, nothing of the inbox");
}

#[tokio::test]
async fn visitors_hear_neither_notes_nor_activities() {
    let desk = desk().await;
    let mut visitor = Socket::open(desk.address, &desk.visitor, Value::Null).await;
    desk.agent_says(json!({"content": "a note", "private": true})).await;
    desk.app.anyone().post(&format!("{}/toggle_status", desk.talk), json!({})).await.ok();
    desk.agent_says(json!({"content": "end"})).await;
    let heard = visitor.events_until("end").await;
    let said = heard.iter().filter(|frame| frame["message"]["event"] == "message.created");
    assert_eq!(said.count(), 1, "{:?}", names(&heard));
    assert!(names(&heard).contains(&"conversation.status_changed"));
}

#[tokio::test]
async fn who_is_there_is_told_to_who_asks() {
    let desk = desk().await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let mut visitor = Socket::open(desk.address, &desk.visitor, Value::Null).await;
    let presence = |frame: &Value| frame["message"]["event"] == "presence.update";
    let first = agent.until(presence).await.pop().unwrap();
    let own = desk.agent.id.unwrap().to_string();
    assert_eq!(first["message"]["data"]["users"][&own], json!("online"));
    let shown = visitor.until(presence).await.pop().unwrap();
    assert_eq!(shown["message"]["data"]["users"][&own], json!("online"));
    assert_eq!(shown["message"]["data"]["contacts"], Value::Null);
    let ping = json!({
        "command": "message", "identifier": room(&desk.agent).await.to_string(),
        "data": json!({"action": "update_presence"}).to_string(),
    });
    agent.0.send(Message::text(ping.to_string())).await.unwrap();
    let again = agent.until(presence).await.pop().unwrap();
    assert_eq!(again["message"]["data"]["contacts"].as_object().unwrap().len(), 1);
    desk.app.advance(Duration::from_secs(21));
    agent.0.send(Message::text(ping.to_string())).await.unwrap();
    let later = agent.until(presence).await.pop().unwrap();
    assert_eq!(later["message"]["data"]["contacts"].as_object().unwrap().len(), 1, "for 90 s");
    // Whoever is present is not removed alone, but among others.
    let path = format!("/contacts/{}", desk.contact);
    let refused = desk.admin.delete(&path).await.status(422);
    assert!(refused["message"].as_str().unwrap().contains("is Online"), "{refused}");
    let gone = json!({"type": "Contact", "ids": [desk.contact], "action_name": "delete"});
    desk.admin.post("/bulk_actions", gone).await.ok();
    desk.app.settle().await;
    desk.admin.get(&path).await.status(404);
}

#[tokio::test]
async fn who_changed_a_contact_or_a_notification_is_said() {
    let desk = desk().await;
    let mut agent = desk.socket_of(&desk.agent).await;
    let made = desk.admin.post("/contacts", json!({"name": "Nina"})).await.ok();
    let other = desk.admin.post("/contacts", json!({"name": "Spare"})).await.ok();
    let id = |made: &Value| made["payload"]["contact"]["id"].clone();
    let merged = json!({"base_contact_id": id(&made), "mergee_contact_id": id(&other)});
    desk.admin.post("/actions/contact_merge", merged).await.ok();
    desk.admin.delete(&format!("/contacts/{}", id(&made))).await.ok();
    let mut heard = Vec::new();
    for name in [
        "contact.created",
        "contact.created",
        "contact.merged",
        "contact.deleted",
        "contact.updated",
        "contact.deleted",
    ] {
        let named = |frame: &Value| {
            frame["message"]["event"].as_str().is_some_and(|event| event.starts_with("contact."))
        };
        let frame = agent.until(named).await.pop().unwrap();
        assert_eq!(frame["message"]["data"]["performer"]["id"], json!(desk.admin.id), "{name}");
        heard.push(frame["message"]["event"].as_str().unwrap().to_owned());
        assert_eq!(heard.last().unwrap(), name, "{heard:?}");
    }
    desk.admin.post("/labels", json!({"title": "vip"})).await.ok();
    let changed = |frame: &Value| frame["message"]["event"] == "account.cache_invalidated";
    let changed = agent.until(changed).await.pop().unwrap();
    assert_eq!(changed["message"]["data"]["performer"]["id"], json!(desk.admin.id));
    desk.visitor_says("Hello").await;
    let by_a_visitor = agent.until(|frame| frame["message"]["event"] == "contact.updated").await;
    assert_eq!(by_a_visitor.last().unwrap()["message"]["data"]["performer"], Value::Null);

    let number = &desk.number;
    let assignment = json!({"assignee_id": desk.agent.id});
    desk.admin.post(&format!("/conversations/{number}/assignments"), assignment).await.ok();
    desk.app.settle().await;
    let list = desk.agent.get("/notifications").await.ok();
    let one = format!("/notifications/{}", list["data"]["payload"][0]["id"]);
    desk.agent.patch(&one, json!({})).await.ok();
    desk.agent.delete(&one).await.ok();
    for (event, by) in [
        ("notification.created", Value::Null),
        ("notification.updated", json!(desk.agent.id)),
        ("notification.deleted", json!(desk.agent.id)),
    ] {
        let heard = agent.until(|frame| frame["message"]["event"] == event).await;
        assert_eq!(heard.last().unwrap()["message"]["data"]["performer"]["id"], by, "{event}");
    }
}
