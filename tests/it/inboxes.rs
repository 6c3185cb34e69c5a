//! Inboxes, who sits at them, and what serves them (`behaviours.md §13`).

use std::time::Duration;

use chatwarden_db::{UsageScope, args, usage_scope};
use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

async fn inbox(admin: &Actor, name: &str, channel: Value) -> Value {
    admin.post("/inboxes", json!({"name": name, "channel": channel})).await.ok()
}

#[tokio::test]
async fn what_is_not_said_of_an_inbox_stays() {
    let (_app, admin) = App::start().await;
    let site = json!({"type": "web_widget", "website_url": "https://example.com"});
    let made = inbox(&admin, "Site", site).await;
    let path = format!("/inboxes/{}", made["id"]);
    let body = json!({
        "greeting_enabled": true, "greeting_message": "Hello", "timezone": "Asia/Tokyo",
        "sender_name_type": "professional", "csat_config": {"message": "How was it?"},
        "working_hours": [{"day_of_week": 0, "open_all_day": true, "closed_all_day": false}],
        "channel": {"selected_feature_flags": ["end_conversation", "", "attachments"], "reply_time": "in_a_day"},
    });
    let changed = admin.patch(&path, body).await.ok();
    assert_eq!(changed["name"], json!("Site"));
    assert_eq!(changed["selected_feature_flags"], json!(["attachments", "end_conversation"]));
    assert_eq!(changed["website_url"], json!("https://example.com"));
    assert_eq!(changed["csat_config"]["display_type"], json!("emoji"));
    assert_eq!(changed["working_hours"][0]["close_hour"], json!(23));
    // What is no day of a list is as if it had not been sent.
    for nothing in [
        json!({}),
        json!({"working_hours": null}),
        json!({"working_hours": ["Monday"]}),
        json!({"sender_name_type": 1}),
    ] {
        assert_eq!(admin.patch(&path, nothing).await.ok(), changed);
    }
    assert_eq!(admin.get(&path).await.ok(), changed);
    let none = admin.patch(&path, json!({"greeting_message": "null"})).await.ok();
    assert_eq!(none["greeting_message"], Value::Null);
}

#[tokio::test]
async fn surveys_are_kept_as_they_were_said_first_and_made_whole_when_they_are_changed() {
    let (_app, admin) = App::start().await;
    let bare = inbox(&admin, "Bare", json!({"type": "api"})).await;
    assert_eq!(bare["csat_config"], json!({}));
    let sent = json!({
        "message": "m", "odd": 1, "survey_rules": {"values": ["vip", {}], "odd": 1},
        "template": {"name": "x", "odd": 1}, "display_type": ["star"],
    });
    let first = json!({
        "message": "m", "survey_rules": {"values": ["vip"]}, "template": {"name": "x"},
    });
    let body = json!({"name": "Desk", "channel": {"type": "api"}, "csat_config": sent});
    let made = admin.post("/inboxes", body).await.ok();
    assert_eq!(made["csat_config"], first);
    let path = format!("/inboxes/{}", made["id"]);
    let change = async |config: Value| {
        admin.patch(&path, json!({"csat_config": config})).await.ok()["csat_config"].clone()
    };
    for nothing in [json!({}), json!({"odd": 1}), Value::Null] {
        assert_eq!(change(nothing).await, first);
    }
    let whole = json!({
        "display_type": "emoji", "message": "m", "button_text": "Please rate us", "language": "en",
        "survey_rules": {"operator": "contains", "values": ["vip"]}, "template": {"name": "x"},
    });
    assert_eq!(change(sent).await, whole);
    let without = change(json!({"message": "n", "template": {}})).await;
    assert_eq!((&without["message"], without.get("template")), (&json!("n"), None));
}

