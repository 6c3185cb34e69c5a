//! People and their accounts: the platform API, members, bots, profiles (`behaviours.md §2.2`, §24, §25).

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

async fn new_user(app: &App, name: &str) -> Value {
    let email = format!("{}@example.com", name.to_lowercase());
    let body = json!({"name": name, "email": email, "password": "Passw0rd!23"});
    app.platform().post("/platform/api/v1/users", body).await.ok()
}

/// Whoever shows an API token.
fn by_token(app: &App, token: &Value) -> Actor {
    app.anyone().with_header("api_access_token", token.as_str().expect("a token"))
}

#[tokio::test]
async fn a_platform_app_reaches_only_what_it_made() {
    let (app, admin) = App::start().await;
    let token = app
        .db()
        .write(async |tx| chatwarden_core::platform::create_app(tx, "another").await)
        .await
        .unwrap();
    let stranger = app.anyone().with_header("api_access_token", &token);
    let account = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
    let user = format!("/platform/api/v1/users/{}", admin.id.unwrap());
    app.platform().get(&account).await.ok();
    app.platform().get(&user).await.ok();
    for path in [&account, &user] {
        let refused = stranger.get(path).await.status(401);
        assert_eq!(refused["error"], json!("Non permissible resource"));
        stranger.patch(path, json!({"name": "Mine"})).await.status(401);
        stranger.delete(path).await.status(401);
    }
    stranger.post(&format!("{user}/token"), Value::Null).await.status(401);
    stranger.get(&format!("{user}/login")).await.status(401);
    stranger.post(&format!("{account}/account_users"), json!({"user_id": 1})).await.status(401);
    let bot = json!({"name": "Spy", "account_id": admin.account});
    stranger.post("/platform/api/v1/agent_bots", bot).await.status(401);
    assert_eq!(stranger.get("/platform/api/v1/accounts").await.ok(), json!([]));
    // Nor does its token open anything else.
    stranger.get("/api/v1/profile").await.status(401);
    admin.get(&account).await.status(401);
}

#[tokio::test]
async fn a_known_address_is_the_same_user() {
    let app = App::empty().await;
    let first = new_user(&app, "Petra").await;
    let again = new_user(&app, "PETRA").await;
    assert_eq!(first["id"], again["id"]);
    assert_eq!(again["name"], json!("Petra"));
}

#[tokio::test]
async fn rules_of_people_are_said_by_field() {
    let app = App::empty().await;
    let check = async |body: Value, attributes: Value| {
        let refused = app.platform().post("/platform/api/v1/users", body).await.status(422);
        assert_eq!(refused["attributes"], attributes, "{refused}");
    };
    let good = "Passw0rd!23";
    check(json!({"name": "A", "password": good}), json!(["email"])).await;
    check(json!({"name": "A", "email": "odd", "password": good}), json!(["email"])).await;
    check(json!({"email": "a@b.c", "password": good}), json!(["name"])).await;
    check(json!({"name": "A", "email": "a@b.c"}), json!(["password"])).await;
    check(json!({"name": "A".repeat(256), "email": "a@b.c", "password": good}), json!(["name"]))
        .await;
    let nul = json!({"name": "A\u{0}", "email": "a@b.c", "password": good});
    app.platform().post("/platform/api/v1/users", nul).await.status(422);
}

#[tokio::test]
async fn accounts_have_what_they_need_from_the_start() {
    let app = App::empty().await;
    let body =
        json!({"name": "Branch", "features": {"macros": false, "sla": true}, "locale": "de"});
    let made = app.platform().post("/platform/api/v1/accounts", body).await.ok();
    assert_eq!(made["locale"], json!("de"));
    assert_eq!(made["features"]["macros"], Value::Null);
    assert_eq!(made["features"]["sla"], json!(true));
    assert_eq!(made["features"]["labels"], json!(true));
    let bad = json!({"name": "Branch", "locale": "xx"});
    app.platform().post("/platform/api/v1/accounts", bad).await.status(422);
    app.platform().post("/platform/api/v1/accounts", json!({})).await.status(422);
    let unknown = json!({"name": "Branch", "features": {"macros": true, "no_such_flag": true}});
    let unknown = app.platform().post("/platform/api/v1/accounts", unknown).await.status(422);
    assert_eq!(unknown["attributes"], json!(["features"]));
    assert_eq!(unknown["message"], json!("Features has no flag 'no_such_flag'"));
    let path = format!("/platform/api/v1/accounts/{}", made["id"]);
    app.platform().delete(&path).await.ok();
    let gone = app.platform().get(&path).await.status(404);
    assert_eq!(gone, json!({"status": 404, "error": "Not Found"}));
}

