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
async fn a_list_that_is_narrowed_to_nothing_is_empty() {
    let (_app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let other =
        admin.post("/inboxes", json!({"name": "Other", "channel": {"type": "api"}})).await.ok();
    admin.post(&format!("{path}/labels"), json!({"labels": ["vip", "late"]})).await.ok();
    let listed = async |query: &str| {
        let list = admin.get(&format!("/conversations?{query}")).await.ok()["data"].clone();
        let (count, rows) = (&list["meta"]["all_count"], list["payload"].as_array().unwrap());
        assert_eq!(count, &json!(rows.len()), "{query}");
        let meta = admin.get(&format!("/conversations/meta?{query}")).await.ok();
        assert_eq!(&meta["meta"]["all_count"], count, "{query}");
        rows.len()
    };
    let here = admin.get(&path).await.ok()["inbox_id"].clone();
    let either = format!("inbox_id[]={}&inbox_id[]={here}", other["id"]);
    for query in [
        "",
        "labels=vip,never",
        "labels[]=never,%20late",
        "labels[]=vip&labels[]=",
        "labels[]=VIP",
        "status=0",
        "status[]=resolved&status[]=open",
        &either,
    ] {
        assert_eq!(listed(query).await, 1, "{query}");
    }
    let there = format!("inbox_id[]={}", other["id"]);
    for query in [
        "status=",
        "status=1",
        "status[]=resolved",
        "status[]=all",
        "labels=",
        "labels[]=",
        "labels=,",
        "labels=never",
        "inbox_id=",
        "inbox_id=abc",
        "inbox_id[]=",
        "source_id=",
        "q=",
        &there,
    ] {
        assert_eq!(listed(query).await, 0, "{query}");
    }
    for query in ["team_id=", "team_id=abc", "team_id=999999"] {
        admin.get(&format!("/conversations?{query}")).await.status(404);
        admin.get(&format!("/conversations/meta?{query}")).await.status(404);
    }
    // What somebody follows is listed whatever the inbox.
    let followed = format!("conversation_type=participating&inbox_id={}", other["id"]);
    assert_eq!(listed(&followed).await, 0);
    admin.post(&format!("{path}/participants"), json!({"user_ids": [admin.id]})).await.ok();
    assert_eq!(listed(&followed).await, 1);
    assert_eq!(listed("conversation_type=participating&inbox_id=abc").await, 1);
    assert_eq!(listed(&format!("inbox_id={}", other["id"])).await, 0);
}

#[tokio::test]
async fn a_search_without_a_text_shows_what_was_said_last() {
    let (_app, admin) = App::start().await;
    let (spoken, silent) = (conversation(&admin, &[]).await, conversation(&admin, &[]).await);
    let found = async |query: &str| -> Vec<Value> {
        let found = admin.get(&format!("/conversations/search{query}")).await.ok();
        let rows = found["payload"].as_array().cloned().unwrap_or_default();
        assert_eq!(found["meta"]["all_count"], json!(rows.len()), "{query}");
        rows
    };
    let texts = |row: &Value| -> Vec<Value> {
        let said = row["messages"].as_array().cloned().unwrap_or_default();
        said.iter().map(|message| message["content"].clone()).collect()
    };
    incoming(&admin, &spoken, "Hello?").await;
    let note = json!({"content": "Hm", "private": true});
    admin.post(&format!("{spoken}/messages"), note).await.ok();
    for path in [&spoken, &silent] {
        admin.post(&format!("{path}/toggle_priority"), json!({"priority": "low"})).await.ok();
    }
    let rows = found("").await;
    let by_activity: Vec<usize> = rows.iter().map(|row| texts(row).len()).collect();
    assert_eq!(by_activity, [1, 3]);
    assert_eq!(texts(&rows[1]), ["Hello?", "Hm", "Ada set the priority to low"]);
    let said = &rows[1]["messages"];
    assert_eq!((&said[0]["sender_name"], &said[1]["sender_name"]), (&json!("Vera"), &json!("Ada")));
    assert_eq!(said[2].get("sender_name"), None);
    // A blank text is in all that people said, whatever became of it.
    admin.post(&format!("{spoken}/toggle_status"), json!({"status": "resolved"})).await.ok();
    assert_eq!(found("").await.len(), 1);
    let rows = found("?q=").await;
    assert_eq!((rows.len(), texts(&rows[0])), (1, vec![json!("Hello?"), json!("Hm")]));
    let listed = admin.get("/conversations?q=").await.ok()["data"].clone();
    assert_eq!(listed["payload"][0]["status"], json!("resolved"));
    assert_eq!(listed["meta"]["all_count"], json!(1));
    // Of a long conversation the newest are shown.
    for n in 0..21 {
        incoming(&admin, &silent, &n.to_string()).await;
    }
    let newest: Vec<String> = (1..21).map(|n| n.to_string()).collect();
    assert_eq!(texts(&found("").await[0]), newest);
}

#[tokio::test]
async fn who_asks_what_changed_lately_is_told_how_many_there_are() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    incoming(&admin, &path, "Where is my parcel?").await;
    app.settle().await;
    app.advance(Duration::from_secs(3600));
    for (within, rows) in
        [("60", 0), ("7200", 1), ("0", 0), ("-5", 0), ("soon", 0), ("", 1), ("99999999999", 1)]
    {
        let query = format!("updated_within={within}");
        let list = admin.get(&format!("/conversations?{query}")).await.ok()["data"].clone();
        assert_eq!(list["payload"].as_array().map(Vec::len), Some(rows), "{query}");
        assert_eq!(list["meta"]["all_count"], json!(1), "{query}");
        let meta = admin.get(&format!("/conversations/meta?{query}&labels=")).await.ok();
        assert_eq!(meta["meta"]["all_count"], json!(0), "{query}");
        let meta = admin.get(&format!("/conversations/meta?{query}")).await.ok();
        assert_eq!(meta["meta"]["unassigned_count"], json!(1), "{query}");
        // A text is looked for in what changed.
        let found = admin.get(&format!("/conversations/search?q=parcel&{query}")).await.ok();
        assert_eq!(found["payload"].as_array().map(Vec::len), Some(rows), "{query}");
        assert_eq!(found["meta"]["all_count"], json!(rows), "{query}");
    }
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
async fn a_status_and_a_priority_have_numbers_and_are_single_values() {
    let (_app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let post = async |what: &str, body: Value| admin.post(&format!("{path}/{what}"), body).await;
    let moved = post("toggle_status", json!({"status": 1})).await.ok();
    assert_eq!(moved["payload"]["current_status"], json!("resolved"));
    let moved = post("toggle_status", json!({"status": 0})).await.ok();
    assert_eq!(moved["payload"]["current_status"], json!("open"));
    post("toggle_priority", json!({"priority": 3})).await.ok();
    for (what, body) in [
        ("toggle_status", json!({"status": ["resolved"]})),
        ("toggle_status", json!({"status": "1"})),
        ("toggle_status", json!({"status": 9})),
        ("toggle_priority", json!({"priority": ["low"]})),
        ("toggle_priority", json!({"priority": {"a": 1}})),
        ("toggle_priority", json!({"priority": "1"})),
    ] {
        let (key, _) = body.as_object().unwrap().iter().next().unwrap();
        let refused = post(what, body.clone()).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains(key), "{body}: {refused}");
    }
    for until in
        [json!("tomorrow"), json!("abc"), json!(""), json!([1]), json!({"a": 1}), json!(true)]
    {
        let body = json!({"status": "snoozed", "snoozed_until": until});
        let refused = post("toggle_status", body).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains("snoozed_until"), "{refused}");
    }
    let shown = admin.get(&path).await.ok();
    assert_eq!((&shown["status"], &shown["priority"]), (&json!("open"), &json!("urgent")));
    let shown = admin.patch(&path, json!({"priority": 0})).await.ok();
    assert_eq!(shown["priority"], json!("low"));
    for until in [json!(null), json!(false)] {
        let body = json!({"status": "snoozed", "snoozed_until": until});
        assert_eq!(post("toggle_status", body).await.ok()["payload"]["snoozed_until"], json!(null));
    }
}

