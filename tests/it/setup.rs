//! The first account, by the one-time link.

use chatwarden_core::setup;
use chatwarden_testkit::App;
use serde_json::json;

async fn link(app: &App) -> Option<String> {
    app.node().app.write(async |tx| setup::make_link(tx).await).await.expect("a link or none")
}

#[tokio::test]
async fn the_link_makes_the_first_account_once() {
    let app = App::empty().await;
    let link = link(&app).await.expect("nobody is there");
    let page = format!("/setup/{link}");
    let anyone = app.anyone();
    let unknown = anyone.get("/setup/nolink").await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
    let form = anyone.get(&page).await;
    assert_eq!(form.status, 200);
    assert!(form.text().contains("<form"), "{}", form.text());

    let refused = anyone
        .post(&page, json!({"account": "Acme", "name": "Ada", "email": "ada@example.com", "password": "weak"}))
        .await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("uppercase"), "{}", refused.text());
    assert!(refused.text().contains("value=\"ada@example.com\""), "what was typed is kept");
    let refused = anyone
        .post(&page, json!({"account": "", "name": "Ada", "email": "ada@example.com", "password": "Passw0rd!23"}))
        .await;
    assert_eq!(refused.status, 422);

    let made = anyone
        .post(&page, json!({"account": "Acme", "name": "Ada", "email": "ada@example.com", "password": "Passw0rd!23"}))
        .await;
    assert_eq!(made.status, 200, "{}", made.text());
    let text = made.text();
    let token =
        text.split("<pre>").nth(1).and_then(|rest| rest.split('<').next()).expect("a token");
    let ada = app.anyone().with_header("api_access_token", token);
    let profile = ada.get("/api/v1/profile").await.ok();
    assert_eq!(profile["email"], "ada@example.com");
    assert_eq!(profile["accounts"][0]["role"], "administrator");

    assert_eq!(anyone.get(&page).await.status, 404, "the link works once");
    let again =
        json!({"account": "B", "name": "Bob", "email": "b@example.com", "password": "Passw0rd!23"});
    assert_eq!(anyone.post(&page, again).await.status, 404);
}

#[tokio::test]
async fn there_is_no_link_once_somebody_is_there() {
    let (app, _) = App::start().await;
    assert_eq!(link(&app).await, None);
    assert_eq!(app.anyone().get("/setup/").await.status, 404);
}

#[tokio::test]
async fn a_newer_link_takes_the_place_of_the_older() {
    let app = App::empty().await;
    let old = link(&app).await.expect("a link");
    let new = link(&app).await.expect("a link");
    assert_eq!(app.anyone().get(&format!("/setup/{old}")).await.status, 404);
    assert_eq!(app.anyone().get(&format!("/setup/{new}")).await.status, 200);
}
