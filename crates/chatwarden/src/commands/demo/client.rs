//! A client of the server's own interfaces, as any other would be.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Desk;

/// Calls the server; anything but a success is an error.
///
/// # Errors
/// What the server refused.
pub(super) async fn call(
    to: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> anyhow::Result<Value> {
    let stream = TcpStream::connect(to).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder().method(method).uri(path).header(HOST, to.to_string());
    if let Some(token) = token {
        request = request.header("api_access_token", token);
    }
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let request =
        request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(text)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        ensure!(
            status.is_success(),
            "{method} {path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    };
    tokio::pin!(connection);
    tokio::select! {
        answer = exchange => answer,
        ended = &mut connection => {
            ended?;
            anyhow::bail!("the server hung up")
        }
    }
}

/// An agent's socket.
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects and subscribes as the desk's administrator.
    ///
    /// # Errors
    /// The subscription was refused.
    pub(super) async fn open(to: SocketAddr, desk: &Desk) -> anyhow::Result<Self> {
        let mut request = format!("ws://{to}/cable").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-json".parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let mut this = Self(socket);
        let identifier = json!({
            "channel": "RoomChannel", "pubsub_token": desk.pubsub_token,
            "account_id": desk.account, "user_id": desk.user,
        });
        let command = json!({"command": "subscribe", "identifier": identifier.to_string()});
        this.0.send(Message::text(command.to_string())).await?;
        this.until(|frame| frame.get("type") == Some(&json!("confirm_subscription"))).await?;
        Ok(this)
    }

    /// The data of the next event of that name that `wanted` takes.
    ///
    /// # Errors
    /// The socket ended.
    pub(super) async fn event(
        &mut self,
        name: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let frame = self
            .until(|frame| {
                let message = frame.get("message");
                message.and_then(|m| m.get("event")) == Some(&json!(name))
                    && message.and_then(|m| m.get("data")).is_some_and(&wanted)
            })
            .await?;
        Ok(frame.pointer("/message/data").cloned().unwrap_or_default())
    }

    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        loop {
            let frame = self.0.next().await.context("the socket ended")??;
            let frame: Value =
                serde_json::from_str(frame.to_text().unwrap_or("null")).unwrap_or_default();
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }
}
