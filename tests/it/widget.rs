//! The website's widget: who a visitor is, what they see, what they may do (`widget.md §7`).

use chatwarden_core::events::Performer;
use chatwarden_core::ids::{ContactId, DisplayId, InboxId};
use chatwarden_core::messages::{MessageType, NewMessage, Sender};
use chatwarden_core::scope::Agent;
use chatwarden_core::sealed::mac;
use chatwarden_core::{Scope, contacts, conversations, messages};
use chatwarden_db::WriteTx;
use chatwarden_testkit::{Actor, App, Reply};
use data_encoding::HEXLOWER;
use http::Method;
use serde_json::{Value, json};

use crate::beside::{Meanwhile, beside};

/// A website, and who keeps it.
struct Site {
    app: App,
    admin: Actor,
    inbox: Value,
}

async fn site_with(channel: Value) -> Site {
    let (app, admin) = App::start().await;
    let mut inbox = json!({"name": "Site", "enable_email_collect": false, "channel": {
        "type": "web_widget", "website_url": "https://shop.example.com"}});
    for (key, value) in channel.as_object().unwrap() {
        inbox["channel"][key] = value.clone();
    }
    let inbox = admin.post("/inboxes", inbox).await.ok();
    Site { app, admin, inbox }
}

async fn site() -> Site {
    site_with(json!({})).await
}

impl Site {
    /// A browser that knows the website, and its own token once it has one.
    fn browser(&self, token: Option<&str>) -> Guest {
        let website_token = self.inbox["website_token"].as_str().unwrap().to_owned();
        let caller = self.app.anyone();
        let caller = match token {
            Some(token) => caller.with_header("x-auth-token", token),
            None => caller,
        };
        Guest { caller, website_token }
    }

    /// A visitor who has just come.
    async fn visitor(&self) -> Guest {
        let config = self.browser(None).post("config", json!({})).await.ok();
        self.browser(config["website_channel_config"]["auth_token"].as_str())
    }

    /// What the socket that holds a token was told, without being there.
    async fn told(&self, token: &str) -> Vec<Value> {
        chatwarden_db::statements! {
            TOLD: (String, String) = "test.told", "select streams, message from outbox order by id";
        }
        let found = self.app.db().read(async |tx| tx.all(&TOLD, []).await).await.unwrap();
        let heard = found.iter().filter(|(streams, _)| streams.contains(token));
        heard.map(|(_, message)| serde_json::from_str(message).unwrap()).collect()
    }

    fn proof(&self, identifier: &str) -> String {
        let secret = self.inbox["hmac_token"].as_str().unwrap();
        HEXLOWER.encode(&mac(secret.as_bytes(), identifier.as_bytes()))
    }

    async fn contact(&self, id: &Value) -> Value {
        self.admin.get(&format!("/contacts/{id}")).await.ok()["payload"].clone()
    }
}

struct Guest {
    caller: Actor,
    website_token: String,
}

impl Guest {
    async fn send(&self, method: Method, path: &str, body: Value) -> Reply {
        let joint = if path.contains('?') { '&' } else { '?' };
        let path = format!("/api/v1/widget/{path}{joint}website_token={}", self.website_token);
        self.caller.send(method, &path, body).await
    }
    async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Value::Null).await
    }
    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body).await
    }
    async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body).await
    }
    async fn says(&self, text: &str) -> Value {
        self.post("messages", json!({"message": {"content": text}})).await.ok()
    }
}

#[tokio::test]
async fn a_browser_is_known_by_its_token_until_it_expires() {
    let site = site().await;
    let first = site.browser(None).post("config", json!({})).await.ok();
    let token = first["website_channel_config"]["auth_token"].as_str().unwrap();
    let minute = std::time::Duration::from_secs(60);
    site.app.advance(minute);
    let again = site.browser(Some(token)).post("config", json!({})).await.ok();
    assert_eq!(again["contact"]["id"], first["contact"]["id"]);
    let fresh = again["website_channel_config"]["auth_token"].as_str().unwrap();
    assert_ne!(fresh, token);
    let forged = site.browser(Some("no.to.ken")).post("config", json!({})).await.ok();
    assert_ne!(forged["contact"]["id"], first["contact"]["id"]);
    for refused in [
        site.browser(None).get("contact").await,
        site.browser(Some("no.to.ken")).get("contact").await,
        site.browser(None).post("events", json!({"name": "webwidget.triggered"})).await,
    ] {
        refused.status(404);
    }
    site.app.advance(std::time::Duration::from_secs(180 * 86_400) - minute / 2);
    site.browser(Some(token)).get("contact").await.status(404);
    let known = site.browser(Some(fresh)).get("contact").await.ok();
    assert_eq!(known["id"], first["contact"]["id"]);
    site.app.advance(minute);
    site.browser(Some(fresh)).get("contact").await.status(404);
}

