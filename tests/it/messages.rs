//! Messages: what they may hold, what they do to their conversation, what an inbox says by itself
//! (`behaviours.md §9`, §13).

use std::time::Duration;

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// An account with a desk that visitors write to over the API.
struct Desk {
    app: App,
    admin: Actor,
    /// Where the visitor writes.
    visitor: String,
    /// The conversation, as agents see it.
    conversation: String,
}

async fn desk_with(inbox: Value) -> Desk {
    let (app, admin) = App::start().await;
    let made = admin.post("/inboxes", inbox).await.ok();
    let door = made["inbox_identifier"].as_str().expect("an identifier").to_owned();
    let contacts = format!("/public/api/v1/inboxes/{door}/contacts");
    let contact = json!({"name": "vera stone", "email": "vera@example.org"});
    let contact = app.anyone().post(&contacts, contact).await.ok();
    let talks = format!("{contacts}/{}/conversations", contact["source_id"].as_str().unwrap());
    let number = app.anyone().post(&talks, json!({})).await.ok()["id"].as_i64().unwrap();
    Desk {
        app,
        admin,
        visitor: format!("{talks}/{number}/messages"),
        conversation: format!("/conversations/{number}"),
    }
}

async fn desk() -> Desk {
    desk_with(json!({"name": "Desk", "channel": {"type": "api"}})).await
}

impl Desk {
    async fn send(&self, body: Value) -> chatwarden_testkit::Reply {
        self.admin.post(&format!("{}/messages", self.conversation), body).await
    }

    async fn visitor_says(&self, text: &str) {
        self.app.anyone().post(&self.visitor, json!({"content": text})).await.ok();
    }

    async fn shown(&self) -> Value {
        self.admin.get(&self.conversation).await.ok()
    }

    /// Kind and content of each message, oldest first.
    async fn said(&self) -> Vec<(i64, String)> {
        let found = self.admin.get(&format!("{}/messages", self.conversation)).await.ok();
        let rows = found["payload"].as_array().unwrap();
        rows.iter()
            .map(|m| {
                (m["message_type"].as_i64().unwrap(), m["content"].as_str().unwrap().to_owned())
            })
            .collect()
    }
}

#[tokio::test]
async fn a_message_says_who_sends_it_what_it_answers_and_what_is_echoed() {
    let desk = desk().await;
    let first =
        desk.send(json!({"content": "Hello", "echo_id": "e-1", "source_id": "x-1"})).await.ok();
    assert_eq!((&first["echo_id"], &first["sender"]["type"]), (&json!("e-1"), &json!("user")));
    let answers = |attributes: Value| {
        let body = json!({"content": "As I said", "content_attributes": attributes});
        async { desk.send(body).await.ok()["content_attributes"].clone() }
    };
    let both = json!({"in_reply_to": first["id"], "in_reply_to_external_id": "x-1"});
    assert_eq!(answers(json!({"in_reply_to": first["id"]})).await, both);
    assert_eq!(answers(json!({"in_reply_to_external_id": "x-1"})).await, both);
    let nothing = json!({"in_reply_to": null, "in_reply_to_external_id": null});
    assert_eq!(answers(json!({"in_reply_to": 999_999})).await, nothing);
    assert_eq!(answers(json!("{\"a\": 1}")).await, json!({"a": 1}));
    let incoming = desk.send(json!({"content": "By phone", "message_type": "incoming"})).await.ok();
    assert_eq!(incoming["sender"]["type"], json!("contact"));
}

#[tokio::test]
async fn placeholders_are_filled_in_but_not_in_code_and_not_in_what_comes_in() {
    let desk = desk().await;
    let text = "Dear {{contact.first_name}}, {{ agent.name }} of {{account.name}} at {{inbox.name}} `{{contact.name}}`";
    let sent = desk.send(json!({"content": text})).await.ok();
    assert_eq!(sent["content"], json!("Dear Vera, Ada of Acme at Desk `{{contact.name}}`"));
    let broken = "Dear {{contact.name";
    assert_eq!(desk.send(json!({"content": broken})).await.ok()["content"], json!(broken));
    let incoming = json!({"content": "{{agent.email}}", "message_type": "incoming"});
    assert_eq!(desk.send(incoming).await.ok()["content"], json!("{{agent.email}}"));
}

