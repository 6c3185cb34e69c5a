//! Chatwoot's own front ends: the pages around a build, its files (`serving-clients.md`), and what the clients send
//! from there on (`client-traces.md`), a file a client.

mod dashboard;
mod survey;
mod trace;
mod widget;

use std::fs;

use chatwarden_api::front_ends::{FrontEnds, Settings};
use chatwarden_testkit::{Actor, App};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder in the shape of a real build.
fn build() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    };
    let entry = |name: &str| json!({"file": format!("assets/{name}-1.js"), "isEntry": true, "imports": ["_shared.js"]});
    let manifest = json!({
        "entrypoints/dashboard.js": entry("dashboard"),
        "entrypoints/v3app.js": entry("v3app"),
        "entrypoints/widget.js": entry("widget"),
        "entrypoints/survey.js": entry("survey"),
        "_shared.js": {"file": "assets/shared-2.js", "css": ["assets/shared-2.css"]},
    });
    write("vite/.vite/manifest.json", &manifest.to_string());
    write("vite/assets/dashboard-1.js", "export {};");
    write("packs/js/sdk.js", "window.chatwootSDK = {run() {}};");
    write("sw.js", "self.addEventListener('push', () => {});");
    write("manifest.json", "{}");
    write("favicon-16x16.png", "png");
    write("audio/widget/ding.mp3", "0123456789");
    write(".env", "SECRET=1");
    folder
}

async fn serve() -> (App, Actor, TempDir) {
    let folder = build();
    let settings = Settings {
        folder: Some(folder.path().to_owned()),
        maximum_file_upload_size: 40,
        display_manifest: true,
    };
    let app = App::with_front_ends(FrontEnds::open(settings).expect("a build")).await;
    let account = app.account("Acme").await;
    let admin = app.member(account, "Ada", "administrator").await;
    (app, admin, folder)
}

/// Somebody with a browser.
fn browser(app: &App) -> Actor {
    app.anyone().with_header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
}

/// A global that a page sets.
fn global(page: &str, name: &str) -> Value {
    let start = format!("window.{name} = ");
    let line = page.lines().find_map(|line| line.trim().strip_prefix(&start)).expect("the global");
    serde_json::from_str(line.trim_end_matches(';')).expect("JSON")
}

#[tokio::test]
async fn pages_carry_their_bundle_and_its_globals() {
    let (app, _admin, _folder) = serve().await;
    for (path, entry) in [
        ("/", "dashboard"),
        ("/app", "dashboard"),
        ("/app/accounts/1/conversations/3", "dashboard"),
        ("/app/login", "v3app"),
        ("/app/auth/password/edit", "v3app"),
        ("/survey/responses/00000000-0000-4000-8000-000000000001", "survey"),
    ] {
        let reply = browser(&app).get(path).await;
        reply.status(200);
        let page = reply.text();
        assert!(page.contains(&format!("/vite/assets/{entry}-1.js")), "{path}: {page}");
        assert_eq!(page.matches("/vite/assets/shared-2.js").count(), 1, "{path}");
        assert!(page.contains("<div id=\"app\"") && page.contains("shared-2.css"), "{path}");
        assert_eq!(reply.header("x-frame-options"), "SAMEORIGIN", "{path}");
        let policy = reply.header("content-security-policy");
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
        let nonce = nonce.expect("a nonce").to_owned();
        assert!(policy.contains("'unsafe-eval'"), "the scripts compile their texts: {policy}");
        let tag = format!("nonce=\"{nonce}\"");
        // As attributes are escaped by templates.
        let escaped = tag.replace('/', "&#x2f;").replace('+', "&#x2b;").replace('=', "&#x3d;");
        assert!(page.contains(&tag) || page.contains(&escaped), "{nonce} in {page}");
    }
    let page = browser(&app).get("/app/login?locale=de").await.text();
    let config = global(&page, "chatwootConfig");
    assert_eq!(
        (&config["signupEnabled"], &config["isEnterprise"]),
        (&json!("false"), &json!("false"))
    );
    assert_eq!(config["selectedLocale"], "de");
    assert_eq!(config["enabledLanguages"].as_array().map(Vec::len), Some(41));
    let settings = global(&page, "globalConfig");
    assert_eq!(
        (&settings["MAXIMUM_FILE_UPLOAD_SIZE"], &settings["DIRECT_UPLOADS_ENABLED"]),
        (&json!(40), &json!(false))
    );
}

#[tokio::test]
async fn who_asks_a_page_for_json_is_sent_to_the_api() {
    let (app, _admin, _folder) = serve().await;
    let refused = app.anyone().get("/app/login").await.status(406);
    assert_eq!(
        refused["error"],
        "Please use API routes instead of dashboard routes for JSON requests"
    );
    for path in ["/app.json", "/app/login.json"] {
        let refused = browser(&app).get(path).await.status(406);
        assert!(refused["error"].is_string(), "{path}");
    }
    browser(&app).get("/no/such/page").await.status(404);
}

