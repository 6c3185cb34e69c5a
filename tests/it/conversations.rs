//! What is done to conversations, and by whom.

use std::time::Duration;

use chatwarden_db::{Sql, Statement, args};
use chatwarden_testkit::{Actor, App};
use http::Method;
use serde_json::{Value, json};

static MESSAGES: Statement<(i64,)> =
    Statement::new("test.messages", Sql::Both("select count(*) from messages"), file!());

/// An inbox of the agents and a conversation in it: its path.
async fn conversation(admin: &Actor, agents: &[&Actor]) -> String {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let users: Vec<i64> = agents.iter().filter_map(|agent| agent.id).collect();
    let members = json!({"inbox_id": inbox["id"], "user_ids": users});
    admin.post("/inbox_members", members).await.ok();
    let vera = json!({"name": "Vera", "inbox_id": inbox["id"]});
    let made = admin.post("/contacts", vera).await.ok()["payload"].clone();
    let place = json!({
        "inbox_id": inbox["id"],
        "contact_id": made["contact"]["id"],
        "source_id": made["contact_inbox"]["source_id"],
    });
    let opened = admin.post("/conversations", place).await.ok();
    format!("/conversations/{}", opened["id"])
}

async fn activities(actor: &Actor, path: &str) -> Vec<String> {
    let said = actor.get(&format!("{path}/messages")).await.ok();
    let said = said["payload"].as_array().cloned().unwrap_or_default();
    let is_activity = |message: &&Value| message["message_type"] == json!(2);
    let text = |message: &Value| message["content"].as_str().unwrap_or_default().to_owned();
    said.iter().filter(is_activity).map(text).collect()
}

async fn incoming(actor: &Actor, path: &str, text: &str) {
    let message = json!({"content": text, "message_type": "incoming"});
    actor.post(&format!("{path}/messages"), message).await.ok();
}

#[tokio::test]
async fn a_priority_is_given_changed_and_taken_away() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let outsider = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let path = conversation(&admin, &[&agent]).await;
    let toggle = format!("{path}/toggle_priority");
    for priority in [json!("low"), json!("low"), json!("high"), json!(null)] {
        agent.post(&toggle, json!({"priority": priority})).await.ok();
    }
    let said = activities(&agent, &path).await;
    assert_eq!(
        said,
        [
            "Grace set the priority to low",
            "Grace changed the priority from low to high",
            "Grace removed the priority"
        ]
    );
    agent.post(&toggle, json!({"priority": "extreme"})).await.status(422);
    outsider.post(&toggle, json!({"priority": "low"})).await.status(401);
    let shown = agent.patch(&path, json!({"priority": "urgent", "status": "resolved"})).await.ok();
    assert_eq!((&shown["priority"], &shown["status"]), (&json!("urgent"), &json!("open")));
}

#[tokio::test]
async fn what_is_snoozed_comes_back_when_its_time_has_come() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let until = app.now().unix() + 3600;
    let snooze = json!({"status": "snoozed", "snoozed_until": until});
    admin.post(&format!("{path}/toggle_status"), snooze).await.ok();
    let status = async || admin.get(&path).await.ok()["status"].clone();
    app.advance(Duration::from_secs(3000));
    app.settle().await;
    assert_eq!(status().await, json!("snoozed"));
    app.advance(Duration::from_secs(901));
    app.settle().await;
    let shown = admin.get(&path).await.ok();
    assert_eq!((&shown["status"], &shown["snoozed_until"]), (&json!("open"), &json!(null)));
}