#[tokio::test]
async fn a_message_to_a_mailbox_has_what_its_mail_says() {
    let (_app, admin) = App::start().await;
    let mail = json!({"type": "email", "email": "support@example.org"});
    let inbox = admin.post("/inboxes", json!({"name": "Mail", "channel": mail})).await.ok();
    let vera = json!({"name": "vera stone", "email": "vera@example.org"});
    let vera = admin.post("/contacts", vera).await.ok()["payload"]["contact"]["id"].clone();
    let both = |text: &str| json!({"full": text, "reply": text});
    let first = json!({"content": "Hi **{{contact.first_name}}**"});
    let place = json!({"inbox_id": inbox["id"], "contact_id": vera, "message": first});
    let opened = admin.post("/conversations", place).await.ok();
    let said = &opened["messages"][0]["content_attributes"];
    assert_eq!(said["email"]["html_content"], both("<p>Hi <strong>Vera</strong></p>\n"));
    assert_eq!(said["email"]["text_content"], both("Hi **Vera**"));
    let path = format!("/conversations/{}/messages", opened["id"]);
    let send = async |body: Value| admin.post(&path, body).await;
    let kept = json!({"email": {"subject": "S", "html_content": {"quoted": "q"}}});
    let body = json!({
        "content": "One\r\nTwo", "email_html_content": "<b>{{agent.name}}</b>",
        "content_attributes": kept, "cc_emails": "a@example.org, b@example.org",
    });
    let sent = send(body).await.ok()["content_attributes"].clone();
    assert_eq!(sent["email"]["text_content"], both("One\nTwo"));
    let html =
        json!({"full": "<b>{{agent.name}}</b>", "reply": "<b>{{agent.name}}</b>", "quoted": "q"});
    assert_eq!((&sent["email"]["html_content"], &sent["email"]["subject"]), (&html, &json!("S")));
    assert_eq!(sent["cc_emails"], json!(["a@example.org", "b@example.org"]));
    let listed = admin.get(&path).await.ok();
    assert_eq!(listed["payload"][1]["content_attributes"], sent);
    for silent in [json!({"content": "Us", "private": true}), json!({"content": " "})] {
        assert_eq!(send(silent).await.ok()["content_attributes"].get("email"), None);
    }
    for key in ["to_emails", "cc_emails", "bcc_emails"] {
        let refused = send(json!({"content": "Hi", key: ["a@example.org"]})).await.status(422);
        assert!(refused["error"].as_str().unwrap().starts_with(key), "{refused}");
    }
    let long = json!({"content": "Hi", "email_html_content": "h".repeat(150_001)});
    let refused = send(long).await.status(422);
    assert!(refused["error"].as_str().unwrap().contains("Email html content"), "{refused}");
}

#[tokio::test]
async fn what_a_message_may_not_hold_is_refused_by_name() {
    let desk = desk().await;
    let refused = |body: Value, expected: &'static str| {
        let desk = &desk;
        async move { assert_eq!(desk.send(body).await.status(422), json!({"error": expected})) }
    };
    let items = |kind: &str, items: Value| json!({"content": "?", "content_type": kind, "content_attributes": {"items": items}});
    refused(
        items("input_select", json!([])),
        "Validation failed: Content attributes At least one item is required.",
    )
    .await;
    refused(
        items("article", json!(["x"])),
        "Validation failed: Content attributes Items should be a hash.",
    )
    .await;
    refused(
        items("input_select", json!([{"title": "Red", "colour": "#f00"}])),
        "Validation failed: Content attributes contains invalid keys for items : [:colour]",
    )
    .await;
    refused(
        items("cards", json!([{"title": "Lamp"}])),
        "Validation failed: Content attributes contains items missing actions",
    )
    .await;
    refused(
        items("cards", json!([{"title": "Lamp", "actions": [{"hue": "red"}]}])),
        "Validation failed: Content attributes contains invalid keys for actions:  [:hue]",
    )
    .await;
    refused(json!({"content_type": "riddle"}), "'riddle' is not a valid content_type").await;
    refused(json!({"message_type": "sideways"}), "'sideways' is not a valid message_type").await;
    refused(json!({"message_type": ""}), "'' is not a valid message_type").await;
    refused(
        json!({"template_params": {"language": 1}}),
        "Validation failed: Name is required, Language must be of type string",
    )
    .await;
    refused(
        json!({"content": "h".repeat(150_001)}),
        "Validation failed: Content is too long (maximum is 150000 characters)",
    )
    .await;
    assert!(desk.said().await.is_empty());
}

#[tokio::test]
async fn a_bot_ends_the_waiting_and_a_person_gives_the_first_reply() {
    let desk = desk().await;
    desk.visitor_says("Hello").await;
    let bot = desk.admin.post("/agent_bots", json!({"name": "Robby"})).await.ok();
    let token = bot["access_token"].as_str().expect("a token").to_owned();
    let mut robby = desk.app.anyone().with_header("api_access_token", &token);
    robby.account = desk.admin.account;
    let path = format!("{}/messages", desk.conversation);
    let sent = robby.post(&path, json!({"content": "One moment"})).await.ok();
    assert_eq!(sent["sender"]["type"], json!("agent_bot"));
    let shown = desk.shown().await;
    assert_eq!((&shown["waiting_since"], &shown["first_reply_created_at"]), (&json!(0), &json!(0)));
    desk.visitor_says("Still here").await;
    assert_ne!(desk.shown().await["waiting_since"], json!(0));
    desk.send(json!({"content": "A note", "private": true})).await.ok();
    desk.send(json!({"content": "Sale!", "campaign_id": 7})).await.ok();
    let shown = desk.shown().await;
    assert_ne!(shown["waiting_since"], json!(0), "neither a note nor a campaign is a reply");
    assert_eq!(shown["first_reply_created_at"], json!(0));
    desk.send(json!({"content": "Hello Vera"})).await.ok();
    let shown = desk.shown().await;
    assert_eq!(shown["waiting_since"], json!(0));
    assert_ne!(shown["first_reply_created_at"], json!(0));
    robby.get(&path).await.status(401);
}

