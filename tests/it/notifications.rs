//! Who is told of what, and what they do with it (`behaviours.md §23`, `resources.md §14`).

use std::time::Duration;

use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

/// An account with an API inbox, its agent and somebody who writes to it.
struct Desk {
    app: App,
    admin: Actor,
    agent: Actor,
    inbox: i64,
    contact: i64,
}

async fn desk() -> Desk {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let inbox = inbox["id"].as_i64().unwrap();
    let members = json!({"inbox_id": inbox, "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera", "inbox_id": inbox})).await.ok();
    let contact = contact["payload"]["contact"]["id"].as_i64().unwrap();
    Desk { app, admin, agent, inbox, contact }
}

impl Desk {
    /// A new conversation's path.
    async fn conversation(&self, more: Value) -> String {
        let mut body = json!({"inbox_id": self.inbox, "contact_id": self.contact});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.admin.post("/conversations", body).await.ok();
        format!("/conversations/{}", made["id"])
    }

    async fn says(&self, conversation: &str, who: &Actor, body: Value) {
        who.post(&format!("{conversation}/messages"), body).await.ok();
        self.app.settle().await;
    }

    /// Kind, title and body of what the agent was told.
    async fn told(&self, query: &str) -> Vec<[String; 3]> {
        self.app.settle().await;
        let found = self.agent.get(&format!("/notifications?{query}")).await.ok();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        let rows = found["data"]["payload"].as_array().unwrap().clone();
        let row = |row: &Value| {
            [
                text(row, "notification_type"),
                text(row, "push_message_title"),
                text(row, "push_message_body"),
            ]
        };
        rows.iter().map(row).collect()
    }
}

#[tokio::test]
async fn an_assignee_is_told_of_what_others_do_and_only_the_newest() {
    let desk = desk().await;
    let c = desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    let assigned =
        ["conversation_assignment", "A conversation (#1) has been assigned to you", ": No content"];
    assert_eq!(desk.told("").await, [assigned]);
    desk.says(
        &c,
        &desk.admin,
        json!({"content": "Hello, **anyone**?", "message_type": "incoming"}),
    )
    .await;
    let title = "A new message is created in conversation (#1)";
    let told = ["assigned_conversation_new_message", title, "Vera: Hello, anyone?"];
    assert_eq!(desk.told("").await, [told]);
    desk.says(&c, &desk.agent, json!({"content": "I am here"})).await;
    desk.says(&c, &desk.admin, json!({"content": "A note", "private": true})).await;
    assert_eq!(desk.told("").await, [told], "neither one's own message nor a note is news");
    desk.says(&c, &desk.admin, json!({"content": "1 2 3 4 5 6 7 8 9 10 11"})).await;
    let told = ["assigned_conversation_new_message", title, "Ada: 1 2 3 4 5 6 7 8 9 10..."];
    assert_eq!(desk.told("").await, [told]);
}

#[tokio::test]
async fn a_note_tells_whom_it_names_if_they_may_see_it() {
    let desk = desk().await;
    let account = desk.admin.account.unwrap();
    let outsider = desk.app.member(account, "Alan", "agent").await;
    let c = desk.conversation(json!({})).await;
    let note = |who: &Actor| {
        format!("[@Somebody](mention://user/{}/Somebody) please look", who.id.unwrap())
    };
    desk.says(&c, &desk.admin, json!({"content": note(&desk.agent)})).await;
    assert!(desk.told("").await.is_empty(), "what the contact reads names nobody");
    for who in [&desk.agent, &outsider, &desk.admin] {
        desk.says(&c, &desk.admin, json!({"content": note(who), "private": true})).await;
    }
    let title = "You have been mentioned in conversation (#1)";
    let told = ["conversation_mention", title, "Ada: @Somebody please look"];
    assert_eq!(desk.told("").await, [told]);
    for who in [&outsider, &desk.admin] {
        let found = who.get("/notifications").await.ok();
        assert_eq!(
            found["data"]["meta"]["count"],
            json!(0),
            "not outside the inbox, and not oneself"
        );
    }
}

