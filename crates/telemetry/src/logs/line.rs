//! What a line looks like.

use std::fmt::Write;

use chrono::{DateTime, SecondsFormat, Utc};
use tracing::Level;

use super::record::{Record, Shown, Value};

/// The longest line, in bytes.
const LIMIT: usize = 16 * 1024;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON with the names of the OpenTelemetry log data model.
    Otel,
    /// JSON with the names of the Elastic Common Schema 8.
    Ecs,
    /// For people.
    Pretty,
}

impl std::str::FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "otel" | "json" => Ok(Self::Otel),
            "ecs" => Ok(Self::Ecs),
            "pretty" => Ok(Self::Pretty),
            _ => Err(FormatError(text.to_owned())),
        }
    }
}

/// A format that doesn't exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log format (otel, ecs, pretty)")]
pub struct FormatError(String);

/// Who writes the lines; empty parts are left out.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// `service.version`.
    pub version: String,
    /// `service.instance.id`.
    pub instance: String,
    /// `deployment.environment.name`.
    pub environment: String,
}

/// Writes records in one format.
pub(super) struct Renderer {
    format: Format,
    color: bool,
    /// The service's members, the same on every JSON line.
    service: String,
}

impl Renderer {
    pub(super) fn new(format: Format, color: bool, service: Service) -> Self {
        let (instance, environment) = match format {
            Format::Ecs => ("service.node.name", "service.environment"),
            _ => ("service.instance.id", "deployment.environment.name"),
        };
        let mut members = String::new();
        for (name, value) in [
            ("service.name", &service.name),
            ("service.version", &service.version),
            (instance, &service.instance),
            (environment, &service.environment),
        ] {
            if !value.is_empty() {
                member(&mut members, name);
                json_text(&mut members, value);
            }
        }
        if format == Format::Ecs {
            member(&mut members, "ecs.version");
            json_text(&mut members, "8.17.0");
        }
        Self { format, color, service: members }
    }

    /// Adds the line with its end. What is too long loses the ends of its texts
    /// first, then its last fields, and says `truncated`.
    pub(super) fn line(&self, record: &Record, page: &mut String) {
        let start = page.len();
        self.write(record, page, usize::MAX, usize::MAX);
        let shorter = [(4096, usize::MAX), (1024, usize::MAX), (256, usize::MAX), (64, usize::MAX)];
        for (longest, most) in shorter.into_iter().chain([32, 8, 0].map(|most| (64, most))) {
            if page.len() - start <= LIMIT {
                return;
            }
            page.truncate(start);
            self.write(record, page, longest, most);
        }
    }

    fn write(&self, record: &Record, page: &mut String, longest: usize, most: usize) {
        match self.format {
            Format::Pretty => self.pretty(record, page, longest, most),
            Format::Otel | Format::Ecs => self.json(record, page, longest, most),
        }
    }

    fn json(&self, record: &Record, line: &mut String, longest: usize, most: usize) {
        let ecs = self.format == Format::Ecs;
        let time = DateTime::<Utc>::from(record.time).to_rfc3339_opts(SecondsFormat::Nanos, true);
        let (number, level) = severity(record.level);
        if ecs {
            let _ = write!(line, "{{\"@timestamp\":\"{time}\",\"log.level\":\"{level}\"");
        } else {
            let _ = write!(
                line,
                "{{\"timestamp\":\"{time}\",\"severity_text\":\"{level}\",\"severity_number\":{number}"
            );
        }
        member(line, if ecs { "log.logger" } else { "scope.name" });
        json_text(line, cut(&record.logger(), longest));
        member(line, if ecs { "message" } else { "body" });
        json_text(line, cut(&record.message(), longest));
        for (name, value) in record.fields().take(most) {
            self.json_field(line, name, &value, longest);
        }
        if longest != usize::MAX {
            line.push_str(",\"truncated\":true");
        }
        line.push_str(&self.service);
        line.push_str("}\n");
    }

    fn json_field(&self, line: &mut String, name: &str, value: &Shown<'_>, longest: usize) {
        let ecs = self.format == Format::Ecs;
        if ecs && name == "duration_ms" {
            if let Some(milliseconds) = value.as_float() {
                let _ = write!(line, ",\"event.duration\":{:.0}", milliseconds * 1e6);
            }
            return;
        }
        let renamed = if ecs { ecs_name(name) } else { otel_name(name) };
        if is_reserved(renamed) {
            member(line, &format!("field.{renamed}"));
        } else {
            member(line, renamed);
        }
        match value {
            Value::Text(text) => json_text(line, cut(text, longest)),
            Value::Signed(value) => {
                let _ = write!(line, "{value}");
            }
            Value::Unsigned(value) => {
                let _ = write!(line, "{value}");
            }
            Value::Float(value) if value.is_finite() => {
                let _ = write!(line, "{value}");
            }
            Value::Float(_) => line.push_str("null"),
            Value::Bool(value) => {
                let _ = write!(line, "{value}");
            }
        }
    }

