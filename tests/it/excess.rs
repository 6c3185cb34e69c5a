//! What is sent to make the server work, or keep, more than its size is worth.

use chatwarden_testkit::{Actor, App};
use http::Method;
use serde_json::{Map, Value, json};

/// A conversation's messages.
async fn thread(admin: &Actor) -> String {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let place = json!({"inbox_id": inbox["id"], "contact_id": contact["payload"]["contact"]["id"]});
    let made = admin.post("/conversations", place).await.ok();
    format!("/conversations/{}/messages", made["id"])
}

#[tokio::test]
async fn placeholders_that_are_too_much_stay_as_they_were_written() {
    let (_, admin) = App::start().await;
    let messages = thread(&admin).await;
    for content in [
        format!("{{% if '%}}' == a {} %}}x{{% endif %}}", "and a ".repeat(12_000)),
        format!("{}{{{{ contact.name }}}}", " ".repeat(100_000)),
        "{{ 99999999999999999999999 }}".to_owned(),
    ] {
        let sent = admin.post(&messages, json!({"content": content})).await.ok();
        assert_eq!(sent["content"], content);
    }
}

#[tokio::test]
async fn many_stray_keys_are_named_in_part() {
    let (_, admin) = App::start().await;
    let messages = thread(&admin).await;
    let item: Map<String, Value> = (0..100_000).map(|n| (format!("k{n}"), json!(1))).collect();
    let body = json!({"content_type": "input_select", "content": "?", "content_attributes": {"items": [item]}});
    let refused = admin.post(&messages, body).await.status(422);
    assert!(refused.to_string().len() < 1000, "{refused}");
}

#[tokio::test]
async fn nothing_bears_more_than_a_hundred_labels() {
    let (app, admin) = App::start().await;
    let messages = thread(&admin).await;
    let labels = messages.replace("messages", "labels");
    let many = |count: u32| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    admin.post(&labels, json!({"labels": many(100)})).await.ok();
    let refused = admin.post(&labels, json!({"labels": many(101)})).await.status(422);
    assert!(refused["message"].as_str().unwrap().contains("Labels"), "{refused}");
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let query = format!("website_token={}", site["website_token"].as_str().unwrap());
    let config = app.anyone().post(&format!("/api/v1/widget/config?{query}"), json!({})).await.ok();
    let token = config["website_channel_config"]["auth_token"].as_str().unwrap();
    let visitor = app.anyone().with_header("x-auth-token", token);
    let body = json!({"message": {"content": "Hello"}, "labels": many(150_000)});
    visitor.post(&format!("/api/v1/widget/messages?{query}"), body).await.status(422);
}

#[tokio::test]
async fn attributes_and_echoes_have_their_limits() {
    let (app, admin) = App::start().await;
    let large = json!({"note": "x".repeat(64 * 1024)});
    let faults = |reply: Value| reply["attributes"].clone();
    let body = json!({"name": "Vera", "custom_attributes": large});
    let refused = admin.post("/contacts", body).await.status(422);
    assert_eq!(faults(refused), json!(["custom_attributes"]));
    let inbox =
        admin.post("/inboxes", json!({"name": "Till", "channel": {"type": "api"}})).await.ok();
    let contacts =
        format!("/public/api/v1/inboxes/{}/contacts", inbox["inbox_identifier"].as_str().unwrap());
    app.anyone().post(&contacts, json!({"custom_attributes": large})).await.status(422);
    let known = app.anyone().post(&contacts, json!({"name": "Vera"})).await.ok();
    let own = format!("{contacts}/{}", known["source_id"].as_str().unwrap());
    app.anyone().patch(&own, json!({"custom_attributes": large})).await.status(422);

    let messages = thread(&admin).await;
    let attributes = messages.replace("messages", "custom_attributes");
    admin.post(&attributes, json!({"custom_attributes": {"a": {"b": large}}})).await.status(422);
    let said = |more: Value| {
        let mut body = json!({"content": "Hello"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        admin.post(&messages, body)
    };
    let refused = said(json!({"content_attributes": large})).await.status(422);
    assert!(refused.to_string().contains("too large"), "{refused}");
    said(json!({"echo_id": {"a": 1}})).await.status(422);
    said(json!({"echo_id": "x".repeat(256)})).await.status(422);
    assert_eq!(said(json!({"echo_id": "mine"})).await.ok()["echo_id"], json!("mine"));
}

#[tokio::test]
async fn labels_are_counted_as_they_are_sent_and_as_they_are_borne() {
    let (app, admin) = App::start().await;
    let made = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let id = made["payload"]["contact"]["id"].clone();
    let path = format!("/contacts/{id}/labels");
    for (sent, status) in [("vip,".repeat(999), 200), ("vip,".repeat(1000), 422)] {
        admin.post(&path, json!({"labels": [sent]})).await.status(status);
    }
    let titles = |from: usize| (from..from + 60).map(|n| n.to_string()).collect::<Vec<String>>();
    admin.post(&path, json!({"labels": titles(0)})).await.ok();
    let more = json!({"type": "Contact", "ids": [id], "labels": {"add": titles(60)}});
    admin.post("/bulk_actions", more).await.ok();
    app.settle().await;
    let borne = admin.get(&path).await.ok()["payload"].as_array().unwrap().len();
    assert_eq!(borne, 60, "120 would be too many");
}

#[tokio::test]
async fn a_form_has_so_many_parts() {
    let (app, _) = App::start().await;
    let form = |count: usize, name: &str| {
        let mut body = String::new();
        for n in 0..count {
            body +=
                &format!("--x\r\nContent-Disposition: form-data; name=\"{name}{n}\"\r\n\r\n\r\n");
        }
        bytes::Bytes::from(body + "--x--\r\n")
    };
    let path = "/api/v1/widget/messages?website_token=nosuchwebsite";
    let kind = "multipart/form-data; boundary=x";
    for (count, name, status) in
        [(4096, "a", 404), (5000, "a", 400), (5000, "message[attachments][]", 400)]
    {
        let sent = app.anyone().send_raw(Method::POST, path, kind, form(count, name)).await;
        assert_eq!(sent.status.as_u16(), status, "{count} {name}: {sent:?}");
    }
}