#[tokio::test]
async fn who_follows_a_conversation_is_told_of_its_messages_once() {
    let desk = desk().await;
    let account = desk.admin.account.unwrap();
    let colleague = desk.app.member(account, "Alan", "agent").await;
    let members = json!({"inbox_id": desk.inbox, "user_ids": [colleague.id]});
    desk.admin.post("/inbox_members", members.clone()).await.ok();
    let c = desk.conversation(json!({"assignee_id": colleague.id})).await;
    let follow = json!({"user_ids": [desk.agent.id, colleague.id]});
    desk.admin.post(&format!("{c}/participants"), follow).await.ok();
    let told_the_colleague = async || {
        let found = colleague.get("/notifications").await.ok();
        found["data"]["payload"][0]["notification_type"].clone()
    };
    let incoming = json!({"content": "Both of you", "message_type": "incoming"});
    desk.says(&c, &desk.admin, incoming.clone()).await;
    let title = "A new message is created in conversation (#1)";
    let told = ["participating_conversation_new_message", title, "Vera: Both of you"];
    assert_eq!(desk.told("").await, [told]);
    assert_eq!(told_the_colleague().await, json!("assigned_conversation_new_message"));

    desk.says(&c, &colleague, json!({"content": "I do it"})).await;
    let told = ["participating_conversation_new_message", title, "Alan: I do it"];
    assert_eq!(desk.told("").await, [told], "what the assignee writes is news as well");
    desk.says(&c, &desk.admin, json!({"content": "A note", "private": true})).await;
    desk.says(&c, &desk.agent, json!({"content": "Thanks"})).await;
    assert_eq!(desk.told("").await, [told], "neither a note nor one's own message is");

    let back = json!({"inbox_id": desk.inbox, "user_ids": [desk.agent.id]});
    desk.admin
        .delete(&format!(
            "/inbox_members?inbox_id={}&user_ids[]={}",
            desk.inbox,
            desk.agent.id.unwrap()
        ))
        .await
        .ok();
    assert!(desk.told("").await.is_empty(), "what one may not see is not shown");
    desk.says(&c, &desk.admin, incoming).await;
    desk.admin.post("/inbox_members", back).await.ok();
    assert_eq!(desk.told("").await, [told], "nor is it news");
}

#[tokio::test]
async fn who_is_named_in_a_note_follows_the_conversation() {
    let desk = desk().await;
    let c = desk.conversation(json!({})).await;
    let note = format!("[@Grace](mention://user/{}/Grace) please look", desk.agent.id.unwrap());
    desk.says(&c, &desk.admin, json!({"content": note, "private": true})).await;
    let followers = desk.admin.get(&format!("{c}/participants")).await.ok();
    assert_eq!(followers[0]["id"], json!(desk.agent.id));
    desk.says(&c, &desk.admin, json!({"content": "Hm", "message_type": "incoming"})).await;
    assert_eq!(desk.told("").await[0][0], "participating_conversation_new_message");
}

#[tokio::test]
async fn what_a_bot_hands_over_is_new_to_those_who_want_to_know() {
    let desk = desk().await;
    let flags =
        json!({"notification_settings": {"selected_push_flags": ["push_conversation_creation"]}});
    desk.agent.patch("/notification_settings", flags).await.ok();
    let bot = json!({"name": "Robo", "outgoing_url": "https://bot.example.com"});
    let bot = desk.admin.post("/agent_bots", bot).await.ok();
    let token = bot["access_token"].as_str().unwrap();
    let mut robo = desk.app.anyone().with_header("api_access_token", token);
    robo.account = desk.admin.account;
    let set = format!("/inboxes/{}/set_agent_bot", desk.inbox);
    desk.admin.post(&set, json!({"agent_bot": bot["id"]})).await.ok();
    let c = desk.conversation(json!({})).await;
    assert!(desk.told("").await.is_empty(), "nobody is told of what a bot has");
    robo.post(&format!("{c}/toggle_status"), json!({"status": "open"})).await.ok();
    assert_eq!(desk.told("").await[0][0], "conversation_creation");
}

