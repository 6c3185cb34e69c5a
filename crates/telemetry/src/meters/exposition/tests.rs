//! The text, character for character.

use std::time::{Duration, SystemTime};

use metrics::{counter, gauge, histogram};

use super::*;
use crate::clock::ManualClock;

fn registry(max_label_sets: usize) -> (Registry, Arc<ManualClock>) {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let settings = Settings {
        application: "A".to_owned(),
        environment: "t".to_owned(),
        max_label_sets,
        ..Settings::default()
    };
    (Registry::new(settings, clock.clone()), clock)
}

#[track_caller]
fn check(format: Exposition, emit: impl FnOnce(), expected: &str) {
    let (registry, _) = registry(1000);
    metrics::with_local_recorder(&registry, emit);
    let text = registry.expose(format, &IncludedNames::default());
    assert_eq!(text, expected);
    assert_eq!(registry.misuses(), [""; 0]);
}

#[test]
fn nothing_used_is_nothing_shown() {
    check(Exposition::Prometheus, || {}, "");
    check(Exposition::OpenMetrics, || {}, "# EOF\n");
    check(Exposition::Prometheus, || gauge!("process.uptime").set(f64::NAN), "");
    check(Exposition::Prometheus, || drop(histogram!("jobs.wait")), "");
    check(Exposition::Prometheus, || drop(counter!("http.server.panics")), "");
}

#[test]
fn a_counter_ends_in_total_once() {
    let emit = || counter!("chatwoot.messages.total", "direction" => "incoming").increment(2);
    check(
        Exposition::Prometheus,
        emit,
        "# HELP chatwoot_messages_total Messages created\n\
         # TYPE chatwoot_messages_total counter\n\
         chatwoot_messages_total{application=\"A\",environment=\"t\",direction=\"incoming\"} 2\n",
    );
    check(
        Exposition::OpenMetrics,
        emit,
        "# HELP chatwoot_messages Messages created\n\
         # TYPE chatwoot_messages counter\n\
         chatwoot_messages_total{application=\"A\",environment=\"t\",direction=\"incoming\"} 2\n\
         # EOF\n",
    );
}

#[test]
fn standards_are_sums_in_their_unit() {
    check(
        Exposition::OpenMetrics,
        || {
            counter!("process.cpu.time", "mode" => "user").absolute(1_500_000_000);
            counter!("process.cpu.time", "mode" => "system").absolute(500_000_000);
        },
        "# HELP process_cpu_time_seconds Processor time used\n\
         # TYPE process_cpu_time_seconds counter\n\
         # UNIT process_cpu_time_seconds seconds\n\
         process_cpu_time_seconds_total{application=\"A\",environment=\"t\",mode=\"system\"} 0.5\n\
         process_cpu_time_seconds_total{application=\"A\",environment=\"t\",mode=\"user\"} 1.5\n\
         # HELP process_cpu_seconds Processor time used\n\
         # TYPE process_cpu_seconds counter\n\
         # UNIT process_cpu_seconds seconds\n\
         process_cpu_seconds_total{application=\"A\",environment=\"t\"} 2\n\
         # EOF\n",
    );
}

#[test]
fn a_timer_has_cumulative_buckets_and_a_maximum() {
    check(
        Exposition::OpenMetrics,
        || {
            for value in [0.0004, 0.002, 2.0, 9.0] {
                histogram!("runtime.stall").record(value);
            }
        },
        "# HELP runtime_stall_seconds How late the runtime ran a task that was due\n\
         # TYPE runtime_stall_seconds histogram\n\
         # UNIT runtime_stall_seconds seconds\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.0005\"} 1\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.001\"} 1\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.0025\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.005\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.01\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.025\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.05\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.1\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.25\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"0.5\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"1.0\"} 2\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"5.0\"} 3\n\
         runtime_stall_seconds_bucket{application=\"A\",environment=\"t\",le=\"+Inf\"} 4\n\
         runtime_stall_seconds_count{application=\"A\",environment=\"t\"} 4\n\
         runtime_stall_seconds_sum{application=\"A\",environment=\"t\"} 11.0024\n\
         # HELP runtime_stall_seconds_max How late the runtime ran a task that was due\n\
         # TYPE runtime_stall_seconds_max gauge\n\
         runtime_stall_seconds_max{application=\"A\",environment=\"t\"} 9\n\
         # EOF\n",
    );
}