#[tokio::test]
async fn what_is_snoozed_comes_back_when_its_time_has_come() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let until = app.now().unix() + 3600;
    let snooze = json!({"status": "snoozed", "snoozed_until": until});
    let toggle = format!("{path}/toggle_status");
    let snoozed = admin.post(&toggle, snooze).await.ok()["payload"].clone();
    let again = admin.post(&toggle, json!({"status": "snoozed"})).await.ok()["payload"].clone();
    assert_eq!(again, snoozed, "until when it was");
    let later = json!({"status": "snoozed", "snoozed_until": "2035-05-01T10:00:00Z"});
    admin.post(&toggle, later).await.status(422);
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
    let alone = agent.patch(&participants, json!({"user_ids": agent.id})).await.status(422);
    assert_eq!(alone["error"], json!("user_ids must be a list of ids"));
    assert_eq!(names(agent.patch(&participants, ids(&[agent.id])).await.ok()), ["Grace"]);
    agent.send(Method::DELETE, &participants, ids(&[agent.id])).await.status(200);
    assert_eq!(agent.get(&participants).await.ok(), json!([]));
    agent.post(&participants, ids(&[agent.id])).await.ok();
    for method in [Method::POST, Method::PATCH, Method::DELETE] {
        let refused = agent.send(method, &participants, json!({})).await.status(422);
        assert!(refused["error"].as_str().is_some_and(|fault| fault.ends_with("user_ids")));
    }
    assert_eq!(names(agent.get(&participants).await.ok()), ["Grace"], "nobody is lost");
    outsider.get(&participants).await.status(401);
}

