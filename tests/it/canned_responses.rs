//! Canned responses: any member keeps them, their codes are theirs alone, and a search ranks them.

use chatwarden_testkit::App;
use serde_json::{Value, json};

#[tokio::test]
async fn any_member_keeps_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let made = json!({"canned_response": {"short_code": "hi", "content": "Hello"}});
    let made = agent.post("/canned_responses", made).await.ok();
    let path = format!("/canned_responses/{}", made["id"]);
    let changed = agent.patch(&path, json!({"content": "Good day"})).await.ok();
    assert_eq!(changed["short_code"], json!("hi"));
    assert_eq!(changed["content"], json!("Good day"));
    agent.delete(&path).await.ok();
    agent.delete(&path).await.status(404);
    assert_eq!(admin.get("/canned_responses").await.ok(), json!([]));
}

#[tokio::test]
async fn faults_are_said_by_field() {
    let (_, admin) = App::start().await;
    let check = async |body: Value, attributes: Value| {
        let refused = admin.post("/canned_responses", body).await.status(422);
        assert_eq!(refused["attributes"], attributes, "{refused}");
    };
    admin.post("/canned_responses", json!({"short_code": "hi", "content": "Hello"})).await.ok();
    check(json!({"short_code": "hi", "content": "x"}), json!(["short_code"])).await;
    check(json!({"short_code": " ", "content": " "}), json!(["content", "short_code"])).await;
    check(json!({"short_code": "a".repeat(256), "content": "x"}), json!(["short_code"])).await;
    check(json!({"short_code": "long", "content": "a".repeat(20_001)}), json!(["content"])).await;
    let both = json!({"short_code": "hi", "content": ""});
    let both = admin.post("/canned_responses", both).await.status(422);
    let said = "Content can't be blank, Short code has already been taken";
    assert_eq!(both["message"], json!(said));
    check(json!({"short_code": "x", "content": {"a": 1}}), json!(["content"])).await;
    admin.post("/canned_responses", json!({})).await.status(422);
    admin.patch("/canned_responses/999999", json!({})).await.status(404);
    let own = admin.get("/canned_responses").await.ok();
    let path = format!("/canned_responses/{}", own[0]["id"]);
    let kept = admin.patch(&path, json!({"short_code": "hi", "content": ["x"]})).await.ok();
    assert_eq!(kept["content"], json!("Hello"));
    admin.patch(&path, json!({})).await.status(422);
}

#[tokio::test]
async fn a_search_finds_codes_before_contents() {
    let (_, admin) = App::start().await;
    for (code, content) in
        [("words", "Über alles"), ("say_über", "x"), ("ÜBER", "y"), ("none", "nothing")]
    {
        let body = json!({"short_code": code, "content": content});
        admin.post("/canned_responses", body).await.ok();
    }
    let found = admin.get("/canned_responses?search=%C3%BCber").await.ok();
    let codes: Vec<&Value> = found.as_array().unwrap().iter().map(|r| &r["short_code"]).collect();
    assert_eq!(codes, [&json!("ÜBER"), &json!("say_über"), &json!("words")]);
}
