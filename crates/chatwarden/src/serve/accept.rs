//! The accept loop.

use std::fs::File;
use std::io;
use std::time::Duration;

use axum::Router;
use futures::FutureExt as _;
use tokio::net::TcpListener;

use super::connection::Connections;

/// Pause after a failed accept, so that a lasting failure does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections until they are closing.
pub(super) async fn accept(listener: TcpListener, router: Router, connections: Connections) {
    let mut reserve = Reserve::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = connections.closing() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connections.spawn(stream, peer, router.clone()),
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                reserve.shed(&listener);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    // What the kernel has accepted for us would be reset with the listener: serve it first.
    while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
        connections.spawn(stream, peer, router.clone());
    }
}

/// Whether the error is about the connection that would have been accepted, not about accepting.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// A file descriptor held back: given up when there are none left, it lets one waiting connection
/// be taken and closed, so that clients learn it instead of hanging.
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    fn shed(&mut self, listener: &TcpListener) {
        if self.0.take().is_some() {
            drop(listener.accept().now_or_never());
        }
        *self = Self::new();
    }
}