#[tokio::test]
async fn without_anybody_pages_lead_to_the_beginning() {
    let app = App::empty().await;
    for path in ["/", "/app/login"] {
        let reply = browser(&app).get(path).await;
        reply.status(302);
        assert_eq!(reply.header("location"), "/installation/onboarding");
    }
    browser(&app).get("/installation/onboarding").await.status(200);
    app.member(app.account("Acme").await, "Ada", "administrator").await;
    let reply = browser(&app).get("/installation/onboarding").await;
    assert_eq!((reply.status, reply.header("location")), (StatusCode::FOUND, "/"));
}

#[tokio::test]
async fn files_are_kept_as_long_as_their_names_allow() {
    let (app, _admin, _folder) = serve().await;
    for (path, content_type, policy) in [
        ("/vite/assets/dashboard-1.js", "text/javascript", "public, max-age=31536000, immutable"),
        ("/packs/js/sdk.js", "text/javascript", "public, max-age=900"),
        ("/sw.js", "text/javascript", "no-cache"),
        ("/manifest.json", "application/json", "no-cache"),
        ("/favicon-16x16.png", "image/png", "public, max-age=900"),
        ("/audio/widget/ding.mp3", "audio/mpeg", "public, max-age=900"),
    ] {
        let reply = app.anyone().get(path).await;
        reply.status(200);
        assert_eq!(
            (reply.header("content-type"), reply.header("cache-control")),
            (content_type, policy),
            "{path}"
        );
        let tag = reply.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let again = app.anyone().with_header("if-none-match", &tag).get(path).await;
        assert_eq!((again.status, again.bytes.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
    let part = app.anyone().with_header("range", "bytes=2-4").get("/audio/widget/ding.mp3").await;
    assert_eq!((part.status, part.text().as_str()), (StatusCode::PARTIAL_CONTENT, "234"));
    let elsewhere = app.anyone().with_header("origin", "https://shop.example");
    for path in ["/packs/js/sdk.js", "/audio/widget/ding.mp3"] {
        let reply = elsewhere.get(path).await;
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(reply.header("cross-origin-resource-policy"), "cross-origin", "{path}");
    }
    for path in ["/.env", "/%2eenv", "/favicon.ico", "/vite/", "/vite"] {
        app.anyone().get(path).await.status(404);
    }
    // The edge refuses these before anything looks for a file.
    for path in ["/vite/../.env", "/vite/%2e%2e/.env"] {
        app.anyone().get(path).await.status(400);
    }
}

/// A website with its token.
async fn website(admin: &Actor) -> String {
    let channel = json!({
        "type": "web_widget", "website_url": "https://shop.example", "welcome_title": "Hi </script>",
    });
    let inbox = admin.post("/inboxes", json!({"name": "Ada's", "channel": channel})).await.ok();
    inbox["website_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_visitor_is_known_again_by_the_token() {
    let (app, admin, _folder) = serve().await;
    let website = website(&admin).await;
    let path = format!("/widget?website_token={website}");
    let first = browser(&app).get(&path).await;
    first.status(200);
    assert_eq!(first.header("x-frame-options"), "");
    assert!(!first.header("content-security-policy").contains("frame-ancestors"));
    assert_eq!(first.header("cache-control"), "no-store");
    let page = first.text();
    let channel = global(&page, "chatwootWebChannel");
    assert_eq!(
        (&channel["websiteName"], &channel["welcomeTitle"]),
        (&json!("Ada's"), &json!("Hi </script>"))
    );
    assert!(channel["enabledFeatures"].is_array() && channel["enabledLanguages"].is_array());
    let inbox = admin.get("/inboxes").await.ok()["payload"][0]["id"].clone();
    let monday = &channel["workingHours"][1];
    assert_eq!(
        (&monday["day_of_week"], &monday["inbox_id"], &monday["account_id"]),
        (&json!(1), &inbox, &json!(admin.account))
    );
    for key in ["id", "created_at", "updated_at"] {
        assert_ne!(monday[key], Value::Null, "{key}");
    }
    let (token, room) = (global(&page, "authToken"), global(&page, "chatwootPubsubToken"));

    let token = token.as_str().expect("a token");
    let again = browser(&app).get(&format!("{path}&cw_conversation={token}")).await.text();
    assert_eq!(global(&again, "authToken"), token);
    assert_eq!(channel["hasAConnectedAgentBot"], "");
    let bot = admin.post("/agent_bots", json!({"name": "Robo"})).await.ok();
    let serves = json!({"agent_bot": bot["id"]});
    admin.post(&format!("/inboxes/{inbox}/set_agent_bot"), serves).await.ok();
    for path in [path.clone(), format!("{path}&cw_conversation={token}")] {
        let served = global(&browser(&app).get(&path).await.text(), "chatwootWebChannel");
        assert_eq!(served["hasAConnectedAgentBot"], "Robo");
    }
    assert_eq!(global(&again, "chatwootPubsubToken"), room);
    let forged = browser(&app).get(&format!("{path}&cw_conversation=not.a.token")).await.text();
    assert_ne!(global(&forged, "chatwootPubsubToken"), room);

    for path in ["/widget", "/widget?website_token=nosuchwebsite"] {
        assert_eq!(
            browser(&app).get(path).await.status(404),
            json!({"error": "web widget does not exist"})
        );
    }
}
