//! From a message's commit to the frame at 1,000 sockets.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::Server;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::Measured;
use crate::client::Client;
use crate::desk::Desks;

const SOCKETS: usize = 1000;
const MESSAGES: usize = 50;

/// Runs it on SQLite.
pub fn run(runtime: &Runtime, program: &Path) -> Result<Measured> {
    let mut server =
        Server::new(program, &[("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1"), ("LOG_LEVEL", "warn")])?;
    server.start()?;
    let desk = Desks::new(&server)?.desk(1)?;
    let port = server.port();
    let mut times = runtime.block_on(async {
        let identifier = json!({
            "channel": "RoomChannel", "pubsub_token": desk.pubsub_token, "account_id": desk.account, "user_id": desk.user,
        })
        .to_string();
        let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel::<Instant>();
        let mut ready = Vec::new();
        for _ in 0..SOCKETS {
            let mut request = format!("ws://127.0.0.1:{port}/cable").into_client_request()?;
            request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
            let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
            let command = json!({"command": "subscribe", "identifier": identifier}).to_string();
            socket.send(Message::text(command)).await?;
            let heard = heard.clone();
            let (confirmed, confirmation) = tokio::sync::oneshot::channel();
            ready.push(confirmation);
            let listen = async move {
                let mut confirmed = Some(confirmed);
                while let Some(Ok(frame)) = socket.next().await {
                    let at = Instant::now();
                    let Ok(text) = frame.to_text() else { continue };
                    if text.contains("confirm_subscription") {
                        if let Some(confirmed) = confirmed.take() {
                            let _ = confirmed.send(());
                        }
                    } else if text.contains("\"event\":\"message.created\"") && heard.send(at).is_err() {
                        return;
                    }
                }
            };
            #[expect(clippy::disallowed_methods, reason = "ends with the run")]
            tokio::spawn(listen);
        }
        for confirmation in ready {
            confirmation.await.context("a subscription was not confirmed")?;
        }
        let conversation = *desk.conversations.first().context("no conversation")?;
        let request = desk.message(conversation);
        let mut client = Client::connect(port).await?;
        let mut times = Vec::new();
        for _ in 0..MESSAGES {
            let (status, _) = client.send(&request).await?;
            let answered = Instant::now();
            ensure!(status == 200, "{status}");
            for _ in 0..SOCKETS {
                let at = tokio::time::timeout(Duration::from_secs(10), hears.recv())
                    .await
                    .context("a socket heard nothing")?
                    .context("no socket is left")?;
                // The commit lies before the answer: the frame may even come first.
                times.push(at.saturating_duration_since(answered));
            }
        }
        anyhow::Ok(times)
    })?;
    server.stop()?;
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default().as_secs_f64() * 1e3;
    let p50 = times.get(times.len() / 2).copied().unwrap_or_default().as_secs_f64() * 1e3;
    println!("fan-out: p50 {p50:.1} ms, p99 {p99:.1} ms over {} frames", times.len());
    Ok(Measured {
        what: "frame to 1,000 subscribed sockets after the message's answer",
        value: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
        wanted: "p99 ≤ 50 ms",
        met: p99 <= 50.0,
    })
}
