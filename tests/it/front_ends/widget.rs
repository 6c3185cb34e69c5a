//! The widget on a customer's page (`client-traces.md` §9, §12).

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

use super::trace::{Client, Socket, listen, reads};
use super::{browser, global, serve, website};

/// What is read of a message.
const MESSAGE: &str = "id:number content:text message_type:number content_attributes:map created_at:number conversation_id:number";

/// A customer's page with the widget on it.
struct Page {
    app: App,
    admin: Actor,
    website: String,
    /// Its calls, with the query of its frame.
    widget: Client,
    /// The same with the website's token alone.
    alone: Client,
    /// What its socket subscribes to.
    room: Value,
    /// What the page keeps in a cookie.
    token: String,
    _folder: tempfile::TempDir,
}

/// The frame, loaded by somebody who is new, or who has been here.
async fn frame(app: &App, website: &str, token: Option<&str>) -> (Client, Value, String) {
    let known = token.map(|token| format!("&cw_conversation={token}")).unwrap_or_default();
    let query = format!("website_token={website}{known}");
    let page = browser(app).get(&format!("/widget?{query}")).await;
    page.status(200);
    assert_eq!(page.header("x-frame-options"), "");
    let page = page.text();
    let token = global(&page, "authToken").as_str().expect("a token").to_owned();
    let room =
        json!({"channel": "RoomChannel", "pubsub_token": global(&page, "chatwootPubsubToken")});
    let caller = app.anyone().with_header("x-auth-token", &token);
    let mut widget = Client::new(caller, "/api/v1/widget");
    widget.query = query;
    (widget, room, token)
}

async fn visit() -> Page {
    let (app, admin, folder) = serve().await;
    let website = website(&admin).await;
    let (widget, room, token) = frame(&app, &website, None).await;
    let mut alone = widget.clone();
    alone.query = format!("website_token={website}");
    Page { app, admin, website, widget, alone, room, token, _folder: folder }
}

impl Page {
    /// What follows the frame.
    async fn starts(&self) {
        self.widget
            .gets(&[
                ("conversations", ":map"),
                ("messages", "payload:list"),
                ("contact", "id:number has_email:flag has_name:flag has_phone_number:flag"),
            ])
            .await;
        self.alone.gets(&[("inbox_members", "payload:list"), ("campaigns", ":list")]).await;
    }

    async fn opens(&self) {
        let info = json!({"initiated_at": {"timestamp": "Mon Jan 05 2026 10:00:00 GMT+0100"}, "referer": "https://shop.example/"});
        let event = json!({"name": "webwidget.triggered", "event_info": info});
        self.widget.send("POST events?locale=en", event).await.status(204);
    }

    async fn looks(&self) {
        let seen = json!({"contact_last_seen_at": 1_767_603_600.123});
        self.widget.ok("POST conversations/update_last_seen", seen, "").await;
    }

    /// The agents' side of the conversation.
    async fn desk(&self) -> String {
        let id = self.widget.ok("GET conversations", Value::Null, "id:number").await["id"].clone();
        format!("/conversations/{id}")
    }
}

fn said(content: &str) -> Value {
    json!({"content": content, "timestamp": "Mon Jan 05 2026 10:00:00 GMT+0100", "referer_url": "https://shop.example/"})
}

#[tokio::test]
async fn a_first_message_opens_the_conversation() {
    let page = visit().await;
    let shop = page.app.anyone().with_header("origin", "https://shop.example");
    for path in ["/packs/js/sdk.js", "/audio/widget/ding.mp3"] {
        assert_eq!(shop.get(path).await.header("access-control-allow-origin"), "*", "{path}");
    }
    page.starts().await;
    let none = page.widget.ok("GET conversations", Value::Null, "").await;
    assert_eq!(none, json!({}));
    let mut socket = Socket::open(listen(&page.app).await, "http://chat.example").await;
    socket.subscribe(&page.room).await;
    page.opens().await;

    let early =
        page.widget.send("POST conversations/toggle_typing", json!({"typing_status": "on"})).await;
    early.status(404);
    let mut first = said("Hello");
    first["reply_to"] = Value::Null;
    let first = page.widget.ok("POST messages?locale=en", json!({"message": first}), MESSAGE).await;
    assert_eq!(first["content"], "Hello");
    page.app.settle().await;
    socket.all(&["conversation.created", "message.created"]).await;
    page.widget.ok("GET conversations", Value::Null, "id:number status:text").await;
    page.looks().await;
    page.widget.ok("POST conversations/toggle_typing", json!({"typing_status": "off"}), "").await;

    let path = page.desk().await;
    let types = async |status: &str| {
        let body = json!({"typing_status": status, "is_private": false});
        page.admin.post(&format!("{path}/toggle_typing_status"), body).await.ok();
    };
    types("on").await;
    socket.hears("conversation.typing_on", "conversation.id:number user:map").await;
    page.admin.post(&format!("{path}/messages"), json!({"content": "It left today."})).await.ok();
    types("off").await;
    let reply = loop {
        let heard = socket.hears("message.created", MESSAGE).await;
        if heard["message_type"] == 1 {
            break heard;
        }
    };
    reads("message.created", &reply, "sender.name:text");
    page.looks().await;
    socket.hears("conversation.typing_off", "conversation.id:number").await;
    let done = json!({"status": "resolved", "snoozed_until": null});
    page.admin.post(&format!("{path}/toggle_status"), done).await.ok();
    let closed = socket.hears("conversation.status_changed", "id:number status:text").await;
    assert_eq!(closed["status"], "resolved");
    // After a minute.
    socket.update_presence(&page.room).await;
}

