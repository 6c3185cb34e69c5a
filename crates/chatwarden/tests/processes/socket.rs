//! An agent's socket, in the extended protocol: it resumes.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket, connect};

use crate::desk::Desk;

/// A subscribed socket.
pub struct Socket {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    /// Connects and subscribes as the desk's administrator; with `since`, what happened since that moment
    /// (unix seconds) comes first.
    pub fn open(port: u16, desk: &Desk, since: Option<i64>) -> Result<Self> {
        let mut request = format!("ws://127.0.0.1:{port}/cable").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "actioncable-v1-ext-json".parse()?);
        let (socket, _) = connect(request)?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(Duration::from_millis(100)))?;
        }
        let mut this = Self { socket };
        let identifier = json!({
            "channel": "RoomChannel", "pubsub_token": desk.pubsub_token,
            "account_id": desk.account, "user_id": desk.user,
        });
        let mut command = json!({"command": "subscribe", "identifier": identifier.to_string()});
        if let Some(since) = since {
            command["history"] = json!({"since": since});
        }
        this.socket.send(Message::text(command.to_string()))?;
        let confirmed =
            this.until(Duration::from_secs(10), |frame| frame["type"] == "confirm_subscription")?;
        ensure!(confirmed, "the subscription was not confirmed");
        Ok(this)
    }

    /// The next frame, or `None` where there was none for a moment.
    fn next(&mut self) -> Result<Option<Value>> {
        match self.socket.read() {
            Ok(frame) => Ok(Some(
                serde_json::from_str(frame.to_text().unwrap_or("null")).unwrap_or(Value::Null),
            )),
            Err(tokio_tungstenite::tungstenite::Error::Io(error))
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error).context("the socket ended"),
        }
    }

    /// Reads frames until one is wanted; whether it came in time.
    pub fn until(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<bool> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(frame) = self.next()?
                && wanted(&frame)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Says goodbye, as a page that goes away does, and waits for the answer.
    pub fn close(mut self) -> Result<()> {
        let goodbye = CloseFrame { code: CloseCode::Normal, reason: "".into() };
        self.socket.close(Some(goodbye))?;
        let closed = |error: &anyhow::Error| {
            matches!(error.downcast_ref(), Some(tungstenite::Error::ConnectionClosed))
        };
        match self.until(Duration::from_secs(10), |_| false) {
            Ok(_) => bail!("the goodbye was not answered"),
            Err(error) if closed(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Reads frames until all of `contents` were told as incoming messages; those that were not.
    pub fn hear(&mut self, contents: &[String], limit: Duration) -> Result<Vec<String>> {
        let mut missing = contents.to_vec();
        let mut refused = false;
        if !missing.is_empty() {
            self.until(limit, |frame| {
                refused |= frame["type"] == "reject_history";
                if let Some(content) = told(frame) {
                    missing.retain(|wanted| *wanted != content);
                }
                refused || missing.is_empty()
            })?;
        }
        ensure!(!refused, "the history was refused");
        Ok(missing)
    }
}

/// The content of the incoming message that a frame tells of.
pub fn told(frame: &Value) -> Option<String> {
    let message = &frame["message"];
    (message["event"] == "message.created" && message["data"]["message_type"] == 0)
        .then(|| message["data"]["content"].as_str().map(str::to_owned))
        .flatten()
}