#[tokio::test]
async fn an_agent_leaves_a_conversation_unread() {
    let (app, admin) = App::start().await;
    let path = conversation(&admin, &[]).await;
    let unread = format!("{path}/unread");
    let untouched = admin.post(&unread, json!({})).await.ok();
    assert_eq!(untouched["agent_last_seen_at"], json!(0), "nobody wrote yet");
    admin.post(&format!("{path}/update_last_seen"), json!({})).await.ok();
    let forgotten = admin.post(&unread, json!({})).await.ok();
    assert_eq!(forgotten["agent_last_seen_at"], json!(0), "nobody looked");
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
    for nothing in [json!({}), json!({"custom_attributes": null})] {
        let refused = admin.post(&attributes, nothing).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains("custom_attributes"), "{refused}");
    }
    assert_eq!(admin.get(&path).await.ok()["custom_attributes"], json!({"order": "B-1"}));
    assert_eq!(put(json!({})).await.ok(), json!({"custom_attributes": {}}));
}

#[tokio::test]
async fn a_draft_may_be_sent_without_its_name() {
    let (_app, admin) = App::start().await;
    let drafts = format!("{}/draft_messages", conversation(&admin, &[]).await);
    for (body, kept) in [
        (json!({"message": "hello"}), "hello"),
        (json!({"message": "hello", "draft_message": {"message": "Dear Vera"}}), "Dear Vera"),
        (json!({"message": "hello", "draft_message": {}}), ""),
        (json!({}), ""),
    ] {
        admin.patch(&drafts, body).await.ok();
        let shown = admin.get(&drafts).await.ok();
        assert_eq!(shown, json!({"has_draft": true, "message": kept}));
    }
    for odd in [json!("x"), json!(""), json!(["x"])] {
        let refused = admin.patch(&drafts, json!({"draft_message": odd})).await.status(422);
        assert_eq!(refused, json!({"error": "draft_message must be an object"}));
    }
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

/// Two inboxes, with a contact that has a place in the first: inboxes, contact, source id.
async fn two_inboxes(admin: &Actor, agents: &[&Actor]) -> (Value, Value, Value, Value) {
    let api = |name: &str| json!({"name": name, "channel": {"type": "api"}});
    let desk = admin.post("/inboxes", api("Desk")).await.ok()["id"].clone();
    let shop = admin.post("/inboxes", api("Shop")).await.ok()["id"].clone();
    let users: Vec<i64> = agents.iter().filter_map(|agent| agent.id).collect();
    admin.post("/inbox_members", json!({"inbox_id": desk, "user_ids": users})).await.ok();
    let vera = json!({"name": "Vera", "inbox_id": desk});
    let made = admin.post("/contacts", vera).await.ok()["payload"].clone();
    let (contact, place) = (&made["contact"]["id"], &made["contact_inbox"]["source_id"]);
    (desk, shop, contact.clone(), place.clone())
}

#[tokio::test]
async fn a_conversation_is_opened_where_inbox_contact_and_source_say() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let (desk, shop, vera, at) = two_inboxes(&admin, &[&agent]).await;
    // Without a source id each conversation is a place of its own.
    for _ in 0..2 {
        admin.post("/conversations", json!({"inbox_id": desk, "contact_id": vera})).await.ok();
    }
    let shown = admin.get(&format!("/contacts/{vera}")).await.ok();
    let places = shown["payload"]["contact_inboxes"].as_array().map(Vec::len);
    assert_eq!(places, Some(3), "{shown}");
    // A source id alone may be of any inbox, but an agent must sit in each that is meant.
    let of_the_shop = json!({"inbox_id": shop, "source_id": at});
    let opened = admin.post("/conversations", of_the_shop.clone()).await.ok();
    assert_eq!(opened["inbox_id"], desk);
    agent.post("/conversations", of_the_shop).await.status(401);
    agent.post("/conversations", json!({"inbox_id": desk, "source_id": at})).await.ok();
    agent.post("/conversations", json!({"inbox_id": shop, "contact_id": 0})).await.status(401);
    agent.post("/conversations", json!({"inbox_id": desk, "contact_id": 0})).await.status(404);
    let stranger = json!({"contact_id": 0, "source_id": at});
    agent.post("/conversations", stranger).await.status(404);
}

