//! The public client API: visitors of an API inbox (`behaviours.md §20`).

use std::time::Duration;

use chatwarden_core::sealed::mac;
use chatwarden_testkit::{Actor, App};
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

/// An API inbox, who keeps it, and where visitors reach it.
struct Desk {
    app: App,
    admin: Actor,
    inbox: Value,
    people: String,
}

async fn desk_with(hmac_mandatory: bool) -> Desk {
    let (app, admin) = App::start().await;
    let inbox =
        json!({"name": "Desk", "channel": {"type": "api", "hmac_mandatory": hmac_mandatory}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let door = inbox["inbox_identifier"].as_str().unwrap();
    Desk { people: format!("/public/api/v1/inboxes/{door}/contacts"), app, admin, inbox }
}

impl Desk {
    async fn visitor(&self, body: Value) -> String {
        let made = self.app.anyone().post(&self.people, body).await.ok();
        format!("{}/{}", self.people, made["source_id"].as_str().unwrap())
    }

    fn proof(&self, identifier: &str) -> Value {
        let secret = self.inbox["hmac_token"].as_str().unwrap();
        let hash = HEXLOWER.encode(&mac(secret.as_bytes(), identifier.as_bytes()));
        json!({"identifier": identifier, "identifier_hash": hash})
    }
}

#[tokio::test]
async fn tells_of_the_inbox() {
    let desk = desk_with(true).await;
    let door = desk.people.trim_end_matches("/contacts").to_owned();
    let shown = desk.app.anyone().get(&door).await.ok();
    assert_eq!(shown["name"], json!("Desk"));
    assert_eq!(shown["identity_validation_enabled"], json!(true));
    assert_eq!(shown["working_hours"].as_array().unwrap().len(), 7);
    desk.app.anyone().get("/public/api/v1/inboxes/nosuchinbox").await.status(404);
}

#[tokio::test]
async fn who_gives_nothing_gets_a_name_and_who_is_known_keeps_theirs() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let nobody = anyone.post(&desk.people, json!({})).await.ok();
    assert_ne!(nobody["name"], json!(""));
    let known = json!({"identifier": "v-1", "name": "Vera", "email": "vera@example.org"});
    let known = anyone.post(&desk.people, known).await.ok();
    let again = json!({"email": "VERA@example.org", "name": "Somebody"});
    let again = anyone.post(&desk.people, again).await.ok();
    assert_eq!(again["id"], known["id"]);
    assert_eq!(again["name"], json!("Vera"));
    assert_ne!(again["source_id"], known["source_id"]);
    // A name that was left empty is one; a source that was left empty is none.
    assert_eq!(anyone.post(&desk.people, json!({"name": ""})).await.ok()["name"], json!(""));
    for blank in ["", " "] {
        let body = json!({"source_id": blank, "name": "Ann"});
        let refused = anyone.post(&desk.people, body).await.status(422);
        assert_eq!(refused["attributes"], json!(["source_id"]));
    }
}

#[tokio::test]
async fn messages_are_read_backwards_alone() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let vera = desk.visitor(json!({"name": "Vera"})).await;
    let talk = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{talk}/messages");
    let mut ids = Vec::new();
    for _ in 0..22 {
        let sent = anyone.post(&path, json!({"content": "Hm"})).await.ok();
        ids.push(sent["id"].as_i64().unwrap());
    }
    let read = async |query: String| {
        let found = anyone.get(&format!("{path}?{query}")).await.ok();
        let found = found.as_array().unwrap().clone();
        found.iter().map(|m| m["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(format!("after={}", ids[0])).await, ids[2..]);
    assert_eq!(read(format!("after={}&before={}", ids[5], ids[7])).await, ids[..7]);
    assert_eq!(read(format!("before={}abc", ids[3])).await, ids[..3]);
    assert!(read("before=abc".to_owned()).await.is_empty());
    assert_eq!(read("before=".to_owned()).await, ids[2..]);
}

#[tokio::test]
async fn a_visitor_changes_what_is_known_of_them_but_not_who_they_are() {
    let desk = desk_with(false).await;
    let vera =
        desk.visitor(json!({"identifier": "v-1", "custom_attributes": {"plan": "gold"}})).await;
    let anyone = desk.app.anyone();
    let change = json!({"name": "Vera V.", "email": "vera@example.org", "identifier": "other",
        "custom_attributes": {"seats": 3}});
    let changed = anyone.patch(&vera, change).await.ok();
    assert_eq!(changed["email"], json!("vera@example.org"));
    let path = format!("/contacts/{}", changed["id"]);
    let contact = desk.admin.get(&path).await.ok()["payload"].clone();
    assert_eq!(contact["identifier"], json!("v-1"));
    assert_eq!(contact["custom_attributes"], json!({"plan": "gold", "seats": 3}));
    let refused = anyone.patch(&vera, json!({"email": "none"})).await.status(422);
    assert_eq!(refused["attributes"], json!(["email"]));
    anyone.patch(&vera, json!({"phone_number": "12"})).await.status(422);
    // Who stays as they were is told of as well.
    chatwarden_db::statements! {
        CHANGES: (i64,) = "tests.changes", "select count(*) from outbox where event = 'contact.updated'";
    }
    let told = async || {
        let db = desk.app.db();
        db.read(async |tx| tx.one(&CHANGES, chatwarden_db::args![]).await).await.unwrap().0
    };
    let before = told().await;
    anyone.patch(&vera, json!({})).await.ok();
    assert_eq!(told().await, before + 1);
}

#[tokio::test]
async fn conversations_are_their_visitors_alone() {
    let desk = desk_with(false).await;
    let (vera, otto) = (desk.visitor(json!({})).await, desk.visitor(json!({})).await);
    let anyone = desk.app.anyone();
    let number = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let message = json!({"content": "Hello"});
    let own = format!("{vera}/conversations/{number}");
    let sent = anyone.post(&format!("{own}/messages"), message.clone()).await.ok();
    assert_eq!(anyone.get(&own).await.ok()["messages"][0]["content"], json!("Hello"));
    let foreign = format!("{otto}/conversations/{number}");
    for refused in [
        anyone.get(&foreign).await,
        anyone.get(&format!("{foreign}/messages")).await,
        anyone.post(&format!("{foreign}/messages"), message).await,
        anyone.patch(&format!("{foreign}/messages/{}", sent["id"]), json!({})).await,
        anyone.post(&format!("{foreign}/toggle_status"), json!({})).await,
        anyone.post(&format!("{foreign}/toggle_typing"), json!({"typing_status": "on"})).await,
        anyone.post(&format!("{foreign}/update_last_seen"), json!({})).await,
    ] {
        assert_eq!(refused.status(404), json!({"status": 404, "error": "Not Found"}));
    }
    assert_eq!(anyone.get(&format!("{otto}/conversations")).await.ok(), json!([]));
}

#[tokio::test]
async fn who_proved_who_they_are_sees_all_of_their_conversations() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let (first, second) = (
        desk.visitor(json!({"identifier": "p-1"})).await,
        desk.visitor(json!({"identifier": "p-1"})).await,
    );
    let number = anyone.post(&format!("{first}/conversations"), json!({})).await.ok()["id"].clone();
    assert_eq!(anyone.get(&format!("{second}/conversations")).await.ok(), json!([]));
    let wrong = json!({"identifier": "p-1", "identifier_hash": "f".repeat(64)});
    anyone.patch(&second, wrong).await.status(401);
    anyone.patch(&second, desk.proof("p-1")).await.ok();
    let seen = anyone.get(&format!("{second}/conversations")).await.ok();
    assert_eq!(seen[0]["id"], number);
    anyone.get(&format!("{second}/conversations/{number}")).await.ok();
}

#[tokio::test]
async fn an_inbox_that_wants_proof_gets_it_from_everybody() {
    let desk = desk_with(true).await;
    let anyone = desk.app.anyone();
    anyone.post(&desk.people, json!({"identifier": "s-1"})).await.status(401);
    let sid = desk.visitor(desk.proof("s-1")).await;
    anyone.get(&sid).await.status(401);
    let proof = desk.proof("s-1");
    let hash = proof["identifier_hash"].as_str().unwrap();
    anyone.get(&format!("{sid}?identifier=s-1&identifier_hash={hash}")).await.ok();
    anyone.post(&format!("{sid}/conversations"), json!({})).await.ok();
}

#[tokio::test]
async fn a_visitor_resolves_but_never_reopens_by_that() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let vera = desk.visitor(json!({"name": "Vera"})).await;
    let number = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{number}");
    for _ in 0..2 {
        let shown = anyone.post(&format!("{path}/toggle_status"), json!({})).await.ok();
        assert_eq!(shown["status"], json!("resolved"));
    }
    anyone.post(&format!("{path}/messages"), json!({"content": "Oh, wait"})).await.ok();
    assert_eq!(anyone.get(&path).await.ok()["status"], json!("open"));
}

#[tokio::test]
async fn an_answer_shows_with_its_question() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let vera = desk.visitor(json!({"name": "Vera"})).await;
    let number = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let question = json!({"content": "Which?", "content_type": "input_select",
        "content_attributes": {"items": [{"title": "Red", "value": "red"}]}});
    let path = format!("/conversations/{number}/messages");
    let question = desk.admin.post(&path, question).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{number}/messages/{question}");
    let answer = json!({"submitted_values": [{"title": "Red", "value": "red"}]});
    let shown = anyone.patch(&path, answer.clone()).await.ok();
    assert_eq!(shown["content_attributes"]["submitted_values"], answer["submitted_values"]);
    // A question for the address is answered like any other: who a visitor is, they say elsewhere.
    let asked = json!({"content": "Where do we reach you?", "content_type": "input_email"});
    let desk_path = format!("/conversations/{number}/messages");
    let asked = desk.admin.post(&desk_path, asked).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{number}/messages/{asked}");
    let shown = anyone.patch(&path, answer.clone()).await.ok();
    let attributes = json!({"submitted_values": answer["submitted_values"]});
    assert_eq!(shown["content_attributes"], attributes);
    anyone.patch(&path, json!({})).await.ok();
    let other = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{other}/messages/{question}");
    anyone.patch(&path, answer).await.status(404);
}

