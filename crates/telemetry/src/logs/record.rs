//! An event as it waits to be written.

use std::borrow::Cow;
use std::time::SystemTime;

use tracing::Level;

use super::levels::logger_name;
use crate::{redact, request_line};

/// A value of a field; a text by itself or by its place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<T> {
    Text(T),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Bool(bool),
}

impl<T> Value<T> {
    fn map<U>(self, text: impl FnOnce(T) -> U) -> Value<U> {
        match self {
            Self::Text(value) => Value::Text(text(value)),
            Self::Signed(value) => Value::Signed(value),
            Self::Unsigned(value) => Value::Unsigned(value),
            Self::Float(value) => Value::Float(value),
            Self::Bool(value) => Value::Bool(value),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 ms")]
    pub(super) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Signed(value) => Some(*value as f64),
            Self::Unsigned(value) => Some(*value as f64),
            Self::Float(value) if value.is_finite() => Some(*value),
            _ => None,
        }
    }
}

/// Where a text lies in the buffer of its fields, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: usize,
    end: usize,
}

/// Fields in the order they were met. Their texts lie in one buffer: a request's line has a dozen of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    values: Vec<(&'static str, Value<Place>)>,
    texts: String,
}

impl Fields {
    /// Room for as many.
    pub(super) fn with_capacity(fields: usize) -> Self {
        Self { values: Vec::with_capacity(fields), texts: String::with_capacity(16 * fields) }
    }

    /// Adds a field that isn't there yet.
    pub(super) fn push(&mut self, name: &'static str, value: Value<&str>) {
        let value = self.placed(value);
        self.values.push((name, value));
    }

    /// Adds a field, or replaces its earlier value.
    pub(super) fn set(&mut self, name: &'static str, value: Value<&str>) {
        let value = self.placed(value);
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    fn placed(&mut self, value: Value<&str>) -> Value<Place> {
        value.map(|text| self.keep(text))
    }

    /// Keeps a text that is no field.
    pub(super) fn keep(&mut self, text: &str) -> Place {
        let start = self.texts.len();
        self.texts.push_str(text);
        Place { start, end: self.texts.len() }
    }

    pub(super) fn text(&self, place: Place) -> &str {
        self.texts.get(place.start..place.end).unwrap_or_default()
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, Value<&str>)> {
        self.values.iter().map(|(name, value)| (*name, value.map(|place| self.text(place))))
    }

    pub(super) fn extend(&mut self, others: &Self) {
        for (name, value) in others.iter() {
            self.set(name, value);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// A value without its secrets.
pub(super) type Shown<'a> = Value<Cow<'a, str>>;

/// One event. What it holds is not looked through yet: only [`Record::message`] and [`Record::fields`] may leave the
/// process.
pub(super) struct Record {
    pub(super) time: SystemTime,
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: Option<Place>,
    pub(super) fields: Fields,
}

impl Record {
    /// Records of the `log` crate come from one call site and name their logger in a field.
    fn is_forwarded(&self) -> bool {
        self.target == "log"
    }

    pub(super) fn logger(&self) -> Cow<'_, str> {
        let forwarded = self.is_forwarded().then(|| self.fields.iter());
        let named = forwarded.into_iter().flatten().find_map(|(name, value)| match value {
            Value::Text(text) if name == "log.target" => Some(text),
            _ => None,
        });
        logger_name(named.unwrap_or(self.target))
    }

    pub(super) fn message(&self) -> Cow<'_, str> {
        redact::text(self.message.map_or("", |place| self.fields.text(place)))
    }

    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, Shown<'_>)> {
        // The request line's names are known not to be secrets', and only what callers wrote is looked through: there
        // is one of every request.
        let trusted = self.target == request_line::TARGET;
        let forwarded = self.is_forwarded();
        self.fields.iter().filter(move |(name, _)| !forwarded || !name.starts_with("log.")).map(
            move |(name, value)| {
                if !trusted && redact::is_secret(name) {
                    return (name, Value::Text(Cow::Borrowed(redact::MASK)));
                }
                let ours = trusted && !request_line::OF_CALLERS.contains(&name);
                let shown = |text| if ours { Cow::Borrowed(text) } else { redact::text(text) };
                (name, value.map(shown))
            },
        )
    }
}