#[tokio::test]
async fn rules_of_inboxes_are_said_by_field() {
    let (_app, admin) = App::start().await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let path = format!("/inboxes/{}", made["id"]);
    let check = async |body: Value, field: &str| {
        let refused = admin.patch(&path, body).await.status(422);
        assert_eq!(refused["attributes"], json!([field]), "{refused}");
    };
    check(json!({"name": " "}), "name").await;
    check(json!({"timezone": "Mars/Base"}), "timezone").await;
    check(json!({"greeting_message": "g".repeat(10_001)}), "greeting_message").await;
    check(json!({"out_of_office_message": "g".repeat(10_001)}), "out_of_office_message").await;
    check(json!({"channel": {"webhook_url": "h".repeat(2049)}}), "webhook_url").await;
    for window in [json!("-1"), json!("soon"), json!(0)] {
        let body =
            json!({"channel": {"additional_attributes": {"agent_reply_time_window": window}}});
        check(body, "agent_reply_time_window").await;
    }
    for odd in [json!("odd"), json!("1"), json!(2)] {
        admin.patch(&path, json!({"sender_name_type": odd})).await.status(422);
    }
    for none in [Value::Null, json!(""), json!("null")] {
        for key in ["sender_name_type", "lock_to_single_conversation"] {
            check(json!({(key): none}), key).await;
        }
    }
    for days in [json!([{"day_of_week": 7}]), json!([{"open_hour": 8}]), json!("Monday"), json!(1)]
    {
        check(json!({"name": "New", "working_hours": days}), "working_hours").await;
    }
    // Of a change that is refused nothing stays.
    check(json!({"name": "New", "channel": {"webhook_url": "h".repeat(2049)}}), "webhook_url")
        .await;
    assert_eq!(admin.get(&path).await.ok(), made);
    let none = json!({"name": "Mail", "channel": {"type": "email"}});
    admin.post("/inboxes", none).await.status(422);
    let on = json!({"type": "email", "email": "a@example.com", "imap_enabled": true});
    admin.post("/inboxes", json!({"name": "Mail", "channel": on})).await.status(422);
}

#[tokio::test]
async fn rules_of_a_website_are_said_by_field() {
    let (_app, admin) = App::start().await;
    let site = |settings: Value| {
        let mut channel = json!({"type": "web_widget", "website_url": "https://example.com"});
        channel.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        json!({"name": "Site", "channel": channel})
    };
    let made = admin.post("/inboxes", site(json!({}))).await.ok();
    let path = format!("/inboxes/{}", made["id"]);
    for (key, odd) in [
        ("widget_color", json!(" ")),
        ("widget_color", Value::Null),
        ("continuity_via_email", Value::Null),
        ("continuity_via_email", json!("")),
        ("selected_feature_flags", json!(["attachments", "nope"])),
    ] {
        for refused in [
            admin.post("/inboxes", site(json!({(key): odd}))).await,
            admin.patch(&path, json!({"channel": {(key): odd}})).await,
        ] {
            assert_eq!(refused.status(422)["attributes"], json!([key]), "{odd}");
        }
    }
    for odd in [json!("2"), json!(3), json!("soon")] {
        let refused = admin.patch(&path, json!({"channel": {"reply_time": odd}})).await.status(422);
        assert!(refused["error"].as_str().unwrap().ends_with("is not a valid reply_time"));
    }
    let none = json!({"channel": {"website_url": "", "widget_color": ""}});
    let said = "Website url can't be blank, Widget color can't be blank";
    assert_eq!(admin.patch(&path, none).await.status(422)["message"], json!(said));
    assert_eq!(admin.get(&path).await.ok(), made);

    let change =
        async |settings: Value| admin.patch(&path, json!({"channel": settings})).await.ok();
    assert_eq!(change(json!({"reply_time": 2})).await["reply_time"], json!("in_a_day"));
    assert_eq!(change(json!({"reply_time": null})).await["reply_time"], json!("in_a_day"));
    let flags = json!({"selected_feature_flags": [["attachments"]]});
    assert_eq!(change(flags).await["selected_feature_flags"], made["selected_feature_flags"]);

    let usual = &made["pre_chat_form_options"];
    let ask = json!({"name": "fullName", "type": "text", "enabled": true});
    let own = json!({"pre_chat_message": "Who?", "pre_chat_fields": [ask]});
    let form = async |form: Value| {
        change(json!({"pre_chat_form_options": form})).await["pre_chat_form_options"].clone()
    };
    for bare in [json!({"pre_chat_message": "Who?"}), json!({}), json!({"pre_chat_fields": []})] {
        assert_eq!(form(own.clone()).await, own);
        assert_eq!(&form(bare).await, usual);
    }
    form(own.clone()).await;
    assert_eq!(form(Value::Null).await, own);
}

#[tokio::test]
async fn a_mailbox_has_no_layout_of_its_own() {
    let (_app, admin) = App::start().await;
    let made = inbox(&admin, "Mail", json!({"type": "email", "email": "a@example.com"})).await;
    let path = format!("/inboxes/{}", made["id"]);
    let layout = json!({"name": "New", "branded_email_layout": "{{ content_for_layout }}"});
    let refused = admin.patch(&path, layout.clone()).await.status(422);
    assert_eq!(refused, json!({"error": "Branded email templates feature is not enabled"}));
    for none in [json!(""), json!("null"), Value::Null] {
        let kept = admin.patch(&path, json!({"branded_email_layout": none})).await.ok();
        assert_eq!(kept, made);
    }
    let desk = inbox(&admin, "Desk", json!({"type": "api"})).await;
    admin.patch(&format!("/inboxes/{}", desk["id"]), layout).await.ok();
}

