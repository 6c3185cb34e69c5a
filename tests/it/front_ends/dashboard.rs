//! The dashboard (`client-traces.md` §1 to §8, §12), with the headers of a session.

use chatwarden_testkit::{Actor, App};
use data_encoding::BASE64;
use http::StatusCode;
use serde_json::{Value, json};

use super::trace::{Client, Socket, listen, reads};
use super::{browser, serve, website};
use crate::uploads::{PNG, Part};

/// The headers that make a session.
const SESSION: [&str; 5] = ["access-token", "token-type", "client", "expiry", "uid"];
/// Counts beside a list of conversations.
const COUNTS: &str = "meta.mine_count:number meta.unassigned_count:number meta.assigned_count:number meta.all_count:number";
/// What is read of a user.
const USER: &str = "id:number account_id:number pubsub_token:text access_token:text ui_settings:map \
    accounts.0.id:number accounts.0.name:text accounts.0.status:text accounts.0.role:text \
    accounts.0.permissions:list accounts.0.availability:text accounts.0.auto_offline:flag";
/// What is read of a message.
const MESSAGE: &str = "id:number content conversation_id:number message_type:number content_type:text \
    content_attributes:map private:flag created_at:number status:text sender.id:number sender.type:text";
/// What is read of a conversation.
const CONVERSATION: &str = "id:number account_id:number inbox_id:number status:text labels:list messages:list \
    meta.sender.id:number meta.channel:text unread_count:number last_activity_at:number can_reply:flag \
    agent_last_seen_at timestamp:number custom_attributes:map additional_attributes:map";

/// An administrator's desk: a website, an API inbox with three visitors' conversations, a label.
struct Desk {
    app: App,
    admin: Actor,
    dashboard: Client,
    /// Where the first visitor writes.
    talk: String,
    number: i64,
    contact: i64,
    inbox: i64,
    /// What the socket subscribes to.
    room: Value,
    _folder: tempfile::TempDir,
}

/// Signs in as the first page does, and keeps what the browser keeps.
async fn sign_in(app: &App, admin: &Actor) -> Client {
    let account = admin.account.expect("an account");
    let page = Client::new(app.anyone(), "");
    let body = json!({"email": admin.email, "password": "Passw0rd!23", "sso_auth_token": ""});
    let signed = page.send("POST /auth/sign_in", body).await;
    reads("sign_in", &signed.status(200)["data"], USER);
    let mut session = app.anyone();
    for name in SESSION {
        assert_ne!(signed.header(name), "", "{name}");
        session = session.with_header(name, signed.header(name));
    }
    // All headers go into one cookie of 4 KB, which lives the whole days until `expiry`.
    let kept: usize = signed.headers.iter().map(|(k, v)| k.as_str().len() + v.len() + 8).sum();
    assert!(kept < 3000, "{kept} bytes of headers: {:?}", signed.headers);
    let expiry: i64 = signed.header("expiry").parse().expect("seconds");
    assert!(expiry > app.now().unix() + 86_400);
    let bearer = signed.header("authorization").strip_prefix("Bearer ").expect("a bearer token");
    let bearer: Value =
        serde_json::from_slice(&BASE64.decode(bearer.as_bytes()).expect("base64")).expect("JSON");
    assert_eq!(
        (&bearer["uid"], bearer["client"].as_str()),
        (&json!(admin.email), Some(signed.header("client")))
    );
    Client::new(session, &format!("/api/v1/accounts/{account}"))
}

