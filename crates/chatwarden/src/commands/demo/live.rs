//! The main job, live: a visitor writes, an agent sees it, answers and resolves.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::client::{Socket, call};
use super::{Desk, EMAIL, PASSWORD};

/// What takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(10);

fn say(line: &str) {
    // With the standard output gone there is nobody to show it to.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Plays it and says how to sign in.
///
/// # Errors
/// A step that the server refused, or that was not told in time.
pub(super) async fn play(to: SocketAddr, desk: &Desk) -> anyhow::Result<()> {
    tokio::time::timeout(PATIENCE, talk(to, desk)).await.context("it took too long")??;
    say(&format!(
        "\nThe server goes on. Sign in over the API:\n\n    \
         curl http://{to}/auth/sign_in -H 'content-type: application/json' -d '{{\"email\": \"{EMAIL}\", \"password\": \"{PASSWORD}\"}}'\n\n\
         or with the API token {}:\n\n    \
         curl -H 'api_access_token: {}' http://{to}/api/v1/accounts/{}/conversations\n",
        desk.token, desk.token, desk.account
    ));
    Ok(())
}

async fn talk(to: SocketAddr, desk: &Desk) -> anyhow::Result<()> {
    say("A conversation, through HTTP and the agent's WebSocket:\n");
    let mut socket = Socket::open(to, desk).await?;
    let contacts = format!("/public/api/v1/inboxes/{}/contacts", desk.inbox_identifier);
    let visitor = json!({"name": "Dora Demo", "email": "dora@example.com"});
    let visitor = call(to, "POST", &contacts, None, &visitor).await?;
    let source = visitor.get("source_id").and_then(Value::as_str).context("a source id")?;
    let conversations = format!("{contacts}/{source}/conversations");
    let opened = call(to, "POST", &conversations, None, &json!({})).await?;
    let number = opened.get("id").and_then(Value::as_i64).context("a number")?;
    let api = format!("/api/v1/accounts/{}/conversations/{number}", desk.account);
    let token = Some(desk.token.as_str());

    let words = "Hello! Is the blue lamp in stock?";
    let began = Instant::now();
    let write = async {
        let answer = call(
            to,
            "POST",
            &format!("{conversations}/{number}/messages"),
            None,
            &json!({"content": words}),
        )
        .await?;
        anyhow::Ok((answer, began.elapsed()))
    };
    let hear = async {
        let heard = socket
            .event("message.created", |data| data.get("content") == Some(&json!(words)))
            .await?;
        anyhow::Ok((heard, began.elapsed()))
    };
    let ((_, acknowledged), (_, heard)) = tokio::try_join!(write, hear)?;
    say(&format!("  Dora writes in #{number}: {words}"));
    say(&format!(
        "    acknowledged after {:.1} ms, at the agent's socket after {:.1} ms",
        ms(acknowledged),
        ms(heard)
    ));

    let step = async |socket: &mut Socket, what: &str, path: &str, body: Value, event: &str| {
        let began = Instant::now();
        let (answer, told) = tokio::join!(
            call(to, "POST", path, token, &body),
            socket.event(event, |data| data.get("conversation_id").or(data.get("id"))
                == Some(&json!(number)))
        );
        answer?;
        told?;
        say(&format!("  {what}: {event} at the socket after {:.1} ms", ms(began.elapsed())));
        anyhow::Ok(())
    };
    let assign = json!({"assignee_id": desk.user});
    step(&mut socket, "Ada takes it", &format!("{api}/assignments"), assign, "assignee.changed")
        .await?;
    let answer = json!({"content": "It is! Shall I keep one for you?"});
    step(&mut socket, "Ada answers", &format!("{api}/messages"), answer, "first.reply.created")
        .await?;
    let resolve = json!({"status": "resolved"});
    step(
        &mut socket,
        "Ada resolves it",
        &format!("{api}/toggle_status"),
        resolve,
        "conversation.status_changed",
    )
    .await?;
    let seen =
        call(to, "GET", &format!("{conversations}/{number}/messages"), None, &Value::Null).await?;
    say(&format!("  Dora reads {} messages", seen.as_array().map_or(0, Vec::len)));
    Ok(())
}