#[tokio::test]
async fn a_flag_is_on_whose_value_says_something() {
    let (app, admin) = App::start().await;
    let path = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
    let is_on = async |value: Value| {
        let changed = app.platform().patch(&path, json!({"features": {"sla": value}})).await.ok();
        changed["features"]["sla"] == json!(true)
    };
    for on in [json!(true), json!("false"), json!(0), json!("off"), json!({"a": 1})] {
        assert!(is_on(on.clone()).await, "{on}");
    }
    for off in [json!(false), Value::Null, json!(""), json!(" "), json!([]), json!({})] {
        is_on(json!(true)).await;
        assert!(!is_on(off.clone()).await, "{off}");
    }
    let form = bytes::Bytes::from_static(b"features[sla]=false");
    let kind = "application/x-www-form-urlencoded";
    let reply = app.platform().send_raw(http::Method::PATCH, &path, kind, form).await.ok();
    assert_eq!(reply["features"]["sla"], json!(true));
    app.platform().patch(&path, json!({"features": {"shoe": false}})).await.status(422);
    let kept = app.platform().patch(&path, json!({"name": {"a": 1}, "features": "words"})).await;
    assert_eq!(kept.ok()["name"], json!("Acme"));
}

#[tokio::test]
async fn a_platform_app_is_told_of_all_faults_of_a_user() {
    let app = App::empty().await;
    let (petra, paul) = (new_user(&app, "Petra").await, new_user(&app, "Paul").await);
    let path = format!("/platform/api/v1/users/{}", petra["id"]);
    let refused = async |body: Value| app.platform().patch(&path, body).await.status(422);
    let empty = refused(json!({"password": ""})).await;
    let said =
        "Password must contain at least 6 characters, Password must contain at least 1 uppercase";
    assert!(empty["message"].as_str().unwrap().starts_with(said), "{empty}");
    let both = refused(json!({"email": "bad", "name": ""})).await;
    let said = "Email is invalid, Email is not an email, Name can't be blank";
    assert_eq!(both["message"], json!(said));
    let taken = refused(json!({"email": paul["email"], "name": ""})).await;
    assert_eq!(taken["message"], json!("Email has already been taken, Name can't be blank"));
    for nothing in [json!({"password": null}), json!({"name": {"a": 1}, "email": ["x"]})] {
        let kept = app.platform().patch(&path, nothing).await.ok();
        assert_eq!((&kept["name"], &kept["email"]), (&petra["name"], &petra["email"]));
    }
}

#[tokio::test]
async fn members_leave_with_their_seats_and_go_where_they_have_no_other_account() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let only_here = app.member(account, "Grace", "agent").await;
    let elsewhere = app.account("Elsewhere").await;
    let both = app.member(elsewhere, "Mallory", "administrator").await;
    let body = json!({"email": both.email, "name": "Ignored", "role": "agent"});
    let joined = admin.post("/agents", body.clone()).await.ok();
    assert_eq!(joined["name"], json!("Mallory"));
    let again = admin.post("/agents", body).await.status(422);
    assert_eq!(again["message"], json!("User has already been taken"));
    let agents = format!("/api/v1/accounts/{account}/agents");
    assert_eq!(both.get(&agents).await.ok().as_array().unwrap().len(), 3);
    admin.delete(&format!("/agents/{}", both.id.unwrap())).await.ok();
    both.get(&agents).await.status(401);
    both.get("/agents").await.ok();
    admin.delete(&format!("/agents/{}", only_here.id.unwrap())).await.ok();
    only_here.get("/api/v1/profile").await.status(401);
    admin.delete(&format!("/agents/{}", only_here.id.unwrap())).await.status(404);
}

