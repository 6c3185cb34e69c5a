//! Mails, over the line to a mail server: what they say, and what happens when it will not take them
//! (`mail.md`).

use std::time::Duration;

use chatwarden_db::DbError;
use chatwarden_mail::{Account, Encryption, Failure, Letter, Mailer, Mechanism, Settings};
use chatwarden_testkit::{Actor, App, MailServer, Received};
use serde_json::json;

chatwarden_db::statements! {
    DEAD: (i64,) = "test.dead_mails", "select count(*) from jobs where kind = 'mail.deliver' and state = 2";
}

fn settings(server: &MailServer) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port: server.port,
        hello: Some("desk.example.com".to_owned()),
        account: None,
        encryption: Encryption::WhenOffered,
        verify: true,
    }
}

fn letter() -> Letter {
    Letter {
        from: "Desk <desk@example.com>".to_owned(),
        reply_to: None,
        to: vec!["vera@example.org".to_owned()],
        subject: "Grüße\r\nBcc: eve@example.org".to_owned(),
        html: "<p>Grüße</p>\n.\n<p>.</p>".to_owned(),
        message_id: "<1@example.com>".to_owned(),
    }
}

/// A server that hands its letters to a mail server of the test.
pub(crate) async fn start() -> (App, Actor, MailServer) {
    let server = MailServer::start().await;
    let (app, admin) = App::start_with_mail(Mailer::new(settings(&server))).await;
    (app, admin, server)
}

async fn dead(app: &App) -> i64 {
    let found: Result<(i64,), DbError> = app.db().read(async |tx| tx.one(&DEAD, []).await).await;
    found.expect("a count").0
}

fn only(server: &MailServer) -> Received {
    let mut received = server.received();
    assert_eq!(received.len(), 1, "{received:?}");
    received.remove(0)
}

#[tokio::test]
async fn a_letter_goes_over_the_line_as_it_is() {
    let server = MailServer::start().await;
    Mailer::new(settings(&server)).send(&letter()).await.expect("sent");
    let sent = only(&server);
    assert_eq!((sent.from.as_str(), sent.to.len()), ("desk@example.com", 1));
    assert_eq!(sent.header("Message-ID"), "<1@example.com>");
    assert_eq!(sent.header("Content-Type"), "text/html; charset=utf-8");
    assert!(!sent.text.contains("\r\nBcc"), "{}", sent.text);
    assert!(
        sent.body().contains("Grüße") && sent.body().contains("\r\n.\r\n"),
        "{:?}",
        sent.body()
    );
    assert_eq!(server.greeted_by(), ["desk.example.com"]);
}

#[tokio::test]
async fn a_mail_server_that_asks_who_we_are_is_told() {
    let server = MailServer::start().await;
    server.only_for("desk", "secret");
    let mailer = |password: &str| {
        let account = Account {
            username: "desk".to_owned(),
            password: password.to_owned(),
            mechanism: Mechanism::Login,
        };
        Mailer::new(Settings { account: Some(account), ..settings(&server) })
    };
    mailer("secret").send(&letter()).await.expect("sent");
    let refused = mailer("guess").send(&letter()).await;
    assert!(matches!(refused, Err(Failure::Later(_))), "{refused:?}");
    assert!(!format!("{refused:?}").contains("guess"));
    only(&server);
}

#[tokio::test]
async fn an_invitation_and_a_reset_say_where_to_go() {
    let (app, admin, server) = start().await;
    admin
        .post(
            "/agents",
            json!({"name": "Grace <b>", "email": "grace@example.com", "role": "agent"}),
        )
        .await
        .ok();
    app.settle().await;
    let sent = only(&server);
    assert_eq!(sent.header("Subject"), "Confirmation Instructions");
    assert_eq!(sent.to, ["grace@example.com"]);
    // Strokes are escaped as HTML allows.
    let body = sent.body().replace("&#x2f;", "/");
    assert!(body.contains("/app/auth/password/edit?reset_password_token="), "{body}");
    assert!(body.contains("Ada") && body.contains("Acme") && !body.contains("<b>"), "{body}");
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    app.settle().await;
    let sent = server.received().pop().expect("a letter");
    assert_eq!(sent.header("Subject"), "Reset password instructions");
    assert_eq!(sent.header("Reply-To"), sent.header("From"));
}