#[test]
fn a_sum_of_series_is_no_series_of_its_own() {
    let (registry, clock) = registry(1000);
    let text = |names: &str| registry.expose(Exposition::Prometheus, &IncludedNames::parse(names));
    assert_eq!(text("chatwoot.database.query.time,chatwoot.api.requests"), "");
    metrics::with_local_recorder(&registry, || {
        for (query, took) in [("a", 0.25), ("b", 0.5)] {
            histogram!("db.query", "query" => query).record(took);
            clock.advance(Duration::from_secs(60));
        }
        histogram!("http.server.requests", "method" => "GET").record_many(0.1, 3);
    });
    assert_eq!(
        text("chatwoot.database.query.time"),
        "# HELP chatwoot_database_query_time_seconds Duration of all statements together\n\
         # TYPE chatwoot_database_query_time_seconds summary\n\
         chatwoot_database_query_time_seconds_count{application=\"A\",environment=\"t\"} 2\n\
         chatwoot_database_query_time_seconds_sum{application=\"A\",environment=\"t\"} 0.75\n\
         # HELP chatwoot_database_query_time_seconds_max Duration of all statements together\n\
         # TYPE chatwoot_database_query_time_seconds_max gauge\n\
         chatwoot_database_query_time_seconds_max{application=\"A\",environment=\"t\"} 0.5\n",
    );
    let samples: Vec<_> = text("chatwoot.api.requests").lines().map(str::to_owned).collect();
    assert_eq!(
        samples.last().unwrap(),
        "chatwoot_api_requests_total{application=\"A\",environment=\"t\"} 3"
    );
    assert_eq!(registry.view("chatwoot.api.requests", &[]).unwrap().measurements[0].value, 3.0);
    assert_eq!(registry.misuses(), [""; 0]);
}

#[test]
fn running_tasks_are_gauges() {
    let (registry, clock) = registry(1000);
    let labels = vec![Label::new("method", "GET")];
    let task = registry.long_task("http.server.requests.active", labels).start();
    clock.advance(Duration::from_millis(1500));
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        samples,
        [
            "http_server_requests_active_seconds_active_count{application=\"A\",environment=\"t\",method=\"GET\"} 1",
            "http_server_requests_active_seconds_duration_sum{application=\"A\",environment=\"t\",method=\"GET\"} 1.5",
            "http_server_requests_active_seconds_max{application=\"A\",environment=\"t\",method=\"GET\"} 1.5",
        ]
    );
    drop(task);
}

#[test]
fn endings_of_histograms_have_no_type_elsewhere() {
    let emit = || gauge!("system.cpu.count").set(2);
    check(
        Exposition::Prometheus,
        emit,
        "# HELP system_cpu_count Processors available to this process\n\
         # TYPE system_cpu_count untyped\n\
         system_cpu_count{application=\"A\",environment=\"t\"} 2\n",
    );
    check(
        Exposition::OpenMetrics,
        emit,
        "# HELP system_cpu_count Processors available to this process\n\
         # TYPE system_cpu_count gauge\n\
         system_cpu_count{application=\"A\",environment=\"t\"} 2\n\
         # EOF\n",
    );
}

#[test]
fn hostile_text_is_escaped() {
    for (value, expected) in [
        ("plain", "plain"),
        ("a\"b", "a\\\"b"),
        ("a\\b", "a\\\\b"),
        ("a\nb", "a\\nb"),
        ("\\n\"}", "\\\\n\\\"}"),
        ("über\t{}", "über\t{}"),
    ] {
        let mut text = String::new();
        label(&mut text, "k", value);
        assert_eq!(text, format!("k=\"{expected}\""));
    }
    let mut text = String::new();
    label(&mut text, "0-a.b", "");
    assert_eq!(text, "__a_b=\"\"");
    let mut help = String::new();
    escape(&mut help, "a\\b\"c\nd", false);
    assert_eq!(help, "a\\\\b\"c\\nd");
}