#[tokio::test]
async fn a_conversation_begins_with_a_message_only_where_one_is_sent() {
    let (_app, admin) = App::start().await;
    let (desk, _, vera, at) = two_inboxes(&admin, &[]).await;
    let with = |message: Value| {
        json!({
            "inbox_id": desk, "contact_id": vera, "source_id": at, "message": message,
            "snoozed_until": "2035-05-01T10:00:00Z",
        })
    };
    let opened = admin.post("/conversations", with(json!({}))).await.ok();
    assert_eq!(opened["messages"], json!([]));
    assert_eq!(opened["snoozed_until"], json!(null), "it is open");
    let opened = admin.post("/conversations", with(json!({"content": "Hello"}))).await.ok();
    assert_eq!(opened["messages"][0]["content"], json!("Hello"));
    let long = json!({"content": "x".repeat(150_001)});
    let refused = admin.post("/conversations", with(long)).await.status(422);
    let fault = "Content is too long (maximum is 150000 characters)";
    assert_eq!(refused, json!({"message": fault, "attributes": ["content"]}));
    // What says nothing is as if it were not sent.
    let blank = json!({"content": "Hi", "template_params": {}, "external_created_at": ""});
    let path = format!("/conversations/{}/messages", opened["id"]);
    assert_eq!(admin.post(&path, blank).await.ok()["content_attributes"], json!({}));
}

#[tokio::test]
async fn what_a_new_conversation_may_not_be_told_is_refused_by_name() {
    let (_app, admin) = App::start().await;
    let (desk, _, vera, at) = two_inboxes(&admin, &[]).await;
    let open = async |key: &str, value: Value| {
        let mut place = json!({"inbox_id": desk, "contact_id": vera, "source_id": at});
        place["status"] = json!("snoozed");
        place[key] = value;
        admin.post("/conversations", place).await
    };
    for key in ["custom_attributes", "additional_attributes", "message"] {
        for odd in [json!("x"), json!(["x"]), json!(7)] {
            let refused = open(key, odd).await.status(422);
            assert_eq!(refused, json!({"error": format!("{key} must be an object")}));
        }
    }
    open("message", json!({"content": "Hi", "message_type": ""})).await.status(422);
    let listed = admin.get("/conversations?status=all").await.ok();
    assert_eq!(listed["data"]["meta"]["all_count"], json!(0));
    open("message", json!("")).await.ok();
    for (until, kept) in [
        (json!(2_051_222_400), json!(null)),
        (json!("2035-01-01"), json!("2035-01-01T00:00:00.000Z")),
        (json!("2035-05-01T10:00:00Z"), json!("2035-05-01T10:00:00.000Z")),
        (json!("soon"), json!(null)),
    ] {
        assert_eq!(open("snoozed_until", until).await.ok()["snoozed_until"], kept);
    }
    assert_eq!(open("status", json!(1)).await.ok()["status"], json!("resolved"));
}