#[tokio::test]
async fn no_two_channels_have_the_same_address() {
    let (app, admin) = App::start().await;
    let stranger = app.member(app.account("Elsewhere").await, "Mallory", "administrator").await;
    let mail = |email: &str| json!({"type": "email", "email": email});
    inbox(&admin, "Mail", mail("Desk@example.com")).await;
    let other = inbox(&stranger, "Mail", mail("other@example.com")).await;
    for refused in [
        stranger
            .post("/inboxes", json!({"name": "Mine", "channel": mail("desk@example.com")}))
            .await,
        stranger
            .patch(
                &format!("/inboxes/{}", other["id"]),
                json!({"channel": {"email": "desk@example.com"}}),
            )
            .await,
    ] {
        assert_eq!(refused.status(422)["message"], json!("Email has already been taken"));
    }
}

#[tokio::test]
async fn passwords_of_mailboxes_are_kept_sealed_and_shown_to_administrators() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let channel =
        json!({"type": "email", "email": "desk@example.com", "imap_password": "open sesame"});
    let made = inbox(&admin, "Mail", channel).await;
    assert_eq!(made["imap_password"], json!("open sesame"));
    let seat = json!({"inbox_id": made["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", seat).await.ok();
    let seen = agent.get(&format!("/inboxes/{}", made["id"])).await.ok();
    assert_eq!(seen["imap_password"], Value::Null);
    chatwarden_db::statements! {
        SETTINGS: (String,) = "tests.settings", "select cast(settings as text) from channels";
    }
    let (stored,) =
        app.db().read(async |tx| tx.one(&SETTINGS, chatwarden_db::args![]).await).await.unwrap();
    assert!(!stored.contains("sesame"));
}

#[tokio::test]
async fn members_are_added_replaced_and_removed() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let grace = app.member(account, "Grace", "agent").await;
    let alan = app.member(account, "Alan", "agent").await;
    let stranger = app.member(app.account("Elsewhere").await, "Mallory", "agent").await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let seats = |users: &[&Actor]| {
        let ids: Vec<_> = users.iter().map(|user| user.id).collect();
        json!({"inbox_id": made["id"], "user_ids": ids})
    };
    let names = |list: Value| -> Vec<Value> {
        list["payload"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
    };
    let path = "/inbox_members";
    admin.post(path, seats(&[&grace])).await.ok();
    assert_eq!(names(admin.post(path, seats(&[&grace, &alan])).await.ok()), ["Grace", "Alan"]);
    admin.post(path, seats(&[&stranger])).await.status(422);
    admin.patch(path, seats(&[&alan, &stranger])).await.status(422);
    assert_eq!(names(admin.patch(path, seats(&[&alan, &admin])).await.ok()), ["Ada", "Alan"]);
    // Once more is once too often, but for who sits there already.
    for refused in [
        admin.post(path, seats(&[&alan, &grace, &grace])).await,
        admin.patch(path, seats(&[&grace, &grace])).await,
    ] {
        let said = json!({"message": "User has already been taken", "attributes": ["user_id"]});
        assert_eq!(refused.status(422), said);
    }
    let twice = admin.post(path, seats(&[&alan, &alan, &admin])).await.ok();
    assert_eq!(names(twice), ["Ada", "Alan"]);
    // Who forgets the list empties no inbox.
    for odd in [json!({}), json!({"user_ids": null}), json!({"user_ids": alan.id})] {
        let mut body = odd;
        body["inbox_id"] = made["id"].clone();
        for refused in [admin.patch(path, body.clone()).await, admin.post(path, body).await] {
            let refused = refused.status(422);
            assert!(refused["error"].as_str().unwrap().contains("user_ids"), "{refused}");
        }
    }
    admin.patch(path, json!({"inbox_id": 999_999})).await.status(404);
    admin.delete(&format!("{path}?inbox_id={}", made["id"])).await.ok();
    let still = admin.get(&format!("{path}/{}", made["id"])).await.ok();
    assert_eq!(names(still), ["Ada", "Alan"]);
    grace.get(&format!("/inboxes/{}", made["id"])).await.status(401);
    grace.get(&format!("/inbox_members/{}", made["id"])).await.status(401);
    let rest = seats(&[&alan, &grace]);
    let reply = admin.send(http::Method::DELETE, path, rest).await;
    reply.status(200);
    let left = admin.get(&format!("/inbox_members/{}", made["id"])).await.ok();
    assert_eq!(names(left), ["Ada"]);
}

#[tokio::test]
async fn replacing_members_is_told_as_coming_and_going() {
    chatwarden_db::statements! {
        TOLD: (i64,) = "tests.cache_invalidated",
            "select count(*) from outbox where message like '%account.cache_invalidated%'";
    }
    let (app, admin) = App::start().await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let told = async || app.db().read(async |tx| tx.one(&TOLD, args![]).await).await.unwrap().0;
    for users in [json!([admin.id]), json!([admin.id]), json!([])] {
        let before = told().await;
        admin
            .patch("/inbox_members", json!({"inbox_id": made["id"], "user_ids": users}))
            .await
            .ok();
        assert_eq!(told().await - before, 2, "{users}");
    }
}

#[tokio::test]
async fn who_sits_at_all_inboxes_may_be_given_their_conversations() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let grace = app.member(account, "Grace", "agent").await;
    let alan = app.member(account, "Alan", "agent").await;
    let (one, two) = (
        inbox(&admin, "One", json!({"type": "api"})).await["id"].clone(),
        inbox(&admin, "Two", json!({"type": "api"})).await["id"].clone(),
    );
    let both = json!([grace.id, alan.id]);
    admin.post("/inbox_members", json!({"inbox_id": one, "user_ids": both})).await.ok();
    admin.post("/inbox_members", json!({"inbox_id": two, "user_ids": [grace.id]})).await.ok();
    admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    let names = async |who: &Actor, query: String| -> Vec<Value> {
        let list = who.get(&format!("/assignable_agents?{query}")).await.ok();
        list["payload"].as_array().unwrap().iter().map(|it| it["name"].clone()).collect()
    };
    assert_eq!(names(&admin, format!("inbox_ids[]={one}")).await, ["Grace", "Alan", "Ada"]);
    let query = format!("inbox_ids[]={one}&inbox_ids[]={two}");
    assert_eq!(names(&grace, query.clone()).await, ["Grace", "Ada"]);
    for none in ["", "inbox_ids[]=", "inbox_ids[]=abc"] {
        admin.get(&format!("/assignable_agents?{none}")).await.status(404);
    }
    admin.get(&format!("/assignable_agents?inbox_ids[]={one}&inbox_ids[]=abc")).await.status(404);
    let query_with_bots = format!("{query}&include_agent_bots=true");
    assert_eq!(names(&admin, query_with_bots).await, ["Grace", "Ada", "Robo"]);
    alan.get(&format!("/assignable_agents?{query}")).await.status(401);
    admin.get("/assignable_agents?inbox_ids[]=999999").await.status(404);
}

