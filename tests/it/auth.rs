//! Signing in and out, sessions and their limit, links to new passwords (`behaviours.md §2.1`).

use std::time::Duration;

use axum::body::Body;
use chatwarden_core::ids::AccountId;
use chatwarden_core::mail;
use chatwarden_db::{DbError, Json};
use chatwarden_testkit::{Actor, App, Reply};
use hmac::{Hmac, KeyInit, Mac as _};
use serde_json::{Value, json};
use sha1::Sha1;
use tower::ServiceExt as _;

const PASSWORD: &str = "Passw0rd!23";
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

chatwarden_db::statements! {
    JOBS: (String, Json<Value>) = "test.jobs", "select kind, payload from jobs order by id";
    TOKENS: (String,) = "test.session_hashes", "select token_hash from user_sessions";
}

/// What is queued: of which kind, and with what.
async fn jobs(app: &App) -> Vec<(String, Value)> {
    let found: Result<_, DbError> = app.db().read(async |tx| tx.all(&JOBS, []).await).await;
    found.expect("the jobs").into_iter().map(|(kind, Json(payload))| (kind, payload)).collect()
}

/// The mails that wait to be sent.
async fn mails(app: &App) -> Vec<Value> {
    app.settle().await;
    let found = jobs(app).await.into_iter().filter(|(kind, _)| kind == mail::DELIVER);
    found.map(|(_, mail)| mail).collect()
}

/// The token of the last mail's link, as whoever gets the mail reads it.
async fn token_of_last_mail(app: &App) -> String {
    let queued = serde_json::from_value(mails(app).await.pop().expect("a mail")).expect("a mail");
    let letter = app.db().read(async move |tx| mail::compose(tx, AccountId(0), &queued).await);
    let letter = letter.await.expect("composed").expect("a letter");
    let (_, rest) = letter.html.split_once("_token=").expect("a link");
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn sign_in(who: &Actor, email: &str, password: &str) -> Reply {
    who.post("/auth/sign_in", json!({"email": email, "password": password})).await
}

/// Whoever shows the session that an answer opened.
fn session(app: &App, reply: &Reply) -> Actor {
    ["access-token", "client", "uid"]
        .into_iter()
        .fold(app.anyone(), |actor, name| actor.with_header(name, reply.header(name)))
}

#[tokio::test]
async fn a_session_opens_what_its_headers_say_until_it_ends() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let opened = sign_in(&app.anyone(), &format!(" {} ", email.to_uppercase()), PASSWORD).await;
    assert_eq!(opened.ok()["data"]["email"], json!(email));
    assert_eq!(opened.header("token-type"), "Bearer");
    let expiry: i64 = opened.header("expiry").parse().unwrap();
    assert!(expiry > app.now().plus_seconds(58 * 86_400).unix(), "{expiry}");
    let me = session(&app, &opened);
    let seen = me.get("/auth/validate_token").await;
    assert_eq!(seen.ok()["payload"]["data"]["id"], json!(admin.id));
    assert_eq!(seen.header("access-token"), opened.header("access-token"));
    let agents = format!("/api/v1/accounts/{}/agents", admin.account.unwrap());
    let listed = me.get(&agents).await;
    assert_eq!(listed.ok().as_array().unwrap().len(), 1);
    assert_eq!(listed.header("client"), opened.header("client"));
    // One header instead of three, and the trio in the address.
    app.anyone()
        .with_header("authorization", opened.header("authorization"))
        .get(&agents)
        .await
        .ok();
    let trio = format!(
        "{agents}?access-token={}&client={}&uid={}",
        opened.header("access-token"),
        opened.header("client"),
        opened.header("uid").replace('@', "%40"),
    );
    app.anyone().get(&trio).await.ok();
    me.delete("/auth/sign_out").await.ok();
    me.get("/auth/validate_token").await.status(401);
    me.get(&agents).await.status(401);
    me.delete("/auth/sign_out").await.status(404);
}

#[tokio::test]
async fn a_session_runs_out() {
    let (app, admin) = App::start().await;
    let me = session(&app, &sign_in(&app.anyone(), &admin.email.unwrap(), PASSWORD).await);
    app.advance(Duration::from_secs(58 * 86_400));
    me.get("/auth/validate_token").await.ok();
    app.advance(Duration::from_secs(5 * 86_400));
    me.get("/auth/validate_token").await.status(401);
}

#[tokio::test]
async fn credentials_that_are_not_good_are_refused_alike() {
    let (app, admin) = App::start().await;
    let email = admin.email.unwrap();
    let anyone = app.anyone();
    let wrong = sign_in(&anyone, &email, "Wr0ng!word").await;
    let unknown = sign_in(&anyone, "nobody@example.com", PASSWORD).await;
    assert_eq!(wrong.status(401), unknown.status(401));
    for body in [json!({}), json!({"email": email}), json!({"email": [1], "password": {"a": 1}})] {
        anyone.post("/auth/sign_in", body).await.status(401);
    }
    let opened = sign_in(&anyone, &email, PASSWORD).await;
    for name in ["access-token", "client", "uid"] {
        let forged =
            ["access-token", "client", "uid"].into_iter().fold(app.anyone(), |actor, header| {
                actor.with_header(
                    header,
                    if header == name { "made-up" } else { opened.header(header) },
                )
            });
        forged.get("/api/v1/profile").await.status(401);
    }
}