#[tokio::test]
async fn unread_conversations_are_counted_by_lists_of_one_s_own() {
    let (app, admin) = App::start().await;
    let grace = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let (first, second) =
        (conversation(&admin, &[&grace]).await, conversation(&admin, &[&grace]).await);
    let hidden = conversation(&admin, &[]).await;
    let features = |filters: bool| {
        let on = json!({"conversation_unread_counts": true, "unread_count_for_filters": filters});
        let account = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
        let app = &app;
        async move { app.platform().patch(&account, json!({"features": on})).await.ok() }
    };
    let counts = async || grace.get("/conversations/unread_counts").await.ok()["payload"].clone();
    features(false).await;
    assert_eq!(counts().await.get("folders"), None);
    features(true).await;
    let nothing = json!({
        "all_count": 0, "inboxes": {}, "labels": {}, "teams": {},
        "mentions_count": 0, "participating_count": 0, "unattended_count": 0, "folders": {},
    });
    assert_eq!(counts().await, nothing);
    for path in [&first, &second, &hidden] {
        incoming(&admin, path, "Hello?").await;
    }
    let name = format!("[@Grace](mention://user/{}/Grace) look", grace.id.unwrap());
    let note = json!({"content": name, "private": true});
    admin.post(&format!("{second}/messages"), note).await.ok();
    admin.post(&format!("{first}/toggle_priority"), json!({"priority": "high"})).await.ok();
    let save = async |conditions: Value| {
        let query = json!({"payload": conditions});
        let filter = json!({"name": "f", "filter_type": "conversation", "query": query});
        grace.post("/custom_filters", filter).await.ok()["id"].to_string()
    };
    let all = save(json!([])).await;
    let high =
        json!({"attribute_key": "priority", "filter_operator": "equal_to", "values": ["high"]});
    let high = save(json!([high])).await;
    save(json!([{"attribute_key": "shoe_size", "filter_operator": "equal_to", "values": [1]}]))
        .await;
    let done =
        json!({"attribute_key": "status", "filter_operator": "equal_to", "values": ["resolved"]});
    save(json!([done])).await;
    app.settle().await;
    let counted = counts().await;
    for (key, n) in [
        ("all_count", 2),
        ("mentions_count", 1),
        ("participating_count", 1),
        ("unattended_count", 2),
    ] {
        assert_eq!(counted[key], json!(n), "{key}");
    }
    assert_eq!(counted["folders"], json!({all: 2, high: 1}));
    admin.post(&format!("{second}/update_last_seen"), json!({})).await.ok();
    let counted = counts().await;
    assert_eq!((&counted["mentions_count"], &counted["unattended_count"]), (&json!(0), &json!(1)));
}

#[tokio::test]
async fn a_team_says_who_has_a_new_conversation() {
    let (app, admin) = App::start().await;
    let grace = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let alan = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let (desk, _, vera, at) = two_inboxes(&admin, &[&grace, &alan]).await;
    let team = async |name: &str, assigns: bool| {
        let draft = json!({"name": name, "allow_auto_assign": assigns});
        let id = admin.post("/teams", draft).await.ok()["id"].clone();
        let members = json!({"user_ids": [alan.id]});
        admin.post(&format!("/teams/{id}/team_members"), members).await.ok();
        id
    };
    let (slow, fast) = (team("slow", false).await, team("fast", true).await);
    let open = async |team: &Value, assignee: Option<i64>| {
        let place = json!({
            "inbox_id": desk, "contact_id": vera, "source_id": at, "team_id": team, "assignee_id": assignee,
        });
        let opened = admin.post("/conversations", place).await.ok();
        let said = activities(&admin, &format!("/conversations/{}", opened["id"])).await;
        (opened["meta"]["assignee"]["name"].clone(), said)
    };
    let admins = admin.get("/api/v1/profile").await.ok()["name"].as_str().unwrap().to_owned();
    let (has, said) = open(&slow, grace.id).await;
    assert_eq!((has, said), (json!(null), vec![format!("Assigned to slow by {admins}")]));
    let (has, said) = open(&slow, alan.id).await;
    assert_eq!(
        (has, said),
        (json!("Alan"), vec![format!("Assigned to Alan via slow by {admins}")])
    );
    let (has, _) = open(&fast, grace.id).await;
    assert_eq!(has, json!(null), "who is not there is given nothing");
    let there = json!({"availability": "online", "auto_offline": false});
    admin.patch(&format!("/agents/{}", alan.id.unwrap()), there).await.ok();
    let (has, said) = open(&fast, grace.id).await;
    assert_eq!(
        (has, said),
        (json!("Alan"), vec![format!("Assigned to Alan via fast by {admins}")])
    );
}
