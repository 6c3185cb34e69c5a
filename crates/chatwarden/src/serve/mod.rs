//! Listening for HTTP/1 and HTTP/2, and stopping without failing a request (operations.md §3.5).
//!
//! [`serve`] owns connections and the order of the drain. What is being drained besides requests,
//! sockets and workers, is known to it as [`Lifecycle`]'s hooks only.

mod accept;
mod connection;
mod lifecycle;
mod patience;
mod signals;
mod unread;

#[cfg(test)]
mod tests;

pub use connection::Limits;
pub use lifecycle::{Aborted, Drained, Lifecycle};
pub use signals::Signals;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use connection::{Connections, Ending};

/// Serves each router on its listener until [`Lifecycle::stop`] is cancelled, then drains.
///
/// Handlers find the peer's address as `ConnectInfo<SocketAddr>`.
///
/// # Errors
/// [`Aborted`] at once when [`Lifecycle::abort`] is cancelled; connections are cut then.
pub async fn serve(
    listeners: Vec<(TcpListener, Router)>,
    limits: Limits,
    lifecycle: Lifecycle,
) -> Result<Drained, Aborted> {
    let closing = CancellationToken::new();
    let cut = CancellationToken::new();
    let ending =
        Ending { announced: lifecycle.stop.clone(), closing: closing.clone(), cut: cut.clone() };
    let connections = Connections::new(limits, ending);
    let acceptors = TaskTracker::new();
    for (listener, router) in listeners {
        acceptors.spawn(accept::accept(listener, router, connections.clone()));
    }
    acceptors.close();

    let abort = lifecycle.abort.clone();
    let run = async {
        lifecycle.stop.cancelled().await;
        lifecycle
            .drain(async || {
                closing.cancel();
                acceptors.wait().await;
                connections
            })
            .await
    };
    let outcome = tokio::select! {
        biased;
        () = abort.cancelled() => Err(Aborted),
        drained = run => Ok(drained),
    };
    cut.cancel();
    outcome
}