#[tokio::test]
async fn only_the_hash_of_a_session_is_kept() {
    let (app, admin) = App::start().await;
    let opened = sign_in(&app.anyone(), &admin.email.unwrap(), PASSWORD).await;
    let kept = app.db().read(async |tx| tx.all(&TOKENS, []).await).await;
    let kept: Result<Vec<(String,)>, DbError> = kept;
    let kept = kept.unwrap();
    assert!(!kept.is_empty());
    for (hash,) in kept {
        assert!(!hash.contains(opened.header("access-token")) && hash.len() == 64, "{hash}");
    }
}

#[tokio::test]
async fn a_browser_chooses_which_session_makes_room_and_an_app_loses_the_oldest() {
    let (app, admin) = App::start().await;
    let email = admin.email.unwrap();
    let browser = app.anyone().with_header("user-agent", BROWSER);
    let mut opened = Vec::new();
    for _ in 0..25 {
        opened.push(session(&app, &sign_in(&browser, &email, PASSWORD).await));
    }
    let full = sign_in(&browser, &email, PASSWORD).await.status(409);
    assert_eq!(full["sessions"].as_array().unwrap().len(), 25);
    let chosen = &full["sessions"][0]["id"];
    let body = json!({"email": email, "password": PASSWORD, "revoke_session_id": chosen});
    browser.post("/auth/sign_in", body).await.ok();
    opened[24].get("/auth/validate_token").await.status(401);
    sign_in(&app.anyone().with_header("user-agent", "okhttp/4.9.2"), &email, PASSWORD).await.ok();
    opened[0].get("/auth/validate_token").await.status(401);
    opened[1].get("/auth/validate_token").await.ok();
    let body = json!({"email": email, "password": PASSWORD, "revoke_all_sessions": true});
    let last = session(&app, &browser.post("/auth/sign_in", body).await);
    opened[1].get("/auth/validate_token").await.status(401);
    let listed = last.get("/api/v1/profile/sessions").await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(listed[0]["browser_name"], json!("Firefox"));
    assert_eq!(listed[0]["current"], json!(true));
}

#[tokio::test]
async fn one_ends_other_sessions_but_not_this_one_nor_somebody_elses() {
    let (app, admin) = App::start().await;
    let other = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let email = admin.email.unwrap();
    let first = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let second = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let theirs = session(&app, &sign_in(&app.anyone(), &other.email.unwrap(), PASSWORD).await);
    let listed = first.get("/api/v1/profile/sessions").await.ok();
    let id = |current: bool| {
        let row = listed.as_array().unwrap().iter().find(|row| row["current"] == json!(current));
        row.unwrap()["id"].clone()
    };
    let path = |id: &Value| format!("/api/v1/profile/sessions/{id}");
    theirs.delete(&path(&id(false))).await.status(404);
    first.delete(&path(&id(true))).await.status(422);
    first.delete(&path(&id(false))).await.ok();
    second.get("/auth/validate_token").await.status(401);
    first.delete(&path(&id(false))).await.status(404);
}

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

#[tokio::test]
async fn hashes_of_devise_are_understood_and_replaced() {
    chatwarden_db::statements! {
        SET: () = "test.set_hash", "update users set encrypted_password = $2 where email = $1";
        GET: (String,) = "test.get_hash", "select encrypted_password from users where email = $1";
    }
    let (app, admin) = App::start().await;
    let email = admin.email.unwrap();
    // bcrypt of `Passw0rd!23` at cost 4, as Devise writes it.
    let hash = "$2a$04$abcdefghijklmnopqrstuunWUw3JGqcl3bozHy4RN1t05DkUEm3y.";
    let address = email.clone();
    app.db()
        .write(async move |tx| tx.run(&SET, chatwarden_db::args![address, hash]).await)
        .await
        .unwrap();
    sign_in(&app.anyone(), &email, "Wr0ng!word").await.status(401);
    sign_in(&app.anyone(), &email, PASSWORD).await.ok();
    let address = email.clone();
    let (kept,) = app
        .db()
        .read(async move |tx| tx.one(&GET, chatwarden_db::args![address]).await)
        .await
        .unwrap();
    assert!(kept.starts_with("$argon2id$"), "{kept}");
    sign_in(&app.anyone(), &email, PASSWORD).await.ok();
}

#[tokio::test]
async fn a_new_password_needs_the_old_one_and_ends_other_sessions() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let me = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let other = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let change = async |current: Value| {
        let body = json!({"profile": {
            "current_password": current, "password": "N3w!secret", "password_confirmation": "N3w!secret",
        }});
        me.put("/api/v1/profile", body).await
    };
    change(Value::Null).await.status(422);
    change(json!("Wr0ng!word")).await.status(422);
    let before = me.get("/api/v1/profile").await.ok()["pubsub_token"].clone();
    assert_ne!(change(json!(PASSWORD)).await.ok()["pubsub_token"], before);
    me.get("/auth/validate_token").await.ok();
    other.get("/auth/validate_token").await.status(401);
    sign_in(&app.anyone(), &email, PASSWORD).await.status(401);
}

