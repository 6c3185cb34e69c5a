//! Many conversations or contacts at once.

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// An inbox's conversations: their numbers.
async fn conversations(admin: &Actor, members: &[&Actor], count: usize) -> Vec<Value> {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let members = json!({"inbox_id": inbox["id"], "user_ids": ids});
    admin.post("/inbox_members", members).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let contact = contact["payload"]["contact"]["id"].clone();
    let mut out = Vec::new();
    for _ in 0..count {
        let place = json!({"inbox_id": inbox["id"], "contact_id": contact});
        out.push(admin.post("/conversations", place).await.ok()["id"].clone());
    }
    out
}

#[tokio::test]
async fn conversations_are_changed_in_the_background() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let numbers = conversations(&admin, &[&agent], 3).await;
    let care = admin.post("/teams", json!({"name": "care", "allow_auto_assign": false})).await.ok();
    let ids = json!([numbers[0], numbers[1], 999]);
    let body = json!({
        "type": "Conversation", "ids": ids, "labels": {"add": ["vip", "late"]},
        "fields": {"status": "snoozed", "assignee_id": agent.id, "team_id": care["id"]},
        "snoozed_until": app.now().unix() + 60,
    });
    agent.post("/bulk_actions", body).await.ok();
    app.settle().await;
    for number in &numbers[..2] {
        let found = admin.get(&format!("/conversations/{number}")).await.ok();
        assert_eq!(found["status"], json!("snoozed"));
        assert!(found["snoozed_until"].is_string());
        assert_eq!(found["labels"], json!(["vip", "late"]));
        assert_eq!(found["meta"]["assignee"]["name"], json!("Grace"));
        assert_eq!(found["meta"]["team"]["name"], json!("care"));
    }
    let body = json!({
        "type": "conversation", "ids": ids, "labels": {"remove": ["late"]},
        "fields": {"status": null, "assignee_id": null, "team_id": null},
    });
    agent.post("/bulk_actions", body).await.ok();
    app.settle().await;
    let found = admin.get(&format!("/conversations/{}", numbers[0])).await.ok();
    assert_eq!(found["status"], json!("snoozed"));
    assert_eq!(found["labels"], json!(["vip"]));
    assert_eq!(found["meta"]["assignee"], Value::Null);
    assert_eq!(found["meta"]["team"], Value::Null);
    let spared = admin.get(&format!("/conversations/{}", numbers[2])).await.ok();
    assert_eq!(spared["status"], json!("open"));
}

#[tokio::test]
async fn what_the_member_may_not_see_is_left_alone() {
    let (app, admin) = App::start().await;
    let outsider = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let numbers = conversations(&admin, &[], 1).await;
    let body = json!({"type": "Conversation", "ids": numbers, "fields": {"status": "resolved"}});
    outsider.post("/bulk_actions", body).await.ok();
    app.settle().await;
    let found = admin.get(&format!("/conversations/{}", numbers[0])).await.ok();
    assert_eq!(found["status"], json!("open"));
}

#[tokio::test]
async fn contacts_are_marked_and_removed() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let mut ids = Vec::new();
    for name in ["Vera", "Sam"] {
        let made = admin.post("/contacts", json!({"name": name})).await.ok();
        ids.push(made["payload"]["contact"]["id"].clone());
    }
    let marked =
        json!({"type": "Contact", "ids": ids, "labels": {"add": ["vip"], "remove": ["vip"]}});
    agent.post("/bulk_actions", marked).await.ok();
    app.settle().await;
    for id in &ids {
        let labels = admin.get(&format!("/contacts/{id}/labels")).await.ok();
        assert_eq!(labels["payload"], json!(["vip"]));
    }
    let gone = json!({"type": "Contact", "ids": [ids[0], 999], "action_name": "delete"});
    agent.post("/bulk_actions", gone.clone()).await.status(401);
    admin.post("/bulk_actions", gone).await.ok();
    app.settle().await;
    admin.get(&format!("/contacts/{}", ids[0])).await.status(404);
    admin.get(&format!("/contacts/{}", ids[1])).await.ok();
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (_, admin) = App::start().await;
    for body in [json!({}), json!({"type": "Coffee", "ids": [1]})] {
        let refused = admin.post("/bulk_actions", body).await.status(422);
        assert_eq!(refused, json!({"success": false}));
    }
    let odd = json!({"type": "Conversation", "ids": [1], "fields": {"status": "lost"}});
    admin.post("/bulk_actions", odd).await.status(422);
}
