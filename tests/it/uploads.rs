//! Files: on their way in, at their addresses, and on their way out.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE as AXUM_CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use chatwarden_testkit::{Actor, App, FILE_LIMIT, Reply};
use http::Method;
use serde_json::{Value, json};

/// A picture of one pixel.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc\xf8\xff\xff?\0\x05\xfe\x02\xfe\r\xefF\xb8\0\0\0\0IEND\xaeB`\x82";
const NOTE: &[u8] = b"Left at the door.\n";
const NOTE_MD5: &str = "7ZIpVFtJp/tot2snpFBUDQ==";

/// A part of a form: a field, or a file with its name and type.
enum Part<'a> {
    Field(&'a str, &'a str),
    File(&'a str, &'a str, &'a str, &'a [u8]),
}
use Part::{Field, File};

/// Sends a form.
async fn send_form(actor: &Actor, method: Method, path: &str, parts: &[Part<'_>]) -> Reply {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"--boundary\r\nContent-Disposition: form-data; name=\"");
        match part {
            Field(name, value) => {
                body.extend_from_slice(format!("{name}\"\r\n\r\n{value}\r\n").as_bytes());
            }
            File(name, filename, kind, content) => {
                let head =
                    format!("{name}\"; filename=\"{filename}\"\r\nContent-Type: {kind}\r\n\r\n");
                body.extend_from_slice(head.as_bytes());
                body.extend_from_slice(content);
                body.extend_from_slice(b"\r\n");
            }
        }
    }
    body.extend_from_slice(b"--boundary--\r\n");
    actor.send_raw(method, path, "multipart/form-data; boundary=boundary", body.into()).await
}

