//! Log lines: one set-up for the process, with levels that change while it
//! runs (`operations.md` §8).
//!
//! Code logs with the `tracing` macros. Fields of the spans around an event
//! are part of its line, so that a request's span gives every line its
//! `request.id`, `trace_id` and `tenant.id`.

mod file;
mod layer;
mod levels;
mod line;
mod record;
mod repeats;
mod writer;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

pub use file::{RotatingFile, Rotation};
pub use levels::{Level, Levels, LevelsError, Logger, LoggerGroup, Loggers};
pub use line::{Format, FormatError, Service};

use crate::clock::SharedClock;

/// Loggers that write what statements and frames carry, tokens and messages among it: no one is to find those in a
/// log, whatever level they ask for (operations.md §8.3).
const TELL_TALES: [&str; 5] =
    ["sql.bind", "tokio_postgres.query", "tungstenite", "lettre.transport", "h2.hpack"];

/// What an operator may choose about the logs.
#[derive(Clone, Debug)]
pub struct Options {
    /// `LOG_LEVEL`: a level for the root and for loggers, as
    /// `info,chatwarden.db=debug`.
    pub levels: String,
    /// `LOG_FORMAT`.
    pub format: Format,
    /// Whether pretty lines are coloured.
    pub color: bool,
    /// Who writes the lines.
    pub service: Service,
    /// How many lines may wait for the sink.
    pub capacity: usize,
    /// Loggers that stay off whatever is asked.
    pub forbidden: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            levels: "info".to_owned(),
            format: Format::Otel,
            color: false,
            service: Service::default(),
            capacity: 64 * 1024,
            forbidden: TELL_TALES.map(str::to_owned).to_vec(),
        }
    }
}

/// Where lines are written to.
pub type Sink = Box<dyn Write + Send>;

/// Several sinks that get the same lines, like the standard output and a file.
/// One that fails doesn't keep the others from being written.
pub struct Sinks(Vec<Sink>);

impl Sinks {
    /// Writes to all of `sinks`.
    #[must_use]
    pub fn new(sinks: Vec<Sink>) -> Self {
        Self(sinks)
    }

    fn each(
        &mut self,
        mut act: impl FnMut(&mut Sink) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        let mut outcome = Ok(());
        for sink in &mut self.0 {
            outcome = outcome.and(act(sink));
        }
        outcome
    }
}

impl Write for Sinks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.each(|sink| sink.write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.each(|sink| sink.flush())
    }
}

/// The logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// `LOG_LEVEL` can't be read.
    #[error(transparent)]
    Levels(#[from] LevelsError),
    /// The thread that writes the lines could not be started.
    #[error("the thread that writes the log can't be started")]
    Thread(#[source] std::io::Error),
    /// The process has a subscriber already.
    #[error("the process has a log already")]
    Taken,
}

/// The running logs. Dropping it writes what waits, for a few seconds at most.
pub struct Logs {
    levels: Levels,
    writer: writer::Writer<record::Record>,
}

impl Logs {
    /// The levels, to look at and to change.
    #[must_use]
    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    /// Waits until the lines logged so far are written; false when `limit`
    /// passed before.
    pub fn flush(&self, limit: Duration) -> bool {
        self.writer.flush(limit)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.writer.close(Duration::from_secs(5));
    }
}

/// The subscriber that writes lines to `sink`; further layers can be put on
/// it.
///
/// # Errors
/// When the levels can't be read or the writing thread can't be started.
pub fn subscriber(
    options: Options,
    sink: Sink,
    clock: SharedClock,
) -> Result<(impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync, Logs), SetUpError> {
    let levels = Levels::new(&options.levels, options.forbidden, Arc::clone(&clock))?;
    let renderer = line::Renderer::new(options.format, options.color, options.service);
    let write = move |record: &record::Record, page: &mut String| renderer.line(record, page);
    let writer =
        writer::Writer::start(sink, options.capacity, write).map_err(SetUpError::Thread)?;
    let layer = layer::Lines::new(writer.clone(), clock).with_filter(levels.filter());
    Ok((Registry::default().with(layer), Logs { levels, writer }))
}

/// Makes [`subscriber`] the one of the process, for the `log` crate too.
///
/// # Errors
/// As [`subscriber`], and when the process has one already.
pub fn install(options: Options, sink: Sink, clock: SharedClock) -> Result<Logs, SetUpError> {
    let (subscriber, logs) = subscriber(options, sink, clock)?;
    subscriber.try_init().map_err(|_| SetUpError::Taken)?;
    Ok(logs)
}

#[cfg(test)]
mod tests;