#[tokio::test]
async fn who_comes_back_keeps_what_they_are_given() {
    let (app, admin) = App::start().await;
    let elsewhere = app.account("Elsewhere").await;
    let both = app.member(elsewhere, "Mallory", "administrator").await;
    let join = json!({"email": both.email, "name": "Mallory", "role": "agent"});
    admin.post("/agents", join.clone()).await.ok();
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok()["id"].clone();
    let contact = admin.post("/contacts", json!({"inbox_id": inbox, "name": "Vera"})).await.ok();
    let talk = json!({"inbox_id": inbox, "contact_id": contact["payload"]["contact"]["id"]});
    let talk = admin.post("/conversations", talk).await.ok()["id"].clone();
    let assign = async || {
        let to = json!({"assignee_id": both.id});
        admin.post(&format!("/conversations/{talk}/assignments"), to).await.ok();
    };
    let assignee = async || {
        admin.get(&format!("/conversations/{talk}")).await.ok()["meta"]["assignee"]["id"].clone()
    };
    assign().await;
    admin.delete(&format!("/agents/{}", both.id.unwrap())).await.ok();
    app.settle().await;
    assert_eq!(assignee().await, Value::Null);
    admin.post("/agents", join).await.ok();
    assign().await;
    // Conversations are looked through once more, for those that were given away meanwhile.
    app.advance(std::time::Duration::from_secs(61));
    app.settle().await;
    assert_eq!(assignee().await, json!(both.id));
}

#[tokio::test]
async fn agents_look_and_administrators_change() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let refused =
        agent.post("/agents", json!({"email": "x@example.com", "name": "X"})).await.status(401);
    assert_eq!(refused["error"], json!("You are not authorized to do this action"));
    let own = format!("/agents/{}", agent.id.unwrap());
    agent.patch(&own, json!({"role": "administrator"})).await.status(401);
    agent.delete(&own).await.status(401);
    agent.patch("", json!({"name": "Ours"})).await.status(401);
    agent.post("/agent_bots", json!({"name": "Mine"})).await.status(401);
    let changed = admin.patch(&own, json!({"role": "administrator", "name": "Grace H"})).await.ok();
    assert_eq!((&changed["role"], &changed["name"]), (&json!("administrator"), &json!("Grace H")));
    admin.patch(&own, json!({"role": "king"})).await.status(422);
    agent.patch("", json!({"name": "Ours"})).await.ok();
}

