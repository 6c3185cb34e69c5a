//! What open sockets cost while nobody says anything.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Server, wait_until};
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::Measured;
use crate::client::{Client, request};
use crate::desk::Desks;
use crate::start::resident;

const SOCKETS: usize = 10_000;
/// How many of them connect at the same time.
const AT_ONCE: usize = 64;

/// Opens a socket for each of as many visitors, on SQLite, and looks at the server's memory. One
/// address is enough: a port of the 28,000 that Linux hands out is taken for each.
pub fn run(runtime: &Runtime, program: &Path) -> Result<Measured> {
    chatwarden::open_files::raise_limit()?;
    let mut server =
        Server::new(program, &[("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1"), ("LOG_LEVEL", "warn")])?;
    server.start()?;
    let tokens = runtime.block_on(visitors(&server))?;
    let before = resident(&server)?;
    let pings = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    runtime.block_on(
        stream::iter(tokens)
            .map(|token| open(server.port(), token, Arc::clone(&pings)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>(),
    )?;
    let opening = began.elapsed();
    // All are alive, and what opening them took for a moment is given back.
    let enough = pings.load(Ordering::Relaxed) + 4 * SOCKETS;
    wait_until(Duration::from_secs(60), || Ok(pings.load(Ordering::Relaxed) >= enough))
        .context("not every socket is pinged")?;
    let after = resident(&server)?;
    let more = after - before;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let each = more * 1024.0 / SOCKETS as f64;
    println!(
        "idle: {SOCKETS} sockets in {:.1} s, {before:.1} MiB before, {after:.1} MiB after",
        opening.as_secs_f64()
    );
    server.kill()?;
    Ok(Measured {
        what: "resident memory for 10,000 idle sockets, each with a visitor's subscription",
        value: format!("{more:.0} MiB more than {before:.0} MiB ({each:.1} KiB each)"),
        wanted: "≤ 150 MB",
        met: more * 1.048_576 <= 150.0,
    })
}

/// Makes visitors of an API inbox; their socket tokens.
async fn visitors(server: &Server) -> Result<Vec<String>> {
    let desk = Desks::new(server)?.desk(1)?;
    let path = format!("/api/v1/accounts/{}/inboxes", desk.account);
    let inboxes = server.call("GET", &path, &[("api_access_token", &desk.token)], "")?;
    let inboxes: Value = serde_json::from_str(&inboxes.body)?;
    let inbox = inboxes.pointer("/payload/0/inbox_identifier").and_then(Value::as_str);
    let path = format!("/public/api/v1/inboxes/{}/contacts", inbox.context("no inbox")?);
    let make = request("POST", &path, "", r#"{"name":"Vera"}"#);
    let mut making = Vec::new();
    for _ in 0..AT_ONCE {
        let mut client = Client::connect(server.port()).await?;
        let make = &make;
        making.push(async move {
            let mut tokens = Vec::new();
            for _ in 0..SOCKETS.div_ceil(AT_ONCE) {
                let (status, body) = client.send(make).await?;
                ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(&body));
                let contact: Value = serde_json::from_slice(&body)?;
                let token = contact.get("pubsub_token").and_then(Value::as_str);
                tokens.push(token.context("no token")?.to_owned());
            }
            Ok(tokens)
        });
    }
    let mut tokens = futures::future::try_join_all(making).await?.concat();
    tokens.truncate(SOCKETS);
    Ok(tokens)
}

/// Opens a socket and subscribes; from then on what comes is read, and pings are counted.
async fn open(port: u16, token: String, pings: Arc<AtomicUsize>) -> Result<()> {
    let mut request = format!("ws://127.0.0.1:{port}/cable").into_client_request()?;
    request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    let identifier = json!({"channel": "RoomChannel", "pubsub_token": token}).to_string();
    let command = json!({"command": "subscribe", "identifier": identifier}).to_string();
    socket.send(Message::text(command)).await?;
    loop {
        let frame = socket.next().await.context("the socket was closed")??;
        if frame.to_text()?.contains("confirm_subscription") {
            break;
        }
    }
    let listen = async move {
        while let Some(Ok(frame)) = socket.next().await {
            if frame.to_text().is_ok_and(|text| text.contains("\"type\":\"ping\"")) {
                pings.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    #[expect(clippy::disallowed_methods, reason = "ends with the run")]
    tokio::spawn(listen);
    Ok(())
}