#[tokio::test]
async fn what_is_refused_for_now_is_sent_later_and_is_the_same_letter() {
    let (app, admin, server) = start().await;
    server.refuse("RCPT", "451 come again");
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    app.settle().await;
    assert!(server.received().is_empty());
    app.advance(Duration::from_secs(600));
    app.settle().await;
    only(&server);
    assert_eq!(dead(&app).await, 0);
    app.advance(Duration::from_secs(600));
    app.settle().await;
    only(&server);
}

#[tokio::test]
async fn a_letter_whose_end_is_not_heard_of_has_its_id_again() {
    let (app, admin, server) = start().await;
    server.refuse(".", "451 was that all?");
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    app.settle().await;
    app.advance(Duration::from_secs(600));
    app.settle().await;
    let id = only(&server).header("Message-ID");
    assert!(id.starts_with('<') && id.ends_with('>') && id.contains('@'), "{id}");
}

#[tokio::test]
async fn what_is_refused_for_good_is_put_aside() {
    let (app, admin, server) = start().await;
    server.refuse("RCPT", "550 no such person");
    let email = admin.email.clone().unwrap();
    app.anyone().post("/auth/password", json!({"email": email})).await.ok();
    app.settle().await;
    app.advance(Duration::from_secs(86_400));
    app.settle().await;
    assert!(server.received().is_empty());
    assert_eq!(dead(&app).await, 1);
}