async fn post_form(actor: &Actor, path: &str, parts: &[Part<'_>]) -> Reply {
    send_form(actor, Method::POST, path, parts).await
}

/// The path of an address of ours.
fn path(address: &Value) -> String {
    let address = address.as_str().expect("an address");
    address.split_once("/rails").map(|(_, rest)| format!("/rails{rest}")).expect("a file's address")
}

/// Where a file's address sends to.
async fn sent_on(anyone: &Actor, address: &Value) -> String {
    let reply = anyone.get(&path(address)).await;
    reply.status(302);
    path(&json!(reply.header("location")))
}

async fn upload(actor: &Actor, name: &str, kind: &str, content: &[u8]) -> Value {
    post_form(actor, "/upload", &[File("attachment", name, kind, content)]).await.ok()
}

#[tokio::test]
async fn a_file_is_read_at_its_address_for_some_minutes() {
    let (app, admin) = App::start().await;
    let anyone = app.anyone();
    let made = upload(&admin, "Über: blick.txt", "text/plain", NOTE).await;
    let link = sent_on(&anyone, &made["file_url"]).await;
    let reply = anyone.get(&link).await;
    assert_eq!((reply.status.as_u16(), reply.bytes.as_ref()), (200, NOTE));
    assert_eq!(reply.header("content-type"), "text/plain");
    let disposition = reply.header("content-disposition");
    assert!(disposition.starts_with("attachment; filename=\"_ber- blick.txt\""), "{disposition}");
    let etag = reply.header("etag").to_owned();

    let part = anyone.clone().with_header("range", "bytes=5-7").get(&link).await;
    assert_eq!((part.status.as_u16(), part.bytes.as_ref()), (206, b"at ".as_ref()));
    assert_eq!(part.header("content-range"), "bytes 5-7/18");
    anyone.clone().with_header("range", "bytes=99-").get(&link).await.status(416);
    let stale = anyone.clone().with_header("range", "bytes=5-7").with_header("if-range", "\"x\"");
    stale.get(&link).await.status(200);
    anyone.clone().with_header("if-none-match", &etag).get(&link).await.status(304);

    app.advance(Duration::from_secs(301));
    anyone.get(&link).await.status(404);
    let again = sent_on(&anyone, &made["file_url"]).await;
    anyone.get(&again).await.status(200);
    let proxied = path(&made["file_url"]).replace("/redirect/", "/proxy/");
    assert_eq!(anyone.get(&proxied).await.bytes.as_ref(), NOTE);
}

#[tokio::test]
async fn forged_addresses_lead_nowhere() {
    let (app, admin) = App::start().await;
    let made = upload(&admin, "note.txt", "text/plain", NOTE).await;
    let (anyone, id) = (app.anyone(), made["blob_id"].as_str().unwrap());
    let other = id.replace("--", "--0");
    for address in [
        "/rails/active_storage/blobs/redirect/forged--0000/note.txt".to_owned(),
        format!("/rails/active_storage/blobs/proxy/{other}/note.txt"),
        // A name of one purpose is none for another.
        format!("/rails/active_storage/disk/{id}/note.txt"),
        format!("/rails/active_storage/representations/redirect/{id}/{id}/note.txt"),
    ] {
        anyone.get(&address).await.status(404);
    }
    anyone.put(&format!("/rails/active_storage/disk/{id}"), json!({})).await.status(404);
}

#[tokio::test]
async fn only_what_can_run_nothing_is_shown_within_a_page() {
    let (app, admin) = App::start().await;
    let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
    for (name, kind, content, expected) in [
        ("dot.png", "image/png", PNG, ("image/png", "inline")),
        (
            "page.html",
            "text/html",
            b"<script>alert(1)</script>".as_ref(),
            ("application/octet-stream", "attachment"),
        ),
        ("logo.svg", "image/svg+xml", svg.as_ref(), ("application/octet-stream", "attachment")),
        ("scan.pdf", "application/pdf", b"%PDF-1.4\n".as_ref(), ("application/pdf", "attachment")),
    ] {
        let made = upload(&admin, name, kind, content).await;
        let link = sent_on(&app.anyone(), &made["file_url"]).await;
        let reply = app.anyone().get(&link).await;
        let disposition = reply.header("content-disposition").split(';').next().unwrap();
        assert_eq!((reply.header("content-type"), disposition), expected, "{name}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn what_is_refused_leaves_nothing() {
    let (app, admin) = App::start().await;
    let large = vec![b'x'; usize::try_from(FILE_LIMIT).unwrap() + 1];
    post_form(&admin, "/upload", &[File("attachment", "a.txt", "text/plain", &large)])
        .await
        .status(413);
    let nothing = post_form(&admin, "/upload", &[Field("a", "b")]).await.status(422);
    assert_eq!(nothing, json!({"error": "No file or URL provided"}));
    post_form(
        &app.anyone(),
        "/api/v1/accounts/1/upload",
        &[File("attachment", "a", "text/plain", b"x")],
    )
    .await
    .status(401);
    assert!(app.files().is_empty(), "{:?}", app.files());
}

/// A server with files, on this machine.
async fn other_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new()
        .route("/dot.png", get(|| async { ([(AXUM_CONTENT_TYPE, "image/png")], PNG) }))
        .route("/page", get(|| async { ([(AXUM_CONTENT_TYPE, "text/html")], "<p>") }))
        .route(
            "/large",
            get(|| async {
                (
                    [(AXUM_CONTENT_TYPE, "image/png")],
                    vec![0; usize::try_from(FILE_LIMIT).unwrap() + 1],
                )
            }),
        );
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_picture_is_fetched_from_its_address() {
    let (app, admin) = App::start().await;
    let base = other_server().await;
    let ask = async |url: String| admin.post("/upload", json!({"external_url": url})).await;
    let made = ask(format!("{base}/dot.png")).await.ok();
    assert!(made["file_url"].as_str().unwrap().ends_with("/dot.png"));
    let link = sent_on(&app.anyone(), &made["file_url"]).await;
    assert_eq!(app.anyone().get(&link).await.bytes.as_ref(), PNG);

    let refused = |text: &str| json!({"error": text});
    assert_eq!(ask(format!("{base}/page")).await.status(422), refused("File type not supported"));
    assert_eq!(ask(format!("{base}/large")).await.status(422), refused("File size is too big"));
    for url in ["not_a_url", "ftp://example.com/image.jpg", "file:///etc/hostname"] {
        assert_eq!(ask(url.to_owned()).await.status(422), refused("Invalid URL provided"), "{url}");
    }
    ask(format!("{base}/missing")).await.status(422);
    ask("http://127.0.0.1:1/image.png".to_owned()).await.status(422);
    assert_eq!(app.files().len(), 1);
}

/// A conversation in an API inbox: its number.
async fn conversation(admin: &Actor) -> i64 {
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let contact =
        admin.post("/contacts", json!({"name": "Vera", "inbox_id": inbox["id"]})).await.ok();
    let contact = &contact["payload"]["contact"]["id"];
    let made = admin
        .post("/conversations", json!({"inbox_id": inbox["id"], "contact_id": contact}))
        .await
        .ok();
    made["id"].as_i64().expect("a number")
}

fn announced() -> Value {
    json!({"blob": {"filename": "note.txt", "content_type": "text/plain", "byte_size": NOTE.len(),
        "checksum": NOTE_MD5, "metadata": {"identified": true, "pages": 1}}})
}

#[tokio::test]
async fn a_place_takes_what_was_announced_and_nothing_else() {
    let (app, admin) = App::start().await;
    let ask = format!("/conversations/{}/direct_uploads", conversation(&admin).await);
    let place = admin.post(&ask, announced()).await.ok();
    assert_eq!(place["metadata"], json!({"pages": 1}));
    assert_eq!(place["direct_upload"]["headers"], json!({"Content-Type": "text/plain"}));
    let url = path(&place["direct_upload"]["url"]);
    let put = async |kind: &str, content: &'static [u8]| {
        app.anyone().send_raw(Method::PUT, &url, kind, Bytes::from_static(content)).await
    };
    put("text/plain", b"Something else, longer\n").await.status(422);
    put("text/plain", b"left at the door.\n").await.status(422);
    put("image/png", NOTE).await.status(422);
    let signed = place["signed_id"].as_str().unwrap();
    let address = format!("/rails/active_storage/blobs/redirect/{signed}/note.txt");
    app.anyone().get(&address).await.status(404);
    put("text/plain", NOTE).await.status(204);
    app.anyone().get(&address).await.status(302);
    app.advance(Duration::from_secs(301));
    put("text/plain", NOTE).await.status(404);
}

#[tokio::test]
async fn places_are_for_who_may_send() {
    let (app, admin) = App::start().await;
    let ask = format!("/conversations/{}/direct_uploads", conversation(&admin).await);
    let account = admin.account.unwrap();
    app.anyone().post(&format!("/api/v1/accounts/{account}{ask}"), announced()).await.status(422);
    admin.post("/conversations/99/direct_uploads", announced()).await.status(204);
    let stranger = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    stranger.post(&format!("/api/v1/accounts/{account}{ask}"), announced()).await.status(401);
    app.anyone()
        .post("/api/v1/widget/direct_uploads?website_token=x", announced())
        .await
        .status(422);
    for (field, value) in [
        ("filename", json!("")),
        ("byte_size", json!(-1)),
        ("byte_size", json!(FILE_LIMIT + 1)),
        ("checksum", json!("short")),
    ] {
        let mut wanted = announced();
        wanted["blob"][field] = value;
        let refused = admin.post(&ask, wanted).await.status(422);
        assert!(refused["error"].as_str().unwrap().contains(field), "{refused}");
    }
    admin.post(&ask, json!({})).await.status(422);
}

const DAY: Duration = Duration::from_secs(24 * 3600 + 3600);

#[tokio::test]
async fn what_nobody_sends_goes_after_a_day() {
    let (app, admin) = App::start().await;
    let ask = format!("/conversations/{}/direct_uploads", conversation(&admin).await);
    let place = admin.post(&ask, announced()).await.ok();
    let url = path(&place["direct_upload"]["url"]);
    app.anyone()
        .send_raw(Method::PUT, &url, "text/plain", Bytes::from_static(NOTE))
        .await
        .status(204);
    let linked = upload(&admin, "dot.png", "image/png", PNG).await;
    app.settle().await;
    assert_eq!(app.files().len(), 2);
    app.advance(DAY);
    app.settle().await;
    assert_eq!(app.files().len(), 1);
    app.anyone().get(&path(&linked["file_url"])).await.status(302);
}

#[tokio::test]
async fn the_files_of_an_account_go_with_it() {
    let (app, admin) = App::start().await;
    let made = upload(&admin, "dot.png", "image/png", PNG).await;
    let account = admin.account.unwrap();
    app.platform().delete(&format!("/platform/api/v1/accounts/{account}")).await.ok();
    app.settle().await;
    app.anyone().get(&path(&made["file_url"])).await.status(404);
    assert!(app.files().is_empty(), "{:?}", app.files());
}