async fn desk() -> Desk {
    let (app, admin, folder) = serve().await;
    website(&admin).await;
    admin.post("/labels", json!({"title": "vip", "color": "#111111"})).await.ok();
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let members = json!({"inbox_id": inbox["id"], "user_ids": [admin.id]});
    admin.post("/inbox_members", members).await.ok();
    let people = format!(
        "/public/api/v1/inboxes/{}/contacts",
        inbox["inbox_identifier"].as_str().expect("one")
    );
    let (mut talk, mut number, mut contact) = (String::new(), 0, 0);
    for name in ["Otto", "Mia", "Vera"] {
        let visitor = app
            .anyone()
            .post(&people, json!({"name": name, "email": format!("{name}@example.org")}))
            .await
            .ok();
        let talks =
            format!("{people}/{}/conversations", visitor["source_id"].as_str().expect("one"));
        let opened = app.anyone().post(&talks, json!({})).await.ok();
        (number, contact) =
            (opened["id"].as_i64().expect("one"), opened["contact"]["id"].as_i64().expect("one"));
        talk = format!("{talks}/{number}");
        app.anyone().post(&format!("{talk}/messages"), json!({"content": "Hello"})).await.ok();
    }
    app.settle().await;
    let dashboard = sign_in(&app, &admin).await;
    let user = dashboard.ok("GET /api/v1/profile", Value::Null, USER).await;
    let room = json!({
        "channel": "RoomChannel", "pubsub_token": user["pubsub_token"], "account_id": admin.account,
        "user_id": user["id"],
    });
    Desk {
        dashboard,
        talk,
        number,
        contact,
        inbox: inbox["id"].as_i64().expect("an id"),
        room,
        app,
        admin,
        _folder: folder,
    }
}

/// Steps 4 to 6, 8 and 9, which every page sends that is loaded anew.
async fn load(dashboard: &Client, account: i64) {
    let none = Value::Null;
    let fields = "payload.data.id:number payload.data.accounts:list payload.data.pubsub_token:text";
    dashboard.ok("GET /auth/validate_token", none.clone(), fields).await;
    dashboard
        .ok("GET ", none.clone(), "id:number name:text locale:text features:map settings:map")
        .await;
    let settings = json!({"profile": {"ui_settings": {}}});
    dashboard.ok("PUT /api/v1/profile", settings, USER).await;
    dashboard
        .gets(&[
            ("notifications/unread_count", ":number"),
            ("custom_attribute_definitions", ":list"),
            ("custom_filters?filter_type=conversation", ":list"),
            ("custom_filters?filter_type=contact", ":list"),
        ])
        .await;
    let chosen = json!({"profile": {"account_id": account}});
    dashboard.ok("PUT /api/v1/profile/set_active_account", chosen, "").await;
    let keys = dashboard.send("GET cache_keys", none).await;
    reads("cache_keys", &keys.status(200), "cache_keys.label cache_keys.inbox cache_keys.team");
    // Asked for three times at once: two come from the browser.
    assert_eq!(keys.header("cache-control"), "private, max-age=10, stale-while-revalidate=300");
}

const FIRST_PAGE: &str =
    "conversations?status=open&assignee_type=me&page=1&sort_by=last_activity_at_desc";

#[tokio::test]
async fn it_signs_in_and_loads() {
    let desk = desk().await;
    let account = desk.admin.account.expect("an account");
    for path in ["/app/login".to_owned(), format!("/app/accounts/{account}/dashboard")] {
        browser(&desk.app).get(&path).await.status(200);
    }
    let dashboard = &desk.dashboard;
    load(dashboard, account).await;
    dashboard
        .gets(&[
            (FIRST_PAGE, "data.payload:list data.meta.all_count:number"),
            ("dashboard_apps", ":list"),
            ("agents", "0.id:number 0.confirmed:flag 0.availability_status:text 0.role:text"),
            ("portals", "payload:list meta:map"),
            ("labels", "payload.0.id:number payload.0.title:text payload.0.color:text payload.0.show_on_sidebar"),
            ("inboxes", "payload.0.id:number payload.0.name:text payload.0.channel_type:text"),
            ("teams", ":list"),
        ])
        .await;
    browser(&desk.app).get("/sw.js").await.status(200);

    // "All", to the empty page past the end: the last one again would never end.
    let all = |page: u8| {
        format!(
            "GET conversations?status=open&assignee_type=all&page={page}&sort_by=last_activity_at_desc"
        )
    };
    let first = dashboard.ok(&all(1), Value::Null, "data.meta:map").await;
    let list = first["data"]["payload"].as_array().expect("a list");
    assert_eq!(list.len(), 3);
    for item in list {
        reads("a list's item", item, CONVERSATION);
        assert_eq!(
            item["messages"].as_array().map(Vec::len),
            Some(1),
            "the newest message: {item}"
        );
    }
    let past = dashboard.ok(&all(2), Value::Null, "").await;
    assert_eq!(past["data"]["payload"], json!([]));
}