    fn pretty(&self, record: &Record, line: &mut String, longest: usize, most: usize) {
        let time = DateTime::<Utc>::from(record.time).to_rfc3339_opts(SecondsFormat::Millis, true);
        let (_, level) = severity(record.level);
        let (dim, bright, plain) = match (self.color, record.level) {
            (false, _) => ("", "", ""),
            (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
            (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
            (true, Level::INFO) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
            (true, _) => ("\x1b[2m", "\x1b[34m", "\x1b[0m"),
        };
        let _ = write!(
            line,
            "{dim}{time}{plain} {bright}{level:>5}{plain} {dim}{}{plain} ",
            record.logger()
        );
        visible(line, cut(&record.message(), longest));
        for (name, value) in record.fields().take(most) {
            let _ = write!(line, " {dim}{name}={plain}");
            match value {
                Value::Text(text) => {
                    let spaced = text.is_empty() || text.contains([' ', '"']);
                    line.push_str(if spaced { "\"" } else { "" });
                    visible(line, cut(&text, longest));
                    line.push_str(if spaced { "\"" } else { "" });
                }
                Value::Signed(value) => {
                    let _ = write!(line, "{value}");
                }
                Value::Unsigned(value) => {
                    let _ = write!(line, "{value}");
                }
                Value::Float(value) => {
                    let _ = write!(line, "{value}");
                }
                Value::Bool(value) => {
                    let _ = write!(line, "{value}");
                }
            }
        }
        if longest != usize::MAX {
            line.push_str(" truncated");
        }
        line.push('\n');
    }
}

/// Members that a field must not write a second time.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "timestamp"
            | "@timestamp"
            | "severity_text"
            | "severity_number"
            | "log.level"
            | "log.logger"
            | "scope.name"
            | "body"
            | "message"
            | "truncated"
            | "ecs.version"
            | "service.name"
            | "service.version"
            | "service.instance.id"
            | "service.node.name"
            | "service.environment"
            | "deployment.environment.name"
    )
}

fn otel_name(name: &str) -> &str {
    match name {
        "error" => "exception.message",
        other => other,
    }
}

fn ecs_name(name: &str) -> &str {
    match name {
        "error" | "exception.message" => "error.message",
        "exception.stacktrace" => "error.stack_trace",
        "event.name" => "event.action",
        "trace_id" => "trace.id",
        "span_id" => "span.id",
        "request.id" => "http.request.id",
        "correlation.id" => "labels.correlation_id",
        "http.request.body.size" => "http.request.body.bytes",
        "http.response.body.size" => "http.response.body.bytes",
        other => other,
    }
}

fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::TRACE => (1, "TRACE"),
        Level::DEBUG => (5, "DEBUG"),
        Level::INFO => (9, "INFO"),
        Level::WARN => (13, "WARN"),
        Level::ERROR => (17, "ERROR"),
    }
}

fn member(line: &mut String, name: &str) {
    line.push(',');
    json_text(line, name);
    line.push(':');
}

/// Whether a text stands in JSON as it is. Sixteen bytes are looked at at once.
fn is_plain(text: &str) -> bool {
    let odd = |byte: u8| !(b' '..=b'~').contains(&byte) | (byte == b'"') | (byte == b'\\');
    let (chunks, rest) = text.as_bytes().as_chunks::<16>();
    let any_odd = |chunk: &[u8; 16]| chunk.iter().fold(false, |any, byte| any | odd(*byte));
    !chunks.iter().any(any_odd) && !rest.iter().any(|byte| odd(*byte))
}

