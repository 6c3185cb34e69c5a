//! From an event of `tracing` to a line in the buffer: context, redaction,
//! repetition, format, count.

use std::error::Error;
use std::fmt::Write;

use metrics::counter;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::levels::logger_name;
use super::line::{Fields, Record, Renderer, Value};
use super::repeats::Repeats;
use super::writer::Writer;
use crate::clock::SharedClock;
use crate::redact;
use crate::request_line;

/// The target of audit entries: their lines are never dropped for others.
const AUDIT: &str = "chatwarden::audit";

pub(super) struct Lines {
    renderer: Renderer,
    writer: Writer,
    repeats: Repeats,
    clock: SharedClock,
}

impl Lines {
    pub(super) fn new(renderer: Renderer, writer: Writer, clock: SharedClock) -> Self {
        Self { renderer, writer, repeats: Repeats::default(), clock }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut Redacting::all(&mut fields));
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(&mut Redacting::all(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        count(*metadata.level());

        let mut own = Fields::default();
        let trusted = metadata.target() == request_line::TARGET;
        event.record(&mut Redacting { fields: &mut own, trusted });
        let message = match own.take("message") {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        };
        let important = *metadata.level() <= Level::WARN || metadata.target() == AUDIT;
        let collapses = *metadata.level() <= Level::WARN
            && ![AUDIT, request_line::TARGET].contains(&metadata.target());
        if collapses {
            let now = self.clock.monotonic();
            match self.repeats.admit(metadata.callsite(), &message, now) {
                None => return,
                Some(0) => {}
                Some(suppressed) => own.set("suppressed", Value::Unsigned(suppressed)),
            }
        }

        // Records of the `log` crate come from one call site and name their
        // logger in a field.
        let forwarded = (metadata.target() == "log").then(|| own.take("log.target"));
        let target = match &forwarded {
            Some(Some(Value::Text(target))) => target,
            _ => metadata.target(),
        };
        own.retain(|name| !name.starts_with("log."));

        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer.clone());
            }
        }
        fields.extend(own);
        let line = self.renderer.line(&Record {
            time: self.clock.wall(),
            level: *metadata.level(),
            logger: &logger_name(target),
            message: &message,
            fields: &fields,
        });
        self.writer.push(line, important);
    }
}

fn count(level: Level) {
    let level = match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    counter!("logging.events", "level" => level).increment(1);
}

/// Takes fields in without their secrets.
struct Redacting<'a> {
    fields: &'a mut Fields,
    /// Whether it is the request line's: its names are known not to be secrets', and only what callers wrote is looked
    /// through. There is one of every request.
    trusted: bool,
}

impl<'a> Redacting<'a> {
    fn all(fields: &'a mut Fields) -> Self {
        Self { fields, trusted: false }
    }
}

impl Redacting<'_> {
    fn set(&mut self, field: &Field, value: impl FnOnce() -> Value) {
        let value = if !self.trusted && redact::is_secret(field.name()) {
            Value::Text(redact::MASK.to_owned())
        } else {
            value()
        };
        self.fields.set(field.name(), value);
    }

    fn set_text(&mut self, field: &Field, text: &str) {
        let ours = self.trusted && !request_line::OF_CALLERS.contains(&field.name());
        self.set(field, || {
            Value::Text(if ours { text.to_owned() } else { redact::text(text).into_owned() })
        });
    }
}

impl Visit for Redacting<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, || Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, || Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, || Value::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, || Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set_text(field, value);
    }

    /// An error says what it comes from.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.set_text(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.set_text(field, &format!("{value:?}"));
    }
}