#[tokio::test]
async fn a_visitor_who_comes_back_finds_everything() {
    let page = visit().await;
    let first = page.widget.ok("POST messages", json!({"message": said("Hello")}), MESSAGE).await;
    let before = page.widget.ok("GET contact", Value::Null, "id:number").await;
    let (widget, room, token) = frame(&page.app, &page.website, Some(&page.token)).await;
    assert_eq!((&room, &token), (&page.room, &page.token));
    let again = Page { widget, room, token, ..page };
    again.starts().await;
    assert_eq!(again.widget.ok("GET contact", Value::Null, "").await["id"], before["id"]);
    again.opens().await;
    again.looks().await;
    // The socket was cut: what came after the newest that is known.
    let path = again.desk().await;
    let missed = json!({"content": "Still there?"});
    let missed = again.admin.post(&format!("{path}/messages"), missed).await.ok();
    let after = format!("GET messages?after={}", first["id"]);
    let after = again.widget.ok(&after, Value::Null, "payload:list meta:map").await;
    let ids: Vec<&Value> =
        after["payload"].as_array().expect("a list").iter().map(|m| &m["id"]).collect();
    assert!(ids.contains(&&missed["id"]) && !ids.contains(&&first["id"]), "{after}");
    // `reset()`: somebody new.
    let (fresh, _, _) = frame(&again.app, &again.website, None).await;
    assert_ne!(fresh.ok("GET contact", Value::Null, "").await["id"], before["id"]);
}

#[tokio::test]
async fn a_form_before_the_chat_opens_it() {
    let page = visit().await;
    let mut socket = Socket::open(listen(&page.app).await, "http://chat.example").await;
    socket.subscribe(&page.room).await;
    let form = json!({
        "contact": {"name": "Vera", "email": "vera@example.org", "custom_attributes": {}},
        "message": said("Hello"), "custom_attributes": {},
    });
    let fields = "id:number status:text messages.0.id:number messages.0.content:text contact:map";
    page.widget.ok("POST conversations?locale=en", form, fields).await;
    page.widget.ok("GET conversations", Value::Null, "id:number status:text").await;
    socket.hears("conversation.created", "id:number").await;
    page.widget.ok("GET conversations", Value::Null, "id:number").await;
    page.looks().await;
}

#[tokio::test]
async fn the_page_says_what_it_knows() {
    let page = visit().await;
    page.admin.post("/labels", json!({"title": "vip", "color": "#111111"})).await.ok();
    page.widget.ok("POST messages", json!({"message": said("Hello")}), MESSAGE).await;
    let user = json!({"identifier": "v-1", "email": "vera@example.org", "name": "Vera", "additional_attributes": {}});
    page.widget.ok("PATCH contact/set_user", user, "id:number").await;
    let contact = page.widget.ok("GET contact", Value::Null, "id:number").await;
    assert_eq!((&contact["has_name"], &contact["has_email"]), (&json!(true), &json!(true)));
    let plan = json!({"custom_attributes": {"plan": "gold"}});
    page.widget.ok("PATCH contact", plan.clone(), "id:number").await;
    page.widget.send("POST conversations/set_custom_attributes", plan).await.status(204);
    page.widget.send("POST labels", json!({"label": "vip"})).await.status(204);
    let shown = page.admin.get(&page.desk().await).await.ok();
    assert_eq!(
        (&shown["custom_attributes"]["plan"], &shown["labels"]),
        (&json!("gold"), &json!(["vip"]))
    );
}

#[tokio::test]
async fn only_the_named_sites_may_frame_it() {
    let page = visit().await;
    let inboxes = page.admin.get("/inboxes").await.ok();
    let path = format!("/inboxes/{}", inboxes["payload"][0]["id"]);
    let channel =
        json!({"channel": {"allowed_domains": "shop.example:5055, https://*.example.org"}});
    page.admin.patch(&path, channel).await.ok();
    let framed = browser(&page.app).get(&format!("/widget?website_token={}", page.website)).await;
    framed.status(200);
    let policies: Vec<&str> = framed
        .headers
        .get_all("content-security-policy")
        .iter()
        .filter_map(|policy| policy.to_str().ok())
        .filter(|policy| policy.contains("frame-ancestors"))
        .collect();
    assert_eq!(
        policies,
        [
            "frame-ancestors https://shop.example:5055 http://shop.example:5055 https://*.example.org"
        ]
    );
}
