//! From an event of `tracing` to a record in the buffer: context, repetition, count. What it is in words is found
//! out by the thread that writes it, many at a time: that costs a request less than doing it between two of its steps.

use std::error::Error;
use std::fmt::Write;

use metrics::counter;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as SpanRecord};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::record::{Fields, Place, Record, Value};
use super::repeats::Repeats;
use super::writer::Writer;
use crate::clock::SharedClock;
use crate::request_line;

/// The target of audit entries: their lines are never dropped for others.
const AUDIT: &str = "chatwarden::audit";

pub(super) struct Lines {
    writer: Writer<Record>,
    repeats: Repeats,
    clock: SharedClock,
}

impl Lines {
    pub(super) fn new(writer: Writer<Record>, clock: SharedClock) -> Self {
        Self { writer, repeats: Repeats::default(), clock }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::with_capacity(attributes.fields().len());
            attributes.record(&mut Collecting::span(&mut fields));
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &SpanRecord<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(&mut Collecting::span(fields));
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        count(*metadata.level());

        let mut fields = Fields::with_capacity(metadata.fields().len());
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.extend(outer);
            }
        }
        let mut own = Collecting::event(&mut fields);
        event.record(&mut own);
        let message = own.message;

        let important = *metadata.level() <= Level::WARN || metadata.target() == AUDIT;
        let collapses = *metadata.level() <= Level::WARN
            && ![AUDIT, request_line::TARGET].contains(&metadata.target());
        if collapses {
            let now = self.clock.monotonic();
            let message = message.map_or("", |place| fields.text(place));
            match self.repeats.admit(metadata.callsite(), message, now) {
                None => return,
                Some(0) => {}
                Some(suppressed) => fields.set("suppressed", Value::Unsigned(suppressed)),
            }
        }
        let record = Record {
            time: self.clock.wall(),
            level: *metadata.level(),
            target: metadata.target(),
            message,
            fields,
        };
        self.writer.push(record, important);
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

/// Takes fields in.
struct Collecting<'a> {
    fields: &'a mut Fields,
    /// Whether there may be fields of these names already.
    replaces: bool,
    /// Whether it is an event, whose message is no field.
    speaks: bool,
    message: Option<Place>,
}

impl<'a> Collecting<'a> {
    fn span(fields: &'a mut Fields) -> Self {
        Self { fields, replaces: true, speaks: false, message: None }
    }

    fn event(fields: &'a mut Fields) -> Self {
        let replaces = !fields.is_empty();
        Self { fields, replaces, speaks: true, message: None }
    }

    fn put(&mut self, field: &Field, value: Value<&str>) {
        match value {
            Value::Text(text) if self.speaks && field.name() == "message" => {
                self.message = Some(self.fields.keep(text));
            }
            value if self.replaces => self.fields.set(field.name(), value),
            value => self.fields.push(field.name(), value),
        }
    }
}

impl Visit for Collecting<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Float(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, Value::Unsigned(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, Value::Text(value));
    }

    /// An error says what it comes from.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.put(field, Value::Text(&text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = String::with_capacity(128);
        let _ = write!(text, "{value:?}");
        self.put(field, Value::Text(&text));
    }
}
