//! Runs a connection over a socket.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt};

use crate::connection::Connection;
use crate::queue::{Outbox, Outgoing};

/// How long an ending socket may take to write what is left and to answer the close frame.
const CLOSE_GRACE: Duration = Duration::from_secs(2);

/// What came from a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A text frame.
    Text(String),
    /// A close frame with its code. Keep the stream going until the socket ends, so that the
    /// answer to it is written.
    Close(Option<u16>),
    /// Binary, ping and pong frames: ignored.
    Other,
}

/// Runs a connection until either side ends it. Needs no timer and no task of its own while the
/// socket is alive.
///
/// `incoming` ends when the socket is gone; `outgoing` fails then.
pub async fn serve<I, O>(mut connection: Connection, mut outbox: Outbox, incoming: I, outgoing: O)
where
    I: Stream<Item = Incoming>,
    O: Sink<Outgoing>,
{
    let mut incoming = pin!(incoming);
    let mut outgoing = pin!(outgoing);

    let mut read = pin!(async {
        while let Some(frame) = incoming.next().await {
            match frame {
                // Boxed: the state of a command is large, and most sockets are idle.
                Incoming::Text(text) => Box::pin(connection.receive(&text)).await,
                Incoming::Close(code) => connection.peer_closed(code),
                Incoming::Other => {}
            }
        }
    });
    let queue = Arc::clone(outbox.queue());
    // A peer that reads nothing blocks the write for ever: an ending socket must not wait for it.
    let mut out_of_patience = pin!(async move {
        queue.until_ending().await;
        tokio::time::sleep(CLOSE_GRACE).await;
    });
    let write = async {
        while let Some(frame) = outbox.recv().await {
            let sent = tokio::select! {
                biased;
                sent = outgoing.send(frame) => sent.is_ok(),
                () = &mut out_of_patience => false,
            };
            if !sent {
                break;
            }
        }
    };

    tokio::select! {
        () = &mut read => {}
        () = write => {
            // The close frame is out: the peer answers it or is dropped.
            let _answered = tokio::time::timeout(CLOSE_GRACE, read).await;
        }
    }
}
