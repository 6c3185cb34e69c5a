//! Signing in and out, sessions and their limit, links to new passwords (`behaviours.md §2.1`).

mod links;
mod second_factor;

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
    let reply = me.delete("/auth/sign_out").await;
    reply.ok();
    assert_eq!(reply.header("clear-site-data"), "\"cache\", \"storage\"");
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