/// Grace, who is in an API inbox, and a contact's id.
async fn desk(app: &App, admin: &Actor) -> (Actor, i64, i64) {
    let agent = app.member(admin.account.unwrap(), "Grace", "agent").await;
    let inbox =
        admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await.ok();
    let members = json!({"inbox_id": inbox["id"], "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    let contact = admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let contact = contact["payload"]["contact"]["id"].as_i64().unwrap();
    (agent, inbox["id"].as_i64().unwrap(), contact)
}

#[tokio::test]
async fn a_member_is_told_by_mail_of_what_they_want_to_be_told() {
    let (app, admin, server) = start().await;
    let (agent, inbox, contact) = desk(&app, &admin).await;
    // The message is the newer news, and none that a new member wants by mail: the assignment still is.
    let open = json!({"inbox_id": inbox, "contact_id": contact, "assignee_id": agent.id,
        "message": {"content": "**Good** <i>morning</i>"}});
    admin.post("/conversations", open).await.ok();
    app.settle().await;
    let sent = only(&server);
    assert_eq!(sent.to, [agent.email.clone().unwrap()]);
    let subject = "Grace, A new conversation [ID - 1] has been assigned to you.";
    assert_eq!(sent.header("Subject"), subject);
    let link = format!("/app/accounts/{}/conversations/1", admin.account.unwrap());
    let body = sent.body().replace("&#x2f;", "/");
    assert!(body.contains(&link) && body.contains("<strong>Good</strong>"), "{body}");
    assert!(!body.contains("<i>"), "{body}");

    let message = json!({"content": "Hello?", "message_type": "incoming"});
    admin.post("/conversations/1/messages", message.clone()).await.ok();
    app.settle().await;
    only(&server);

    admin.post("/conversations", json!({"inbox_id": inbox, "contact_id": contact})).await.ok();
    admin.post("/conversations/2/assignments", json!({"assignee_id": agent.id})).await.ok();
    app.settle().await;
    let subject = "Grace, A new conversation [ID - 2] has been assigned to you.";
    assert_eq!(server.received().pop().expect("a letter").header("Subject"), subject);

    let wanted = ["email_assigned_conversation_new_message", "email_conversation_creation"];
    let flags = json!({"notification_settings": {"selected_email_flags": wanted}});
    agent.patch("/notification_settings", flags).await.ok();
    admin.post("/conversations/1/messages", message).await.ok();
    app.settle().await;
    let sent = server.received().pop().expect("a letter");
    let subject = "Grace, New message in your assigned conversation [ID - 1].";
    assert_eq!(sent.header("Subject"), subject);
    assert!(!sent.body().contains("Hello?"));
    let before = server.received().len();
    admin.post("/conversations/2/assignments", json!({"assignee_id": null})).await.ok();
    admin.post("/conversations/2/assignments", json!({"assignee_id": agent.id})).await.ok();
    app.settle().await;
    assert_eq!(server.received().len(), before, "no longer wanted");
    admin.post("/conversations", json!({"inbox_id": inbox, "contact_id": contact})).await.ok();
    app.settle().await;
    let subject = "Grace, A new conversation [ID - 3] has been created in Desk.";
    assert_eq!(server.received().pop().expect("a letter").header("Subject"), subject);
}

#[tokio::test]
async fn what_was_read_meanwhile_is_not_sent() {
    let (app, admin, server) = start().await;
    let (agent, inbox, contact) = desk(&app, &admin).await;
    server.refuse("RCPT", "451 come again");
    let open = json!({"inbox_id": inbox, "contact_id": contact, "assignee_id": agent.id});
    admin.post("/conversations", open).await.ok();
    app.settle().await;
    agent.post("/conversations/1/update_last_seen", json!({})).await.ok();
    app.advance(Duration::from_secs(600));
    app.settle().await;
    assert!(server.received().is_empty());
    assert_eq!(dead(&app).await, 0);
}

#[tokio::test]
async fn a_transcript_goes_where_an_agent_says() {
    let (app, admin, server) = start().await;
    let (agent, inbox, contact) = desk(&app, &admin).await;
    let outsider = app.member(admin.account.unwrap(), "Alan", "agent").await;
    let open =
        json!({"inbox_id": inbox, "contact_id": contact, "message": {"content": "**Hello**"}});
    admin.post("/conversations", open).await.ok();
    let note = json!({"content": "A secret", "private": true});
    admin.post("/conversations/1/messages", note).await.ok();
    let to = json!({"email": " Boss@Example.org"});
    agent.post("/conversations/1/transcript", to.clone()).await.ok();
    app.settle().await;
    let sent = only(&server);
    assert_eq!(sent.to, ["boss@example.org"]);
    assert_eq!(sent.header("Subject"), "[#1] Conversation Transcript");
    assert!(sent.header("From").contains("Ada from Desk"), "{}", sent.header("From"));
    let body = sent.body();
    assert!(body.contains("<strong>Hello</strong>") && !body.contains("A secret"), "{body}");

    let missing = agent.post("/conversations/1/transcript", json!({})).await.status(422);
    assert_eq!(missing, json!({"error": "email param missing"}));
    agent.post("/conversations/1/transcript", json!({"email": "nobody"})).await.status(422);
    outsider.post("/conversations/1/transcript", to.clone()).await.status(401);
    agent.post("/conversations/2/transcript", to).await.status(404);
    app.settle().await;
    only(&server);
}

#[tokio::test]
async fn a_visitor_is_sent_what_was_said_where_their_address_is_known() {
    let (app, admin, server) = start().await;
    let site = json!({"name": "Site", "enable_email_collect": false,
        "channel": {"type": "web_widget", "website_url": "https://shop.example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let path = |path: &str| {
        format!("/api/v1/widget/{path}?website_token={}", site["website_token"].as_str().unwrap())
    };
    let config = app.anyone().post(&path("config"), json!({})).await.ok();
    let token = config["website_channel_config"]["auth_token"].as_str().unwrap();
    let visitor = app.anyone().with_header("x-auth-token", token);
    let transcript = path("conversations/transcript");
    visitor.post(&transcript, json!({})).await.status(429);
    let said = json!({"message": {"content": "Where is it?"}});
    visitor.post(&path("messages"), said).await.ok();
    visitor.post(&transcript, json!({"email": "eve@example.org"})).await.ok();
    app.settle().await;
    assert!(server.received().is_empty(), "an address that is asked for is not one that is known");
    let known = json!({"email": "vera@example.org"});
    visitor.patch(&path("contact"), known).await.ok();
    visitor.post(&transcript, json!({})).await.ok();
    app.settle().await;
    let sent = only(&server);
    assert_eq!(sent.to, ["vera@example.org"]);
    assert!(sent.body().contains("Where is it?"));
}