#[tokio::test]
async fn a_list_shows_what_is_unread_and_what_is_asked_for_besides() {
    let desk = desk().await;
    for _ in 0..3 {
        desk.app.advance(Duration::from_secs(1));
        desk.conversation(json!({"assignee_id": desk.agent.id})).await;
        desk.app.settle().await;
    }
    let listed = desk.agent.get("/notifications").await.ok();
    let ids: Vec<i64> = listed["data"]["payload"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n["id"].as_i64().unwrap())
        .collect();
    let one = |n: usize| format!("/notifications/{}", ids[n]);
    let read = desk.agent.patch(&one(0), json!({})).await.ok();
    assert_ne!(read["read_at"], Value::Null);
    let until = desk.app.now().plus_seconds(600).unix();
    let snooze = json!({"snoozed_until": until});
    let snoozed = desk.agent.post(&format!("{}/snooze", one(1)), snooze).await.ok();
    assert_eq!(snoozed["meta"], json!({"last_snoozed_at": null}));
    for (query, expected) in [
        ("", 1),
        ("?includes[]=read", 1),
        ("?includes[]=snoozed", 2),
        ("?includes[]=read&includes[]=snoozed", 2),
    ] {
        let count = desk.agent.get(&format!("/notifications/unread_count{query}")).await.ok();
        assert_eq!(count, json!(expected), "{query}");
    }
    assert_eq!(desk.told("").await.len(), 1);
    assert_eq!(desk.told("includes[]=read").await.len(), 2);
    assert_eq!(desk.told("includes[]=read&includes[]=snoozed").await.len(), 3);
    let oldest = desk.told("includes[]=read&includes[]=snoozed&sort_order=asc").await;
    assert!(oldest[0][1].contains("(#1)"), "{oldest:?}");
    assert_eq!(desk.told("includes[]=read&includes[]=snoozed&sort_order=ASC").await, oldest);
    for odd in ["zz", "", "id"] {
        let refused = desk.agent.get(&format!("/notifications?sort_order={odd}")).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains("sort_order"), "{refused}");
    }
    for odd in ["someday", ""] {
        let snooze = json!({"snoozed_until": odd});
        desk.agent.post(&format!("{}/snooze", one(1)), snooze).await.status(422);
    }
    desk.agent.post(&format!("{}/unread", one(0)), json!({})).await.ok();
    assert_eq!(desk.told("").await.len(), 2);
    desk.app.advance(Duration::from_secs(1200));
    assert_eq!(desk.told("").await.len(), 3, "what was snoozed is back");
}

#[tokio::test]
async fn notifications_are_ones_own() {
    let desk = desk().await;
    desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    desk.app.settle().await;
    let listed = desk.agent.get("/notifications").await.ok();
    let one = format!("/notifications/{}", listed["data"]["payload"][0]["id"]);
    desk.admin.patch(&one, json!({})).await.status(404);
    desk.admin.delete(&one).await.status(404);
    desk.admin.post("/notifications/read_all", json!({})).await.ok();
    desk.admin.post("/notifications/destroy_all", json!({})).await.ok();
    assert_eq!(desk.told("").await.len(), 1);
    let elsewhere = json!({"primary_actor_type": "Conversation", "primary_actor_id": 999_999});
    desk.agent.post("/notifications/read_all", elsewhere).await.status(404);
    desk.agent.post("/notifications/read_all", json!({})).await.ok();
    assert_eq!(desk.told("").await.len(), 0);
    desk.agent.post("/notifications/destroy_all", json!({"type": "read"})).await.ok();
    assert_eq!(desk.told("includes[]=read").await.len(), 0);
    desk.agent.delete(&one).await.status(404);
}

#[tokio::test]
async fn opening_a_conversation_reads_what_was_told_of_it() {
    let desk = desk().await;
    let c = desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    desk.app.settle().await;
    desk.agent.post(&format!("{c}/update_last_seen"), json!({})).await.ok();
    assert_eq!(desk.agent.get("/notifications/unread_count").await.ok(), json!(0));
}

#[tokio::test]
async fn old_notifications_go_by_themselves() {
    let desk = desk().await;
    desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    desk.app.settle().await;
    desk.app.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(desk.told("includes[]=read&includes[]=snoozed").await.len(), 0);
}

/// The statements it takes to tell `members` of a new conversation, or of a message in one that they follow.
async fn statements_for(members: usize, followed: bool) -> u64 {
    let desk = desk().await;
    let mut ids = Vec::new();
    for _ in 0..members {
        let member = desk.app.member(desk.admin.account.unwrap(), "Member", "agent").await;
        let flags = json!({"notification_settings": {"selected_push_flags": ["push_conversation_creation"]}});
        member.patch("/notification_settings", flags).await.ok();
        ids.push(member.id);
    }
    desk.admin.post("/inbox_members", json!({"inbox_id": desk.inbox, "user_ids": ids})).await.ok();
    desk.app.settle().await;
    let c = desk.conversation(json!({})).await;
    if followed {
        desk.admin.post(&format!("{c}/participants"), json!({"user_ids": ids})).await.ok();
        desk.app.settle().await;
        let said = json!({"content": "Hello", "message_type": "incoming"});
        desk.admin.post(&format!("{c}/messages"), said).await.ok();
    }
    let used = UsageScope::default();
    usage_scope(used.clone(), desk.app.settle()).await;
    used.usage().statements
}