#[tokio::test]
async fn it_opens_a_conversation() {
    let desk = desk().await;
    let (dashboard, number, contact) = (&desk.dashboard, desk.number, desk.contact);
    let path = format!("conversations/{number}");
    let newest = dashboard.ok(&format!("GET {path}"), Value::Null, CONVERSATION).await;
    let newest = &newest["messages"][0]["id"];
    dashboard
        .gets(&[
            (
                &format!("{path}/messages?before={newest}"),
                "payload:list meta.labels:list meta.contact.id:number meta.agent_last_seen_at meta.assignee_last_seen_at",
            ),
            (
                &format!("assignable_agents?inbox_ids[]={}&include_agent_bots=true", desk.inbox),
                "payload.0.id:number payload.0.confirmed:flag payload.0.name:text payload.0.availability_status:text",
            ),
            (&format!("{path}/labels"), "payload:list"),
            ("integrations/apps", "payload:list"),
            (&format!("{path}/attachments"), "payload:list meta.total_count:number"),
        ])
        .await;
    dashboard.ok(&format!("POST {path}/update_last_seen"), Value::Null, CONVERSATION).await;

    let settings = json!({"is_contact_sidebar_open": true, "is_copilot_panel_open": false});
    let user = json!({"profile": {"ui_settings": settings}});
    let user = dashboard.ok("PUT /api/v1/profile", user, USER).await;
    assert_eq!(user["ui_settings"], settings);
    dashboard
        .gets(&[
            (
                &format!("contacts/{contact}/contactable_inboxes"),
                "payload.0.source_id:text payload.0.inbox.id:number payload.0.inbox.channel_type:text",
            ),
            (
                &format!("contacts/{contact}?include_contact_inboxes=false"),
                "payload.id:number payload.name:text payload.thumbnail payload.availability_status:text \
                 payload.custom_attributes:map payload.additional_attributes:map",
            ),
            ("custom_attribute_definitions", ":list"),
            // The sections below, once unfolded.
            ("macros", "payload:list"),
            (&format!("contacts/{contact}/notes"), ":list"),
            (&format!("contacts/{contact}/conversations"), "payload:list"),
            (&format!("{path}/participants"), ":list"),
        ])
        .await;
}

#[tokio::test]
async fn it_replies_and_resolves() {
    let desk = desk().await;
    let dashboard = &desk.dashboard;
    let path = format!("conversations/{}", desk.number);
    let mut socket = Socket::open(listen(&desk.app).await, "http://desk.example").await;
    socket.subscribe(&desk.room).await;
    let seen = async || {
        dashboard.ok(&format!("POST {path}/update_last_seen"), Value::Null, CONVERSATION).await;
    };
    let types = async |status: &str, private: bool| {
        let body = json!({"typing_status": status, "is_private": private});
        dashboard.ok(&format!("POST {path}/toggle_typing_status"), body, "").await;
    };
    let counted = async || {
        dashboard.gets(&[("conversations/meta?status=open&assignee_type=all", COUNTS)]).await;
    };

    types("on", false).await;
    seen().await;
    let reply = json!({
        "content": "It left today.", "private": false, "echo_id": "0123456789ab", "cc_emails": "",
        "bcc_emails": "", "to_emails": "",
    });
    let sent = dashboard.ok(&format!("POST {path}/messages"), reply, MESSAGE).await;
    assert_eq!((&sent["echo_id"], &sent["message_type"]), (&json!("0123456789ab"), &json!(1)));
    types("off", false).await;
    types("on", false).await;
    let heard = socket.hears("message.created", MESSAGE).await;
    assert_eq!((&heard["id"], &heard["echo_id"]), (&sent["id"], &json!("0123456789ab")));
    reads("message.created", &heard, "account_id:number conversation.last_activity_at:number");
    socket
        .hears("conversation.updated", "id:number account_id:number status:text meta.sender:map")
        .await;
    counted().await;
    let looked = format!("{}/update_last_seen", desk.talk);
    desk.app.anyone().post(&looked, json!({})).await.ok();
    socket.hears("conversation.read", "id:number").await;
    seen().await;
    types("off", false).await;

    types("on", true).await;
    let note = json!({
        "content": "A regular.", "private": true, "echo_id": "0123456789ac", "cc_emails": "", "bcc_emails": "",
        "to_emails": "",
    });
    let note = dashboard.ok(&format!("POST {path}/messages"), note, MESSAGE).await;
    assert_eq!(note["private"], true);
    types("off", true).await;

    let picture = Part::File("attachment", "dot.png", "image/png", PNG);
    let stored = dashboard.form("upload", &[picture], "file_url:text blob_id:text").await;
    let address = stored["file_url"].as_str().expect("an address");
    let address = &address[address.find("/rails").expect("a file's address")..];
    assert_eq!(
        desk.app.anyone().get(address).await.status,
        StatusCode::FOUND,
        "without token headers"
    );
    let clip = [
        Part::Field("content", "See"),
        Part::File("attachments[]", "dot.png", "image/png", PNG),
        Part::Field("private", "false"),
        Part::Field("echo_id", "0123456789ad"),
        Part::Field("cc_emails", ""),
        Part::Field("bcc_emails", ""),
    ];
    let clip = dashboard.form(&format!("{path}/messages"), &clip, MESSAGE).await;
    reads(
        "attachments",
        &clip,
        "echo_id:text attachments.0.file_type:text attachments.0.data_url:text",
    );

    let done = json!({"status": "resolved", "snoozed_until": null});
    let done = dashboard
        .ok(
            &format!("POST {path}/toggle_status"),
            done,
            "payload.success:flag payload.conversation_id:number",
        )
        .await;
    assert_eq!(done["payload"]["current_status"], "resolved");
    desk.app.settle().await;
    let changed = socket.hears("conversation.status_changed", "id:number status:text").await;
    assert_eq!(changed["status"], "resolved");
    seen().await;
    counted().await;
    let activity = socket.hears("message.created", "content:text message_type:number").await;
    assert_eq!(activity["message_type"], 2, "{activity}");
    seen().await;
}

