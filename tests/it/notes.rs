//! Notes on contacts: any member writes them, the last writer's name stands on them.

use chatwarden_testkit::App;
use serde_json::json;

#[tokio::test]
async fn any_member_writes_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let notes = format!("/contacts/{}/notes", contact["payload"]["contact"]["id"]);
    let first = admin.post(&notes, json!({"content": "Likes tea"})).await.ok();
    assert_eq!(first["user"]["name"], json!("Ada"));
    agent.post(&notes, json!({"note": {"content": "Likes cake"}})).await.ok();
    let all = agent.get(&notes).await.ok();
    assert_eq!(all[0]["content"], json!("Likes cake"));
    assert_eq!(all[1]["content"], json!("Likes tea"));
    let one = format!("{notes}/{}", first["id"]);
    let changed = agent.patch(&one, json!({"content": "Likes green tea"})).await.ok();
    assert_eq!(changed["user"]["name"], json!("Grace"));
    agent.delete(&one).await.ok();
    agent.get(&one).await.status(404);
    agent.delete(&one).await.status(404);
}

#[tokio::test]
async fn they_belong_to_a_contact_of_the_account() {
    let (app, admin) = App::start().await;
    let mut contacts = Vec::new();
    for name in ["Vera", "Sam"] {
        let made = admin.post("/contacts", json!({"name": name})).await.ok();
        contacts.push(format!("/contacts/{}/notes", made["payload"]["contact"]["id"]));
    }
    let note = admin.post(&contacts[0], json!({"content": "x"})).await.ok();
    admin.get(&format!("{}/{}", contacts[1], note["id"])).await.status(404);
    admin
        .patch(&format!("{}/{}", contacts[1], note["id"]), json!({"content": "y"}))
        .await
        .status(404);
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    eve.get(&contacts[0]).await.status(404);
    eve.post(&contacts[0], json!({"content": "x"})).await.status(404);
    for content in [json!(""), json!("  "), json!("x".repeat(20_001))] {
        let refused = admin.post(&contacts[0], json!({"content": content})).await.status(422);
        assert_eq!(refused["attributes"], json!(["content"]));
    }
    admin.post(&contacts[0], json!({})).await.status(422);
}
