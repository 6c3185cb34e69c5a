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

async fn start() -> (App, Actor, MailServer) {
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
