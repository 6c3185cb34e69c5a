//! Files: on their way in, at their addresses, and on their way out.

use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE as AXUM_CONTENT_TYPE;
use axum::routing::get;
use bytes::Bytes;
use chatwarden_core::events::Performer;
use chatwarden_core::ids::DisplayId;
use chatwarden_core::installation::census;
use chatwarden_core::messages::{MessageType, NewMessage, Sender};
use chatwarden_core::storage::{NewAttachment, Purpose};
use chatwarden_core::{conversations, messages, storage};
use chatwarden_testkit::{Actor, App, FILE_LIMIT, Reply};
use http::Method;
use serde_json::{Value, json};

use crate::beside::beside;

/// A picture of one pixel.
pub(crate) const PNG: &[u8] = b"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\
    \x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0dIDATx\xdacd\xf8\xcfP\x0f\x00\x03\x86\x01\x80Z4}k\x00\x00\x00\x00IEND\xaeB`\x82";
const NOTE: &[u8] = b"Left at the door.\n";
const NOTE_MD5: &str = "7ZIpVFtJp/tot2snpFBUDQ==";

/// A part of a form: a field, or a file with its name and type.
pub(crate) enum Part<'a> {
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

pub(crate) async fn post_form(actor: &Actor, path: &str, parts: &[Part<'_>]) -> Reply {
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
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let query = format!("?website_token={}", site["website_token"].as_str().unwrap());
    let page = app.anyone().post(&format!("/api/v1/widget/config{query}"), json!({})).await.ok();
    let token = page["website_channel_config"]["auth_token"].as_str().unwrap();
    let visitor = app.anyone().with_header("x-auth-token", token);
    let places = format!("/api/v1/widget/direct_uploads{query}");
    visitor.post(&places, announced()).await.ok();
    let nowhere = "/api/v1/widget/direct_uploads?website_token=x";
    for refused in
        [app.anyone().post(&places, announced()).await, visitor.post(nowhere, announced()).await]
    {
        assert_eq!(refused.status(422), json!({"status": 422, "error": "Unprocessable Content"}));
    }
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

/// Sends files in a conversation.
async fn send(actor: &Actor, number: i64, parts: &[Part<'_>]) -> Reply {
    post_form(actor, &format!("/conversations/{number}/messages"), parts).await
}

#[tokio::test]
async fn a_message_carries_files() {
    let (app, admin) = App::start().await;
    let number = conversation(&admin).await;
    let sent = send(
        &admin,
        number,
        &[
            Field("content", "See"),
            File("attachments[]", "a.csv", "text/csv", b"a,b\n1,2\n"),
            File("attachments[]", "dot.png", "image/png", PNG),
        ],
    )
    .await
    .ok();
    let (csv, png) = (&sent["attachments"][0], &sent["attachments"][1]);
    assert_eq!(csv["file_type"], "file");
    assert_eq!((&csv["extension"], &csv["content_type"]), (&json!("csv"), &json!("text/csv")));
    assert_eq!((&csv["file_size"], &csv["thumb_url"]), (&json!(8), &json!("")));
    assert_eq!(
        (&png["file_type"], &png["width"], &png["height"]),
        (&json!("image"), &json!(1), &json!(1))
    );
    let thumb = sent_on(&app.anyone(), &png["thumb_url"]).await;
    let thumb = app.anyone().get(&thumb).await;
    assert_eq!((thumb.status.as_u16(), thumb.header("content-type")), (200, "image/png"));
    assert!(thumb.header("content-disposition").starts_with("inline"));

    let listed = admin.get(&format!("/conversations/{number}/messages")).await.ok();
    assert_eq!(listed["payload"][0]["attachments"], sent["attachments"]);
    let listed = admin.get(&format!("/conversations/{number}/attachments")).await.ok();
    assert_eq!(listed["meta"], json!({"total_count": 2}));
    // Of one message the last comes first, of several the oldest.
    assert_eq!(listed["payload"][0]["data_url"], png["data_url"]);
    assert_eq!(listed["payload"][1]["sender"]["name"], "Ada");
    let later = [Field("content", "And"), File("attachments[]", "b.csv", "text/csv", b"b\n")];
    let later = send(&admin, number, &later).await.ok();
    let again = admin.get(&format!("/conversations/{number}/attachments")).await.ok();
    assert_eq!(again["payload"][1]["data_url"], csv["data_url"]);
    assert_eq!(again["payload"][2]["message_id"], later["id"]);
    let second = admin.get(&format!("/conversations/{number}/attachments?page=2")).await.ok();
    assert_eq!(second["payload"], json!([]));

    // What the installation's gauge of stored bytes is made of.
    let census = app.db().read(async |tx| census::take(tx).await).await.expect("a census");
    let bytes = 8 + 2 + i64::try_from(PNG.len()).expect("a small picture");
    assert_eq!(census.files, Some(vec![(Purpose::Attachment, bytes)]));
}

#[tokio::test]
async fn files_go_with_the_last_message_that_carries_them() {
    let (app, admin) = App::start().await;
    let number = conversation(&admin).await;
    let first =
        send(&admin, number, &[File("attachments[]", "dot.png", "image/png", PNG)]).await.ok();
    let address = &first["attachments"][0]["data_url"];
    let signed = address.as_str().unwrap().rsplit('/').nth(1).unwrap();
    let again = json!({"content": "Again", "attachments": [signed]});
    let second = admin.post(&format!("/conversations/{number}/messages"), again).await.ok();
    assert_eq!(second["attachments"][0]["data_url"], *address);
    let take_away = async |sent: &Value| {
        let gone =
            admin.delete(&format!("/conversations/{number}/messages/{}", sent["id"])).await.ok();
        assert_eq!(gone.get("attachments"), None);
        app.settle().await;
    };
    take_away(&first).await;
    app.anyone().get(&path(address)).await.status(302);
    take_away(&second).await;
    app.anyone().get(&path(address)).await.status(404);
    assert!(app.files().is_empty(), "{:?}", app.files());
}

#[tokio::test]
async fn a_file_that_is_taken_up_beside_the_purge_of_its_conversation_stays() {
    let (app, admin) = App::start().await;
    let (first, other) = (conversation(&admin).await, conversation(&admin).await);
    let sent =
        send(&admin, first, &[File("attachments[]", "dot.png", "image/png", PNG)]).await.ok();
    let address = &sent["attachments"][0]["data_url"];
    let signed = address.as_str().unwrap().rsplit('/').nth(1).unwrap().to_owned();
    admin.delete(&format!("/conversations/{first}")).await.ok();
    beside(
        &app,
        &admin,
        async move |tx, scope, meanwhile| {
            let blobs = storage::find_signed(tx, scope, &[signed]).await?;
            let mut c = conversations::lock(tx, scope, DisplayId(other)).await?;
            let mut new = NewMessage::text(MessageType::Outgoing, None, Sender::Nobody);
            new.attachments = blobs.iter().map(|blob| NewAttachment::of(blob, false)).collect();
            messages::create(tx, scope, &mut c, new, &Performer::System).await?;
            meanwhile.waits(tx).await
        },
        app.settle(),
    )
    .await;
    app.settle().await;
    app.anyone().get(&path(address)).await.status(302);
    assert_eq!(app.files().len(), 1);
    admin.delete(&format!("/conversations/{other}")).await.ok();
    app.settle().await;
    app.anyone().get(&path(address)).await.status(404);
    assert!(app.files().is_empty(), "{:?}", app.files());
}

#[tokio::test]
async fn a_message_that_is_refused_leaves_no_files() {
    let (app, admin) = App::start().await;
    let number = conversation(&admin).await;
    let file = || File("attachments[]", "a.txt", "text/plain", NOTE);
    let sixteen: Vec<Part<'_>> = (0..16).map(|_| file()).collect();
    let refused = send(&admin, number, &sixteen).await.status(422);
    assert_eq!(
        refused,
        json!({"error": "Validation failed: Attachments exceeded maximum allowed"})
    );
    send(&admin, 99, &[file()]).await.status(404);
    send(&admin, number, &[Field("content_type", "riddle"), file()]).await.status(422);
    app.settle().await;
    assert!(app.files().is_empty(), "{:?}", app.files());
    send(&admin, number, &sixteen[1..]).await.ok();
    assert_eq!(app.files().len(), 15);
}

#[tokio::test]
async fn only_ones_own_files_may_be_sent() {
    let (app, admin) = App::start().await;
    let number = conversation(&admin).await;
    let elsewhere = app.member(app.account("Elsewhere").await, "Eve", "administrator").await;
    let theirs = upload(&elsewhere, "note.txt", "text/plain", NOTE).await;
    let ask = format!("/conversations/{number}/direct_uploads");
    let empty_place = admin.post(&ask, announced()).await.ok();
    for name in [&theirs["blob_id"], &empty_place["signed_id"], &json!("bogus"), &json!(1)] {
        let sent = json!({"content": "?", "attachments": [name]});
        admin.post(&format!("/conversations/{number}/messages"), sent).await.status(422);
    }
}

#[tokio::test]
async fn a_contact_s_attachments_are_those_that_the_member_may_see() {
    let (app, admin) = App::start().await;
    let number = conversation(&admin).await;
    let sent =
        send(&admin, number, &[File("attachments[]", "a.txt", "text/plain", NOTE)]).await.ok();
    let contact = admin.get(&format!("/conversations/{number}")).await.ok();
    let list = format!("/contacts/{}/attachments", contact["meta"]["sender"]["id"]);
    let listed = admin.get(&list).await.ok();
    assert_eq!(listed["meta"]["total_count"], 1);
    assert_eq!(listed["payload"][0]["message_id"], sent["id"]);
    assert_eq!(listed["payload"][0]["conversation_id"], number);
    let outside = app.member(admin.account.unwrap(), "Alan", "agent").await;
    assert_eq!(outside.get(&list).await.ok()["payload"], json!([]));
    admin.get("/contacts/9999/attachments").await.status(404);
}

#[tokio::test]
async fn websites_take_no_programs() {
    let (app, admin) = App::start().await;
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let contact =
        admin.post("/contacts", json!({"name": "Vera", "inbox_id": site["id"]})).await.ok();
    let contact = &contact["payload"]["contact"]["id"];
    let opened = json!({"inbox_id": site["id"], "contact_id": contact});
    let number = admin.post("/conversations", opened).await.ok()["id"].as_i64().unwrap();
    let program = File("attachments[]", "run.exe", "application/x-msdownload", b"MZ\0\x01\x02");
    let refused = send(&admin, number, &[program]).await.status(422);
    assert_eq!(refused, json!({"error": "Validation failed: Attachments file type not supported"}));
    app.settle().await;
    assert!(app.files().is_empty());
}

#[tokio::test]
async fn a_person_has_a_picture() {
    let (app, admin) = App::start().await;
    let put = async |name: &str, kind: &str, content: &[u8]| {
        let picture = [File("profile[avatar]", name, kind, content)];
        send_form(&admin, Method::PUT, "/api/v1/profile", &picture).await
    };
    let mine = put("me.png", "image/png", PNG).await.ok();
    let link = sent_on(&app.anyone(), &mine["avatar_url"]).await;
    app.anyone().get(&link).await.status(200);
    let refused = put("me.txt", "text/plain", b"words").await.status(422);
    assert_eq!(
        refused,
        json!({"message": "Avatar filetype not supported", "attributes": ["avatar"]})
    );
    // What is inside counts, not what is said of it.
    put("me.png", "image/png", b"<svg>").await.status(422);
    let other = put("other.png", "image/png", PNG).await.ok();
    assert_ne!(other["avatar_url"], mine["avatar_url"]);
    app.settle().await;
    app.anyone().get(&path(&mine["avatar_url"])).await.status(404);
    let none = admin.delete("/api/v1/profile/avatar").await.ok();
    assert_eq!(none["avatar_url"], "");
    admin.delete("/api/v1/profile/avatar").await.ok();
    put("me.png", "image/png", PNG).await.ok();
    let none = [Field("profile[avatar]", "")];
    let none = send_form(&admin, Method::PUT, "/api/v1/profile", &none).await.ok();
    assert_eq!(none["avatar_url"], "");
    app.settle().await;
    assert!(app.files().is_empty(), "{:?}", app.files());
}

#[tokio::test]
async fn a_bot_s_picture_is_fetched_from_its_address() {
    let (app, admin) = App::start().await;
    let base = other_server().await;
    let bot = json!({"name": "Robo", "avatar_url": format!("{base}/dot.png")});
    let made = admin.post("/agent_bots", bot).await.ok();
    assert_eq!(made["thumbnail"], "");
    app.settle().await;
    let bot = format!("/agent_bots/{}", made["id"]);
    let shown = admin.get(&bot).await.ok();
    sent_on(&app.anyone(), &shown["thumbnail"]).await;
    assert_eq!(admin.delete(&format!("{bot}/avatar")).await.ok()["thumbnail"], "");
    let picture = [File("avatar", "me.png", "image/png", PNG)];
    assert_ne!(send_form(&admin, Method::PATCH, &bot, &picture).await.ok()["thumbnail"], "");
    assert_eq!(admin.patch(&bot, json!({"avatar": null})).await.ok()["thumbnail"], "");
    admin.patch(&bot, json!({"avatar_url": format!("{base}/page")})).await.ok();
    app.settle().await;
    assert_eq!(admin.get(&bot).await.ok()["thumbnail"], "");
    assert!(app.files().is_empty(), "{:?}", app.files());
}

#[tokio::test]
async fn visitors_send_files() {
    let (app, admin) = App::start().await;
    let desk =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let door =
        format!("/public/api/v1/inboxes/{}/contacts", desk["inbox_identifier"].as_str().unwrap());
    let vera = app.anyone().post(&door, json!({"name": "Vera"})).await.ok();
    let talks = format!("{door}/{}/conversations", vera["source_id"].as_str().unwrap());
    let talk = app.anyone().post(&talks, json!({})).await.ok();
    let words = format!("{talks}/{}/messages", talk["id"]);
    let file = [File("attachments[]", "a.txt", "text/plain", NOTE)];
    let sent = post_form(&app.anyone(), &words, &file).await.ok();
    assert_eq!(sent["attachments"][0]["file_size"], NOTE.len());

    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let query = format!("?website_token={}", site["website_token"].as_str().unwrap());
    let page = app.anyone().post(&format!("/api/v1/widget/config{query}"), json!({})).await.ok();
    let token = page["website_channel_config"]["auth_token"].as_str().unwrap();
    let visitor = app.anyone().with_header("x-auth-token", token);
    let say = format!("/api/v1/widget/messages{query}");
    let file = [File("message[attachments][]", "a.txt", "text/plain", NOTE)];
    let sent = post_form(&visitor, &say, &file).await.ok();
    assert_eq!(sent["attachments"][0]["extension"], "txt");
    let program =
        [File("message[attachments][]", "run.exe", "application/x-msdownload", b"MZ\0\x01\x02")];
    let refused = post_form(&visitor, &say, &program).await.status(422);
    let faults = json!({"message": "Attachments file type not supported", "attributes": ["attachments.file"]});
    assert_eq!(refused, faults);
    // Files come as a list.
    let (anyone, single) = (app.anyone(), "attachments");
    let refused = post_form(&anyone, &words, &[File(single, "a.txt", "text/plain", NOTE)]).await;
    assert!(refused.status(422)["error"].as_str().unwrap().starts_with(single));
    let single = "message[attachments]";
    let refused = post_form(&visitor, &say, &[File(single, "a.txt", "text/plain", NOTE)]).await;
    assert!(refused.status(422)["error"].as_str().unwrap().starts_with("attachments"));
    app.settle().await;
    assert_eq!(app.files().len(), 2);
}

#[tokio::test]
async fn contacts_and_inboxes_have_pictures() {
    let (app, admin) = App::start().await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let contact = format!("/contacts/{}", contact["payload"]["contact"]["id"]);
    let inbox = format!("/inboxes/{}", inbox["id"]);
    let picture = [File("avatar", "me.png", "image/png", PNG)];
    let words = [File("avatar", "me.txt", "text/plain", b"words")];
    for of in [&contact, &inbox] {
        send_form(&admin, Method::PATCH, of, &picture).await.ok();
        let refused = send_form(&admin, Method::PATCH, of, &words).await.status(422);
        assert_eq!(refused["message"], "Avatar filetype not supported");
    }
    let thumbnail = admin.get(&contact).await.ok()["payload"]["thumbnail"].clone();
    sent_on(&app.anyone(), &thumbnail).await;
    sent_on(&app.anyone(), &admin.get(&inbox).await.ok()["avatar_url"]).await;
    // A text is no picture, and changes nothing else; none takes the picture away.
    for of in [&contact, &inbox] {
        let before = admin.get(of).await.ok();
        for odd in [json!("me.png"), json!(7)] {
            let refused = admin.patch(of, json!({"name": "New", "avatar": odd})).await.status(422);
            assert_eq!(refused["attributes"], json!(["avatar"]));
        }
        admin.patch(of, json!({"avatar": {}})).await.ok();
        assert_eq!(admin.get(of).await.ok(), before);
        for none in [Value::Null, json!("")] {
            admin.patch(of, json!({"avatar": none})).await.ok();
            let shown = admin.get(of).await.ok();
            let shown = shown.get("avatar_url").or(shown.pointer("/payload/thumbnail"));
            assert_eq!(shown, Some(&json!("")));
            send_form(&admin, Method::PATCH, of, &picture).await.ok();
        }
    }
    let gone = admin.delete(&format!("{contact}/avatar")).await.ok();
    assert_eq!(gone["payload"]["thumbnail"], "");
    admin.delete(&format!("{inbox}/avatar")).await.ok();
    assert_eq!(admin.get(&inbox).await.ok()["avatar_url"], "");
    app.settle().await;
    assert!(app.files().is_empty(), "{:?}", app.files());
}

#[tokio::test]
async fn a_visitor_s_picture_is_fetched_for_who_they_are() {
    let (app, admin) = App::start().await;
    let base = other_server().await;
    let (dot, page) = (format!("{base}/dot.png"), format!("{base}/page"));
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let query = format!("?website_token={}", site["website_token"].as_str().unwrap());
    let widget = |path: &str| format!("/api/v1/widget/{path}{query}");
    let visitor = async || {
        let page = app.anyone().post(&widget("config"), json!({})).await.ok();
        let token = page["website_channel_config"]["auth_token"].as_str().unwrap().to_owned();
        app.anyone().with_header("x-auth-token", &token)
    };
    let picture = async |id: &Value| {
        app.settle().await;
        let shown = admin.get(&format!("/contacts/{id}")).await.ok();
        shown["payload"]["thumbnail"].clone()
    };
    let contact = async |body: Value| {
        admin.post("/contacts", body).await.ok()["payload"]["contact"]["id"].clone()
    };
    let set_user = widget("contact/set_user");

    // Theirs, while there is none: another takes no place, and what is no picture fails nowhere.
    let one = visitor().await;
    let known = one.patch(&widget("contact"), json!({"avatar_url": page})).await.ok()["id"].clone();
    assert_eq!(picture(&known).await, "");
    let identity = json!({"identifier": "v-1", "avatar_url": dot});
    one.patch(&set_user, identity).await.ok();
    let first = picture(&known).await;
    sent_on(&app.anyone(), &first).await;
    let other = json!({"identifier": "v-1", "avatar_url": format!("{dot}?2")});
    one.patch(&set_user, other).await.ok();
    assert_eq!(picture(&known).await, first);

    // Not of whom an address or an identifier without proof leads to.
    let vera = contact(json!({"name": "Vera", "email": "vera@example.org"})).await;
    let mia = contact(json!({"name": "Mia", "identifier": "mia"})).await;
    let claim = json!({"email": "vera@example.org", "avatar_url": dot});
    visitor().await.patch(&widget("contact"), claim.clone()).await.ok();
    visitor().await.patch(&set_user, json!({"identifier": "mia", "avatar_url": dot})).await.ok();
    assert_eq!((picture(&vera).await, picture(&mia).await), (json!(""), json!("")));
    let secret = site["hmac_token"].as_str().unwrap();
    let hash = chatwarden_core::sealed::mac(secret.as_bytes(), b"mia");
    let hash = data_encoding::HEXLOWER.encode(&hash);
    let proved = json!({"identifier": "mia", "identifier_hash": hash, "avatar_url": dot});
    visitor().await.patch(&set_user, proved).await.ok();
    sent_on(&app.anyone(), &picture(&mia).await).await;

    // By the other door, too.
    let desk = json!({"name": "Desk", "channel": {"type": "api"}});
    let desk = admin.post("/inboxes", desk).await.ok();
    let people =
        format!("/public/api/v1/inboxes/{}/contacts", desk["inbox_identifier"].as_str().unwrap());
    let otto = app.anyone().post(&people, json!({"name": "Otto", "avatar_url": dot})).await.ok();
    sent_on(&app.anyone(), &picture(&otto["id"]).await).await;
    app.anyone().post(&people, claim).await.ok();
    assert_eq!(picture(&vera).await, "");

    // Whoever gives one meanwhile is not overruled.
    let late = visitor().await.patch(&widget("contact"), json!({"avatar_url": dot})).await.ok();
    let own = [File("avatar", "me.png", "image/png", PNG)];
    let path = format!("/contacts/{}", late["id"]);
    send_form(&admin, Method::PATCH, &path, &own).await.ok();
    let given = picture(&late["id"]).await;
    assert!(given.as_str().unwrap().ends_with("/me.png"), "{given}");
    let pictures = app.files().into_iter().filter(|name| name != "250.png");
    assert_eq!(pictures.count(), 4, "{:?}", app.files());
}