#[tokio::test]
async fn several_are_invited_at_once_but_those_who_cant_be() {
    let (_app, admin) = App::start().await;
    let emails =
        json!({"emails": ["Una@example.com", "no-address", admin.email, "una@example.com"]});
    admin.post("/agents/bulk_create", emails).await.ok();
    let listed = admin.get("/agents").await.ok();
    let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, [&json!("Ada"), &json!("una")]);
    let named = json!({"email": "ivo@example.com", "name": " ", "role": "agent"});
    assert_eq!(admin.post("/agents", named).await.ok()["name"], json!("ivo"));
    let many: Vec<String> = (0..101).map(|n| format!("{n}@example.com")).collect();
    for odd in [json!({"emails": many}), json!({}), json!({"emails": "x@example.com"})] {
        let refused = admin.post("/agents/bulk_create", odd).await.status(422);
        assert!(refused["error"].as_str().unwrap().starts_with("emails"), "{refused}");
    }
    assert_eq!(admin.get("/agents").await.ok().as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn inviting_several_is_the_last_step_of_the_set_up() {
    let (app, admin) = App::start().await;
    let path = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
    let attributes = json!({"onboarding_step": "invite_team", "industry": "Shipping"});
    app.platform().patch(&path, json!({"custom_attributes": attributes})).await.ok();
    let onboarding = async || {
        let me = admin.get("/api/v1/profile").await.ok();
        me["accounts"][0]["onboarding_step"].clone()
    };
    admin.post("/agents", json!({"email": "una@example.com", "role": "agent"})).await.ok();
    assert_eq!(onboarding().await, json!("invite_team"));
    admin.post("/agents/bulk_create", json!({"emails": ["no-address"]})).await.ok();
    assert_eq!(onboarding().await, Value::Null);
    let shown = app.platform().get(&path).await.ok();
    assert_eq!(shown["custom_attributes"]["industry"], json!("Shipping"), "{shown}");
}

#[tokio::test]
async fn a_bots_token_opens_only_what_is_for_bots_where_it_belongs() {
    let (app, admin) = App::start().await;
    let bot = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    let robo = by_token(&app, &bot["access_token"]);
    let account = format!("/api/v1/accounts/{}", admin.account.unwrap());
    for path in ["", "/agents", "/agent_bots", "/notification_settings"] {
        let refused = robo.get(&format!("{account}{path}")).await.status(401);
        let text = "Access to this endpoint is not authorized for bots";
        assert_eq!(refused["error"], json!(text), "{path}");
    }
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let seen = agent.get(&format!("/agent_bots/{}", bot["id"])).await.ok();
    assert_eq!((&seen["access_token"], &seen["secret"]), (&Value::Null, &Value::Null));
    let reset =
        admin.post(&format!("/agent_bots/{}/reset_access_token", bot["id"]), Value::Null).await;
    assert_ne!(reset.ok()["access_token"], bot["access_token"]);
    let refused = robo.get("/api/v1/profile").await.status(401);
    assert_eq!(refused["error"], json!("Invalid Access Token"));
}

#[tokio::test]
async fn bots_of_the_installation_are_seen_but_not_changed() {
    let (app, admin) = App::start().await;
    let made =
        app.platform().post("/platform/api/v1/agent_bots", json!({"name": "Robby"})).await.ok();
    let path = format!("/agent_bots/{}", made["id"]);
    let long = json!({"name": "Robby", "description": "x".repeat(256)});
    let own = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    for refused in [
        app.platform().post("/platform/api/v1/agent_bots", long.clone()).await,
        app.platform().patch(&format!("/platform/api/v1{path}"), long.clone()).await,
        admin.post("/agent_bots", long.clone()).await,
        admin.patch(&format!("/agent_bots/{}", own["id"]), long.clone()).await,
    ] {
        let said = json!("Description is too long (maximum is 255 characters)");
        assert_eq!(refused.status(422)["message"], said);
    }
    let seen = admin.get(&path).await.ok();
    assert_eq!(seen["system_bot"], json!(true));
    assert_eq!((&seen["access_token"], &seen["secret"]), (&Value::Null, &Value::Null));
    admin.patch(&path, json!({"name": "Mine"})).await.status(404);
    admin.delete(&path).await.status(404);
    admin.post(&format!("{path}/reset_secret"), Value::Null).await.status(404);
    app.platform().delete(&format!("/platform/api/v1{path}")).await.ok();
    admin.get(&path).await.status(404);
}

#[tokio::test]
async fn a_suspended_account_is_shown_but_not_entered() {
    let (app, admin) = App::start().await;
    let path = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
    app.platform().patch(&path, json!({"status": "suspended"})).await.ok();
    let refused = admin.get("/agents").await.status(401);
    assert_eq!(refused["error"], json!("Account is suspended"));
    assert_eq!(admin.get("").await.ok()["status"], json!("suspended"));
    admin.get("/api/v1/profile").await.ok();
    app.platform().patch(&path, json!({"status": "active"})).await.ok();
    admin.get("/agents").await.ok();
}

#[tokio::test]
async fn what_is_somebody_elses_looks_missing() {
    let (app, admin) = App::start().await;
    let elsewhere = app.account("Elsewhere").await;
    let mallory = app.member(elsewhere, "Mallory", "administrator").await;
    let account = format!("/api/v1/accounts/{}", admin.account.unwrap());
    for path in
        [account.clone(), format!("{account}/cache_keys"), "/api/v1/accounts/999".to_owned()]
    {
        mallory.get(&path).await.status(404);
    }
    mallory.patch(&account, json!({"name": "Mine"})).await.status(404);
    mallory.get(&format!("{account}/agents")).await.status(401);
    admin
        .patch(&format!("/agents/{}", mallory.id.unwrap()), json!({"name": "Stolen"}))
        .await
        .status(404);
    admin.delete(&format!("/agents/{}", mallory.id.unwrap())).await.status(404);
    let bot = mallory.post("/agent_bots", json!({"name": "Theirs"})).await.ok();
    admin.get(&format!("/agent_bots/{}", bot["id"])).await.status(404);
    admin.delete(&format!("/agent_bots/{}", bot["id"])).await.status(404);
    let body = json!({"profile": {"account_id": elsewhere, "availability": "busy"}});
    admin.post("/api/v1/profile/availability", body).await.status(404);
}

#[tokio::test]
async fn preferences_are_replaced_and_attributes_kept() {
    let (app, admin) = App::start().await;
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let me = "/api/v1/profile";
    admin.put(me, json!({"profile": {"ui_settings": {"a": 1, "b": {"c": [2]}}}})).await.ok();
    let body = json!({"profile": {"ui_settings": {"b": 1}, "phone_number": "+15550100"}});
    let changed = admin.put(me, body).await.ok();
    assert_eq!(changed["ui_settings"], json!({"b": 1}));
    assert_eq!(changed["custom_attributes"], json!({"phone_number": "+15550100"}));
    let sneaky = json!({"profile": {"type": "SuperAdmin", "role": "agent", "provider": "saml"}});
    let changed = admin.put(me, sneaky).await.ok();
    assert_eq!(changed["type"], Value::Null);
    assert_eq!(changed["provider"], json!("email"));
    admin.put(me, json!({"profile": {"name": ""}})).await.status(422);
    admin.put(me, json!({})).await.status(422);
    admin.put(me, json!({"profile": "words"})).await.status(422);
    // A form is no record: whatever was sent is its own, and what is none of its fields changes nothing.
    assert_eq!(admin.put(me, json!({"foo": "bar"})).await.ok(), changed);
    let containers =
        json!({"profile": {"name": {"a": 1}, "display_name": ["x"], "phone_number": {}}});
    assert_eq!(admin.put(me, containers).await.ok(), changed);
    let faults = json!({"profile": {"name": "", "email": "bad"}});
    let refused = admin.put(me, faults).await.status(422);
    let said = "Email is invalid, Email is not an email, Name can't be blank";
    assert_eq!(refused["message"], json!(said));
    let taken = json!({"profile": {"name": "", "email": agent.email}});
    let refused = admin.put(me, taken).await.status(422);
    assert_eq!(refused["message"], json!("Email has already been taken, Name can't be blank"));
}

#[tokio::test]
async fn roles_and_availabilities_are_named_or_numbered() {
    let (app, admin) = App::start().await;
    let account = admin.account.unwrap();
    let agent = app.member(account, "Grace", "agent").await;
    let own = format!("/agents/{}", agent.id.unwrap());
    let changed = admin.patch(&own, json!({"role": 1, "availability": 2})).await.ok();
    assert_eq!(changed["role"], json!("administrator"));
    assert_eq!(admin.patch(&own, json!({"foo": "bar"})).await.ok(), changed);
    for odd in [json!({"role": 7}), json!({"role": "1"}), json!({"availability": -1})] {
        admin.patch(&own, odd).await.status(422);
    }
    for blank in ["", "   "] {
        let refused = admin.patch(&own, json!({"name": blank, "role": "king"})).await.status(422);
        assert_eq!(refused, json!({"message": "Name can't be blank", "attributes": ["name"]}));
    }
    assert_eq!(admin.patch(&own, json!({"name": null})).await.ok(), changed);
    admin.patch("/agents/999999", json!({})).await.status(404);
    admin.patch("/agents/999999", json!({"name": ""})).await.status(404);
    admin.patch("/agents/999999", json!({"role": "king"})).await.status(404);
    admin.patch(&own, json!({})).await.status(422);
    let shown = async |availability: Value| {
        let body = json!({"profile": {"account_id": account, "availability": availability}});
        agent.post("/api/v1/profile/availability", body).await
    };
    assert_eq!(shown(json!(1)).await.ok()["accounts"][0]["availability"], json!("offline"));
    let named = shown(json!("busy")).await.ok();
    assert_eq!(named["accounts"][0]["availability"], json!("busy"));
    for none in [Value::Null, json!(""), json!({"a": 1})] {
        assert_eq!(shown(none).await.status(422)["attributes"], json!(["availability"]));
    }
    let members = format!("/platform/api/v1/accounts/{account}/account_users");
    let joined = json!({"user_id": agent.id, "role": 0});
    assert_eq!(app.platform().post(&members, joined).await.ok()["role"], json!("agent"));
    let branch = json!({"name": "Branch", "status": 1});
    let branch = app.platform().post("/platform/api/v1/accounts", branch).await.ok();
    assert_eq!(branch["status"], json!("suspended"));
}

#[tokio::test]
async fn settings_outside_their_bounds_change_nothing() {
    let (_app, admin) = App::start().await;
    let body = json!({"auto_resolve_after": 60, "auto_resolve_label": "stale", "unknown": 1});
    let changed = admin.patch("", body).await.ok();
    assert_eq!(
        changed["settings"],
        json!({"auto_resolve_after": 60, "auto_resolve_label": "stale"})
    );
    for bad in [
        json!({"name": "New", "auto_resolve_after": 9}),
        json!({"name": "New", "auto_resolve_after": "60"}),
        json!({"name": "New", "auto_resolve_after": ""}),
        json!({"name": "New", "auto_resolve_ignore_waiting": "true"}),
        json!({"name": "New", "audio_transcriptions": "perhaps"}),
        json!({"name": "New", "locale": "xx"}),
        json!({"name": "New", "support_email": "no address"}),
        json!({"name": "New", "domain": "d".repeat(101)}),
    ] {
        admin.patch("", bad).await.status(422);
    }
    assert_eq!(admin.get("").await.ok()["name"], json!("Acme"));
    let several = admin.patch("", json!({"name": "", "auto_resolve_after": 9})).await.status(422);
    let said = "Name can't be blank, Auto resolve after must be greater than or equal to 10";
    assert_eq!(several["message"], json!(said));
}

#[tokio::test]
async fn settings_may_be_empty_and_what_holds_several_values_is_none() {
    let (_app, admin) = App::start().await;
    let full = json!({"auto_resolve_message": "Bye", "auto_resolve_label": "stale", "industry": "Shipping"});
    let before = admin.patch("", full).await.ok();
    for container in [json!(["a"]), json!({"a": 1})] {
        let body = json!({
            "name": container, "domain": container, "industry": container, "auto_resolve_message": container,
            "auto_resolve_after": container,
        });
        assert_eq!(admin.patch("", body).await.ok(), before);
    }
    let empty = json!({"auto_resolve_message": "", "auto_resolve_label": ""});
    assert_eq!(admin.patch("", empty.clone()).await.ok()["settings"], empty);
}

#[tokio::test]
async fn nobody_signs_up_where_that_is_off() {
    let app = App::empty().await;
    let body = json!({
        "account_name": "New", "user_full_name": "New Comer", "email": "new@example.com", "password": "Passw0rd!23",
    });
    for path in ["/api/v1/accounts", "/api/v2/accounts"] {
        let refused = app.anyone().post(path, body.clone()).await.status(404);
        assert_eq!(refused, json!({"status": 404, "error": "Not Found"}));
    }
}

#[tokio::test]
async fn nothing_of_a_removed_account_stays() {
    let (app, admin) = App::start().await;
    let (account, other) = (admin.account.unwrap(), app.account("Elsewhere").await);
    let eve = app.member(other, "Eve", "administrator").await;
    let bot = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    for actor in [&admin, &eve] {
        let body = json!({"name": "Desk", "channel": {"type": "api", "webhook_url": ""}});
        let inbox = actor.post("/inboxes", body).await.ok();
        actor.post("/contacts", json!({"name": "Vera", "inbox_id": inbox["id"]})).await.ok();
    }
    app.platform().delete(&format!("/platform/api/v1/accounts/{account}")).await.ok();
    admin.get("/agents").await.status(404);
    let robo = by_token(&app, &bot["access_token"]);
    let refused = robo.get(&format!("/api/v1/accounts/{account}/conversations/1")).await;
    assert!(refused.status.is_client_error(), "{}", refused.status);
    app.settle().await;
    assert_eq!(rows_of(&app, account).await, Vec::<&str>::new());
    assert_eq!(rows_of(&app, other).await, ["contacts", "inboxes", "sequences"]);
    eve.get("/inboxes").await.ok();
}

/// The tables that still have rows of an account.
async fn rows_of(app: &App, account: i64) -> Vec<&'static str> {
    chatwarden_db::statements! {
        CONTACTS: (i64,) = "test.contacts", "select count(*) from contacts where account_id = $1";
        INBOXES: (i64,) = "test.inboxes", "select count(*) from inboxes where account_id = $1";
        BOTS: (i64,) = "test.bots", "select count(*) from agent_bots where account_id = $1";
        SEQUENCES: (i64,) = "test.sequences", "select count(*) from account_sequences where account_id = $1";
    }
    let found = app.db().read(async move |tx| {
        let mut found = Vec::new();
        for (table, statement) in [
            ("contacts", &CONTACTS),
            ("inboxes", &INBOXES),
            ("bots", &BOTS),
            ("sequences", &SEQUENCES),
        ] {
            if tx.one(statement, chatwarden_db::args![account]).await?.0 > 0 {
                found.push(table);
            }
        }
        Ok::<_, chatwarden_db::DbError>(found)
    });
    found.await.expect("counts")
}