#[tokio::test]
async fn clients_without_the_page_may_name_the_website_in_the_body() {
    let site = site().await;
    let named = json!({"website_token": site.inbox["website_token"]});
    let config = "/api/v1/widget/config";
    let told = site.app.anyone().post(config, named.clone()).await.ok();
    assert_eq!(told["website_channel_config"]["website_token"], site.inbox["website_token"]);
    // The query, by which CORS decides, is not overruled.
    site.app.anyone().post(&format!("{config}?website_token=x"), named).await.status(404);
    site.app.anyone().post(config, json!({})).await.status(404);
}

#[tokio::test]
async fn what_a_visitor_says_of_themselves_is_kept_and_nonsense_dropped() {
    let site = site().await;
    let visitor = site.visitor().await;
    let said = json!({"name": "Vera", "email": "Vera@Example.org", "phone_number": "12",
        "custom_attributes": {"plan": {"name": "gold"}}, "additional_attributes": {"city": "Oslo"}});
    let known = visitor.patch("contact", said).await.ok();
    assert_eq!(known["has_email"], json!(true));
    assert_eq!(known["has_phone_number"], json!(false));
    let more = json!({"name": " ", "email": "none", "custom_attributes": {"plan": {"seats": 3}}});
    visitor.patch("contact", more).await.ok();
    let contact = site.contact(&known["id"]).await;
    assert_eq!(contact["name"], json!("Vera"));
    assert_eq!(contact["email"], json!("vera@example.org"));
    assert_eq!(contact["custom_attributes"], json!({"plan": {"name": "gold", "seats": 3}}));
    let gone = json!({"custom_attributes": ["plan"]});
    let record = visitor.post("contact/destroy_custom_attributes", gone).await.ok();
    assert_eq!(record["custom_attributes"], json!({}));
    assert_eq!(record["location"], json!("Oslo"));
    assert_eq!(record["contact_type"], json!("lead"));
}

