//! What a request pays for telemetry, and what a scrape costs.

use std::io::{Write, sink};
use std::time::Duration;

use chatwarden_telemetry::clock::SystemClock;
use chatwarden_telemetry::logs::{self, Options};
use chatwarden_telemetry::meters::{Exposition, IncludedNames, Registry, Settings};
use chatwarden_telemetry::request_line::{Actor, DatabaseUse, RequestLine};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn registry(settings: Settings) -> Registry {
    Registry::new(settings, SystemClock::shared())
}

/// 1,800 label sets of a timer with 14 bounds are a bit more than 30,000
/// samples.
#[divan::bench]
fn scrape_30k_samples(bencher: Bencher) {
    let registry = registry(Settings { max_label_sets: 2000, ..Settings::default() });
    metrics::with_local_recorder(&registry, || {
        for route in 0..1800 {
            let uri = format!("/api/v1/accounts/{{account_id}}/things/{route}");
            metrics::histogram!("http.server.requests", "method" => "GET", "uri" => uri)
                .record(0.01);
        }
    });
    bencher.bench(|| registry.expose(Exposition::Prometheus, &IncludedNames::default()));
}

#[divan::bench(threads = [1, 2])]
fn record_a_request(bencher: Bencher) {
    let registry = registry(Settings::default());
    bencher.bench(|| {
        metrics::with_local_recorder(&registry, || {
            metrics::histogram!(
                "http.server.requests",
                "method" => "GET",
                "uri" => "/api/v1/accounts/{account_id}/conversations",
                "status" => "200",
                "outcome" => "SUCCESS",
            )
            .record(black_box(0.012));
        });
    });
}

#[divan::bench]
fn write_a_request_line(bencher: Bencher) {
    let sink: Box<dyn Write + Send> = Box::new(sink());
    let Ok((subscriber, logs)) = logs::subscriber(Options::default(), sink, SystemClock::shared())
    else {
        return;
    };
    let line = RequestLine {
        method: "GET",
        route: Some("/api/v1/accounts/{account_id}/conversations"),
        path: "/api/v1/accounts/7/conversations",
        status: 200,
        duration: Duration::from_micros(12_345),
        actor: Some(Actor { kind: "agent", id: Some(42) }),
        account: Some(7),
        database: DatabaseUse {
            statements: 4,
            rows: 25,
            time: Duration::from_micros(900),
            queued: Duration::from_micros(40),
        },
        request_id: "0190a6e4-7b1c-7000-8000-123456789012",
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736"),
        client_address: Some("192.0.2.0"),
        user_agent: Some("Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/130.0"),
        ..RequestLine::default()
    };
    tracing::subscriber::with_default(subscriber, || bencher.bench_local(|| line.emit()));
    drop(logs);
}
