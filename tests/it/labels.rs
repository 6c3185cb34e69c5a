//! Labels: who keeps them, what may be one, and what happens to what bears them.

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// A conversation of an agent's inbox: its path.
async fn conversation(admin: &Actor, members: &[&Actor]) -> String {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let members = json!({"inbox_id": inbox["id"], "user_ids": ids});
    admin.post("/inbox_members", members).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let place = json!({"inbox_id": inbox["id"], "contact_id": contact["payload"]["contact"]["id"]});
    format!("/conversations/{}", admin.post("/conversations", place).await.ok()["id"])
}

async fn activities(agent: &Actor, path: &str) -> Vec<String> {
    let found = agent.get(&format!("{path}/messages")).await.ok();
    let all = found["payload"].as_array().unwrap().clone();
    all.iter()
        .filter(|m| m["message_type"] == json!(2))
        .map(|m| m["content"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn administrators_keep_labels_and_members_see_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = admin.post("/labels", json!({"label": {"title": "VIP"}})).await.ok();
    assert_eq!(made["title"], json!("vip"));
    assert_eq!(made["color"], json!("#1f93ff"));
    admin.post("/labels", json!({"title": "billing", "show_on_sidebar": true})).await.ok();
    let list = agent.get("/labels").await.ok();
    assert_eq!(list["payload"][0]["title"], json!("billing"));
    assert_eq!(list["payload"][0]["show_on_sidebar"], json!(true));
    let path = format!("/labels/{}", made["id"]);
    for refused in [
        agent.get(&path).await,
        agent.post("/labels", json!({"title": "mine"})).await,
        agent.patch(&path, json!({"title": "mine"})).await,
        agent.delete(&path).await,
    ] {
        refused.status(401);
    }
    let elsewhere = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    elsewhere.get(&path).await.status(404);
    elsewhere.patch(&path, json!({"title": "mine"})).await.status(404);
    elsewhere.delete(&path).await.status(404);
}

#[tokio::test]
async fn faults_are_said_by_field() {
    let (_, admin) = App::start().await;
    admin.post("/labels", json!({"title": "vip"})).await.ok();
    for title in ["vip", "VIP", "", "a", "two words", "-a"] {
        let refused = admin.post("/labels", json!({"title": title})).await.status(422);
        assert_eq!(refused["attributes"], json!(["title"]), "{title}: {refused}");
    }
    let long = json!({"title": "long", "description": "a".repeat(20_001)});
    let refused = admin.post("/labels", long).await.status(422);
    assert_eq!(refused["attributes"], json!(["description"]));
    let pale = json!({"title": "pale", "color": null});
    let refused = admin.post("/labels", pale).await.status(422);
    assert_eq!(refused["attributes"], json!(["color"]));
    admin.post("/labels", json!({})).await.status(422);
    let said = async |body: Value| admin.post("/labels", body).await.status(422)["message"].clone();
    let both = json!({"title": "VIP", "description": "a".repeat(20_001)});
    let all = "Description is too long (maximum is 20000 characters), Title has already been taken";
    assert_eq!(said(both).await, json!(all));
    // A column of the record makes a record, though it can't be set; an unknown key makes none.
    let none = json!("Title must not be blank, Title is invalid");
    assert_eq!(said(json!({"account_id": 1})).await, none);
    assert_eq!(said(json!({"title": {"a": 1}, "color": "#ff0000"})).await, none);
    let nothing = admin.post("/labels", json!({"foo": 1})).await.status(422);
    assert_eq!(nothing["error"], json!("param is missing or the value is empty: label"));
    for marked in ["สวัสดี", "हिंदी"] {
        assert_eq!(said(json!({"title": marked})).await, json!("Title is invalid"));
    }
}

#[tokio::test]
async fn a_change_is_looked_at_where_there_is_something_to_change() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = admin.post("/labels", json!({"title": "vip", "description": "Well"})).await.ok();
    let path = format!("/labels/{}", made["id"]);
    assert_eq!(admin.patch(&path, json!({"account_id": 1})).await.ok(), made);
    let containers = json!({"title": ["x"], "description": {"a": 1}});
    assert_eq!(admin.patch(&path, containers).await.ok(), made);
    assert_eq!(admin.patch(&path, json!({"title": "VIP"})).await.ok(), made);
    for nothing in [json!({}), json!({"description": "Badly", "color": null})] {
        admin.patch(&path, nothing).await.status(422);
    }
    assert_eq!(admin.get(&path).await.ok(), made);
    admin.patch("/labels/999999", json!({})).await.status(404);
    agent.patch("/labels/999999", json!({})).await.status(401);
}

#[tokio::test]
async fn what_is_no_list_marks_nothing() {
    let (_, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let contact = admin.get(&path).await.ok()["meta"]["sender"]["id"].clone();
    for labels in [format!("{path}/labels"), format!("/contacts/{contact}/labels")] {
        for odd in [json!("solo"), json!(["a", {"b": 1}]), json!({"a": "b"}), Value::Null] {
            admin.post(&labels, json!({"labels": ["vip"]})).await.ok();
            let borne = admin.post(&labels, json!({"labels": odd})).await.ok();
            assert_eq!(borne["payload"], json!([]), "{odd}");
        }
        let form = bytes::Bytes::from_static(b"labels[]=vip&labels[]=late");
        let kind = "application/x-www-form-urlencoded";
        let borne = admin.send_raw(http::Method::POST, &labels, kind, form).await.ok();
        assert_eq!(borne["payload"], json!(["vip", "late"]));
    }
}

#[tokio::test]
async fn a_changed_list_of_labels_moves_the_cache_key() {
    let (app, admin) = App::start().await;
    let key = async || {
        let account = format!("/api/v1/accounts/{}/cache_keys", admin.account.unwrap());
        admin.get(&account).await.ok()["cache_keys"]["label"].clone()
    };
    assert_eq!(key().await, json!("0000000000"));
    let path =
        format!("/labels/{}", admin.post("/labels", json!({"title": "vip"})).await.ok()["id"]);
    assert_eq!(key().await, json!(app.now().unix().to_string()));
    app.advance(std::time::Duration::from_secs(5));
    admin.patch(&path, json!({"color": "#ff0000"})).await.ok();
    assert_eq!(key().await, json!(app.now().unix().to_string()));
    app.advance(std::time::Duration::from_secs(5));
    admin.delete(&path).await.ok();
    assert_eq!(key().await, json!(app.now().unix().to_string()));
}

#[tokio::test]
async fn a_conversation_bears_what_it_is_given_and_says_so() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let outsider = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let path = conversation(&admin, &[&agent]).await;
    let labels = format!("{path}/labels");
    let given = json!({"labels": ["vip", " later ", "vip", ""]});
    let borne = agent.post(&labels, given.clone()).await.ok();
    assert_eq!(borne["payload"], json!(["vip", "later"]));
    agent.post(&labels, json!({"labels": ["vip", "later"]})).await.ok();
    agent.post(&labels, json!({"labels": ["later", "now"]})).await.ok();
    assert_eq!(agent.get(&labels).await.ok()["payload"], json!(["later", "now"]));
    let said = activities(&agent, &path).await;
    assert_eq!(said, ["Grace added vip, later", "Grace added now", "Grace removed vip"]);
    outsider.get(&labels).await.status(401);
    outsider.post(&labels, given).await.status(401);
    let long = agent.post(&labels, json!({"labels": ["a".repeat(256)]})).await.status(422);
    assert_eq!(long["attributes"], json!(["labels"]));
}

#[tokio::test]
async fn what_bears_a_label_follows_its_title_and_loses_it() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let label = admin.post("/labels", json!({"title": "vip"})).await.ok();
    admin.post(&format!("{path}/labels"), json!({"labels": ["later", "vip"]})).await.ok();
    let contact = admin.get(&path).await.ok()["meta"]["sender"]["id"].clone();
    let contact = format!("/contacts/{contact}/labels");
    admin.post(&contact, json!({"labels": ["vip"]})).await.ok();
    let borne = async || -> (Value, Value) {
        let of = admin.get(&format!("{path}/labels")).await.ok()["payload"].clone();
        (of, admin.get(&contact).await.ok()["payload"].clone())
    };
    let label = format!("/labels/{}", label["id"]);
    admin.patch(&label, json!({"title": "gold"})).await.ok();
    app.settle().await;
    assert_eq!(borne().await, (json!(["later", "gold"]), json!(["gold"])));
    admin.delete(&label).await.ok();
    app.settle().await;
    assert_eq!(borne().await, (json!(["later"]), json!([])));
}
