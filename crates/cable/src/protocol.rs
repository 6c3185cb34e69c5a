//! The two wire protocols: Action Cable (`realtime.md` §2) and its extension with positions and
//! replay as published by AnyCable (`actioncable-v1-ext-json`).

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest identifier that is taken; real ones stay below 200 bytes.
const MAX_IDENTIFIER: usize = 4096;

/// A WebSocket subprotocol this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `actioncable-v1-json`: what Rails speaks.
    V1Json,
    /// `actioncable-v1-ext-json`: data frames carry a position, history can be asked for.
    V1ExtJson,
}

impl Protocol {
    /// The name as in `Sec-WebSocket-Protocol`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V1Json => "actioncable-v1-json",
            Self::V1ExtJson => "actioncable-v1-ext-json",
        }
    }

    /// The protocol to speak: the extended one if the client offers it, the plain one if it offers that or none at
    /// all; otherwise none (clients then close the socket for good, `realtime.md` §1).
    pub fn negotiate<'a>(offered: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut offered = offered.into_iter().peekable();
        let mut plain = offered.peek().is_none().then_some(Self::V1Json);
        for name in offered {
            match name.trim() {
                "actioncable-v1-ext-json" => return Some(Self::V1ExtJson),
                "actioncable-v1-json" => plain = Some(Self::V1Json),
                _ => {}
            }
        }
        plain
    }

    /// The first frame of a socket. `sid` names the session in the extended protocol.
    pub fn welcome(self, sid: &str) -> String {
        match self {
            Self::V1Json => r#"{"type":"welcome"}"#.to_owned(),
            Self::V1ExtJson => format!(r#"{{"type":"welcome","sid":{}}}"#, quote(sid)),
        }
    }

    /// A data frame: `message` is JSON already. `position` is written in the extended protocol
    /// only, and only for what can be replayed.
    pub fn data(self, identifier: &str, message: &str, position: Option<Position<'_>>) -> String {
        let head = data_head(identifier);
        self.join(&head, message, position)
    }

    /// As [`Self::data`], with the part before the message made beforehand by [`data_head`].
    pub(crate) fn join(self, head: &str, message: &str, position: Option<Position<'_>>) -> String {
        let mut frame = String::with_capacity(head.len() + message.len() + 96);
        frame.push_str(head);
        frame.push_str(message);
        if let (Self::V1ExtJson, Some(at)) = (self, position) {
            frame.push_str(&format!(
                r#","stream_id":{},"epoch":{},"offset":{}"#,
                quote(at.stream_id),
                quote(at.epoch),
                at.offset
            ));
        }
        frame.push('}');
        frame
    }

    /// Reads what a client sent.
    ///
    /// # Errors
    /// [`Malformed`] for everything that is not a command of this protocol; the socket stays open
    /// and nothing is answered (`realtime.md` §2.2).
    pub fn decode(self, text: &str) -> Result<Command, Malformed> {
        let raw: RawCommand = serde_json::from_str(text).map_err(|_| Malformed::Json)?;
        if self == Self::V1ExtJson && raw.command == "pong" {
            return Ok(Command::Pong);
        }
        let identifier = raw.identifier.ok_or(Malformed::Identifier)?;
        if identifier.len() > MAX_IDENTIFIER {
            return Err(Malformed::Identifier);
        }
        match raw.command.as_str() {
            "subscribe" => Ok(Command::Subscribe {
                identifier,
                history: match self {
                    Self::V1Json => None,
                    Self::V1ExtJson => raw.history.map(HistoryRequest::lenient),
                },
            }),
            "unsubscribe" => Ok(Command::Unsubscribe { identifier }),
            "message" => {
                let text = raw.data.ok_or(Malformed::Data)?;
                let data: Map<String, Value> =
                    serde_json::from_str(&text).map_err(|_| Malformed::Data)?;
                Ok(Command::Message { identifier, data })
            }
            "history" if self == Self::V1ExtJson => Ok(Command::History {
                identifier,
                history: raw.history.map(HistoryRequest::lenient).unwrap_or_default(),
            }),
            _ => Err(Malformed::Command(raw.command)),
        }
    }
}