#[tokio::test]
async fn an_api_inbox_notes_how_far_a_message_got() {
    let desk = desk().await;
    let sent = desk.send(json!({"content": "Tracked"})).await.ok();
    let path = format!("{}/messages/{}", desk.conversation, sent["id"]);
    let set = |body: Value| async { desk.admin.patch(&path, body).await.ok() };
    let failed = set(json!({"status": "failed", "external_error": "No such number"})).await;
    assert_eq!(failed["content_attributes"], json!({"external_error": "No such number"}));
    let again = desk.admin.post(&format!("{path}/retry"), json!({})).await.ok();
    assert_eq!((&again["status"], &again["content_attributes"]), (&json!("sent"), &json!({})));
    assert_eq!(set(json!({"status": "read"})).await["status"], json!("read"));
    assert_eq!(set(json!({"status": "delivered"})).await["status"], json!("read"));
    assert_eq!(set(json!({"status": "lost"})).await["status"], json!("read"));
    let unknown = format!("{}/messages/999999", desk.conversation);
    desk.admin.patch(&unknown, json!({"status": "read"})).await.status(404);
    desk.admin.post(&format!("{unknown}/retry"), json!({})).await.status(422);
    desk.admin.delete(&unknown).await.status(404);
    let translated =
        desk.admin.post(&format!("{path}/translate"), json!({"target_language": "es"})).await;
    assert_eq!(translated.ok(), json!({"content": null}));
}

#[tokio::test]
async fn a_deleted_message_stays_as_a_mark() {
    let desk = desk().await;
    let sent = desk.send(json!({"content": "Oops", "content_type": "input_email"})).await.ok();
    let gone =
        desk.admin.delete(&format!("{}/messages/{}", desk.conversation, sent["id"])).await.ok();
    assert_eq!(gone["content"], json!("This message was deleted"));
    assert_eq!(
        (&gone["content_type"], &gone["content_attributes"]),
        (&json!("text"), &json!({"deleted": true}))
    );
}

#[tokio::test]
async fn pages_go_both_ways_and_can_leave_out_what_only_agents_see() {
    let desk = desk().await;
    let mut ids = Vec::new();
    for n in 1..=25 {
        let body = json!({"content": format!("m{n}"), "private": n % 5 == 0});
        ids.push(desk.send(body).await.ok()["id"].as_i64().unwrap());
    }
    let page = |query: String| {
        let path = format!("{}/messages?{query}", desk.conversation);
        async {
            let found = desk.admin.get(&{ path }).await.ok();
            let rows = found["payload"].as_array().unwrap().clone();
            rows.iter().map(|m| m["content"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(page(String::new()).await.len(), 20);
    assert_eq!(page(format!("before={}", ids[3])).await, ["m1", "m2", "m3"]);
    assert_eq!(page(format!("after={}", ids[22])).await, ["m24", "m25"]);
    assert_eq!(page(format!("after={}&before={}", ids[3], ids[6])).await, ["m4", "m5", "m6"]);
    assert_eq!(
        page(format!("filter_internal_messages=true&before={}", ids[6])).await,
        ["m1", "m2", "m3", "m4", "m6"]
    );
}

#[tokio::test]
async fn an_inbox_greets_once() {
    let desk = desk_with(json!({
        "name": "Desk", "greeting_enabled": true, "greeting_message": "Welcome {{contact.first_name}}",
        "channel": {"type": "api"},
    }))
    .await;
    desk.visitor_says("Hello").await;
    desk.visitor_says("Anyone?").await;
    let said = [(0, "Hello"), (3, "Welcome Vera"), (0, "Anyone?")];
    assert_eq!(desk.said().await, said.map(|(kind, text)| (kind, text.to_owned())));
}

#[tokio::test]
async fn a_resolved_conversation_is_surveyed_once() {
    let desk = desk_with(json!({
        "name": "Desk", "csat_survey_enabled": true, "channel": {"type": "api"},
    }))
    .await;
    for status in ["resolved", "open", "resolved"] {
        let path = format!("{}/toggle_status", desk.conversation);
        desk.admin.post(&path, json!({"status": status})).await.ok();
    }
    let surveys = desk.said().await.into_iter().filter(|(kind, _)| *kind == 3).collect::<Vec<_>>();
    assert_eq!(surveys, [(3, "Please rate the conversation".to_owned())]);
}

#[tokio::test]
async fn a_flooded_conversation_takes_no_more_for_a_minute() {
    let desk = desk().await;
    for _ in 0..200 {
        desk.visitor_says("Hey").await;
    }
    let body = json!({"content": "Enough"});
    desk.app.anyone().post(&desk.visitor, body.clone()).await.status(422);
    desk.app.advance(Duration::from_secs(61));
    desk.app.anyone().post(&desk.visitor, body).await.ok();
}
