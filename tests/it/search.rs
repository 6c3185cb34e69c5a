//! One box for all: everybody finds what they may see.

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// A contact that said something in an inbox of its own.
async fn talk(admin: &Actor, member: Option<&Actor>, name: &str, words: &str) {
    let inbox =
        admin.post("/inboxes", json!({"name": name, "channel": {"type": "api"}})).await.ok();
    let ids: Vec<_> = member.iter().map(|member| member.id).collect();
    let members = json!({"inbox_id": inbox["id"], "user_ids": ids});
    admin.post("/inbox_members", members).await.ok();
    let email = format!("{}@example.com", name.to_ascii_lowercase().replace('Ä', "ae"));
    let contact = admin.post("/contacts", json!({"name": name, "email": email})).await.ok();
    let place = json!({"inbox_id": inbox["id"], "contact_id": contact["payload"]["contact"]["id"]});
    let number = admin.post("/conversations", place).await.ok()["id"].clone();
    let said = json!({"content": words, "message_type": "incoming"});
    admin.post(&format!("/conversations/{number}/messages"), said).await.ok();
}

async fn found(actor: &Actor, text: &str) -> (Vec<Value>, Vec<Value>, Vec<Value>) {
    let reply = actor.get(&format!("/search?q={text}")).await.ok();
    let of = |kind: &str, key: &[&str]| -> Vec<Value> {
        let rows = reply["payload"][kind].as_array().unwrap();
        rows.iter().map(|row| key.iter().fold(row.clone(), |at, key| at[*key].clone())).collect()
    };
    (
        of("conversations", &["contact", "name"]),
        of("contacts", &["name"]),
        of("messages", &["content"]),
    )
}

#[tokio::test]
async fn everybody_finds_what_they_may_see() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    talk(&admin, Some(&agent), "Vera", "My umbrella is broken").await;
    talk(&admin, None, "Walter", "A hidden umbrella").await;
    let texts = |of: &[&str]| of.iter().map(|text| json!(text)).collect::<Vec<_>>();
    let (_, _, messages) = found(&admin, "UMBRELLA").await;
    assert_eq!(messages, texts(&["A hidden umbrella", "My umbrella is broken"]));
    let (_, _, messages) = found(&agent, "umbrella").await;
    assert_eq!(messages, texts(&["My umbrella is broken"]));
    let (conversations, contacts, _) = found(&admin, "example.com").await;
    assert_eq!(conversations, texts(&["Walter", "Vera"]));
    assert_eq!(contacts.len(), 2);
    let (conversations, contacts, _) = found(&agent, "example.com").await;
    assert_eq!(conversations, texts(&["Vera"]));
    assert_eq!(contacts.len(), 2);
    talk(&admin, None, "Ärne", "Ich ÄRGERE mich").await;
    let (_, contacts, messages) = found(&admin, "%C3%A4r").await;
    assert_eq!((contacts, messages), (texts(&["Ärne"]), texts(&["Ich ÄRGERE mich"])));
    let (conversations, contacts, messages) = found(&admin, "100%25").await;
    assert_eq!((conversations.len(), contacts.len(), messages.len()), (0, 0, 0));
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    let (conversations, contacts, messages) = found(&eve, "e").await;
    assert_eq!((conversations.len(), contacts.len(), messages.len()), (0, 0, 0));
}

#[tokio::test]
async fn a_conversation_shows_its_first_message() {
    let (_, admin) = App::start().await;
    talk(&admin, None, "Vera", "The first").await;
    let said = json!({"content": "The second"});
    admin.post("/conversations/1/messages", said).await.ok();
    let reply = admin.get("/search/conversations?q=vera").await.ok();
    let row = &reply["payload"]["conversations"][0];
    assert_eq!(row["message"]["content"], json!("The first"));
    assert_eq!(row["inbox"]["name"], json!("Vera"));
    assert_eq!(row["additional_attributes"], json!({}));
    let beyond = admin.get("/search/conversations?q=vera&page=2").await.ok();
    assert_eq!(beyond["payload"]["conversations"], json!([]));
}

#[tokio::test]
async fn old_messages_are_not_looked_at() {
    let (app, admin) = App::start().await;
    talk(&admin, None, "Vera", "An umbrella").await;
    app.advance(std::time::Duration::from_secs(100 * 86_400));
    let reply = admin.get("/search/messages?q=umbrella").await.ok();
    assert_eq!(reply["payload"]["messages"], json!([]));
    admin.get(&format!("/search?q={}", "x".repeat(1001))).await.status(422);
}
