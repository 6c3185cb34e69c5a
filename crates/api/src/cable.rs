//! `/cable`: Action Cable over an axum WebSocket, and the channel that the front ends subscribe to
//! (`realtime.md §1`, §3).

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chatwarden_cable::{
    Channel, Channels, HistoryLost, Incoming, Outgoing, Protocol, Publication, Refusal, Since,
    Subscribed, Subscriber,
};
use chatwarden_core::Store;
use chatwarden_core::ids::{AccountId, UserId};
use chatwarden_core::rooms::{self, Occupant};
use chatwarden_db::Timestamp;
use chatwarden_guard::{ClientIp, Subject};
use chatwarden_jobs::outbox;
use futures::{SinkExt as _, StreamExt as _};
use http::StatusCode;
use serde_json::{Map, Value};

use crate::app::App;
use crate::presence::Board;

/// The largest frame a client may send: an identifier and a command.
const FRAME_LIMIT: usize = 64 * 1024;
/// Pages that somebody may have open, on each node (operations.md §5.1, `ws-connect`).
const SOCKETS_OF_USER: usize = 20;
const SOCKETS_OF_CONTACT: usize = 10;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/cable", get(connect))
}

/// Upgrades to the protocol that both sides speak; what asks for no WebSocket finds nothing here.
async fn connect(State(app): State<App>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &app).await else {
        return (StatusCode::NOT_FOUND, "Page not found").into_response();
    };
    let offered: Vec<&str> =
        upgrade.requested_protocols().filter_map(|p| p.to_str().ok()).collect();
    let Some(protocol) = Protocol::negotiate(offered.iter().copied()) else {
        metrics::counter!("chatwoot.websocket.connections", "kind" => "unknown", "outcome" => "rejected").increment(1);
        return (StatusCode::NOT_FOUND, "Page not found").into_response();
    };
    let client = parts.extensions.get::<ClientIp>();
    let subject = Subject { client, ..Subject::default() };
    let limited = app.limiter().applies("ws-connect", &subject);
    upgrade
        .max_message_size(FRAME_LIMIT)
        .max_frame_size(FRAME_LIMIT)
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .protocols([protocol.name()])
        .on_upgrade(move |socket| run(app, protocol, limited, socket))
}

async fn run(app: App, protocol: Protocol, limited: bool, socket: WebSocket) {
    let (mut connection, waiting) = app.hub().connect(protocol, app.channels().clone());
    if limited {
        connection.limit();
    }
    let (sink, stream) = socket.split();
    let incoming = stream.map(|frame| match frame {
        Ok(Message::Text(text)) => Incoming::Text(text.as_str().to_owned()),
        Ok(Message::Close(frame)) => Incoming::Close(frame.map(|f| f.code)),
        Ok(_) => Incoming::Other,
        // The stream ends after an error.
        Err(_) => Incoming::Other,
    });
    let outgoing = sink.with(|frame: Outgoing| async move {
        Ok::<Message, axum::Error>(match frame {
            Outgoing::Text(text) => Message::Text(text.into()),
            Outgoing::Close { code, reason } => {
                Message::Close(Some(CloseFrame { code, reason: reason.into() }))
            }
        })
    });
    chatwarden_cable::serve(connection, waiting, incoming, outgoing).await;
}

/// What sockets of this server may subscribe to.
pub fn channels(store: Store, board: Arc<Board>) -> Channels {
    Channels::new().with("RoomChannel", Arc::new(RoomChannel { store, board }))
}

/// `RoomChannel`: one for every signed-in page and every visitor's widget.
struct RoomChannel {
    store: Store,
    board: Arc<Board>,
}

#[async_trait::async_trait]
impl Channel for RoomChannel {
    async fn subscribe(&self, params: &Map<String, Value>) -> Result<Subscribed, Refusal> {
        let token =
            params.get("pubsub_token").and_then(Value::as_str).unwrap_or_default().to_owned();
        if token.is_empty() || token.contains('\0') {
            return Err(Refusal::Denied);
        }
        let primary: Arc<str> = Arc::from(token.as_str());
        let blank = |value: &Value| value.is_null() || value.as_str().is_some_and(str::is_empty);
        let user = params.get("user_id").filter(|value| !blank(value)).cloned();
        let account = params.get("account_id").and_then(integer);
        let room = self
            .store
            .read(async move |tx| match user {
                Some(user) => match (integer(&user), account) {
                    (Some(user), Some(account)) => {
                        rooms::of_user(tx, AccountId(account), UserId(user), &token).await
                    }
                    _ => Ok(None),
                },
                None => rooms::of_contact(tx, &token).await,
            })
            .await
            .map_err(|error| {
                tracing::warn!(%error, "a subscription can't be decided");
                Refusal::Unavailable
            })?
            .ok_or(Refusal::Denied)?;
        let (kind, at_once) = match room.occupant {
            Occupant::User(..) => ("agent", SOCKETS_OF_USER),
            Occupant::Contact(..) => ("contact", SOCKETS_OF_CONTACT),
        };
        let occupant = Present {
            store: self.store.clone(),
            board: self.board.clone(),
            occupant: room.occupant,
        };
        Ok(Subscribed {
            primary,
            streams: room.streams.into_iter().map(Arc::from).collect(),
            kind,
            at_once,
            greeting: occupant.seen().await,
            subscriber: Arc::new(occupant),
        })
    }
}

/// An id, also as text.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Somebody who subscribed.
struct Present {
    store: Store,
    board: Arc<Board>,
    occupant: Occupant,
}

impl Present {
    /// Notes that they are there; what they hear of it.
    async fn seen(&self) -> Vec<Arc<str>> {
        let occupant = self.occupant;
        self.board.touch(occupant, self.store.db().ambient().now()).await;
        match self.store.read(async move |tx| rooms::presence_update(tx, occupant).await).await {
            Ok(update) => vec![Arc::from(update.to_string())],
            Err(error) => {
                tracing::warn!(%error, "who is present can't be told");
                Vec::new()
            }
        }
    }
}

#[async_trait::async_trait]
impl Subscriber for Present {
    async fn perform(&self, action: &str, _: &Map<String, Value>) -> Vec<Arc<str>> {
        if action == "update_presence" { self.seen().await } else { Vec::new() }
    }

    async fn history(
        &self,
        since: Since,
        streams: &[Arc<str>],
    ) -> Result<Vec<Arc<Publication>>, HistoryLost> {
        let account = self.occupant.account().0;
        let since = match since {
            Since::Position(id) => outbox::Since::Position(id),
            Since::Time(unix) => outbox::Since::Time(Timestamp::from_unix(unix)),
        };
        let streams: Vec<String> = streams.iter().map(|stream| (**stream).to_owned()).collect();
        let found = self
            .store
            .read(async move |tx| outbox::history(tx, account, &streams, since).await)
            .await;
        match found {
            Ok(Some(stored)) => Ok(stored.into_iter().map(|s| Arc::new(publication(s))).collect()),
            Ok(None) => Err(HistoryLost),
            Err(error) => {
                tracing::warn!(%error, "the history can't be read");
                Err(HistoryLost)
            }
        }
    }
}

/// An outbox entry as the sockets know it.
pub fn publication(stored: outbox::Stored) -> Publication {
    Publication {
        id: stored.id,
        at: stored.at.micros(),
        streams: stored.entry.streams.into_iter().map(Arc::from).collect(),
        except: stored.entry.except.map(Arc::from),
        message: Arc::from(stored.entry.message),
    }
}
