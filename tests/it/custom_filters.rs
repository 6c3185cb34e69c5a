//! Saved filters: each member's own.

use chatwarden_testkit::App;
use serde_json::{Value, json};

#[tokio::test]
async fn each_member_has_their_own() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let query = json!({"payload": [{"attribute_key": "status", "values": ["open"]}]});
    let made = json!({"name": "Mine", "filter_type": "conversation", "query": query});
    let made = agent.post("/custom_filters", made).await.ok();
    assert_eq!(made["query"], query);
    let path = format!("/custom_filters/{}", made["id"]);
    admin.get(&path).await.status(404);
    admin.patch(&path, json!({"name": "Hers"})).await.status(404);
    admin.delete(&path).await.status(404);
    assert_eq!(admin.get("/custom_filters").await.ok(), json!([]));
    let changed = agent.patch(&path, json!({"name": "Ours"})).await.ok();
    assert_eq!(changed["query"], query);
    agent.delete(&path).await.status(204);
    agent.get(&path).await.status(404);
}

#[tokio::test]
async fn kinds_are_named_or_numbered() {
    let (_, admin) = App::start().await;
    admin.post("/custom_filters", json!({"name": "A", "filter_type": 1})).await.ok();
    admin.post("/custom_filters", json!({"name": "B", "filter_type": "report"})).await.ok();
    let of = async |kind: &str| {
        admin.get(&format!("/custom_filters?filter_type={kind}")).await.ok()[0]["name"].clone()
    };
    assert_eq!(of("contact").await, json!("A"));
    assert_eq!(of("2").await, json!("B"));
    admin.post("/custom_filters", json!({"name": "C"})).await.ok();
    for none in ["shoe", ""] {
        let path = format!("/custom_filters?filter_type={none}");
        assert_eq!(admin.get(&path).await.ok(), json!([]));
    }
    admin.post("/custom_filters", json!({"name": "C", "filter_type": "shoe"})).await.status(422);
    for none in [Value::Null, json!("")] {
        let body = json!({"name": "C", "filter_type": none});
        let refused = admin.post("/custom_filters", body).await.status(422);
        assert_eq!(refused["attributes"], json!(["filter_type"]));
    }
    for unnamed in
        [json!({"name": null}), json!({"filter_type": "contact"}), json!({"name": {}, "query": {}})]
    {
        let refused = admin.post("/custom_filters", unnamed).await.status(422);
        assert_eq!(refused["attributes"], json!(["name"]));
    }
    // A name may be empty; a query is an object.
    let query = json!({"payload": []});
    let empty = json!({"name": "", "query": query});
    let made = admin.post("/custom_filters", empty).await.ok();
    assert_eq!((&made["name"], &made["query"]), (&json!(""), &query));
    for odd in [json!([1]), json!("words"), json!(7)] {
        let body = json!({"name": "x", "query": odd});
        let refused = admin.post("/custom_filters", body).await.status(422);
        assert_eq!(refused["attributes"], json!(["query"]));
    }
    admin.patch("/custom_filters/999999", json!({})).await.status(404);
    let path = format!("/custom_filters/{}", made["id"]);
    for odd in [json!({}), json!({"name": "New", "filter_type": null})] {
        admin.patch(&path, odd).await.status(422);
    }
    assert_eq!(admin.get(&path).await.ok(), made);
}

#[tokio::test]
async fn they_wait_for_who_comes_back() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let agent = app.member(account, "Grace", "agent").await;
    agent.post("/custom_filters", json!({"name": "Mine"})).await.ok();
    let users = format!("/platform/api/v1/accounts/{account}/account_users");
    let body = json!({"user_id": agent.id, "role": "agent"});
    app.platform().send(http::Method::DELETE, &users, body.clone()).await.ok();
    agent.get("/custom_filters").await.status(401);
    app.platform().post(&users, body).await.ok();
    assert_eq!(agent.get("/custom_filters").await.ok()[0]["name"], json!("Mine"));
}