#[tokio::test]
async fn a_bot_serves_an_inbox() {
    let (app, admin) = App::start().await;
    let stranger = app.member(app.account("Elsewhere").await, "Mallory", "administrator").await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let path = format!("/inboxes/{}", made["id"]);
    let (bot, set) = (format!("{path}/agent_bot"), format!("{path}/set_agent_bot"));
    assert_eq!(admin.get(&bot).await.ok(), json!({}));
    let robo = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    let other = stranger.post("/agent_bots", json!({"name": "Spy"})).await.ok();
    admin.post(&set, json!({"agent_bot": other["id"]})).await.status(404);
    admin.post(&set, json!({"agent_bot": robo["id"]})).await.ok();
    let served = admin.get(&bot).await.ok();
    assert_eq!(served["agent_bot"]["access_token"]["token"], robo["access_token"]);
    for odd in [json!(""), json!("robo")] {
        admin.post(&set, json!({"agent_bot": odd})).await.status(404);
    }
    assert_eq!(admin.get(&bot).await.ok(), served);
    admin.post(&set, json!({"agent_bot": null})).await.ok();
    assert_eq!(admin.get(&bot).await.ok(), json!({}));
}

#[tokio::test]
async fn an_inbox_goes_with_all_it_has() {
    let (app, admin) = App::start().await;
    let kept = inbox(&admin, "Kept", json!({"type": "api"})).await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let talk = async |inbox: &Value| {
        let base =
            format!("/public/api/v1/inboxes/{}", inbox["inbox_identifier"].as_str().unwrap());
        let contact =
            app.anyone().post(&format!("{base}/contacts"), json!({"name": "V"})).await.ok();
        let contact = format!("{base}/contacts/{}", contact["source_id"].as_str().unwrap());
        let made = app.anyone().post(&format!("{contact}/conversations"), json!({})).await.ok();
        let messages = format!("{contact}/conversations/{}/messages", made["id"]);
        app.anyone().post(&messages, json!({"content": "Hello"})).await.ok();
        messages
    };
    let (here, there) = (talk(&made).await, talk(&kept).await);
    let path = format!("/inboxes/{}", made["id"]);
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    agent.delete(&path).await.status(401);
    admin.delete(&path).await.ok();
    // At once nobody gets in any more.
    admin.get(&path).await.status(404);
    app.anyone().post(&here, json!({"content": "Hello?"})).await.status(404);
    admin.delete(&path).await.status(404);
    app.settle().await;
    chatwarden_db::statements! {
        LEFT: (i64, i64, i64, i64) = "tests.left",
            "select (select count(*) from inboxes), (select count(*) from conversations),
                (select count(*) from messages where message_type = 0), (select count(*) from contact_inboxes)";
    }
    let left = app.db().read(async |tx| tx.one(&LEFT, chatwarden_db::args![]).await).await.unwrap();
    assert_eq!(left, (1, 1, 1, 1));
    app.anyone().post(&there, json!({"content": "Still here"})).await.ok();
}

