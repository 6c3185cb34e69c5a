//! Who is given a conversation by itself, and by which rules (`behaviours.md §11`).

use std::time::Duration;

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// A desk that hands out, with agents who are there whatever they do.
struct Desk {
    app: App,
    admin: Actor,
    inbox: Value,
}

impl Desk {
    async fn open(names: &[&str]) -> Self {
        let (app, admin) = App::start().await;
        let body = json!({"name": "Desk", "channel": {"type": "api"}});
        let inbox = admin.post("/inboxes", body).await.ok();
        let mut ids = Vec::new();
        for name in names {
            let agent = app.member(admin.account.unwrap(), name, "agent").await;
            let path = format!("/agents/{}", agent.id.unwrap());
            admin.patch(&path, json!({"auto_offline": false})).await.ok();
            ids.push(agent.id);
        }
        let seats = json!({"inbox_id": inbox["id"], "user_ids": ids});
        admin.post("/inbox_members", seats).await.ok();
        Self { app, admin, inbox }
    }

    /// A new conversation: its number.
    async fn talk(&self, more: Value) -> i64 {
        let body = json!({"name": "Caller", "inbox_id": self.inbox["id"]});
        let contact = self.admin.post("/contacts", body).await.ok();
        let mut body = json!({
            "inbox_id": self.inbox["id"], "contact_id": contact["payload"]["contact"]["id"],
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.admin.post("/conversations", body).await.ok();
        self.app.settle().await;
        made["id"].as_i64().unwrap()
    }

    async fn assignee(&self, number: i64) -> Value {
        let shown = self.admin.get(&format!("/conversations/{number}")).await.ok();
        shown["meta"]["assignee"]["name"].clone()
    }

    /// Who has each of so many new conversations.
    async fn given(&self, count: usize) -> Vec<Value> {
        let mut out = Vec::new();
        for _ in 0..count {
            let number = self.talk(json!({})).await;
            out.push(self.assignee(number).await);
        }
        out
    }

    async fn policy(&self, body: Value) -> Value {
        let policy = self.admin.post("/assignment_policies", body).await.ok();
        let tie = format!("/inboxes/{}/assignment_policy", self.inbox["id"]);
        self.admin.post(&tie, json!({"assignment_policy_id": policy["id"]})).await.ok();
        policy
    }
}

#[tokio::test]
async fn agents_take_turns_up_to_five_in_five_minutes() {
    let desk = Desk::open(&["Grace", "Alan"]).await;
    let given = desk.given(4).await;
    assert_eq!(given, ["Grace", "Alan", "Grace", "Alan"]);
    let given = desk.given(7).await;
    assert_eq!(given.iter().filter(|name| name.is_null()).count(), 1);
    // Who waited is given away once there are turns again.
    desk.app.advance(Duration::from_secs(30 * 60));
    desk.app.settle().await;
    assert!(!desk.assignee(11).await.is_null());
}

#[tokio::test]
async fn what_only_the_busy_may_have_holds_nobody_else_up() {
    let desk = Desk::open(&["Grace", "Alan"]).await;
    desk.policy(json!({"name": "Two each", "fair_distribution_limit": 2})).await;
    let path = format!("/inboxes/{}", desk.inbox["id"]);
    desk.admin.patch(&path, json!({"enable_auto_assignment": false})).await.ok();
    let agents = desk.admin.get("/agents").await.ok();
    let grace = agents.as_array().unwrap().iter().find(|it| it["name"] == json!("Grace")).unwrap();
    let team =
        desk.admin.post("/teams", json!({"name": "Sales", "allow_auto_assign": false})).await.ok()
            ["id"]
            .clone();
    let members = format!("/teams/{team}/team_members");
    desk.admin.post(&members, json!({"user_ids": [grace["id"]]})).await.ok();
    for _ in 0..10 {
        desk.talk(json!({"team_id": team})).await;
    }
    desk.admin.patch(&format!("/teams/{team}"), json!({"allow_auto_assign": true})).await.ok();
    let waiting = desk.talk(json!({})).await;
    desk.admin.patch(&path, json!({"enable_auto_assignment": true})).await.ok();
    let last = desk.talk(json!({})).await;
    for (number, name) in [(1, "Grace"), (2, "Grace"), (waiting, "Alan"), (last, "Alan")] {
        assert_eq!(desk.assignee(number).await, json!(name), "{number}");
    }
    assert!(desk.assignee(3).await.is_null());
}

#[tokio::test]
async fn only_who_is_there_is_given_what_is_open() {
    let desk = Desk::open(&["Grace"]).await;
    let grace = desk.admin.get("/agents").await.ok();
    let grace = grace.as_array().unwrap().iter().find(|it| it["name"] == json!("Grace")).unwrap();
    let path = format!("/agents/{}", grace["id"]);
    desk.admin.patch(&path, json!({"availability": "busy"})).await.ok();
    let waiting = desk.talk(json!({})).await;
    let resolved = desk.talk(json!({"status": "resolved"})).await;
    let named = desk.talk(json!({"assignee_id": desk.admin.id})).await;
    assert!(desk.assignee(waiting).await.is_null());
    desk.admin.patch(&path, json!({"availability": "online"})).await.ok();
    let last = desk.talk(json!({})).await;
    for number in [waiting, last] {
        assert_eq!(desk.assignee(number).await, json!("Grace"));
    }
    assert!(desk.assignee(resolved).await.is_null());
    assert_eq!(desk.assignee(named).await, json!("Ada"));
    let open = format!("/conversations/{resolved}/toggle_status");
    desk.admin.post(&open, json!({"status": "open"})).await.ok();
    desk.app.settle().await;
    assert_eq!(desk.assignee(resolved).await, json!("Grace"));
}

#[tokio::test]
async fn an_inbox_may_leave_it_to_people() {
    let desk = Desk::open(&["Grace"]).await;
    let path = format!("/inboxes/{}", desk.inbox["id"]);
    desk.admin.patch(&path, json!({"enable_auto_assignment": false})).await.ok();
    assert_eq!(desk.given(1).await, [Value::Null]);
}

#[tokio::test]
async fn a_policy_sets_the_limit_and_is_named() {
    let desk = Desk::open(&["Grace"]).await;
    let policy = desk.policy(json!({"name": "One each", "fair_distribution_limit": 1})).await;
    assert_eq!(desk.given(2).await, [json!("Grace"), Value::Null]);
    let messages = desk.admin.get("/conversations/1/messages").await.ok();
    let said: Vec<&Value> =
        messages["payload"].as_array().unwrap().iter().map(|it| &it["content"]).collect();
    assert!(said.contains(&&json!("Assigned to Grace by Automation System via One each")));
    // One that is switched off is none.
    let path = format!("/assignment_policies/{}", policy["id"]);
    desk.admin.patch(&path, json!({"enabled": false})).await.ok();
    assert_eq!(desk.given(1).await, ["Grace"]);
}

#[tokio::test]
async fn rules_of_policies_are_said_by_field() {
    let desk = Desk::open(&[]).await;
    let check = async |body: Value, field: &str| {
        let refused = desk.admin.post("/assignment_policies", body).await.status(422);
        assert_eq!(refused["attributes"], json!([field]), "{refused}");
    };
    desk.policy(json!({"name": "Fair"})).await;
    check(json!({"name": "Fair"}), "name").await;
    check(json!({"description": "nameless"}), "name").await;
    check(json!({"name": "A", "fair_distribution_limit": 0}), "fair_distribution_limit").await;
    check(json!({"name": "A", "fair_distribution_window": "soon"}), "fair_distribution_window")
        .await;
    check(json!({"name": "A", "exclude_older_than_hours": -1}), "exclude_older_than_hours").await;
    let odd = json!({"name": "A", "conversation_priority": "odd"});
    desk.admin.post("/assignment_policies", odd).await.status(422);
    let stranger =
        desk.app.member(desk.app.account("Elsewhere").await, "Mallory", "administrator").await;
    stranger.get("/assignment_policies/1").await.status(404);
    stranger.patch("/assignment_policies/1", json!({"name": "Mine"})).await.status(404);
    stranger.delete("/assignment_policies/1").await.status(404);
    let own =
        stranger.post("/inboxes", json!({"name": "D", "channel": {"type": "api"}})).await.ok();
    let tie = format!("/inboxes/{}/assignment_policy", own["id"]);
    stranger.post(&tie, json!({"assignment_policy_id": 1})).await.status(404);
    stranger.get(&tie).await.status(404);
}
