//! What is measured of the process itself, and what is told about it (operations.md §2.2, `info`).

use std::time::Duration;

use chatwarden_api::actuator::Info;
use chatwarden_db::Db;
use chatwarden_telemetry::clock::{SharedClock, SystemClock};
use chatwarden_telemetry::meters::catalogue::UNMEASURED;
use chatwarden_telemetry::system::{LatestReadings, Sampler};
use chrono::{DateTime, SecondsFormat, Utc};
use metrics::{Label, counter, gauge};
use serde_json::{Map, Value, json};

use crate::allocator::AllocatorStats;
use crate::config::Config;

/// How often the process is measured.
const EVERY: Duration = Duration::from_secs(5);

/// What was built, as far as the build was told: a build script that asked git would go on telling what it
/// heard when it ran last.
const COMMIT: Option<&str> = option_env!("CHATWARDEN_COMMIT");
/// When that was committed, as git writes it for machines (`%cI`).
const COMMIT_TIME: Option<&str> = option_env!("CHATWARDEN_COMMIT_TIME");
/// The branch it is on.
const BRANCH: Option<&str> = option_env!("CHATWARDEN_BRANCH");
/// When it was built, by the convention of reproducible builds.
const BUILT: Option<&str> = option_env!("SOURCE_DATE_EPOCH");
/// The compiler.
const RUSTC: &str = env!("CHATWARDEN_RUSTC");
/// What it was built for.
const TARGET: &str = env!("CHATWARDEN_TARGET");

/// A sampler of this process.
#[must_use]
pub fn sampler(config: &Config, db: &Db) -> Sampler {
    let mut labels = vec![
        Label::from_static_parts("version", env!("CARGO_PKG_VERSION")),
        Label::from_static_parts("rustc", RUSTC),
    ];
    labels.extend(COMMIT.map(|commit| Label::from_static_parts("commit", commit)));
    gauge!("build.info", labels).set(1.0);
    let db = db.clone();
    Sampler::new(vec![config.server.data_dir.clone()])
        .with_runtime(tokio::runtime::Handle::current())
        .with_source(Box::new(allocator))
        .with_source(Box::new(move || pool(&db)))
}