#[tokio::test]
async fn only_api_inboxes_have_a_secret() {
    let (_app, admin) = App::start().await;
    let api = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let renewed =
        admin.post(&format!("/inboxes/{}/reset_secret", api["id"]), Value::Null).await.ok();
    assert_ne!(renewed["secret"], api["secret"]);
    let mail = inbox(&admin, "Mail", json!({"type": "email", "email": "a@example.com"})).await;
    admin.post(&format!("/inboxes/{}/reset_secret", mail["id"]), Value::Null).await.status(404);
}

#[tokio::test]
async fn what_two_change_at_once_is_kept_of_both() {
    let (_, admin) = App::start().await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let path = format!("/inboxes/{}", made["id"]);
    for nth in 0..10 {
        let address = format!("https://example.com/{nth}");
        let mandatory = nth % 2 == 0;
        let (one, other) = tokio::join!(
            admin.patch(&path, json!({"channel": {"webhook_url": address}})),
            admin.patch(&path, json!({"channel": {"hmac_mandatory": mandatory}}))
        );
        one.ok();
        other.ok();
        let kept = admin.get(&path).await.ok();
        assert_eq!(kept["webhook_url"], json!(address));
        assert_eq!(kept["hmac_mandatory"], json!(mandatory));
    }
}

#[tokio::test]
async fn a_closed_day_has_hours_of_a_day_all_the_same() {
    let (_, admin) = App::start().await;
    let made = inbox(&admin, "Desk", json!({"type": "api"})).await;
    let day = json!({"day_of_week": 1, "closed_all_day": true, "open_hour": i64::MAX});
    let body = json!({"working_hours": [day]});
    let kept = admin.patch(&format!("/inboxes/{}", made["id"]), body).await.ok();
    assert_eq!(kept["working_hours"][1]["open_hour"], json!(9));
}

#[tokio::test]
async fn an_inbox_found_lately_saves_a_statement_until_it_changes() {
    chatwarden_db::statements! {
        RENAME: () = "test.rename_inboxes", "update inboxes set name = $1";
    }
    let (app, admin) = App::start().await;
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let own = format!("/inboxes/{}", inbox["id"]);
    let door = format!("/public/api/v1/inboxes/{}", inbox["inbox_identifier"].as_str().unwrap());
    let ask = async || {
        let scope = UsageScope::default();
        let reply = usage_scope(scope.clone(), app.anyone().get(&door)).await;
        (reply.json()["name"].clone(), scope.usage().statements)
    };
    let hits = async || {
        let path = "/actuator/metrics/chatwoot.cache.hits?tag=cache:inboxes";
        app.operator().get(path).await.json()["measurements"][0]["value"].as_f64().unwrap_or(0.0)
    };

    let (name, looked) = ask().await;
    let before = hits().await;
    assert_eq!((name.as_str(), ask().await), (Some("Desk"), (json!("Desk"), looked - 1)));
    assert!(hits().await > before);

    admin.patch(&own, json!({"name": "Front desk"})).await.ok();
    assert_eq!(ask().await, (json!("Front desk"), looked), "changed here");
    let renamed = app.db().write(async |tx| tx.run(&RENAME, args!["Elsewhere"]).await);
    renamed.await.expect("another node renames it");
    assert_eq!(ask().await, (json!("Front desk"), looked - 1), "changed elsewhere");
    app.advance(Duration::from_secs(2));
    assert_eq!(ask().await, (json!("Elsewhere"), looked), "two seconds later");

    admin.delete(&own).await.ok();
    app.anyone().get(&door).await.status(404);
}