#[test]
fn numbers_are_what_parsers_accept() {
    for (value, expected) in [
        (0.0, "0"),
        (1.5, "1.5"),
        (-2.0, "-2"),
        (1e21, "1000000000000000000000"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        let mut text = String::new();
        number(&mut text, value);
        assert_eq!(text, expected);
    }
}

#[test]
fn a_scrape_may_name_what_it_wants() {
    let (registry, _) = registry(1000);
    metrics::with_local_recorder(&registry, || {
        counter!("logging.events", "level" => "info").increment(1);
        histogram!("jobs.wait", "queue" => "q").record(0.1);
        gauge!("process.files.open").set(7);
    });
    let families = |names: &str| {
        let text = registry.expose(Exposition::Prometheus, &IncludedNames::parse(names));
        text.lines()
            .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let waits = ["jobs_wait_seconds", "jobs_wait_seconds_max"];
    for (names, expected) in [
        ("logging_events_total", &["logging_events_total"][..]),
        ("logging_events", &["logging_events_total"]),
        ("jobs_wait_seconds_count", &waits),
        ("jobs.wait", &waits),
        ("process_open_fds", &["process_open_fds"]),
        (
            "process_files_open_files, logging.events",
            &["logging_events_total", "process_files_open_files"],
        ),
        ("unknown", &[]),
    ] {
        assert_eq!(families(names), expected, "{names}");
    }
    assert_eq!(families(" , ").len(), 5);
}

#[test]
fn label_sets_beyond_the_cap_share_one_series() {
    let (registry, _) = registry(2);
    metrics::with_local_recorder(&registry, || {
        for job in ["a", "b", "c", "d", "c"] {
            counter!("jobs.dead", "queue" => "q", "job" => job).increment(1);
            gauge!("disk.free", "path" => job).set(1);
        }
        // Whoever keeps a handle is counted at each use of it.
        for uri in ["a", "b", "c"] {
            let kept = histogram!("http.server.request.size", "uri" => uri);
            kept.record(1);
            kept.record(2);
            let labels = vec![Label::new("uri", uri)];
            let task = registry.long_task("http.server.requests.active", labels);
            drop([task.start(), task.start()]);
        }
    });
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    let samples: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("#") && !line.starts_with("http"))
        .map(|line| line.replace("application=\"A\",environment=\"t\",", ""))
        .collect();
    assert_eq!(
        samples,
        [
            "disk_free_bytes{path=\"a\"} 1",
            "disk_free_bytes{path=\"b\"} 1",
            "jobs_dead_total{job=\"__overflow__\",queue=\"__overflow__\"} 3",
            "jobs_dead_total{job=\"a\",queue=\"q\"} 1",
            "jobs_dead_total{job=\"b\",queue=\"q\"} 1",
            "metrics_series_dropped_total{meter=\"disk.free\"} 3",
            "metrics_series_dropped_total{meter=\"http.server.request.size\"} 2",
            "metrics_series_dropped_total{meter=\"http.server.requests.active\"} 2",
            "metrics_series_dropped_total{meter=\"jobs.dead\"} 3",
        ]
    );
}

#[test]
fn the_order_of_labels_makes_no_new_series() {
    let (registry, _) = registry(1000);
    metrics::with_local_recorder(&registry, || {
        counter!("jobs.dead", "queue" => "q", "job" => "j").increment(1);
        counter!("jobs.dead", "job" => "j", "queue" => "q").increment(1);
    });
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    assert!(text.ends_with("job=\"j\",queue=\"q\"} 2\n"), "{text}");
}

#[test]
fn what_the_catalogue_does_not_know_is_served_and_reported() {
    let (registry, _) = registry(1000);
    metrics::with_local_recorder(&registry, || {
        counter!("made.up", "k" => "v").increment(1);
        gauge!("logging.events").set(1);
        counter!("jobs.dead", "account" => "1").increment(1);
    });
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    assert!(text.contains("made_up_total{application=\"A\",environment=\"t\",k=\"v\"} 1"));
    assert_eq!(
        registry.misuses(),
        [
            "jobs.dead has the undeclared label account",
            "logging.events is used as a Gauge",
            "made.up is not in the catalogue",
        ]
    );
}

#[test]
fn business_meters_follow_the_prefix() {
    let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
    let settings = Settings { prefix: "desk".to_owned(), ..Settings::default() };
    let registry = Registry::new(settings, clock);
    metrics::with_local_recorder(&registry, || {
        counter!("chatwoot.messages.total").increment(1);
    });
    let text = registry.expose(Exposition::Prometheus, &IncludedNames::default());
    assert!(text.contains("\ndesk_messages_total{"), "{text}");
}