#[tokio::test]
async fn the_purge_of_accounts_knows_every_table_of_tenants() {
    // Jobs and events end by themselves; memberships and keys of the account go at once; files are given up, and
    // their rows go with their content; what belongs to a conversation alone goes with it.
    const ELSEWHERE: [&str; 6] = [
        "jobs",
        "outbox",
        "account_users",
        "blobs",
        "conversation_participants",
        "conversation_drafts",
    ];
    let app = App::empty().await;
    let columns = chatwarden_db::schema(app.db()).await.unwrap();
    let purged = chatwarden_core::accounts::purge::ORDER;
    for column in columns.iter().filter(|column| column.column == "account_id") {
        let known = |table: &str| {
            let wanted = format!("delete from {table} ");
            purged.iter().any(|statement| statement.any().text(app.db().engine()).contains(&wanted))
        };
        let table = column.table.as_str();
        assert!(
            ELSEWHERE.contains(&table) || known(table),
            "{table} has rows of accounts: add it to crates/core/src/accounts/purge.rs"
        );
    }
}

#[tokio::test]
async fn paths_are_taken_as_clients_write_them() {
    let (_app, admin) = App::start().await;
    let account = format!("/api/v1/accounts/{}", admin.account.unwrap());
    for path in
        [format!("{account}/"), format!("{account}.json"), format!("{account}/agents.json?page=1")]
    {
        admin.get(&path).await.ok();
    }
    admin.patch(&format!("{account}//"), json!({"name": "Acme"})).await.ok();
    admin.put(&format!("{account}/agents"), json!({})).await.status(404);
    assert_eq!(admin.get("/api.json").await.ok()["version"], json!("4.16.2"));
    assert_eq!(admin.get("/health.json").await.ok(), json!({"status": "woot"}));
    let unspoken = json!({"status": 406, "error": "Not Acceptable"});
    for path in [format!("{account}/labels.xml"), "/api/v1/profile.html".to_owned()] {
        assert_eq!(admin.get(&path).await.status(406), unspoken, "{path}");
    }
    admin.put(&format!("{account}/labels.xml"), json!({})).await.status(404);
    admin.get(&format!("{account}/nowhere.xml")).await.status(404);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_as_such() {
    let (app, admin) = App::start().await;
    let form = async |kind: &str, body: &'static str| {
        let body = bytes::Bytes::from_static(body.as_bytes());
        admin.send_raw(http::Method::POST, "/labels", kind, body).await
    };
    let urlencoded = "application/x-www-form-urlencoded";
    for refused in [
        admin.get("/labels?page=%zz").await,
        admin.get("/labels?page=%ff").await,
        form(urlencoded, "label[title]=%zz").await,
        form(urlencoded, "label[title]=%ff").await,
        form("application/json", "{").await,
    ] {
        let refused = refused.status(400);
        assert_eq!((&refused["status"], &refused["error"]), (&json!(400), &json!("Bad Request")));
    }
    form("garbage", "label[title]=vip").await.status(406);
    form("application/x-www-form-urlencoded; charset=utf-8", "label[title]=vip").await.ok();
    // Where nothing is, who wants a page is shown one.
    let browser = app.anyone().with_header("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let page = browser.get("/api/v1/nope").await;
    page.status(404);
    assert!(page.header("content-type").starts_with("text/html"));
    assert_eq!(admin.get("/api/v1/nope").await.status(404)["error"], json!("Not Found"));
}

#[tokio::test]
async fn a_replaced_secret_does_not_come_back() {
    use chatwarden_core::agent_bots::{self, Draft};
    let (app, admin) = App::start().await;
    let made = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    let path = format!("/agent_bots/{}", made["id"]);
    let id = chatwarden_core::ids::AgentBotId(made["id"].as_i64().unwrap());
    let account = chatwarden_core::ids::AccountId(admin.account.unwrap());
    let user = chatwarden_core::ids::UserId(admin.id.unwrap());
    // Somebody read the bot before its secret was replaced, and saves it after.
    let mut read = app
        .db()
        .read(async move |tx| {
            let (_, scope) = chatwarden_core::accounts::enter(tx, account, user).await?;
            agent_bots::find_own(tx, &scope, id).await
        })
        .await
        .unwrap();
    let fresh =
        admin.post(&format!("{path}/reset_secret"), Value::Null).await.ok()["secret"].clone();
    assert_ne!(fresh, made["secret"]);
    let draft = Draft { name: Some("Renamed".to_owned()), ..Draft::default() };
    app.db().write(async move |tx| agent_bots::update(tx, &mut read, draft).await).await.unwrap();
    let seen = admin.get(&path).await.ok();
    assert_eq!((&seen["name"], &seen["secret"]), (&json!("Renamed"), &fresh));
}

/// An API inbox; how visitors name it, and the secret its owner signs with.
async fn api_inbox(admin: &Actor, mandatory: bool) -> (String, String) {
    let channel = json!({"type": "api", "webhook_url": "", "hmac_mandatory": mandatory});
    let inbox = admin.post("/inboxes", json!({"name": "Desk", "channel": channel})).await.ok();
    let text = |key: &str| inbox[key].as_str().expect("a text").to_owned();
    (format!("/public/api/v1/inboxes/{}", text("inbox_identifier")), text("hmac_token"))
}

#[tokio::test]
async fn an_identity_is_proved_where_the_inbox_wants_it() {
    let (app, admin) = App::start().await;
    let (open, _) = api_inbox(&admin, false).await;
    let (strict, secret) = api_inbox(&admin, true).await;
    let proof = |identifier: &str| {
        let hash = chatwarden_core::sealed::mac(secret.as_bytes(), identifier.as_bytes());
        json!(hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    };
    let vera = json!({"identifier": "vera", "email": "vera@example.com"});
    app.anyone().post(&format!("{open}/contacts"), vera.clone()).await.ok();
    let arrive = async |hash: Value| {
        let mut body = vera.clone();
        body["identifier_hash"] = hash;
        app.anyone().post(&format!("{strict}/contacts"), body).await
    };
    arrive(Value::Null).await.status(401);
    arrive(proof("mallory")).await.status(401);
    let inside = arrive(proof("vera")).await.ok();
    let own = format!("{strict}/contacts/{}", inside["source_id"].as_str().unwrap());
    app.anyone().get(&own).await.status(401);
    let query =
        format!("{own}?identifier=vera&identifier_hash={}", proof("vera").as_str().unwrap());
    app.anyone().get(&query).await.ok();
    // A wrong proof is refused where none is asked for, too.
    let mut body = vera.clone();
    body["identifier_hash"] = proof("mallory");
    app.anyone().post(&format!("{open}/contacts"), body).await.status(401);
}

#[tokio::test]
async fn nobody_comes_through_the_door_of_a_removed_account() {
    let (app, admin) = App::start().await;
    let (door, _) = api_inbox(&admin, false).await;
    app.anyone().post(&format!("{door}/contacts"), json!({"name": "Vera"})).await.ok();
    let path = format!("/platform/api/v1/accounts/{}", admin.account.unwrap());
    app.platform().delete(&path).await.ok();
    // The rows still wait for the purge.
    app.anyone().post(&format!("{door}/contacts"), json!({"name": "Late"})).await.status(404);
}

#[tokio::test]
async fn a_visitor_s_list_ends_with_the_newest() {
    let (app, admin) = App::start().await;
    let (door, _) = api_inbox(&admin, false).await;
    let visitor =
        app.anyone().post(&format!("{door}/contacts"), json!({"name": "Vera"})).await.ok();
    let list = format!("{door}/contacts/{}/conversations", visitor["source_id"].as_str().unwrap());
    let mut newest = Value::Null;
    for _ in 0..101 {
        newest = app.anyone().post(&list, json!({})).await.ok();
    }
    let listed = app.anyone().get(&list).await.ok();
    let ids: Vec<i64> =
        listed.as_array().unwrap().iter().map(|one| one["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 100);
    assert!(ids.is_sorted(), "oldest first");
    assert_eq!(json!(ids.last()), newest["id"]);
}

#[tokio::test]
async fn there_is_one_kind_of_bot() {
    let (_app, admin) = App::start().await;
    let bot = admin.post("/agent_bots", json!({"name": "Rex", "bot_type": "webhook"})).await.ok();
    assert_eq!(bot["bot_type"], "webhook");
    let other = json!({"name": "Rex", "bot_type": "csml"});
    let refused = admin.patch(&format!("/agent_bots/{}", bot["id"]), other).await.status(422);
    assert_eq!(refused["error"], "'csml' is not a valid bot_type");
}
