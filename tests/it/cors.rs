//! Which pages may call what (operations.md §4.4).

use chatwarden_guard::EdgeConfig;
use chatwarden_guard::cors::CorsConfig;
use chatwarden_testkit::{Actor, App, Reply};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// A page of a site.
fn page(caller: &Actor, origin: &str) -> Actor {
    caller.clone().with_header("origin", origin).with_header("host", "chat.example")
}

/// Who may read an answer, and whether cookies go along.
fn granted(reply: &Reply) -> (&str, bool) {
    let credentials = reply.header("access-control-allow-credentials") == "true";
    (reply.header("access-control-allow-origin"), credentials)
}

/// Asks, as browsers do before a call that a form could not make.
async fn preflight(page: &Actor, path: &str, method: &str, headers: &str) -> Reply {
    let page = page.clone().with_header("access-control-request-method", method);
    let page = page.with_header("access-control-request-headers", headers);
    page.send(Method::OPTIONS, path, Value::Null).await
}

const ELSEWHERE: &str = "https://elsewhere.example";

/// A website whose widget may be on one shop.
async fn website(admin: &Actor) -> String {
    website_on(admin, "https://shop.example, *.shops.example").await
}

/// A website whose widget may be on the sites of a list.
async fn website_on(admin: &Actor, list: &str) -> String {
    let channel = json!({
        "type": "web_widget", "website_url": "https://shop.example", "allowed_domains": list,
    });
    let inbox = admin.post("/inboxes", json!({"name": "Site", "channel": channel})).await.ok();
    inbox["website_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn each_part_has_its_pages() {
    let (app, admin) = App::start().await;
    let token = website(&admin).await;
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok();
    let public =
        format!("/public/api/v1/inboxes/{}", inbox["inbox_identifier"].as_str().expect("one"));
    let widget = format!("/api/v1/widget/campaigns?website_token={token}");
    let none = "/api/v1/widget/campaigns?website_token=nosuchwebsite";
    let account = format!("/api/v1/accounts/{}/labels", admin.account.expect("one"));
    for (path, origin, allowed, credentials) in [
        // From any site, without credentials.
        (public.as_str(), ELSEWHERE, "*", false),
        (&public, "null", "*", false),
        ("/packs/js/sdk.js", ELSEWHERE, "*", false),
        ("/audio/widget/ding.mp3", "null", "*", false),
        // The widget's: where its frame may be.
        (&widget, "https://shop.example", "https://shop.example", false),
        (&widget, "https://a.shops.example", "https://a.shops.example", false),
        (&widget, "http://chat.example", "http://chat.example", false),
        (&widget, ELSEWHERE, "", false),
        (&widget, "http://shop.example", "", false),
        (&widget, "null", "", false),
        (none, "https://shop.example", "", false),
        // The desk's: our own pages.
        (&account, "http://chat.example", "http://chat.example", true),
        (&account, "https://shop.example", "", false),
        ("/api/v1/profile", ELSEWHERE, "", false),
        ("/auth/validate_token", ELSEWHERE, "", false),
        ("/platform/api/v1/accounts", ELSEWHERE, "", false),
        ("/actuator/health", ELSEWHERE, "", false),
        ("/vite/assets/dashboard.js", ELSEWHERE, "", false),
    ] {
        let reply = page(&app.anyone(), origin).get(path).await;
        assert_eq!(granted(&reply), (allowed, credentials), "{path} {origin}");
        // A cache must keep answers apart; nobody's pages ask for those that are nobody's.
        assert!(reply.header("vary").contains("Origin"), "{path} {origin}: {reply:?}");
        let exposed = reply.header("access-control-expose-headers");
        let tokens = ["access-token", "client", "expiry", "token-type", "uid", "x-request-id"];
        let all = tokens.iter().all(|name| exposed.contains(name));
        assert_eq!(all, !allowed.is_empty(), "{path} {origin}: {exposed}");
    }
    // Without an origin, too.
    let reply = app.anyone().get(&public).await;
    assert!(reply.header("vary").contains("Origin"), "{reply:?}");
}

#[tokio::test]
async fn pages_ask_before_they_call() {
    let (app, admin) = App::start().await;
    let token = website(&admin).await;
    let widget = format!("/api/v1/widget/messages?website_token={token}");
    let shop = page(&app.anyone(), "https://shop.example");
    let asked = "content-type, x-auth-token";
    let yes = preflight(&shop, &widget, "POST", asked).await;
    assert_eq!(yes.status, StatusCode::NO_CONTENT);
    assert_eq!(granted(&yes), ("https://shop.example", false));
    assert_eq!(yes.header("access-control-allow-headers"), asked);
    assert_eq!(yes.header("access-control-max-age"), "7200");
    assert_eq!(yes.header("access-control-allow-methods"), "GET, HEAD, POST");
    let no = preflight(&shop, &widget, "DELETE", asked).await;
    assert_eq!((no.status, granted(&no)), (StatusCode::FORBIDDEN, ("", false)));
    // A page may learn that there is nothing.
    let nowhere = format!("/api/v1/widget/nowhere?website_token={token}");
    let nothing = preflight(&shop, &nowhere, "DELETE", asked).await;
    assert_eq!(nothing.status, StatusCode::NO_CONTENT);

    let elsewhere = page(&app.anyone(), ELSEWHERE);
    // The website that is served decides, not another one that is named besides.
    let (mine, theirs) = (website_on(&admin, "https://elsewhere.example").await, token);
    let both = format!("/api/v1/widget/messages?website_token={mine}&website_token={theirs}");
    for (path, method) in [
        (widget.as_str(), "POST"),
        (both.as_str(), "POST"),
        ("/api/v1/profile", "PUT"),
        ("/auth/sign_in", "POST"),
        ("/packs/js/sdk.js", "DELETE"),
        ("/actuator/health", "GET"),
    ] {
        let no = preflight(&elsewhere, path, method, asked).await;
        assert_eq!(no.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert_eq!(granted(&no), ("", false), "{method} {path}");
    }
    let public = preflight(&elsewhere, "/public/api/v1/inboxes/x/contacts/y", "PATCH", asked).await;
    assert_eq!((public.status, granted(&public)), (StatusCode::NO_CONTENT, ("*", false)));
}

#[tokio::test]
async fn the_operator_opens_the_api_to_pages() {
    let listed = |cors| App::behind(EdgeConfig { cors, ..EdgeConfig::default() });
    let named = CorsConfig {
        allowed_origins: vec![
            "https://desk.example".parse().expect("an origin"),
            "https://*.desks.example".parse().expect("a pattern"),
        ],
        ..CorsConfig::default()
    };
    let (_app, admin) = listed(named).await;
    for (origin, allowed, credentials) in [
        ("https://desk.example", "https://desk.example", true),
        ("https://a.desks.example", "https://a.desks.example", false),
        (ELSEWHERE, "", false),
    ] {
        let reply = page(&admin, origin).get("/api/v1/profile").await;
        assert_eq!(granted(&reply), (allowed, credentials), "{origin}");
    }
    let (_app, admin) = listed(CorsConfig { enable_api_cors: true, ..CorsConfig::default() }).await;
    let elsewhere = page(&admin, ELSEWHERE);
    assert_eq!(granted(&elsewhere.get("/api/v1/profile").await), ("*", false));
    assert_eq!(granted(&elsewhere.get("/auth/validate_token").await), ("", false));
    let (_app, admin) = listed(CorsConfig { api_only_server: true, ..CorsConfig::default() }).await;
    let elsewhere = page(&admin, ELSEWHERE);
    assert_eq!(granted(&elsewhere.get("/auth/validate_token").await), ("*", false));
    assert_eq!(granted(&elsewhere.get("/actuator/health").await), ("", false));
}

#[tokio::test]
async fn a_site_that_is_none_is_not_kept() {
    let (_app, admin) = App::start().await;
    for list in ["a; script-src *", "ok.example, 'unsafe-inline'", "javascript:alert(1)", "*"] {
        let channel = json!({
            "type": "web_widget", "website_url": "https://shop.example", "allowed_domains": list,
        });
        let made = admin.post("/inboxes", json!({"name": "Site", "channel": channel})).await;
        assert!(made.status(422).to_string().contains("allowed_domains"), "{list}: {made:?}");
    }
}
