//! The second factor: asked for, shown, and what it is good for.

use std::time::Duration;

use chatwarden_testkit::App;
use serde_json::{Value, json};

use super::{PASSWORD, code, session, sign_in, token_of_last_mail};

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

#[tokio::test]
async fn guesses_at_what_removes_a_second_factor_are_counted_wherever_they_come_from() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let me = session(&app, &sign_in(&app.anyone(), &email, PASSWORD).await);
    let mfa = "/api/v1/profile/mfa";
    let secret = me.post(mfa, Value::Null).await.ok()["secret"].clone();
    me.post(&format!("{mfa}/verify"), json!({"otp_code": code(&app, &secret)})).await.ok();
    let wrong_code = json!({"password": PASSWORD, "otp_code": "000000"});
    let wrong_password = json!({"password": "Wr0ng!word", "otp_code": "000000"});
    for n in 0..11 {
        let far = me.clone().with_header("x-forwarded-for", &format!("203.0.113.{n}"));
        let body = if n % 2 == 0 { wrong_code.clone() } else { wrong_password.clone() };
        let status = far.send(http::Method::DELETE, mfa, body).await.status.as_u16();
        assert_eq!(status, if n < 10 { 422 } else { 429 }, "{n}");
    }
}
