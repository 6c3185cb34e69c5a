//! Links that sign in, confirm an address or lead to a new password, and who has an address by them.

use std::time::Duration;

use chatwarden_testkit::{Actor, App};
use serde_json::{Value, json};

use super::{PASSWORD, code, jobs, mails, session, sign_in, token_of_last_mail};

#[tokio::test]
async fn a_link_signs_in_once_for_its_user_and_five_minutes() {
    let (app, admin) = App::start().await;
    let other = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let login = format!("/platform/api/v1/users/{}/login", admin.id.unwrap());
    let ticket = async || {
        let url = app.platform().get(&login).await.ok()["url"].as_str().unwrap().to_owned();
        url.rsplit_once('=').unwrap().1.to_owned()
    };
    let by_link = async |email: &Option<String>, ticket: &str| {
        let body = json!({"email": email, "sso_auth_token": ticket});
        app.anyone().post("/auth/sign_in", body).await
    };
    let first = ticket().await;
    by_link(&other.email, &first).await.status(401);
    by_link(&admin.email, &first).await.ok();
    by_link(&admin.email, &first).await.status(401);
    let late = ticket().await;
    app.advance(Duration::from_secs(301));
    by_link(&admin.email, &late).await.status(401);
}

/// Links are locked by their token: on PostgreSQL two who follow one at the same time would both find it.
#[tokio::test]
async fn a_link_is_good_for_one_of_those_who_follow_it_at_once() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    let token = token_of_last_mail(&app).await;
    let follow = async |password: &str| {
        let body = json!({
            "reset_password_token": token, "password": password, "password_confirmation": password,
        });
        app.anyone().put("/auth/password", body).await.status.as_u16()
    };
    let passwords = ["N3w!secret", "0ther!secret", "Th1rd!secret"];
    let (first, second, third) =
        tokio::join!(follow(passwords[0]), follow(passwords[1]), follow(passwords[2]));
    let mut good = 0;
    for (status, password) in [first, second, third].into_iter().zip(passwords) {
        good += usize::from(status == 200);
        let expected = if status == 200 { 200 } else { 401 };
        assert!([200, 422].contains(&status), "{status}");
        sign_in(&app.anyone(), &email, password).await.status(expected);
    }
    assert_eq!(good, 1);
}

#[tokio::test]
async fn a_forgotten_password_is_chosen_anew_by_a_link() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let old = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let before = admin.get("/api/v1/profile").await.ok()["pubsub_token"].clone();
    let anyone = app.anyone();
    let known = anyone.post("/auth/password", json!({"email": email})).await.ok();
    let unknown = anyone.post("/auth/password", json!({"email": "nobody@example.com"})).await.ok();
    assert_eq!(known, unknown);
    assert_eq!(mails(&app).await.len(), 1);
    let token = token_of_last_mail(&app).await;
    let set = async |token: &str, password: &str, again: &str| {
        let body = json!({
            "reset_password_token": token, "password": password, "password_confirmation": again,
        });
        app.anyone().put("/auth/password", body).await
    };
    set("made-up", "N3w!secret", "N3w!secret").await.status(422);
    set(&token, "weak", "weak").await.status(422);
    set(&token, "N3w!secret", "N3w!secre").await.status(422);
    let done = set(&token, "N3w!secret", "N3w!secret").await;
    assert_ne!(done.ok()["data"]["pubsub_token"], before);
    session(&app, &done).get("/auth/validate_token").await.ok();
    old.get("/auth/validate_token").await.status(401);
    set(&token, "0ther!secret", "0ther!secret").await.status(422);
    sign_in(&anyone, &email, PASSWORD).await.status(401);
    sign_in(&anyone, &email, "N3w!secret").await.ok();
    // Too late.
    anyone.post("/auth/password", json!({"email": email})).await.ok();
    let token = token_of_last_mail(&app).await;
    app.advance(Duration::from_secs(6 * 3600));
    set(&token, "0ther!secret", "0ther!secret").await.status(422);
}

#[tokio::test]
async fn an_invited_person_chooses_a_password_before_signing_in() {
    let (app, admin) = App::start().await;
    admin
        .post("/agents", json!({"name": "Zoe", "email": "Zoe@Example.com", "role": "agent"}))
        .await
        .ok();
    let refused = sign_in(&app.anyone(), "zoe@example.com", PASSWORD).await.status(401);
    assert_eq!(refused["error_code"], json!("user_not_confirmed"));
    let mail = mails(&app).await.pop().unwrap();
    assert_eq!(mail["template"], json!("invitation"));
    assert_eq!(mail["to"], json!("zoe@example.com"));
    assert_eq!(mail["args"]["account"], json!("Acme"));
    let body =
        json!({"reset_password_token": token_of_last_mail(&app).await, "password": PASSWORD});
    let done = app.anyone().put("/auth/password", body).await.ok();
    assert_eq!(done["data"]["confirmed"], json!(true));
    sign_in(&app.anyone(), "zoe@example.com", PASSWORD).await.ok();
}

