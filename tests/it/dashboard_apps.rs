//! Dashboard apps: administrators keep them, all members see them.

use chatwarden_testkit::App;
use serde_json::json;

#[tokio::test]
async fn administrators_keep_them_and_members_see_them() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let content = json!([{"type": "frame", "url": "https://orders.example.com"}]);
    let made = json!({"title": "Orders", "content": content});
    agent.post("/dashboard_apps", made.clone()).await.status(401);
    let made = admin.post("/dashboard_apps", made).await.ok();
    let path = format!("/dashboard_apps/{}", made["id"]);
    assert_eq!(agent.get(&path).await.ok()["content"], content);
    agent.patch(&path, json!({"title": "Mine"})).await.status(401);
    agent.delete(&path).await.status(401);
    let changed = admin.patch(&path, json!({"title": "All orders"})).await.ok();
    assert_eq!((&changed["title"], &changed["content"]), (&json!("All orders"), &content));
    let eve = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    eve.get(&path).await.status(404);
    eve.delete(&path).await.status(404);
    admin.delete(&path).await.status(204);
    assert_eq!(agent.get("/dashboard_apps").await.ok(), json!([]));
}

#[tokio::test]
async fn faults_are_said_by_field() {
    let (_, admin) = App::start().await;
    let page = json!({"type": "frame", "url": "https://example.com"});
    let refused = admin
        .post("/dashboard_apps", json!({"title": "X", "content": [page, {}]}))
        .await
        .status(422);
    assert_eq!(refused["message"], json!("Content : Invalid data"));
    let untitled = admin.post("/dashboard_apps", json!({"content": [page]})).await.status(422);
    assert_eq!(untitled["attributes"], json!(["title"]));
    admin.post("/dashboard_apps", json!({})).await.status(422);
}