#[tokio::test]
async fn it_loads_other_pages() {
    let desk = desk().await;
    let account = desk.admin.account.expect("an account");
    let page = format!("/app/accounts/{account}/conversations/{}", desk.number);
    browser(&desk.app).get(&page).await.status(200);
    load(&desk.dashboard, account).await;
    let over = format!("/api/v2/accounts/{account}");
    let report = |metric: &str| {
        format!(
            "{over}/reports?metric={metric}&since=1767484800&until=1767571200&type=account&group_by=hour\
             &business_hours=false&timezone_offset=1"
        )
    };
    let grouped =
        |by: &str| format!("{over}/live_reports/grouped_conversation_metrics?group_by={by}");
    desk.dashboard
        .gets(&[
            (&format!("conversations/{}", desk.number), CONVERSATION),
            (
                "contacts?include_contact_inboxes=false&page=1&sort=last_activity_at",
                "payload.0.id:number payload.0.name:text meta.count:number meta.current_page",
            ),
            (
                "notifications?page=1&sort_order=desc",
                "data.payload:list data.meta.unread_count:number data.meta.count:number",
            ),
            ("search/contacts?q=Vera&page=1", "payload.contacts.0.id:number"),
            ("search/conversations?q=Vera&page=1", "payload.conversations.0.id:number"),
            ("search/messages?q=Hello&page=1", "payload.messages.0.id:number"),
            ("search/articles?q=refund&page=1", "payload.articles:list"),
            ("/api/v1/profile/sessions", "0.id:number 0.browser_name 0.current"),
            (
                "notification_settings",
                "all_email_flags:list selected_email_flags:list selected_push_flags:list",
            ),
            (&report("conversations_count"), ":list"),
            (&report("resolutions_count"), ":list"),
            (
                &format!("{over}/live_reports/conversation_metrics"),
                "open:number unattended:number unassigned:number pending:number",
            ),
            (&grouped("assignee_id"), "0.assignee_id 0.open:number 0.unattended:number"),
            (&grouped("team_id"), "0.team_id 0.open:number 0.unassigned:number"),
            // Pages of areas that are empty.
            ("automation_rules", "payload:list"),
            ("campaigns", ":list"),
            ("csat_survey_responses?page=1", ":list"),
            (
                "csat_survey_responses/metrics",
                "total_count:number ratings_count:map total_sent_messages_count:number",
            ),
            ("webhooks", "payload.webhooks:list"),
        ])
        .await;
}