#[tokio::test]
async fn a_new_address_counts_once_it_is_confirmed() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    let sent_before = token_of_last_mail(&app).await;
    let body = json!({"profile": {"email": "New@Example.com"}});
    assert_eq!(admin.put("/api/v1/profile", body).await.ok()["email"], json!(email));
    assert_eq!(mails(&app).await.pop().unwrap()["to"], json!("new@example.com"));
    sign_in(&app.anyone(), "new@example.com", PASSWORD).await.status(401);
    let body = json!({"confirmation_token": token_of_last_mail(&app).await});
    let done = app.anyone().post("/auth/confirmation", body.clone()).await;
    assert_eq!(done.ok()["data"]["email"], json!("new@example.com"));
    session(&app, &done).get("/auth/validate_token").await.ok();
    let again = app.anyone().post("/auth/confirmation", body).await.status(422);
    assert_eq!(again["message"], json!("Already confirmed"));
    sign_in(&app.anyone(), &email, PASSWORD).await.status(401);
    sign_in(&app.anyone(), "new@example.com", PASSWORD).await.ok();
    // Who reads the mails of the old address is nobody now.
    let body = json!({"reset_password_token": sent_before, "password": "N3w!secret"});
    app.anyone().put("/auth/password", body).await.status(422);
}

#[tokio::test]
async fn a_link_to_a_new_password_ends_with_the_address_it_was_sent_to() {
    let (app, admin) = App::start().await;
    let path = format!("/platform/api/v1/users/{}", admin.id.unwrap());
    let follow = async |token: String| {
        let body = json!({"reset_password_token": token, "password": "N3w!secret"});
        app.anyone().put("/auth/password", body).await
    };
    app.anyone().post("/auth/password", json!({"email": admin.email})).await.ok();
    let token = token_of_last_mail(&app).await;
    app.platform().patch(&path, json!({"email": "new@example.com"})).await.ok();
    follow(token).await.status(422);
    app.anyone().post("/auth/password", json!({"email": "new@example.com"})).await.ok();
    let token = token_of_last_mail(&app).await;
    app.platform().patch(&path, json!({"email": "new@example.com", "name": "Ada L"})).await.ok();
    follow(token).await.ok();
}

/// Somebody who signed up with `email` and never confirmed it: the session, and the API token.
async fn squatter(app: &App, email: &str) -> [Actor; 2] {
    let body = json!({"email": email, "password": PASSWORD});
    let opened = app.anyone().post("/api/v2/accounts", body).await;
    let token = opened.ok()["data"]["access_token"].as_str().expect("a token").to_owned();
    [session(app, &opened), app.anyone().with_header("api_access_token", &token)]
}

#[tokio::test]
async fn who_is_invited_is_not_whoever_signed_up_with_the_address() {
    let (app, admin) = App::open_to_all().await;
    let email = "grace@example.com";
    let [squatter, by_token] = squatter(&app, email).await;
    // With all that would let them in again.
    let mfa = "/api/v1/profile/mfa";
    let secret = squatter.post(mfa, Value::Null).await.ok()["secret"].clone();
    squatter.post(&format!("{mfa}/verify"), json!({"otp_code": code(&app, &secret)})).await.ok();
    let elsewhere = json!({"profile": {"email": "eve@example.com"}});
    squatter.put("/api/v1/profile", elsewhere).await.ok();
    let to_eve = json!({"confirmation_token": token_of_last_mail(&app).await});

    admin.post("/agents", json!({"name": "Grace", "email": email, "role": "agent"})).await.ok();
    let agents = format!("/api/v1/accounts/{}/agents", admin.account.unwrap());
    for who in [&squatter, &by_token] {
        who.get(&agents).await.status(401);
        who.get("/api/v1/profile").await.status(401);
    }
    app.anyone().post("/auth/confirmation", to_eve).await.status(422);
    sign_in(&app.anyone(), email, PASSWORD).await.status(401);

    let body =
        json!({"reset_password_token": token_of_last_mail(&app).await, "password": "N3w!secret"});
    let grace = session(&app, &app.anyone().put("/auth/password", body).await);
    grace.get(&agents).await.ok();
    sign_in(&app.anyone(), email, PASSWORD).await.status(401);
    sign_in(&app.anyone(), email, "N3w!secret").await.status(200);
}