/// A try to sign in from an address that limits count: the harness calls from this machine.
async fn attempt(app: &App, email: &str, password: &str) -> u16 {
    let body = json!({"email": email, "password": password}).to_string();
    let request = http::Request::post("/auth/sign_in")
        .header("content-type", "application/json")
        .body(Body::from(body))
        .unwrap();
    app.node().router().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn attempts_are_limited_and_a_success_gives_its_own_back() {
    let (app, admin) = App::start().await;
    let email = admin.email.unwrap();
    for _ in 0..30 {
        assert_eq!(attempt(&app, &email, PASSWORD).await, 200);
    }
    let mut refused = 0;
    for _ in 0..30 {
        refused += i32::from(attempt(&app, &email, "Wr0ng!word").await == 429);
    }
    assert!(refused > 0 && refused < 30, "{refused}");
}

/// The code that an authenticator shows (RFC 6238).
fn code(app: &App, secret: &Value) -> String {
    let key = data_encoding::BASE32_NOPAD.decode(secret.as_str().unwrap().as_bytes()).unwrap();
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(&key).unwrap();
    mac.update(&(app.now().unix() / 30).to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let at = usize::from(digest[19] & 0x0f);
    let number = u32::from_be_bytes(digest[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_whatever_proved_the_first() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let me = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let mfa = "/api/v1/profile/mfa";
    // An API token may not touch it.
    admin.post(mfa, Value::Null).await.status(403);
    let secret = me.post(mfa, Value::Null).await.ok()["secret"].clone();
    sign_in(&app.anyone(), &email, PASSWORD).await.status(200);
    let shown = code(&app, &secret);
    me.post(&format!("{mfa}/verify"), json!({"otp_code": "000000"})).await.status(422);
    let on = me.post(&format!("{mfa}/verify"), json!({"otp_code": shown})).await.ok();
    let backup = on["backup_codes"].as_array().unwrap().clone();
    sign_in(&app.anyone(), &email, "Wr0ng!word").await.status(401);
    let asked = sign_in(&app.anyone(), &email, PASSWORD).await;
    let ticket = asked.status(206)["mfa_token"].clone();
    assert_eq!(asked.header("access-token"), "");
    let by = async |ticket: &Value, code: Value| {
        let mut body = code;
        body["mfa_token"] = ticket.clone();
        app.anyone().post("/auth/sign_in", body).await
    };
    by(&json!("made-up"), json!({"otp_code": shown})).await.status(401);
    by(&ticket, json!({"otp_code": shown})).await.status(400);
    let inside = by(&ticket, json!({"backup_code": backup[0]})).await;
    session(&app, &inside).get("/auth/validate_token").await.ok();
    by(&ticket, json!({"backup_code": backup[0]})).await.status(400);
    app.advance(Duration::from_secs(30));
    let shown = code(&app, &secret);
    by(&ticket, json!({"otp_code": shown})).await.ok();
    // Who reads the mails of the person doesn't get in by them alone.
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    let token = token_of_last_mail(&app).await;
    let body = json!({"reset_password_token": token, "password": "N3w!secret"});
    let reset = app.anyone().put("/auth/password", body).await;
    assert_eq!(reset.status(206)["mfa_required"], json!(true));
    assert_eq!(reset.header("access-token"), "");
    let ticket =
        sign_in(&app.anyone(), &email, "N3w!secret").await.status(206)["mfa_token"].clone();
    app.advance(Duration::from_secs(301));
    by(&ticket, json!({"otp_code": code(&app, &secret)})).await.status(401);
}

#[tokio::test]
async fn a_second_factor_goes_by_password_and_code() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let me = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let mfa = "/api/v1/profile/mfa";
    let remove = async |body: Value| me.send(http::Method::DELETE, mfa, body).await;
    remove(json!({"password": PASSWORD, "otp_code": "000000"})).await.status(422);
    let secret = me.post(mfa, Value::Null).await.ok()["secret"].clone();
    let shown = code(&app, &secret);
    let on = me.post(&format!("{mfa}/verify"), json!({"otp_code": shown})).await.ok();
    me.post(mfa, Value::Null).await.status(422);
    let codes = async |body: Value| me.post(&format!("{mfa}/backup_codes"), body).await;
    codes(json!({"otp_code": "000000"})).await.status(422);
    let fresh = codes(json!({"backup_code": on["backup_codes"][1]})).await.ok();
    codes(json!({"backup_code": on["backup_codes"][2]})).await.status(422);
    let first = &fresh["backup_codes"][0];
    remove(json!({"password": "Wr0ng!word", "backup_code": first})).await.status(422);
    remove(json!({"password": PASSWORD})).await.status(422);
    remove(json!({"password": PASSWORD, "backup_code": first})).await.ok();
    assert_eq!(me.get(mfa).await.ok()["enabled"], json!(false));
    sign_in(&app.anyone(), &email, PASSWORD).await.status(200);
}