#[tokio::test]
async fn telling_many_takes_no_more_statements_than_telling_one() {
    for followed in [false, true] {
        let one = statements_for(1, followed).await;
        assert!(one > 0);
        assert_eq!(statements_for(12, followed).await, one);
    }
}

#[tokio::test]
async fn a_browser_is_whose_it_was_last() {
    let desk = desk().await;
    let browser = json!({"notification_subscription": {"subscription_type": "browser_push",
        "subscription_attributes": {"endpoint": "https://push.example.com/1", "auth": "x"}}});
    let path = "/api/v1/notification_subscriptions";
    let first = desk.agent.post(path, browser.clone()).await.ok();
    let again = desk.admin.post(path, browser).await.ok();
    assert_eq!((&again["id"], &again["user_id"]), (&first["id"], &json!(desk.admin.id)));
    let phone = |attributes: Value| json!({"subscription_type": "fcm", "subscription_attributes": attributes});
    desk.agent.post(path, phone(json!({"device_id": "d", "push_token": "t"}))).await.ok();
    let blank = desk.agent.post(path, phone(json!({"push_token": "t"}))).await.status(422);
    assert_eq!(blank["attributes"], json!(["identifier"]));
    let pigeon =
        json!({"subscription_type": "pigeon", "subscription_attributes": {"endpoint": "x"}});
    desk.agent.post(path, pigeon).await.status(422);
    desk.agent.post(path, json!({})).await.status(422);
    desk.agent.delete(&format!("{path}?push_token=t")).await.ok();
    desk.agent.delete(path).await.ok();
    desk.app.anyone().delete(path).await.status(401);
}

#[tokio::test]
async fn what_one_may_not_see_any_more_is_not_shown() {
    let desk = desk().await;
    let path = format!("/agents/{}", desk.agent.id.unwrap());
    let team = desk.admin.post("/teams", json!({"name": "Sales"})).await.ok();
    let conversation = desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    desk.app.settle().await;
    let found = desk.agent.get("/notifications").await.ok();
    let one = format!("/notifications/{}", found["data"]["payload"][0]["id"]);
    let shown = async |expected: usize, why: &str| {
        let list = desk.agent.get("/notifications").await.ok();
        assert_eq!(list["data"]["payload"].as_array().unwrap().len(), expected, "{why}");
        assert_eq!(list["data"]["meta"]["count"], json!(expected), "{why}");
        assert_eq!(list["data"]["meta"]["unread_count"], json!(expected), "{why}");
        let count = desk.agent.get("/notifications/unread_count").await.ok();
        assert_eq!(count, json!(expected), "{why}");
        let status = if expected == 0 { 404 } else { 200 };
        desk.agent.post(&format!("{one}/unread"), json!({})).await.status(status);
    };
    shown(1, "of one's inbox").await;
    let nobody = json!({"inbox_id": desk.inbox, "user_ids": []});
    desk.admin.patch("/inbox_members", nobody).await.ok();
    shown(0, "out of the inbox").await;
    desk.admin.patch(&path, json!({"role": "administrator"})).await.ok();
    shown(1, "an administrator").await;
    desk.admin.patch(&path, json!({"role": "agent"})).await.ok();
    shown(0, "an agent again").await;
    let members = format!("/teams/{}/team_members", team["id"]);
    desk.admin.post(&members, json!({"user_ids": [desk.agent.id]})).await.ok();
    let give = format!("{conversation}/assignments");
    desk.admin.post(&give, json!({"team_id": team["id"]})).await.ok();
    shown(1, "of one's team").await;
    desk.admin.post(&give, json!({"team_id": 0})).await.ok();
    shown(0, "another team's").await;
    let until = desk.app.now().plus_seconds(600).unix();
    desk.agent.post(&format!("{one}/snooze"), json!({"snoozed_until": until})).await.status(404);
}

#[tokio::test]
async fn two_messages_at_once_leave_one_notification() {
    let desk = desk().await;
    let c = desk.conversation(json!({"assignee_id": desk.agent.id})).await;
    let path = format!("{c}/messages");
    for _ in 0..5 {
        for text in ["One", "Two"] {
            desk.admin.post(&path, json!({"content": text})).await.ok();
        }
        tokio::join!(desk.app.settle(), desk.app.settle());
        assert_eq!(desk.told("").await.len(), 1);
    }
}