/// Where a data frame stands: what a client hands back in `history` to go on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<'a> {
    /// Public name of the stream; says nothing about the secret stream name behind it.
    pub stream_id: &'a str,
    /// The database the offset is of.
    pub epoch: &'a str,
    /// Id of the publication.
    pub offset: i64,
}

/// A command of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Asks for a subscription, in the extended protocol with what was missed.
    Subscribe {
        /// JSON object in a string; echoed byte for byte.
        identifier: String,
        /// What to replay after the confirmation.
        history: Option<HistoryRequest>,
    },
    /// Ends a subscription; not answered.
    Unsubscribe {
        /// As in the subscribe command.
        identifier: String,
    },
    /// Performs an action of the channel.
    Message {
        /// As in the subscribe command.
        identifier: String,
        /// The decoded `data`; `action` names the action.
        data: Map<String, Value>,
    },
    /// Asks for what a live subscription missed (extended protocol).
    History {
        /// As in the subscribe command.
        identifier: String,
        /// From where.
        history: HistoryRequest,
    },
    /// Answer to a ping (extended protocol).
    Pong,
}

/// From where a client wants to resume.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryRequest {
    /// Unix seconds; for streams of which the client has no position.
    pub since: Option<i64>,
    /// Last position seen, by `stream_id`.
    pub streams: HashMap<String, StreamPosition>,
}

impl HistoryRequest {
    /// What of the request can be understood: `since` may be `false`, entries may be odd. An empty
    /// request is answered with `reject_history`, whereas refusing the command would leave the
    /// client without a subscription.
    fn lenient(value: Value) -> Self {
        Self {
            since: value.get("since").and_then(Value::as_i64),
            streams: value
                .get("streams")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .filter_map(|(stream, at)| {
                    let at = StreamPosition::deserialize(at).ok()?;
                    Some((stream.clone(), at))
                })
                .collect(),
        }
    }
}

/// A position a client handed back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StreamPosition {
    /// Id of the last publication seen.
    pub offset: i64,
    /// The database it is of.
    pub epoch: String,
}

/// Why a text frame was not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a JSON object with a `command`.
    #[error("not a JSON object with a command")]
    Json,
    /// A command of nobody.
    #[error("unknown command {0:?}")]
    Command(String),
    /// `identifier` is missing or too long.
    #[error("identifier missing or longer than {MAX_IDENTIFIER} bytes")]
    Identifier,
    /// `data` is missing or not a JSON object in a string.
    #[error("data is not a JSON object in a string")]
    Data,
}

#[derive(Deserialize)]
struct RawCommand {
    command: String,
    identifier: Option<String>,
    data: Option<String>,
    history: Option<Value>,
}

/// Why the server ends a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The node is going away; another one will take the socket.
    ServerRestart,
    /// The peer did not read fast enough. What it missed is in the history.
    SlowConsumer,
    /// A subscription could not be decided (the database was away). A rejection would make the
    /// client forget it for good, so the client is sent round again instead.
    Unavailable,
    /// The peer asked for one subscription after the other that it may not have.
    Unauthorized,
}

impl DisconnectReason {
    /// As in the disconnect frame. Clients act on `reconnect` only.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServerRestart => "server_restart",
            Self::SlowConsumer => "slow_consumer",
            Self::Unavailable => "unavailable",
            Self::Unauthorized => "unauthorized",
        }
    }

    /// The close code that follows (RFC 6455 §7.4.2 registry): 1008 policy violation, 1012 service
    /// restart, 1013 try again later.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ServerRestart => 1012,
            Self::SlowConsumer | Self::Unavailable => 1013,
            Self::Unauthorized => 1008,
        }
    }

    /// The disconnect frame.
    pub fn frame(self) -> String {
        let reconnect = self != Self::Unauthorized;
        format!(r#"{{"type":"disconnect","reason":"{}","reconnect":{reconnect}}}"#, self.name())
    }
}

/// A ping frame; `seconds` since the epoch.
pub fn ping(seconds: i64) -> String {
    format!(r#"{{"type":"ping","message":{seconds}}}"#)
}

/// A frame that says only something about a subscription.
pub(crate) fn about(identifier: &str, kind: Notice) -> String {
    format!(r#"{{"identifier":{},"type":"{}"}}"#, quote(identifier), kind.name())
}

/// What the server says about a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    ConfirmSubscription,
    RejectSubscription,
    ConfirmHistory,
    RejectHistory,
}

impl Notice {
    const fn name(self) -> &'static str {
        match self {
            Self::ConfirmSubscription => "confirm_subscription",
            Self::RejectSubscription => "reject_subscription",
            Self::ConfirmHistory => "confirm_history",
            Self::RejectHistory => "reject_history",
        }
    }
}