#[tokio::test]
async fn who_confirmed_the_address_stays_who_they_are_when_invited() {
    let (app, admin) = App::start().await;
    let other = app.member(app.account("Elsewhere").await, "Mallory", "administrator").await;
    let email = other.email.clone().unwrap();
    let me = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    admin.post("/agents", json!({"email": email, "role": "agent"})).await.ok();
    let agents = format!("/api/v1/accounts/{}/agents", admin.account.unwrap());
    for who in [&me, &other] {
        who.get(&agents).await.ok();
    }
    sign_in(&app.anyone(), &email, PASSWORD).await.ok();
    assert_eq!(mails(&app).await, Vec::<Value>::new());
}

#[tokio::test]
async fn whom_a_platform_app_adds_by_the_id_stays_who_they_are() {
    let (app, admin) = App::open_to_all().await;
    let [by_session, by_token] = squatter(&app, "grace@example.com").await;
    let id = by_session.get("/api/v1/profile").await.ok()["id"].clone();
    let account = admin.account.unwrap();
    let joins = format!("/platform/api/v1/accounts/{account}/account_users");
    app.platform().post(&joins, json!({"user_id": id, "role": "agent"})).await.ok();
    for who in [by_session, by_token] {
        who.get(&format!("/api/v1/accounts/{account}/agents")).await.ok();
    }
}

#[tokio::test]
async fn a_platform_app_takes_an_address_over_from_whoever_signed_up_with_it() {
    let (app, _) = App::open_to_all().await;
    let adopt = async |email: &str, password: Value| {
        let body = json!({"name": "Grace", "email": email, "password": password});
        app.platform().post("/platform/api/v1/users", body).await
    };
    let [squatter_, by_token] = squatter(&app, "grace@example.com").await;
    adopt("grace@example.com", json!("weak")).await.status(422);
    squatter_.get("/api/v1/profile").await.ok();
    adopt("grace@example.com", json!("N3w!secret")).await.ok();
    for who in [&squatter_, &by_token] {
        who.get("/api/v1/profile").await.status(401);
    }
    sign_in(&app.anyone(), "grace@example.com", PASSWORD).await.status(401);
    sign_in(&app.anyone(), "grace@example.com", "N3w!secret").await.ok();
    // By now the password is somebody's.
    adopt("grace@example.com", json!("0ther!secret")).await.ok();
    sign_in(&app.anyone(), "grace@example.com", "N3w!secret").await.ok();

    let [squatter_, _] = squatter(&app, "zoe@example.com").await;
    adopt("zoe@example.com", Value::Null).await.ok();
    squatter_.get("/api/v1/profile").await.status(401);
    sign_in(&app.anyone(), "zoe@example.com", PASSWORD).await.status(401);
}

#[tokio::test]
async fn who_confirms_the_address_by_a_new_password_ends_what_was_there_before() {
    let (app, _) = App::open_to_all().await;
    let email = "grace@example.com";
    let [squatter, by_token] = squatter(&app, email).await;
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    let body =
        json!({"reset_password_token": token_of_last_mail(&app).await, "password": "N3w!secret"});
    let grace = session(&app, &app.anyone().put("/auth/password", body).await);
    grace.get("/api/v1/profile").await.ok();
    for who in [&squatter, &by_token] {
        who.get("/api/v1/profile").await.status(401);
    }
}

#[tokio::test]
async fn asking_for_a_link_does_the_same_whoever_is_there() {
    let (app, admin) = App::start().await;
    app.settle().await;
    let invited = json!({"email": "zoe@example.com", "role": "agent"});
    admin.post("/agents", invited).await.ok();
    let before = jobs(&app).await.len();
    for path in ["/auth/password", "/resend_confirmation"] {
        for email in ["nobody@example.com", "zoe@example.com", &admin.email.clone().unwrap()] {
            app.anyone().post(path, json!({"email": email})).await.ok();
        }
        app.anyone().post(path, json!({"email": "no address"})).await.ok();
    }
    let queued = jobs(&app).await.split_off(before);
    let kinds: Vec<&str> = queued.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["users.send_link"; 6]);
    let sent: Vec<Value> = mails(&app).await.iter().map(|mail| mail["template"].clone()).collect();
    let expected = ["invitation", "reset_password", "reset_password", "confirmation"];
    assert_eq!(sent, expected.map(Value::from));
}

#[tokio::test]
async fn the_queue_gives_no_link_away() {
    let (app, admin) = App::open_to_all().await;
    squatter(&app, "grace@example.com").await;
    admin.post("/agents", json!({"email": "zoe@example.com", "role": "agent"})).await.ok();
    app.anyone().post("/auth/password", json!({"email": admin.email})).await.ok();
    let mails = mails(&app).await;
    let kinds: Vec<Value> = mails.iter().map(|mail| mail["template"].clone()).collect();
    assert_eq!(kinds, ["confirmation", "invitation", "reset_password"].map(Value::from));
    for mail in mails {
        let text = mail.to_string();
        assert!(!text.contains("token=") && !text.contains("http"), "{text}");
    }
    assert_eq!(token_of_last_mail(&app).await.len(), 22);
}
