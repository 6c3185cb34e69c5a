//! SIGTERM and SIGINT: the first drains, the second does not wait.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Lifecycle;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal as Number, getpid, kill_process};
    use tokio::task::JoinSet;

    use super::*;

    #[tokio::test]
    async fn the_first_signal_drains_and_the_second_aborts() {
        let lifecycle = Lifecycle::new(Duration::ZERO, Duration::ZERO);
        let mut tasks = JoinSet::new();
        tasks.spawn(Signals::catch(&lifecycle).expect("caught").pass_on());
        kill_process(getpid(), Number::TERM).expect("sent");
        lifecycle.stop.cancelled().await;
        assert!(!lifecycle.abort.is_cancelled());
        kill_process(getpid(), Number::INT).expect("sent");
        lifecycle.abort.cancelled().await;
        tasks.join_next().await.expect("a task").expect("no panic");
    }
}
