//! A client, as a trace tells of it: what it sends, and what it reads of the answers.

use std::net::SocketAddr;
use std::time::Duration;

use chatwarden_testkit::{Actor, App, Reply};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::uploads::{Part, post_form};

/// What the clients' HTTP library says that it takes.
const ACCEPT: &str = "application/json, text/plain, */*";

/// A front end in somebody's browser.
#[derive(Clone)]
pub struct Client {
    pub caller: Actor,
    /// What paths that don't begin with a slash are below.
    pub base: String,
    /// What is appended to every query.
    pub query: String,
}

impl Client {
    pub fn new(caller: Actor, base: &str) -> Self {
        Self {
            caller: caller.with_header("accept", ACCEPT),
            base: base.to_owned(),
            query: String::new(),
        }
    }

    fn path(&self, path: &str) -> String {
        let path =
            if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.base) };
        match self.query.as_str() {
            "" => path,
            query if path.contains('?') => format!("{path}&{query}"),
            query => format!("{path}?{query}"),
        }
    }

    /// Sends a line of a trace: `GET agents`; no body where it is null.
    pub async fn send(&self, line: &str, body: Value) -> Reply {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        self.caller.send(method.parse().expect("a method"), &self.path(path), body).await
    }

    /// Sends a line whose answer must be a 200 in which stands what the client [`reads`].
    pub async fn ok(&self, line: &str, body: Value, fields: &str) -> Value {
        let answer = self.send(line, body).await.status(200);
        reads(line, &answer, fields);
        answer
    }

    /// Several reading lines, each with what the client reads of its answer.
    pub async fn gets(&self, lines: &[(&str, &str)]) {
        for (path, fields) in lines {
            self.ok(&format!("GET {path}"), Value::Null, fields).await;
        }
    }

    /// Sends a form.
    pub async fn form(&self, path: &str, parts: &[Part<'_>], fields: &str) -> Value {
        let answer = post_form(&self.caller, &self.path(path), parts).await.status(200);
        reads(path, &answer, fields);
        answer
    }
}

/// Whether an answer has the fields: paths with dots, each with what must stand there: `id:number`,
/// `data.payload:list`, `meta:map`, `name:text`, `:flag` of the whole; without a kind anything, null too.
pub fn reads(line: &str, answer: &Value, fields: &str) {
    for field in fields.split_whitespace() {
        let (path, kind) = field.split_once(':').unwrap_or((field, ""));
        let steps = path.split('.').filter(|step| !step.is_empty());
        let pointer: String = steps.map(|step| format!("/{step}")).collect();
        let found =
            answer.pointer(&pointer).unwrap_or_else(|| panic!("{line}: no {path} in {answer}"));
        let fits = match kind {
            "list" => found.is_array(),
            "map" => found.is_object(),
            "text" => found.is_string(),
            "number" => found.is_number(),
            "flag" => found.is_boolean(),
            "" => true,
            other => panic!("{other} is no kind"),
        };
        assert!(fits, "{line}: {path} is no {kind}: {found}");
    }
}

/// A server that sockets connect to.
pub async fn listen(app: &App) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let router = app.node().router();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A client's socket, as browsers open it.
pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The handshake, and the welcome.
    pub async fn open(address: SocketAddr, origin: &str) -> Self {
        let mut request = format!("ws://{address}/cable").into_client_request().expect("a request");
        for (name, value) in [
            ("sec-websocket-protocol", "actioncable-v1-json, actioncable-unsupported"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ("origin", origin),
        ] {
            request.headers_mut().insert(name, value.parse().expect("a value"));
        }
        let (socket, answer) = connect_async(request).await.expect("a handshake");
        assert_eq!(answer.headers()["sec-websocket-protocol"], "actioncable-v1-json");
        assert!(!answer.headers().contains_key("sec-websocket-extensions"));
        let mut this = Self(socket);
        assert_eq!(this.frame().await, json!({"type": "welcome"}));
        this
    }

    /// Subscribes; the identifier comes back as it was sent.
    pub async fn subscribe(&mut self, identifier: &Value) {
        let identifier = identifier.to_string();
        self.say(&json!({"command": "subscribe", "identifier": identifier})).await;
        let (mut confirmed, mut present) = (false, false);
        // The first presence comes unasked, in either order.
        while !(confirmed && present) {
            let frame = self.frame().await;
            assert_eq!(frame["identifier"], identifier.as_str(), "{frame}");
            confirmed |= frame["type"] == "confirm_subscription";
            present |= frame["message"]["event"] == "presence.update";
        }
    }

    /// What the client says each 20 or 60 seconds.
    pub async fn update_presence(&mut self, identifier: &Value) {
        let data = json!({"action": "update_presence"}).to_string();
        let command =
            json!({"command": "message", "identifier": identifier.to_string(), "data": data});
        self.say(&command).await;
        self.event("presence.update").await;
    }

    async fn say(&mut self, frame: &Value) {
        self.0.send(Message::text(frame.to_string())).await.expect("an open socket");
    }

    async fn frame(&mut self) -> Value {
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(20), self.0.next()).await;
            let frame = frame.expect("a frame in time").expect("an open socket").expect("a frame");
            let frame: Value = serde_json::from_str(frame.to_text().expect("text")).expect("JSON");
            if frame["type"] != "ping" {
                return frame;
            }
        }
    }

    /// The data of the next event of that name, in which stands what the client [`reads`].
    pub async fn hears(&mut self, name: &str, fields: &str) -> Value {
        let data = self.event(name).await;
        reads(name, &data, fields);
        data
    }

    async fn event(&mut self, name: &str) -> Value {
        loop {
            let frame = self.frame().await;
            if frame["message"]["event"] == name {
                return frame["message"]["data"].clone();
            }
        }
    }

    /// Events of these names, in whichever order they come.
    pub async fn all(&mut self, names: &[&str]) {
        let mut awaited: Vec<&str> = names.to_vec();
        while !awaited.is_empty() {
            let frame = self.frame().await;
            let name = frame["message"]["event"].as_str().unwrap_or_default();
            if let Some(at) = awaited.iter().position(|awaited| *awaited == name) {
                awaited.swap_remove(at);
            }
        }
    }

    /// Closes as browsers do when a page goes away; the server closes in turn.
    pub async fn leave(mut self) {
        self.0.close(None).await.expect("an open socket");
        while let Some(frame) = self.0.next().await {
            match frame {
                Ok(Message::Close(_)) => return,
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}
