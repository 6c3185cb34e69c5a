//! What a change costs: those that are about several people take as many statements as about one.

use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_testkit::{Actor, App, Reply};
use serde_json::{Value, json};

/// The statements that a call takes.
async fn statements(call: impl Future<Output = Reply>) -> u64 {
    let scope = UsageScope::default();
    usage_scope(scope.clone(), call).await.ok();
    scope.usage().statements
}

/// Invites people by their addresses.
async fn invite(admin: &Actor, emails: &[String]) -> Reply {
    admin.post("/agents/bulk_create", json!({"emails": emails})).await
}

#[tokio::test]
async fn many_are_invited_for_the_price_of_one() {
    let (app, admin) = App::start().await;
    let elsewhere = app.account("Elsewhere").await;
    let other = app.member(elsewhere, "Olga", "administrator").await;
    let waiting: Vec<String> = (0..6).map(|n| format!("waiting{n}@example.com")).collect();
    invite(&other, &waiting).await.ok();
    let known = [app.member(elsewhere, "Una", "agent").await, other].map(|one| one.email.unwrap());
    let new: Vec<String> = (0..6).map(|n| format!("new{n}@example.com")).collect();

    let one_of_each = [new[0].clone(), waiting[0].clone(), known[0].clone()];
    let of_one = statements(invite(&admin, &one_of_each)).await;
    let rest = [&new[1..], &waiting[1..], &known[1..]].concat();
    assert_eq!(statements(invite(&admin, &rest)).await, of_one);
    let there = admin.get("/agents").await.ok();
    assert_eq!(there.as_array().unwrap().len(), 1 + 6 + 6 + 2);
    let offline = there.as_array().unwrap().iter().filter(|one| one["auto_offline"] == false);
    assert_eq!(offline.count(), 6 + 6 + 2);
}

#[tokio::test]
async fn a_contact_and_its_inbox_are_read_once_for_a_conversation() {
    let (_, admin) = App::start().await;
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok()["id"].clone();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let contact = contact["payload"]["contact"]["id"].clone();
    let place = json!({"inbox_id": inbox, "source_id": "till"});
    admin.post(&format!("/contacts/{contact}/contact_inboxes"), place).await.ok();
    let found = json!({"source_id": "till"});
    let named = json!({"source_id": "till", "inbox_id": inbox, "contact_id": contact});
    let found = statements(admin.post("/conversations", found)).await;
    let named = statements(admin.post("/conversations", named)).await;
    assert_eq!(named, found);
}

/// A member of so many accounts, with a seat, a team and a conversation in each.
async fn member_of(app: &App, name: &str, accounts: usize) -> (Actor, Vec<(Actor, String)>) {
    let home = app.account(name).await;
    let person = app.member(home, name, "agent").await;
    let mut there = Vec::new();
    for n in 0..accounts {
        let account = app.account(&format!("{name} {n}")).await;
        let admin = app.member(account, "Ada", "administrator").await;
        let joins = format!("/platform/api/v1/accounts/{account}/account_users");
        app.platform().post(&joins, json!({"user_id": person.id, "role": "agent"})).await.ok();
        let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
        let inbox = admin.post("/inboxes", inbox).await.ok()["id"].clone();
        let seat = json!({"inbox_id": inbox, "user_ids": [person.id]});
        admin.post("/inbox_members", seat).await.ok();
        let team = admin.post("/teams", json!({"name": "support"})).await.ok();
        let members = format!("/teams/{}/team_members", team["id"]);
        admin.post(&members, json!({"user_ids": [person.id]})).await.ok();
        let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
        let place = json!({
            "inbox_id": inbox, "contact_id": contact["payload"]["contact"]["id"],
            "assignee_id": person.id,
        });
        let conversation = admin.post("/conversations", place).await.ok();
        there.push((admin, format!("/conversations/{}", conversation["id"])));
    }
    (person, there)
}

#[tokio::test]
async fn whoever_is_in_many_accounts_is_removed_like_anybody() {
    let (app, _) = App::start().await;
    let mut costs = Vec::new();
    for (name, accounts) in [("Una", 1), ("Olga", 5)] {
        let (person, there) = member_of(&app, name, accounts).await;
        app.settle().await;
        let path = format!("/platform/api/v1/users/{}", person.id.unwrap());
        costs.push(statements(app.platform().delete(&path)).await);
        app.settle().await;
        for (admin, conversation) in there {
            let agents = admin.get("/agents").await.ok();
            assert_eq!(agents.as_array().unwrap().len(), 1);
            let unassigned = admin.get("/conversations?assignee_type=unassigned").await.ok();
            assert_eq!(unassigned["data"]["meta"]["unassigned_count"], json!(1));
            let shown = admin.get(&conversation).await.ok();
            assert_eq!(shown["meta"]["assignee"], Value::Null);
        }
    }
    assert_eq!(costs[0], costs[1]);
}