#[tokio::test]
async fn it_comes_back_after_a_cut() {
    let desk = desk().await;
    let address = listen(&desk.app).await;
    let mut socket = Socket::open(address, "http://desk.example").await;
    socket.subscribe(&desk.room).await;
    drop(socket);
    let path = format!("conversations/{}", desk.number);
    let known = desk.dashboard.ok(&format!("GET {path}"), Value::Null, CONVERSATION).await;
    let known = known["messages"][0]["id"].clone();
    let missed = json!({"content": "Still there?"});
    let missed = desk.app.anyone().post(&format!("{}/messages", desk.talk), missed).await.ok();

    let mut socket = Socket::open(address, "http://desk.example").await;
    socket.subscribe(&desk.room).await;
    let list = "GET conversations?status=open&assignee_type=all&sort_by=last_activity_at_desc&updated_within=24";
    let list = desk.dashboard.ok(list, Value::Null, "data.payload:list data.meta:map").await;
    assert_eq!(list["data"]["payload"][0]["id"], desk.number);
    let after = format!("GET {path}/messages?after={known}");
    let after = desk.dashboard.ok(&after, Value::Null, "payload:list meta:map").await;
    let ids: Vec<&Value> =
        after["payload"].as_array().expect("a list").iter().map(|m| &m["id"]).collect();
    assert_eq!(ids, [&missed["id"]]);
    desk.dashboard.ok(&format!("POST {path}/update_last_seen"), Value::Null, CONVERSATION).await;
    desk.dashboard.ok("GET cache_keys", Value::Null, "cache_keys:map").await;
    // Twenty seconds later, and as long as the page is open.
    socket.update_presence(&desk.room).await;
    socket.leave().await;
}

#[tokio::test]
async fn it_signs_out() {
    let desk = desk().await;
    desk.dashboard.ok("DELETE /auth/sign_out", Value::Null, "").await;
    desk.dashboard.send("GET /auth/validate_token", Value::Null).await.status(401);
    desk.dashboard.send("GET agents", Value::Null).await.status(401);
}

#[tokio::test]
async fn live_reports_count_what_is_open() {
    let (app, admin) = App::start().await;
    let account = admin.account.expect("an account");
    let agent = app.member(account, "Grace", "agent").await;
    let team = admin.post("/teams", json!({"name": "night"})).await.ok()["id"].clone();
    let members = json!({"user_ids": [admin.id]});
    admin.post(&format!("/teams/{team}/team_members"), members).await.ok();
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let contact = json!({"name": "Vera", "inbox_id": inbox["id"]});
    let contact = admin.post("/contacts", contact).await.ok()["payload"].clone();
    for (status, more) in [
        ("open", json!({"assignee_id": admin.id, "team_id": team})),
        ("open", json!({})),
        ("pending", json!({})),
        ("resolved", json!({})),
    ] {
        let mut opened = json!({
            "inbox_id": inbox["id"], "contact_id": contact["contact"]["id"], "status": status,
            "source_id": contact["contact_inbox"]["source_id"],
        });
        for (key, value) in more.as_object().expect("an object") {
            opened[key] = value.clone();
        }
        admin.post("/conversations", opened).await.ok();
    }
    let path = |rest: &str| format!("/api/v2/accounts/{account}/live_reports/{rest}");
    let now = |open: i64, unassigned: i64| json!({"open": open, "unattended": open, "unassigned": unassigned});
    let all = admin.get(&path("conversation_metrics")).await.ok();
    assert_eq!(all, json!({"open": 2, "unattended": 2, "unassigned": 1, "pending": 1}));
    let of_team = admin.get(&path(&format!("conversation_metrics?team_id={team}"))).await.ok();
    assert_eq!(of_team, json!({"open": 1, "unattended": 1, "unassigned": 0, "pending": 0}));
    for (by, group) in [("assignee_id", json!(admin.id)), ("team_id", team)] {
        let rows =
            admin.get(&path(&format!("grouped_conversation_metrics?group_by={by}"))).await.ok();
        let (mut nobody, mut one) = (now(1, 1), now(1, 0));
        (nobody[by], one[by]) = (Value::Null, group);
        assert_eq!(rows, json!([nobody, one]));
    }
    admin.get(&path("conversation_metrics?team_id=987654321")).await.status(404);
    let refused = admin.get(&path("grouped_conversation_metrics?group_by=mood")).await.status(422);
    assert_eq!(refused["error"], "invalid group_by");
    agent.get(&path("conversation_metrics")).await.status(401);
}