/// Measures until it is dropped. Reading the system blocks, so it has a thread for that.
pub async fn measure(mut sampler: Sampler, clock: SharedClock) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let clock = clock.clone();
        let sampling = tokio::task::spawn_blocking(move || {
            sampler.sample(clock.monotonic());
            sampler
        });
        match sampling.await {
            Ok(back) => sampler = back,
            Err(error) => {
                tracing::error!(%error, "the process is measured no more");
                return;
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn allocator() {
    let Ok(stats) = AllocatorStats::now() else { return };
    for (state, bytes) in [
        ("allocated", stats.allocated),
        ("active", stats.active),
        ("resident", stats.resident),
        ("mapped", stats.mapped),
        ("retained", stats.retained),
        ("metadata", stats.metadata),
    ] {
        gauge!("memory.allocator", "state" => state).set(bytes as f64);
    }
    counter!("allocator.purge").absolute(stats.purges);
}

#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn pool(db: &Db) {
    let pressure = db.pressure();
    gauge!("db.pool.max", "pool" => "rw").set(pressure.limit as f64);
    gauge!("db.pool.pending", "pool" => "rw").set(pressure.waiting as f64);
    let idle = pressure.open.saturating_sub(pressure.busy);
    gauge!("db.pool.connections", "pool" => "rw", "state" => "active").set(pressure.busy as f64);
    gauge!("db.pool.connections", "pool" => "rw", "state" => "idle").set(idle as f64);
    gauge!("chatwoot.database.connections").set(pressure.open as f64);
}

/// What `/actuator/info` tells.
#[must_use]
pub fn info(config: &Config, readings: LatestReadings) -> Info {
    let mut public = Map::new();
    let mut build = told([
        ("artifact", Some(env!("CARGO_PKG_NAME"))),
        ("group", Some("org.chatwarden")),
        ("name", Some("Chatwarden")),
        ("version", Some(env!("CARGO_PKG_VERSION"))),
    ]);
    let built = BUILT.and_then(|seconds| DateTime::from_timestamp(seconds.parse().ok()?, 0));
    if let Some(built) = built {
        build.insert("time".to_owned(), json!(seconds(built)));
    }
    let management = &config.management;
    if management.info_build {
        public.insert("build".to_owned(), Value::Object(build));
    }
    let commit_time = COMMIT_TIME.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    let commit_time = commit_time.map(|time| seconds(time.to_utc()));
    let commit = told([("id", COMMIT), ("time", commit_time.as_deref())]);
    let mut git = told([("branch", BRANCH)]);
    if !commit.is_empty() {
        git.insert("commit".to_owned(), Value::Object(commit));
    }
    if !git.is_empty() && management.info_git {
        public.insert("git".to_owned(), Value::Object(git));
    }
    let redis = config.redis.url.is_some();
    let mut endpoints = json!({
        "api": "/api", "actuator": config.management.base_path.as_str(), "websocket": "/cable",
    });
    if let (true, Some(endpoints)) = (config.server.api_docs, endpoints.as_object_mut()) {
        endpoints.insert("openapi".to_owned(), json!("/swagger"));
    }
    let app = json!({
        "name": "Chatwarden",
        "environment": config.server.environment.name(),
        "startupTime": seconds(SystemClock::shared().wall().into()),
        "chatwootApi": chatwarden_api::CHATWOOT_VERSION,
        "features": {
            "multiTenancy": true, "webSocketSupport": true, "roleBasedAccess": true,
            "realTimeNotifications": true, "redisCaching": redis, "aiAutomation": false,
        },
        "endpoints": endpoints,
        "unavailable": UNMEASURED,
    });
    let rust = json!({
        "version": RUSTC, "target": TARGET, "allocator": "jemalloc",
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    });
    let (with_os, with_process) = (management.info_os, management.info_process);
    let (with_rust, with_app) = (management.info_rust, management.info_app);
    let operators = move || {
        let told = [
            ("os", with_os.then(system)),
            ("process", with_process.then(|| process(readings.get().memory_limit))),
            ("rust", with_rust.then(|| rust.clone())),
            ("app", with_app.then(|| app.clone())),
        ];
        told.into_iter().filter_map(|(name, told)| Some((name.to_owned(), told?))).collect()
    };
    Info { public, operators: std::sync::Arc::new(operators) }
}

/// Those of `members` that there are.
fn told<const N: usize>(members: [(&str, Option<&str>); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter_map(|(name, text)| {
            Some((name.to_owned(), json!(text.filter(|it| !it.is_empty())?)))
        })
        .collect()
}

fn seconds(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn system() -> Value {
    // As the clients of these endpoints know the names.
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        other => other,
    };
    let mut os = json!({"name": std::env::consts::OS, "arch": arch});
    for (key, file) in [("name", "ostype"), ("version", "osrelease")] {
        if let (Ok(text), Some(os)) =
            (std::fs::read_to_string(format!("/proc/sys/kernel/{file}")), os.as_object_mut())
        {
            os.insert(key.to_owned(), json!(text.trim()));
        }
    }
    os
}

fn process(limit: Option<u64>) -> Value {
    let mut process = json!({
        "pid": std::process::id(),
        "parentPid": std::os::unix::process::parent_id(),
        "cpus": std::thread::available_parallelism().map_or(1, usize::from),
    });
    // As much of the shape that clients know from the JVM as the allocator can tell.
    if let (Ok(stats), Some(process)) = (AllocatorStats::now(), process.as_object_mut()) {
        // -1 is the JVM's word for no limit.
        let limit = limit.map_or(json!(-1), |bytes| json!(bytes));
        let heap = json!({"used": stats.allocated, "committed": stats.active, "max": limit});
        let other = json!({"used": stats.metadata, "committed": stats.metadata, "max": -1});
        process.insert("memory".to_owned(), json!({"heap": heap, "nonHeap": other}));
    }
    process
}