#[tokio::test]
async fn the_muted_reopen_nothing() {
    let (_app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    admin.post(&format!("{path}/mute"), json!({})).await.ok();
    incoming(&admin, &path, "Listen!").await;
    let shown = admin.get(&path).await.ok();
    assert_eq!((&shown["status"], &shown["muted"]), (&json!("resolved"), &json!(true)));
    admin.post(&format!("{path}/unmute"), json!({})).await.ok();
    let shown = admin.get(&path).await.ok();
    assert_eq!((&shown["status"], &shown["muted"]), (&json!("resolved"), &json!(false)));
    incoming(&admin, &path, "Please?").await;
    assert_eq!(admin.get(&path).await.ok()["status"], json!("open"));
}

#[tokio::test]
async fn those_follow_who_may_be_given_it() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let outsider = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let path = conversation(&admin, &[&agent]).await;
    let participants = format!("{path}/participants");
    let names = |list: Value| -> Vec<String> {
        let list = list.as_array().cloned().unwrap_or_default();
        list.iter().map(|member| member["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // Who is assigned follows by itself, unless they are not in the inbox.
    for user in [agent.id, outsider.id] {
        admin.post(&format!("{path}/assignments"), json!({"assignee_id": user})).await.ok();
    }
    assert_eq!(names(agent.get(&participants).await.ok()), ["Grace"]);
    let ids = |users: &[Option<i64>]| json!({"user_ids": users});
    let refused = agent.post(&participants, ids(&[admin.id, outsider.id])).await.status(422);
    assert_eq!(refused["error"], json!("Invalid participant IDs"));
    assert_eq!(names(agent.get(&participants).await.ok()), ["Grace"], "nothing changes");
    let added = agent.post(&participants, ids(&[admin.id, agent.id])).await.ok();
    assert_eq!(added.as_array().map(Vec::len), Some(1), "{added}");
    agent.patch(&participants, ids(&[outsider.id])).await.status(422);
    assert_eq!(names(agent.patch(&participants, ids(&[agent.id])).await.ok()), ["Grace"]);
    agent.send(Method::DELETE, &participants, ids(&[agent.id])).await.status(200);
    assert_eq!(agent.get(&participants).await.ok(), json!([]));
    outsider.get(&participants).await.status(401);
}

#[tokio::test]
async fn an_agent_leaves_a_conversation_unread() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let unread = format!("{path}/unread");
    let untouched = admin.post(&unread, json!({})).await.ok();
    assert_eq!(untouched["agent_last_seen_at"], json!(0), "nobody wrote yet");
    incoming(&admin, &path, "Hello?").await;
    app.advance(Duration::from_secs(5));
    incoming(&admin, &path, "Anybody?").await;
    let at = app.now().unix();
    app.advance(Duration::from_secs(5));
    let seen = admin.post(&format!("{path}/update_last_seen"), json!({})).await.ok();
    assert_eq!(seen["unread_count"], json!(0));
    let left = admin.post(&unread, json!({})).await.ok();
    assert_eq!(left["agent_last_seen_at"], json!(at - 1));
    assert_eq!(left["unread_count"], json!(1));
}

#[tokio::test]
async fn attributes_are_replaced_within_limits() {
    let (_app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let attributes = format!("{path}/custom_attributes");
    let put =
        async |value: Value| admin.post(&attributes, json!({"custom_attributes": value})).await;
    put(json!({"order": "A-17", "pieces": 9_999_999_999_i64})).await.ok();
    let kept = put(json!({"order": "B-1"})).await.ok();
    assert_eq!(kept["custom_attributes"], json!({"order": "B-1"}));
    let refused = put(json!({"essay": "x".repeat(1501)})).await.status(422);
    assert_eq!(refused["message"], json!("Custom attributes essay length should be < 1500"));
    assert_eq!(refused["attributes"], json!(["custom_attributes"]));
    put(json!({"big": 10_000_000_000_i64})).await.status(422);
    assert_eq!(admin.get(&path).await.ok()["custom_attributes"], json!({"order": "B-1"}));
}

#[tokio::test]
async fn a_bot_hands_over_and_what_a_person_opens_is_no_bots() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let bot = admin.post("/agent_bots", json!({"name": "Robby", "outgoing_url": ""})).await.ok();
    let token = bot["access_token"].as_str().unwrap_or_default().to_owned();
    let account = admin.account.unwrap();
    let from_bot = app.anyone().with_header("api_access_token", &token);
    let toggle = format!("{path}/toggle_status");
    let of_bot = format!("/api/v1/accounts/{account}{toggle}");
    let give = json!({"assignee_id": bot["id"], "assignee_type": "AgentBot"});
    let given = admin.post(&format!("{path}/assignments"), give.clone()).await.ok();
    assert_eq!((&given["name"], &given["bot_type"]), (&json!("Robby"), &json!("webhook")));
    from_bot.post(&of_bot, json!({"status": "pending"})).await.ok();
    assert_eq!(admin.get(&path).await.ok()["meta"]["assignee_type"], json!("AgentBot"));
    let handed = from_bot.post(&of_bot, json!({"status": "open"})).await.ok();
    assert_eq!(handed["payload"]["success"], json!(null));
    let shown = admin.get(&path).await.ok();
    assert_eq!(shown["meta"]["assignee"], json!(null));
    assert_ne!(shown["waiting_since"], json!(0));
    // A person who opens it takes it from the bot.
    admin.post(&format!("{path}/assignments"), give).await.ok();
    admin.post(&toggle, json!({"status": "pending"})).await.ok();
    admin.post(&toggle, json!({"status": "open"})).await.ok();
    assert_eq!(admin.get(&path).await.ok()["meta"]["assignee"], json!(null));
    // Who is no bot of the account, and nothing said, change nothing.
    let unknown = json!({"assignee_id": 999_999, "assignee_type": "AgentBot"});
    assert_eq!(admin.post(&format!("{path}/assignments"), unknown).await.ok(), json!(null));
    from_bot.post(&format!("/api/v1/accounts/{account}{path}/mute"), json!({})).await.status(401);
}

#[tokio::test]
async fn an_administrator_deletes_a_conversation_with_all_that_is_in_it() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let path = conversation(&admin, &[&agent]).await;
    incoming(&admin, &path, "Hello?").await;
    let draft = json!({"draft_message": {"message": "Dear Vera"}});
    agent.patch(&format!("{path}/draft_messages"), draft).await.ok();
    assert_eq!(
        admin.get(&format!("{path}/draft_messages")).await.ok(),
        json!({"has_draft": true, "message": "Dear Vera"})
    );
    agent.delete(&path).await.status(401);
    admin.delete(&path).await.ok();
    for gone in [path.clone(), format!("{path}/messages"), format!("{path}/draft_messages")] {
        admin.get(&gone).await.status(404);
    }
    app.settle().await;
    admin.delete(&path).await.status(404);
    let left = app.db().read(async |tx| tx.one(&MESSAGES, args![]).await).await.expect("a count");
    assert_eq!(left, (0,));
}

#[tokio::test]
async fn an_api_inbox_says_how_long_agents_may_answer() {
    let (app, admin) = App::start().await;
    let inbox = json!({"name": "Window", "channel": {"type": "api",
        "additional_attributes": {"agent_reply_time_window": "24"}}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let vera = json!({"name": "Vera", "inbox_id": inbox["id"]});
    let vera = admin.post("/contacts", vera).await.ok()["payload"]["contact"]["id"].clone();
    let open = json!({"inbox_id": inbox["id"], "contact_id": vera});
    let made = admin.post("/conversations", open).await.ok();
    assert_eq!(made["can_reply"], json!(false), "nothing came in yet");
    let path = format!("/conversations/{}", made["id"]);
    let can_reply = async || admin.get(&path).await.ok()["can_reply"].clone();
    incoming(&admin, &path, "Hello").await;
    assert_eq!(can_reply().await, json!(true));
    app.advance(Duration::from_secs(24 * 3600));
    assert_eq!(can_reply().await, json!(false));
    let longer = json!({"channel": {"additional_attributes": {"agent_reply_time_window": 48.5}}});
    let settings = format!("/inboxes/{}", inbox["id"]);
    admin.patch(&settings, longer).await.ok();
    assert_eq!(can_reply().await, json!(true));
    app.advance(Duration::from_secs(24 * 3600 + 1800));
    assert_eq!(can_reply().await, json!(false));
    let ever = json!({"channel": {"additional_attributes": {"agent_reply_time_window": ""}}});
    admin.patch(&settings, ever).await.ok();
    assert_eq!(can_reply().await, json!(true));
}

#[tokio::test]
async fn where_a_bot_answers_a_new_conversation_waits_for_it() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let first = conversation(&admin, &[&agent]).await;
    let shown = admin.get(&first).await.ok();
    assert_eq!(shown["status"], json!("open"));
    let bot = json!({"name": "Robo", "outgoing_url": "https://bot.example.com"});
    let bot = admin.post("/agent_bots", bot).await.ok();
    let set = format!("/inboxes/{}/set_agent_bot", shown["inbox_id"]);
    admin.post(&set, json!({"agent_bot": bot["id"]})).await.ok();
    let contact = &shown["meta"]["sender"]["id"];
    let open = |more: Value| {
        let mut body =
            json!({"inbox_id": shown["inbox_id"], "contact_id": contact, "status": "open"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let made = admin.post("/conversations", open(json!({}))).await.ok();
    assert_eq!(made["status"], json!("pending"));
    assert_eq!(made["meta"]["assignee_type"], json!("AgentBot"));
    assert_eq!(made["meta"]["assignee"]["id"], bot["id"]);
    let made = admin.post("/conversations", open(json!({"assignee_id": agent.id}))).await.ok();
    assert_eq!(made["meta"]["assignee_type"], json!("User"), "who is given it has it");
    admin.post(&format!("{first}/mute"), json!({})).await.ok();
    let made = admin.post("/conversations", open(json!({}))).await.ok();
    assert_eq!(made["status"], json!("resolved"), "a blocked contact waits for nobody");
}