#[tokio::test]
async fn a_rating_is_taken_for_fourteen_days() {
    let desk = desk_with(false).await;
    let anyone = desk.app.anyone();
    let vera = desk.visitor(json!({"name": "Vera"})).await;
    let number = anyone.post(&format!("{vera}/conversations"), json!({})).await.ok()["id"].clone();
    let survey = json!({"content": "How was it?", "content_type": "input_csat"});
    let path = format!("/conversations/{number}/messages");
    let survey = desk.admin.post(&path, survey).await.ok()["id"].clone();
    let path = format!("{vera}/conversations/{number}/messages/{survey}");
    let rating = json!({"submitted_values": {"csat_survey_response": {"rating": 5}}});
    desk.app.advance(Duration::from_secs(14 * 86_400));
    anyone.patch(&path, rating.clone()).await.ok();
    desk.app.advance(Duration::from_secs(86_400));
    let refused = anyone.patch(&path, rating).await.status(422);
    assert!(refused["error"].as_str().unwrap().contains("14 days"), "{refused}");
}

#[tokio::test]
async fn a_proof_of_being_somebody_else_opens_nothing() {
    let desk = desk_with(true).await;
    let anyone = desk.app.anyone();
    let with = |mut proof: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        proof.as_object_mut().unwrap().extend(more);
        proof
    };
    let vera = json!({"email": "vera@example.org", "phone_number": "+49301234567"});
    let vera = with(desk.proof("vera"), vera);
    let vera = desk.visitor(vera).await;
    anyone.post(&format!("{vera}/conversations"), json!({})).await.ok();
    // Mallory's identifier is new, the address is Vera's: it leads to Vera's contact.
    let claim = with(desk.proof("mallory"), json!({"email": "vera@example.org"}));
    assert_eq!(anyone.post(&desk.people, claim.clone()).await.ok()["phone_number"], Value::Null);
    let mallory = desk.visitor(claim).await;
    let proof = desk.proof("mallory");
    let shown = format!(
        "{mallory}?identifier=mallory&identifier_hash={}",
        proof["identifier_hash"].as_str().unwrap()
    );
    anyone.get(&shown).await.ok();
    anyone.patch(&mallory, proof).await.ok();
    assert_eq!(anyone.get(&format!("{mallory}/conversations")).await.ok(), json!([]));
}

#[tokio::test]
async fn what_is_too_long_is_refused_with_the_field() {
    let desk = desk_with(false).await;
    let visitor = desk.visitor(json!({"name": "Vera"})).await;
    let c = desk.app.anyone().post(&format!("{visitor}/conversations"), json!({})).await.ok();
    let said = json!({"content": "h".repeat(150_001)});
    let path = format!("{visitor}/conversations/{}/messages", c["id"]);
    let refused = desk.app.anyone().post(&path, said).await.status(422);
    let text = "Content is too long (maximum is 150000 characters)";
    assert_eq!(refused, json!({"message": text, "attributes": ["content"]}));
}