fn json_text(line: &mut String, text: &str) {
    line.push('"');
    if is_plain(text) {
        line.push_str(text);
        line.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            // Line and paragraph separators end a line in some viewers.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(line, "\\u{:04x}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Control characters would move the cursor of whoever reads the log.
fn visible(line: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
}

fn cut(text: &str, longest: usize) -> &str {
    if text.len() <= longest {
        return text;
    }
    text.get(..text.floor_char_boundary(longest)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::logs::record::Fields;

    fn record(level: Level, message: &str, list: &[(&'static str, Value<&str>)]) -> Record {
        let mut fields = Fields::default();
        let message = Some(fields.keep(message));
        for (name, value) in list {
            fields.set(name, *value);
        }
        let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_000_000_007);
        Record { time, level, target: "chatwarden_api", message, fields }
    }

    fn line(format: Format, service: Service, record: &Record) -> String {
        let mut page = String::from("before\n");
        Renderer::new(format, false, service).line(record, &mut page);
        page.strip_prefix("before\n").unwrap().to_owned()
    }

    #[track_caller]
    fn check(
        format: Format,
        level: Level,
        message: &str,
        list: &[(&'static str, Value<&str>)],
        expected: &str,
    ) {
        let service = Service {
            name: "chatwarden".to_owned(),
            environment: "test".to_owned(),
            ..Service::default()
        };
        assert_eq!(line(format, service, &record(level, message, list)), expected);
    }

    #[test]
    fn a_line_has_the_names_of_its_format() {
        let list = [
            ("event.name", Value::Text("x")),
            ("trace_id", Value::Text("t")),
            ("duration_ms", Value::Float(1.5)),
            ("error", Value::Text("no")),
            ("tenant.id", Value::Signed(-7)),
            ("slow", Value::Bool(false)),
        ];
        check(
            Format::Otel,
            Level::WARN,
            "said \"no\"",
            &list,
            "{\"timestamp\":\"1970-01-01T00:00:01.000000007Z\",\"severity_text\":\"WARN\",\
             \"severity_number\":13,\"scope.name\":\"chatwarden.api\",\"body\":\"said \\\"no\\\"\",\
             \"event.name\":\"x\",\"trace_id\":\"t\",\"duration_ms\":1.5,\
             \"exception.message\":\"no\",\"tenant.id\":-7,\"slow\":false,\
             \"service.name\":\"chatwarden\",\"deployment.environment.name\":\"test\"}\n",
        );
        check(
            Format::Ecs,
            Level::WARN,
            "m",
            &list,
            "{\"@timestamp\":\"1970-01-01T00:00:01.000000007Z\",\"log.level\":\"WARN\",\
             \"log.logger\":\"chatwarden.api\",\"message\":\"m\",\"event.action\":\"x\",\
             \"trace.id\":\"t\",\"event.duration\":1500000,\"error.message\":\"no\",\
             \"tenant.id\":-7,\"slow\":false,\"service.name\":\"chatwarden\",\
             \"service.environment\":\"test\",\"ecs.version\":\"8.17.0\"}\n",
        );
        check(
            Format::Pretty,
            Level::INFO,
            "m",
            &[("a", Value::Unsigned(1)), ("b", Value::Text("x y"))],
            "1970-01-01T00:00:01.000Z  INFO chatwarden.api m a=1 b=\"x y\"\n",
        );
    }

    #[test]
    fn a_field_can_not_replace_the_frame() {
        check(
            Format::Otel,
            Level::INFO,
            "m",
            &[("body", Value::Text("b")), ("f", Value::Float(f64::NAN))],
            "{\"timestamp\":\"1970-01-01T00:00:01.000000007Z\",\"severity_text\":\"INFO\",\
             \"severity_number\":9,\"scope.name\":\"chatwarden.api\",\"body\":\"m\",\
             \"field.body\":\"b\",\"f\":null,\
             \"service.name\":\"chatwarden\",\"deployment.environment.name\":\"test\"}\n",
        );
    }

    #[test]
    fn nothing_breaks_the_line() {
        let hostile = "a\r\nb\u{1b}[31m\u{2028}\u{7f}\0";
        let list = [("x", Value::Text(hostile))];
        let record = record(Level::INFO, hostile, &list);
        for format in [Format::Otel, Format::Ecs, Format::Pretty] {
            let line = line(format, Service::default(), &record);
            let inner = line.strip_suffix('\n').unwrap();
            assert!(!inner.contains(|c: char| c.is_control() || c == '\u{2028}'), "{inner}");
            if format != Format::Pretty {
                let parsed: serde_json::Value = serde_json::from_str(inner).unwrap();
                assert_eq!(parsed["x"], hostile);
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_where_it_hurts_least() {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let long = "ü".repeat(20_000);
        let mut list: Vec<_> = NAMES.map(|name| (name, Value::Text(&*long))).into();
        list.push(("tenant.id", Value::Unsigned(7)));
        let record = record(Level::ERROR, &long, &list);
        for format in [Format::Otel, Format::Ecs, Format::Pretty] {
            let line = line(format, Service::default(), &record);
            assert!(line.len() <= LIMIT && line.len() > 1000, "{}", line.len());
            if format != Format::Pretty {
                let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(parsed["truncated"], true);
                assert_eq!(parsed["tenant.id"], 7);
            }
        }
    }
}