/// A data frame up to its message.
pub(crate) fn data_head(identifier: &str) -> String {
    format!(r#"{{"identifier":{},"message":"#, quote(identifier))
}

fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const V1: Protocol = Protocol::V1Json;
    const EXT: Protocol = Protocol::V1ExtJson;

    #[test]
    fn the_extended_protocol_is_preferred() {
        #[track_caller]
        fn check(offered: &[&str], expected: Option<Protocol>) {
            assert_eq!(Protocol::negotiate(offered.iter().copied()), expected, "{offered:?}");
        }
        check(&["actioncable-v1-json", "actioncable-unsupported"], Some(V1));
        check(&["actioncable-v1-json", "actioncable-v1-ext-json"], Some(EXT));
        check(&["actioncable-v1-ext-json"], Some(EXT));
        check(&["x", " actioncable-v1-json"], Some(V1));
        check(&["actioncable-v1-msgpack", "actioncable-unsupported"], None);
        check(&[], Some(V1));
    }

    #[test]
    fn every_protocol_answers_to_its_name() {
        for protocol in [V1, EXT] {
            assert_eq!(Protocol::negotiate([protocol.name()]), Some(protocol));
        }
    }

    #[test]
    fn server_frames() {
        #[track_caller]
        fn check(frame: String, expected: &str) {
            assert_eq!(frame, expected);
        }
        let at = Position { stream_id: "s", epoch: "e\"1", offset: 7 };
        check(V1.welcome("abc"), r#"{"type":"welcome"}"#);
        check(EXT.welcome("abc"), r#"{"type":"welcome","sid":"abc"}"#);
        check(ping(1_700_000_000), r#"{"type":"ping","message":1700000000}"#);
        check(
            about(r#"{"channel":"R"}"#, Notice::ConfirmSubscription),
            r#"{"identifier":"{\"channel\":\"R\"}","type":"confirm_subscription"}"#,
        );
        check(
            about("r", Notice::RejectSubscription),
            r#"{"identifier":"r","type":"reject_subscription"}"#,
        );
        check(about("r", Notice::ConfirmHistory), r#"{"identifier":"r","type":"confirm_history"}"#);
        check(about("r", Notice::RejectHistory), r#"{"identifier":"r","type":"reject_history"}"#);
        check(
            DisconnectReason::ServerRestart.frame(),
            r#"{"type":"disconnect","reason":"server_restart","reconnect":true}"#,
        );
        check(V1.data("r", r#"{"a":1}"#, None), r#"{"identifier":"r","message":{"a":1}}"#);
        check(V1.data("r", "{}", Some(at)), r#"{"identifier":"r","message":{}}"#);
        check(EXT.data("r", "{}", None), r#"{"identifier":"r","message":{}}"#);
        check(
            EXT.data("r", "{}", Some(at)),
            r#"{"identifier":"r","message":{},"stream_id":"s","epoch":"e\"1","offset":7}"#,
        );
    }

    /// Clients find a subscription by comparing the strings.
    #[test]
    fn identifiers_come_back_as_they_were() {
        for identifier in [
            r#"{"channel":"RoomChannel","pubsub_token":"tök/\u00e9","account_id":1.0}"#,
            r#"{ "b" : 1, "a":"\\ \" \n" }"#,
            "\u{1F600}\t\u{7f}\u{2028}",
        ] {
            let sent = json!({"command": "subscribe", "identifier": identifier}).to_string();
            let Ok(Command::Subscribe { identifier: read, .. }) = V1.decode(&sent) else {
                panic!("{sent} is a subscribe command");
            };
            let frame: Value =
                serde_json::from_str(&about(&read, Notice::ConfirmSubscription)).unwrap();
            assert_eq!(frame["identifier"], json!(identifier));
            let frame: Value = serde_json::from_str(&V1.data(&read, "1", None)).unwrap();
            assert_eq!(frame["identifier"], json!(identifier));
        }
    }

    fn subscribe(history: Option<HistoryRequest>) -> Result<Command, Malformed> {
        Ok(Command::Subscribe { identifier: "r".into(), history })
    }

    fn request(since: Option<i64>, streams: &[(&str, i64, &str)]) -> HistoryRequest {
        let streams = streams
            .iter()
            .map(|(id, offset, epoch)| {
                ((*id).into(), StreamPosition { offset: *offset, epoch: (*epoch).into() })
            })
            .collect();
        HistoryRequest { since, streams }
    }

    #[test]
    fn client_commands() {
        #[track_caller]
        fn check(protocol: Protocol, sent: &str, expected: Result<Command, Malformed>) {
            assert_eq!(protocol.decode(sent), expected, "{sent}");
        }
        let id = || "r".to_owned();
        check(V1, r#"{"command":"subscribe","identifier":"r"}"#, subscribe(None));
        check(V1, r#"{"identifier":"r","x":[1],"command":"subscribe"}"#, subscribe(None));
        check(
            V1,
            r#"{"command":"unsubscribe","identifier":"r"}"#,
            Ok(Command::Unsubscribe { identifier: id() }),
        );
        let Value::Object(data) = json!({"action": "update_presence", "n": 1}) else {
            unreachable!()
        };
        check(
            V1,
            r#"{"command":"message","identifier":"r","data":"{\"action\":\"update_presence\",\"n\":1}"}"#,
            Ok(Command::Message { identifier: id(), data }),
        );
        let history = r#"{"command":"subscribe","identifier":"r","history":{"since":5,"streams":{"s":{"offset":3,"epoch":"e"}}}}"#;
        check(V1, history, subscribe(None));
        check(EXT, history, subscribe(Some(request(Some(5), &[("s", 3, "e")]))));
        check(
            EXT,
            r#"{"command":"subscribe","identifier":"r","history":{"since":false,"streams":{"s":{"offset":3,"epoch":"e"},"t":{"offset":"x"}}}}"#,
            subscribe(Some(request(None, &[("s", 3, "e")]))),
        );
        check(
            EXT,
            r#"{"command":"subscribe","identifier":"r","history":7}"#,
            subscribe(Some(HistoryRequest::default())),
        );
        check(EXT, r#"{"command":"subscribe","identifier":"r","history":null}"#, subscribe(None));
        check(
            EXT,
            r#"{"command":"history","identifier":"r","history":{"since":5}}"#,
            Ok(Command::History { identifier: id(), history: request(Some(5), &[]) }),
        );
        check(
            EXT,
            r#"{"command":"history","identifier":"r"}"#,
            Ok(Command::History { identifier: id(), history: HistoryRequest::default() }),
        );
        check(EXT, r#"{"command":"pong"}"#, Ok(Command::Pong));

        let command = |name: &str| Err(Malformed::Command(name.into()));
        check(V1, r#"{"command":"history","identifier":"r","history":{}}"#, command("history"));
        check(V1, r#"{"command":"whisper","identifier":"r"}"#, command("whisper"));
        check(V1, r#"{"command":"pong"}"#, Err(Malformed::Identifier));
        check(V1, r#"{"command":"subscribe"}"#, Err(Malformed::Identifier));
        check(V1, r#"{"command":"message","identifier":"r"}"#, Err(Malformed::Data));
        check(V1, r#"{"command":"message","identifier":"r","data":"[]"}"#, Err(Malformed::Data));
        check(V1, r#"{"command":"message","identifier":"r","data":"{"}"#, Err(Malformed::Data));
        for json in [
            "",
            "{",
            "[]",
            "null",
            "\"x\"",
            r#"{"identifier":"r"}"#,
            r#"{"command":1,"identifier":"r"}"#,
            r#"{"command":"subscribe","identifier":{"channel":"R"}}"#,
            r#"{"command":"message","identifier":"r","data":{"action":"x"}}"#,
            r#"{"command":"subscribe","identifier":"\ud800"}"#,
        ] {
            check(V1, json, Err(Malformed::Json));
        }
        let long = json!({"command": "subscribe", "identifier": "x".repeat(MAX_IDENTIFIER + 1)});
        check(V1, &long.to_string(), Err(Malformed::Identifier));
    }
}
