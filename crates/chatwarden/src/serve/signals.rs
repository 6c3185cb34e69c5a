//! SIGTERM and SIGINT: the first drains, the second does not wait.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Lifecycle;
use tokio_util::sync::CancellationToken;

/// The signals that end the server, caught from the moment this is made.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Signals {
    /// Starts catching.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn catch(lifecycle: &Lifecycle) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: lifecycle.stop.clone(),
            abort: lifecycle.abort.clone(),
        })
    }

    /// Passes the signals on to the lifecycle; returns after the second one.
    pub async fn pass_on(mut self) {
        for token in [&self.stop, &self.abort] {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            };
            tracing::info!(signal = name, "stopping");
            token.cancel();
        }
    }
}