#[tokio::test]
async fn whoever_says_nothing_new_of_themselves_is_told_of() {
    let site = site().await;
    let visitor = site.visitor().await;
    let account = format!("account_{}", site.admin.account.unwrap());
    let told = async || {
        let told = site.told(&account).await;
        told.iter().filter(|told| told["event"] == "contact.updated").count()
    };
    let mut count = told().await;
    for (method, path, body, times) in [
        (Method::PATCH, "contact", json!({}), 1),
        (Method::PATCH, "contact/set_user", json!({}), 1),
        (Method::POST, "contact/destroy_custom_attributes", json!({"custom_attributes": ["x"]}), 1),
        // By the form before the chat, and by what is written.
        (Method::POST, "conversations", json!({"message": {"content": "Hello"}}), 2),
        (Method::POST, "messages", json!({"message": {"content": "Hello?"}}), 1),
    ] {
        visitor.send(method, path, body).await.ok();
        count += times;
        assert_eq!(told().await, count, "{path}");
    }
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_a_missing_one_where_it_is_asked_for() {
    let site = site().await;
    let visitor = site.visitor().await;
    let wrong = json!({"identifier": "m-1", "identifier_hash": "0".repeat(64)});
    visitor.patch("contact/set_user", wrong.clone()).await.status(401);
    visitor.patch("contact", wrong).await.status(401);
    visitor.patch("contact/set_user", json!({"identifier": "m-1"})).await.ok();
    let strict = site_with(json!({"hmac_mandatory": true})).await;
    let visitor = strict.visitor().await;
    visitor.patch("contact/set_user", json!({"identifier": "m-1"})).await.status(401);
    visitor.patch("contact", json!({"identifier": "m-1"})).await.status(401);
    visitor.patch("contact", json!({"name": "Mia"})).await.ok();
    visitor.patch("contact/set_user", json!({"custom_attributes": {"tier": 2}})).await.ok();
    let proved = json!({"identifier": "m-1", "identifier_hash": strict.proof("m-1")});
    visitor.patch("contact/set_user", proved).await.ok();
    assert_eq!(visitor.get("contact").await.ok()["identifier"], json!("m-1"));
}

#[tokio::test]
async fn somebody_else_at_the_browser_is_another_contact() {
    let site = site().await;
    let visitor = site.visitor().await;
    let mia = visitor.patch("contact/set_user", json!({"identifier": "mia"})).await.ok();
    visitor.says("I am Mia").await;
    let noah = visitor.patch("contact/set_user", json!({"identifier": "noah"})).await.ok();
    assert_ne!(noah["id"], mia["id"]);
    let other = site.browser(noah["widget_auth_token"].as_str());
    assert_eq!(other.get("contact").await.ok()["identifier"], json!("noah"));
    assert_eq!(other.get("messages").await.ok()["payload"], json!([]));
    assert_eq!(visitor.get("contact").await.ok()["identifier"], json!("mia"));
}

#[tokio::test]
async fn a_visitor_who_turns_out_to_be_known_brings_their_conversation_along() {
    let site = site().await;
    let known = json!({"name": "Vera", "email": "vera@example.org", "identifier": "v-1",
        "custom_attributes": {"plan": "gold"}});
    let known = site.admin.post("/contacts", known).await.ok()["payload"]["contact"].clone();
    let visitor = site.visitor().await;
    let said = visitor.says("Hello").await;
    let before = visitor.get("contact").await.ok();
    let identity =
        json!({"identifier": "v-1", "custom_attributes": {"plan": "silver", "seats": 2}});
    let merged = visitor.patch("contact/set_user", identity).await.ok();
    assert_eq!(merged["id"], known["id"]);
    assert_eq!(merged["widget_auth_token"], Value::Null);
    let messages = visitor.get("messages").await.ok()["payload"].clone();
    assert_eq!(messages[0]["id"], said["id"]);
    assert_eq!(messages[0]["sender"]["id"], known["id"]);
    let contact = site.contact(&known["id"]).await;
    assert_eq!(contact["name"], json!("Vera"));
    assert_eq!(contact["custom_attributes"], json!({"plan": "silver", "seats": 2}));
    site.admin.get(&format!("/contacts/{}", before["id"])).await.status(404);
}

#[tokio::test]
async fn contacts_with_different_identifiers_are_never_one() {
    let site = site().await;
    let other = json!({"name": "Otto", "email": "otto@example.org", "identifier": "otto"});
    let other = site.admin.post("/contacts", other).await.ok()["payload"]["contact"].clone();
    let visitor = site.visitor().await;
    let claim = json!({"identifier": "vera", "email": "otto@example.org", "name": "Vera"});
    let vera = visitor.patch("contact/set_user", claim).await.ok();
    assert_ne!(vera["id"], other["id"]);
    assert_eq!(vera["has_email"], json!(false));
    assert_eq!(site.contact(&other["id"]).await["name"], json!("Otto"));
}

#[tokio::test]
async fn who_is_known_takes_nobody_else_in_by_an_address() {
    let site = site().await;
    let noah = json!({"name": "Noah", "email": "noah@example.org", "identifier": "noah"});
    let noah = site.admin.post("/contacts", noah).await.ok()["payload"]["contact"].clone();
    let visitor = site.visitor().await;
    let mia = visitor.patch("contact/set_user", json!({"identifier": "mia"})).await.ok();
    let after = visitor.patch("contact", json!({"email": "noah@example.org"})).await.ok();
    assert_eq!(after["id"], mia["id"]);
    assert_eq!(site.contact(&noah["id"]).await["identifier"], json!("noah"));
}

#[tokio::test]
async fn a_typed_address_does_not_show_whose_it_is() {
    let site = site().await;
    let vera = json!({"name": "Vera", "email": "vera@example.org", "phone_number": "+49301234567"});
    let vera = site.admin.post("/contacts", vera).await.ok()["payload"]["contact"].clone();
    let form = json!({"contact": {"name": "X", "email": "vera@example.org"}, "message": {"content": "Hi"}});
    let opened = site.visitor().await.post("conversations", form).await.ok();
    let contact = &opened["contact"];
    assert_eq!((&contact["id"], &contact["name"]), (&vera["id"], &json!("Vera")));
    assert_eq!((&contact["email"], &contact["phone_number"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn whoever_was_absorbed_by_a_typed_address_is_never_shown_whose_it_is() {
    let site = site().await;
    let vera = json!({"name": "Vera", "email": "vera@example.org", "phone_number": "+49301234567",
        "identifier": "v-1", "custom_attributes": {"plan": "gold"}, "additional_attributes": {"city": "Oslo"}});
    let vera = site.admin.post("/contacts", vera).await.ok()["payload"]["contact"].clone();
    site.app.advance(std::time::Duration::from_secs(1));
    let visitor = site.visitor().await;
    visitor.says("Hello").await;
    let conversation = visitor.get("conversations").await.ok();
    let desk = format!("/conversations/{}/messages", conversation["id"]);
    let form = json!({"content": "Size?", "content_type": "form",
        "content_attributes": {"items": [{"name": "size", "label": "Size", "type": "text"}]}});
    let form = site.admin.post(&desk, form).await.ok();
    let merged = visitor.patch("contact", json!({"email": "vera@example.org"})).await.ok();
    assert_eq!(merged["id"], vera["id"]);

    let answer = json!({"message": {"submitted_values": [{"name": "size", "value": "XL"}]}});
    let none = json!({"custom_attributes": []});
    let opened = visitor.post("conversations", json!({"message": {"content": "Hi"}})).await.ok();
    assert_eq!(opened["messages"][0]["sender"]["name"], json!("Vera"));
    let config = visitor.post("config", json!({})).await.ok();
    let mut told = vec![
        visitor.post("contact/destroy_custom_attributes", none).await.ok(),
        visitor.patch(&format!("messages/{}", form["id"]), answer).await.ok()["contact"].clone(),
        opened["contact"].clone(),
        config["contact"].clone(),
    ];
    for record in &told {
        assert_eq!((&record["id"], &record["name"]), (&vera["id"], &json!("Vera")), "{record}");
    }
    site.admin.post(&desk, json!({"content": "Hello"})).await.ok();
    told.extend([opened, config.clone(), visitor.says("More").await]);
    for path in ["contact", "conversations", "messages"] {
        told.push(visitor.get(path).await.ok());
    }
    told.extend(site.told(config["contact"]["pubsub_token"].as_str().unwrap()).await);
    assert!(told.iter().any(|told| told["event"] == json!("message.created")));
    for told in told {
        let text = told.to_string();
        for hidden in ["+49301234567", "\"v-1\"", "gold", "Oslo"] {
            assert!(!text.contains(hidden), "{hidden}: {told}");
        }
    }
    assert_eq!(site.contact(&vera["id"]).await["custom_attributes"], json!({"plan": "gold"}));

    // Who proves to be a contact sees all of it.
    let proved = json!({"identifier": "v-1", "identifier_hash": site.proof("v-1")});
    visitor.patch("contact/set_user", proved).await.ok();
    let config = visitor.post("config", json!({})).await.ok();
    assert_eq!(config["contact"]["phone_number"], json!("+49301234567"));
}

#[tokio::test]
async fn a_form_before_the_chat_says_who_it_is_and_opens_a_conversation() {
    let site = site().await;
    let visitor = site.visitor().await;
    let form = json!({
        "contact": {"name": "Vera", "email": "vera@example.org", "custom_attributes": {"plan": "gold"}},
        "message": {"content": "Hello", "timestamp": "2026-01-05 10:00:00 +0100", "referer_url": "https://shop.example.com/cart"},
        "custom_attributes": {"order": "A-17"},
    });
    let opened = visitor.post("conversations", form.clone()).await.ok();
    assert_eq!(opened["contact"]["name"], json!("Vera"));
    assert_eq!(opened["contact"]["custom_attributes"], json!({"plan": "gold"}));
    assert_eq!(opened["custom_attributes"], json!({"order": "A-17"}));
    assert_eq!(opened["messages"][0]["content"], json!("Hello"));
    let shown = site.admin.get(&format!("/conversations/{}", opened["id"])).await.ok();
    assert_eq!(shown["additional_attributes"]["referer"], json!("https://shop.example.com/cart"));
    let second = visitor.post("conversations", form).await.ok();
    assert_ne!(second["id"], opened["id"]);
    assert_eq!(visitor.get("conversations").await.ok()["id"], second["id"]);
}

#[tokio::test]
async fn an_address_names_who_gives_no_name() {
    let site = site().await;
    let named = async |name: Value| {
        let visitor = site.visitor().await;
        let before = visitor.post("config", json!({})).await.ok()["contact"]["name"].clone();
        let email = format!("Vera.{}@Ex.org", before.as_str().unwrap());
        let form = json!({"contact": {"name": name, "email": email}, "message": {"content": "Hi"}});
        let opened = visitor.post("conversations", form).await.ok();
        (opened["contact"]["name"].clone(), before)
    };
    let (name, before) = named(Value::Null).await;
    assert_eq!(name, json!(format!("vera.{}", before.as_str().unwrap())));
    // A field that was left empty is no reason to take another name.
    let (name, before) = named(json!("")).await;
    assert_eq!(name, before);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let site = site().await;
    let visitor = site.visitor().await;
    let nobody = site.browser(None);
    let refused = |reply: Reply, name: &str| {
        let text = format!("param is missing or the value is empty: {name}");
        assert_eq!(reply.status(422), json!({"error": text}));
    };
    let not_sent =
        |name: &str| [json!({}), json!({name: null}), json!({name: "text"}), json!({name: [1]})];
    for body in not_sent("message") {
        for path in ["messages", "conversations"] {
            refused(visitor.post(path, body.clone()).await, "message");
            nobody.post(path, body.clone()).await.status(404);
        }
    }
    assert_eq!(visitor.get("conversations").await.ok(), json!({}));
    let number = visitor.says("Hello").await["conversation_id"].clone();
    let path = "conversations/set_custom_attributes";
    visitor.post(path, json!({"custom_attributes": {"a": 1}})).await.status(204);
    for body in not_sent("custom_attributes") {
        refused(visitor.post(path, body).await, "custom_attributes");
    }
    let shown = site.admin.get(&format!("/conversations/{number}")).await.ok();
    assert_eq!(shown["custom_attributes"], json!({"a": 1}));
    visitor.post(path, json!({"custom_attributes": {}})).await.status(204);

    let question = json!({"content": "Which?", "content_type": "input_select",
        "content_attributes": {"items": [{"title": "Red", "value": "red"}]}});
    let desk = format!("/conversations/{number}/messages");
    let question = site.admin.post(&desk, question).await.ok()["id"].clone();
    let path = format!("messages/{question}");
    for body in not_sent("message") {
        let refused = visitor.patch(&path, body).await.status(422);
        assert_eq!(refused["attributes"], json!(["message"]));
    }
    visitor.patch(&path, json!({"message": {}})).await.ok();
}

#[tokio::test]
async fn messages_are_read_from_one_to_another() {
    let site = site().await;
    let visitor = site.visitor().await;
    let mut ids = Vec::new();
    for text in ["one", "two", "three", "four"] {
        ids.push(visitor.says(text).await["id"].as_i64().unwrap());
    }
    let read = async |query: String| {
        let found = visitor.get(&format!("messages?{query}")).await.ok();
        let found = found["payload"].as_array().unwrap().clone();
        found.iter().map(|m| m["id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(read(format!("after={}&before={}", ids[1], ids[3])).await, ids[1..3]);
    assert_eq!(read(format!("after={}", ids[1])).await, ids[2..]);
    assert_eq!(read(format!("before={}", ids[1])).await, ids[..1]);
}

#[tokio::test]
async fn who_was_asked_for_an_address_by_somebody_is_not_asked_again() {
    let site = site().await;
    let visitor = site.visitor().await;
    let number = visitor.says("Hello").await["conversation_id"].clone();
    let desk = format!("/conversations/{number}/messages");
    let asked = json!({"content": "Where do we reach you?", "content_type": "input_email"});
    let asked = site.admin.post(&desk, asked).await.ok()["id"].clone();
    let inbox = format!("/inboxes/{}", site.inbox["id"]);
    site.admin.patch(&inbox, json!({"enable_email_collect": true})).await.ok();
    visitor.says("Well").await;
    let questions = async || {
        let found = visitor.get("messages").await.ok()["payload"].as_array().unwrap().clone();
        let asks = |m: &Value| m["content_type"] == json!("input_email");
        found.into_iter().filter(asks).collect::<Vec<_>>()
    };
    assert_eq!(questions().await.len(), 1);

    // It is answered by an address, or by none; what is none is refused.
    let path = format!("messages/{asked}");
    let submitted = async || questions().await[0]["content_attributes"].clone();
    visitor.patch(&path, json!({"contact": {}})).await.ok();
    assert_eq!(submitted().await, json!({"submitted_email": null}));
    visitor.patch(&path, json!({"contact": {"email": "Vera@example.org"}})).await.ok();
    let inbox = format!("inbox_{}", site.inbox["id"]);
    let before = site.told(&inbox).await.len();
    let refused = visitor.patch(&path, json!({"contact": {"email": "none"}})).await.status(422);
    assert_eq!(refused["attributes"], json!(["email"]));
    assert_eq!(submitted().await, json!({"submitted_email": "none"}));
    let told = site.told(&inbox).await.split_off(before);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["event"], json!("message.updated"));
    let known = visitor.post("config", json!({})).await.ok()["contact"].clone();
    assert_eq!(known["email"], json!("vera@example.org"));
    let values = json!({"message": {"submitted_values": [{"name": "a", "value": "b"}]}});
    visitor.patch(&path, values).await.ok();
    assert_eq!(submitted().await, json!({"submitted_email": null}));
}

#[tokio::test]
async fn an_address_given_in_the_chat_says_who_it_is() {
    let site = site().await;
    let collect = json!({"name": "Asking", "enable_email_collect": true, "channel": {
        "type": "web_widget", "website_url": "https://shop.example.com"}});
    let site = Site { inbox: site.admin.post("/inboxes", collect).await.ok(), ..site };
    let asked = |messages: &Value| {
        let all = messages["payload"].as_array().unwrap();
        all.iter().find(|m| m["content_type"] == json!("input_email")).unwrap()["id"].clone()
    };
    let (first, second) = (site.visitor().await, site.visitor().await);
    for visitor in [&first, &second] {
        visitor.says("Hello").await;
        let path = format!("messages/{}", asked(&visitor.get("messages").await.ok()));
        visitor.patch(&path, json!({"contact": {"email": "none"}})).await.status(422);
        let given = json!({"contact": {"email": "Vera@example.org"}, "message": {}});
        visitor.patch(&path, given).await.ok();
        let messages = visitor.get("messages").await.ok();
        let found = messages["payload"].as_array().unwrap();
        let field = found.iter().find(|m| m["content_type"] == json!("input_email")).unwrap();
        assert_eq!(field["content_attributes"]["submitted_email"], json!("vera@example.org"));
    }
    let (one, two) = (first.get("contact").await.ok(), second.get("contact").await.ok());
    assert_eq!(one["id"], two["id"]);
    assert_eq!(site.contact(&one["id"]).await["name"], json!("vera"));
}

#[tokio::test]
async fn who_turns_out_to_be_known_waits_for_who_holds_their_conversations() {
    let site = site().await;
    let collect = json!({"name": "Asking", "enable_email_collect": true, "channel": {
        "type": "web_widget", "website_url": "https://shop.example.com"}});
    let site = Site { inbox: site.admin.post("/inboxes", collect).await.ok(), ..site };
    let known = |name: &str, more: Value| {
        let mut body = json!({"name": name, "inbox_id": site.inbox["id"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let admin = site.admin.clone();
        async move { admin.post("/contacts", body).await.ok()["payload"]["contact"]["id"].clone() }
    };
    let vera = known("Vera", json!({"email": "vera@example.org"})).await;
    let visitor = site.visitor().await;
    visitor.says("Hello").await;
    let messages = visitor.get("messages").await.ok();
    let all = messages["payload"].as_array().unwrap();
    let asked = all.iter().find(|m| m["content_type"] == json!("input_email")).unwrap();
    let path = format!("messages/{}", asked["id"]);
    let contact = ContactId(visitor.get("contact").await.ok()["id"].as_i64().unwrap());
    let inbox = InboxId(site.inbox["id"].as_i64().unwrap());
    // Somebody opens a conversation where the visitor writes from.
    let opening =
        async move |tx: &mut WriteTx<'_>, scope: &Scope<Agent>, meanwhile: &mut Meanwhile| {
            let joined = contacts::sql::inboxes_of(tx, scope, &[contact.0]).await?;
            let source_id = &joined[0].source_id;
            let of = contacts::sql::contact_inbox_anywhere(tx, scope, source_id).await?.unwrap();
            conversations::sql::lock_contact_inbox(tx, scope, of.id).await?;
            meanwhile.waits(tx).await?;
            conversations::sql::latest_of_contact_inbox(tx, scope, of.id, inbox).await?;
            Ok(())
        };
    let given = json!({"contact": {"email": "vera@example.org"}, "message": {}});
    beside(&site.app, &site.admin, opening, visitor.patch(&path, given)).await.ok();
    assert_eq!(visitor.get("contact").await.ok()["id"], vera);

    // Somebody writes to one of two that both turn out to be the visitor.
    let one = known("One", json!({"identifier": "crm-1"})).await;
    let two = known("Two", json!({"email": "two@example.org"})).await;
    let place = json!({"inbox_id": site.inbox["id"], "contact_id": one});
    let number = site.admin.post("/conversations", place).await.ok()["id"].as_i64().unwrap();
    let other = site.visitor().await;
    let writing =
        async move |tx: &mut WriteTx<'_>, scope: &Scope<Agent>, meanwhile: &mut Meanwhile| {
            let mut c = conversations::lock(tx, scope, DisplayId(number)).await?;
            meanwhile.waits(tx).await?;
            let sender = Sender::Contact(Box::new(c.contact.clone()));
            let new = NewMessage::text(MessageType::Incoming, Some("Hm".to_owned()), sender);
            messages::create(tx, scope, &mut c, new, &Performer::System).await?;
            Ok(())
        };
    let identity = json!({"identifier": "crm-1", "email": "two@example.org"});
    let merged = other.patch("contact/set_user", identity);
    let merged = beside(&site.app, &site.admin, writing, merged).await.ok();
    assert_eq!(merged["id"], two);
    site.admin.get(&format!("/contacts/{one}")).await.status(404);
}

#[tokio::test]
async fn questions_are_answered_by_those_who_were_asked() {
    let site = site().await;
    let (visitor, other) = (site.visitor().await, site.visitor().await);
    let number = visitor.says("Hello").await["conversation_id"].clone();
    other.says("Hello").await;
    let desk = format!("/conversations/{number}/messages");
    let question = json!({"content": "Which?", "content_type": "input_select",
        "content_attributes": {"items": [{"title": "Red", "value": "red"}]}});
    let question = site.admin.post(&desk, question).await.ok()["id"].clone();
    let note = site.admin.post(&desk, json!({"content": "Hm", "private": true})).await.ok();
    let answer =
        json!({"message": {"submitted_values": [{"title": "Red", "value": "red", "x": 1}]}});
    other.patch(&format!("messages/{question}"), answer.clone()).await.status(404);
    visitor.patch(&format!("messages/{}", note["id"]), answer.clone()).await.status(404);
    visitor.patch("messages/nonsense", answer.clone()).await.status(404);
    let long = json!({"message": {"submitted_values": [{"title": "R".repeat(70_000)}]}});
    visitor.patch(&format!("messages/{question}"), long).await.status(422);
    visitor.patch(&format!("messages/{question}"), answer).await.ok();
    let shown = visitor.get("messages").await.ok()["payload"][1].clone();
    let values = &shown["content_attributes"]["submitted_values"];
    assert_eq!(*values, json!([{"title": "Red", "value": "red"}]));
}

#[tokio::test]
async fn labels_and_attributes_wait_for_the_conversation_and_labels_must_exist() {
    let site = site().await;
    site.admin.post("/labels", json!({"title": "vip"})).await.ok();
    let visitor = site.visitor().await;
    visitor.post("labels", json!({"label": "vip"})).await.status(204);
    let attributes = json!({"custom_attributes": {"a": 1}});
    visitor.post("conversations/set_custom_attributes", attributes.clone()).await.status(404);
    visitor.get("conversations/toggle_status").await.status(404);
    visitor.post("conversations/update_last_seen", json!({})).await.status(204);
    let other = site.visitor().await;
    let alone = json!({"message": {"content": "Hello"}, "labels": "vip"});
    let number = other.post("messages", alone).await.ok()["conversation_id"].clone();
    let unmarked = site.admin.get(&format!("/conversations/{number}")).await.ok();
    assert_eq!(unmarked["labels"], json!([]), "a text is no list");
    let stream = format!("inbox_{}", site.inbox["id"]);
    let before = site.told(&stream).await.len();
    let first = json!({"message": {"content": "Hello"}, "labels": ["vip", "fresh"],
        "custom_attributes": {"order": "A-17"}});
    let number = visitor.post("messages", first).await.ok()["conversation_id"].clone();
    let told = site.told(&stream).await.split_off(before);
    let told: Vec<(&str, &Value)> = told
        .iter()
        .map(|told| (told["event"].as_str().unwrap(), &told["data"]["labels"]))
        .filter(|(event, _)| event.starts_with("conversation.") || *event == "message.created")
        .collect();
    assert_eq!(
        told[..3],
        [
            ("conversation.created", &json!([])),
            ("conversation.updated", &json!(["vip"])),
            ("message.created", &Value::Null)
        ]
    );
    let shown = async || site.admin.get(&format!("/conversations/{number}")).await.ok();
    assert_eq!(shown().await["labels"], json!(["vip"]));
    assert_eq!(shown().await["custom_attributes"], json!({"order": "A-17"}));
    visitor.send(Method::DELETE, "labels/vip", Value::Null).await.status(204);
    assert_eq!(shown().await["labels"], json!([]));
    visitor.post("labels", json!({"label": "fresh"})).await.status(204);
    visitor.post("labels", json!({"label": "vip"})).await.status(204);
    assert_eq!(shown().await["labels"], json!(["vip"]));
    visitor.post("conversations/set_custom_attributes", attributes).await.status(204);
    assert_eq!(shown().await["custom_attributes"], json!({"a": 1}));
    for long in [json!({"a": "x".repeat(1501)}), json!({"a": vec!["x".repeat(1000); 70]})] {
        let long = json!({"custom_attributes": long});
        visitor.post("conversations/set_custom_attributes", long).await.status(422);
    }
    assert_eq!(shown().await["custom_attributes"], json!({"a": 1}));
    let gone = json!({"custom_attribute": ["a"]});
    let record = visitor.post("conversations/destroy_custom_attributes", gone).await.ok();
    assert_eq!(record["custom_attributes"], json!({}));
    assert_eq!(record["label_list"], json!(["vip"]));
}

#[tokio::test]
async fn a_visitor_ends_a_conversation_where_the_website_lets_them() {
    let site = site().await;
    let visitor = site.visitor().await;
    visitor.says("Hello").await;
    visitor.get("conversations/toggle_status").await.status(200);
    visitor.get("conversations/toggle_status").await.status(200);
    assert_eq!(visitor.get("conversations").await.ok()["status"], json!("resolved"));
    visitor.says("Oh, wait").await;
    assert_eq!(visitor.get("conversations").await.ok()["status"], json!("open"));
    let closed = site_with(json!({"selected_feature_flags": ["attachments"]})).await;
    let visitor = closed.visitor().await;
    visitor.says("Hello").await;
    visitor.get("conversations/toggle_status").await.status(403);
}

#[tokio::test]
async fn a_proved_visitor_sees_the_conversation_from_every_browser() {
    let site = site().await;
    let (desktop, phone) = (site.visitor().await, site.visitor().await);
    let identity = json!({"identifier": "mia", "identifier_hash": site.proof("mia")});
    desktop.patch("contact/set_user", identity.clone()).await.ok();
    let number = desktop.says("From my desk").await["conversation_id"].clone();
    phone.patch("contact/set_user", json!({"identifier": "mia"})).await.ok();
    assert_eq!(phone.get("conversations").await.ok(), json!({}));
    phone.patch("contact/set_user", identity).await.ok();
    assert_eq!(phone.get("conversations").await.ok()["id"], number);
}

#[tokio::test]
async fn looking_is_told_and_what_was_sent_is_read() {
    let site = site().await;
    let visitor = site.visitor().await;
    let number = visitor.says("Hello").await["conversation_id"].clone();
    let desk = format!("/conversations/{number}/messages");
    site.admin.post(&desk, json!({"content": "Hi"})).await.ok();
    assert_eq!(visitor.get("conversations").await.ok()["contact_last_seen_at"], json!(0));
    visitor.post("conversations/update_last_seen", json!({})).await.status(200);
    let now = site.app.now().unix();
    assert_eq!(visitor.get("conversations").await.ok()["contact_last_seen_at"], json!(now));
    let sent = site.admin.get(&desk).await.ok()["payload"].clone();
    let status: Vec<&Value> = sent.as_array().unwrap().iter().map(|m| &m["status"]).collect();
    assert_eq!(status, ["sent", "read"]);
}

#[tokio::test]
async fn people_who_answer_are_shown_to_everybody() {
    let site = site().await;
    let grace = site.app.member(site.admin.account.unwrap(), "Grace", "agent").await;
    let members = json!({"inbox_id": site.inbox["id"], "user_ids": [grace.id]});
    site.admin.post("/inbox_members", members).await.ok();
    let people = site.browser(None).get("inbox_members").await.ok()["payload"].clone();
    assert_eq!(people.as_array().unwrap().len(), 1);
    assert_eq!(people[0]["name"], json!("Grace"));
    assert_eq!(people[0]["availability_status"], json!("offline"));
}

#[tokio::test]
async fn only_a_website_that_works_has_campaigns() {
    let site = site().await;
    let path = "/api/v1/widget/campaigns";
    assert_eq!(site.browser(None).get("campaigns").await.ok(), json!([]));
    for unknown in [path.to_owned(), format!("{path}?website_token=nosuchwebsite")] {
        let refused = site.app.anyone().get(&unknown).await.status(404);
        assert_eq!(refused, json!({"error": "Resource could not be found"}));
    }
    let account = format!("/platform/api/v1/accounts/{}", site.admin.account.unwrap());
    site.app.platform().patch(&account, json!({"status": "suspended"})).await.ok();
    let refused = site.browser(None).get("campaigns").await.status(401);
    assert_eq!(refused, json!({"error": "Account is suspended"}));
}
