//! From the macro to the line.

use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::clock::ManualClock;
use crate::meters::{Exposition, IncludedNames, Settings};
use crate::redact;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that `emit` wrote, without what is the same on all.
fn lines(levels: &str, emit: impl FnOnce(&Levels)) -> Vec<Value> {
    let memory = Memory::default();
    let options = Options { levels: levels.to_owned(), ..Options::default() };
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let (subscriber, logs) = subscriber(options, Box::new(memory.clone()), clock).unwrap();
    tracing::subscriber::with_default(subscriber, || emit(logs.levels()));
    assert!(logs.flush(Duration::from_secs(60)));
    let text = String::from_utf8(memory.0.lock().clone()).unwrap();
    text.lines()
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let members = line.as_object_mut().unwrap();
            for same in ["timestamp", "severity_number", "scope.name"] {
                members.remove(same).unwrap();
            }
            line
        })
        .collect()
}

#[test]
fn what_callers_wrote_in_a_request_line_is_looked_through() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLWl0";
    let path = format!("/reset/{token}");
    let lines = lines("info", |_| {
        crate::request_line::RequestLine {
            method: token,
            path: &path,
            status: 404,
            request_id: token,
            correlation_id: Some(token),
            trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
            user_agent: Some(token),
            ..Default::default()
        }
        .emit();
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(!line.to_string().contains("eyJ"), "{line}");
    assert_eq!(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
}

#[test]
fn a_request_line_says_nothing_of_the_spans_around_it() {
    let lines = lines("info", |_| {
        let _entered =
            tracing::info_span!("s", user.password = "c4n4ry", note = "c4n4ry").entered();
        crate::request_line::RequestLine::default().emit();
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(!line.to_string().contains("c4n4ry"), "{line}");
}

#[test]
fn a_line_has_the_context_of_its_spans() {
    let lines = lines("info", |_| {
        let request = tracing::info_span!(
            "request",
            request.id = "r",
            tenant.id = tracing::field::Empty,
            n = 1
        );
        let _entered = request.enter();
        request.record("tenant.id", 7);
        let inner = tracing::info_span!("inner", n = 2);
        let _inner = inner.enter();
        tracing::info!(name = "x", flag = true, "did {}", "it");
    });
    assert_eq!(
        lines,
        [json!({
            "severity_text": "INFO", "body": "did it", "request.id": "r", "tenant.id": 7,
            "n": 2, "name": "x", "flag": true,
        })]
    );
}

#[derive(Debug, thiserror::Error)]
#[error("outer")]
struct Outer(#[source] std::io::Error);

#[test]
fn an_error_says_what_it_comes_from() {
    let lines = lines("info", |_| {
        let error = Outer(std::io::Error::other("inner"));
        tracing::error!(error = &error as &dyn std::error::Error, "failed");
    });
    assert_eq!(
        lines,
        [json!({"severity_text": "ERROR", "body": "failed", "exception.message": "outer: inner"})]
    );
}

#[test]
fn secrets_stay_inside() {
    const CANARY: &str = "c4n4ry";
    let written = lines("trace", |_| {
        let span = tracing::info_span!("s", user.password = CANARY, authorization = %CANARY);
        let _entered = span.enter();
        span.record("authorization", CANARY);
        tracing::info!(api_access_token = CANARY, otp = 123_456, "Bearer x{CANARY}1");
        tracing::warn!(url = format!("https://u:{CANARY}@h/p?q={CANARY}"), "GET /x?t={CANARY}");
        tracing::error!(error = %format!("Basic X1{CANARY}"), "{:?}", ("Bearer", format!("Bearer {CANARY}")));
    });
    let text = serde_json::to_string(&written).unwrap();
    assert!(!text.contains(CANARY) && !text.contains("123456"), "{text}");
    assert!(text.contains("https://[redacted]@h/p?q=…"), "{text}");
    assert_eq!(written[0]["otp"], redact::MASK);
    assert_eq!(written.len(), 3);
}

#[test]
fn levels_change_while_it_runs() {
    let lines = lines("warn", |levels| {
        let emit = |body: &str| tracing::event!(target: "chatwarden_x::y", tracing::Level::DEBUG, "{body}");
        emit("before");
        levels.set("chatwarden.x", Some(Level::Debug), None);
        emit("during");
        levels.set("chatwarden.x", None, None);
        emit("after");
        assert!(levels.loggers().loggers.contains_key("chatwarden.x.y"));
    });
    assert_eq!(lines, [json!({"severity_text": "DEBUG", "body": "during"})]);
}

#[test]
fn what_repeats_is_collapsed_and_counted() {
    let registry =
        crate::meters::Registry::new(Settings::default(), ManualClock::at(SystemTime::UNIX_EPOCH));
    let lines = lines("info", |_| {
        metrics::with_local_recorder(&registry, || {
            for _ in 0..25 {
                tracing::warn!("the same");
            }
            tracing::debug!("not written");
        });
    });
    assert_eq!(lines.len(), 10);
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    assert!(text.ends_with("level=\"warn\"} 25\n"), "{text}");
}

#[test]
fn records_of_the_log_crate_name_their_own_logger() {
    let memory = Memory::default();
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let (subscriber, logs) =
        subscriber(Options::default(), Box::new(memory.clone()), clock).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        // As `tracing-log` forwards them.
        tracing::event!(target: "log", tracing::Level::INFO, log.target = "rustls::conn", log.line = 7, "hello");
    });
    assert!(logs.flush(Duration::from_secs(60)));
    let line: Value = serde_json::from_slice(&memory.0.lock()).unwrap();
    assert_eq!(line["scope.name"], "rustls.conn");
    assert_eq!((line.get("log.target"), line.get("log.line")), (None, None));
}

/// Fails always, or never.
struct Fails(bool, Memory);

impl Write for Fails {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0 { Err(std::io::ErrorKind::StorageFull.into()) } else { self.1.write(bytes) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn one_sink_that_fails_does_not_keep_the_other_from_writing() {
    let memory = Memory::default();
    let sinks = [true, false].map(|fails| Box::new(Fails(fails, memory.clone())) as Sink);
    let mut both = Sinks::new(sinks.into());
    assert!(both.write_all(b"line\n").is_err());
    assert_eq!(*memory.0.lock(), b"line\n");
}
