//! The supervisor on a paused clock, and what is shown of it.

use std::future::pending;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::*;
use crate::clock::Clock;
use crate::meters::{Registry, Settings as MeterSettings};

/// The clock of the paused runtime.
struct Paused(Instant);

impl Paused {
    fn shared() -> SharedClock {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for Paused {
    fn wall(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + self.monotonic()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the next runs of a check find; the last stays.
#[derive(Clone)]
struct Script(Arc<Mutex<Vec<Found>>>);

#[derive(Clone)]
enum Found {
    Is(Outcome),
    Hangs,
    Panics,
}

struct Scripted {
    id: &'static str,
    groups: &'static [&'static str],
    script: Script,
}

/// What takes long to find out, and what nobody waits for.
struct Slow;

#[async_trait]
impl Check for Slow {
    fn id(&self) -> &'static str {
        "mail"
    }

    fn every(&self) -> Duration {
        Duration::from_secs(300)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn gates_readiness(&self) -> bool {
        false
    }

    fn when_failing(&self, reason: String) -> Outcome {
        Outcome::degraded(reason)
    }

    async fn check(&mut self) -> Outcome {
        pending().await
    }
}

#[async_trait]
impl Check for Scripted {
    fn id(&self) -> &'static str {
        self.id
    }

    fn every(&self) -> Duration {
        Duration::from_secs(5)
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(2)
    }

    fn groups(&self) -> &'static [&'static str] {
        self.groups
    }

    fn when_stale(&self) -> Status {
        if self.id == "db" { Status::Down } else { Status::Unknown }
    }

    async fn check(&mut self) -> Outcome {
        let found = {
            let mut script = self.script.0.lock();
            if script.len() > 1 { script.remove(0) } else { script[0].clone() }
        };
        match found {
            Found::Is(outcome) => outcome,
            Found::Hangs => pending().await,
            Found::Panics => panic!("scripted"),
        }
    }
}

fn scripted(
    id: &'static str,
    groups: &'static [&'static str],
    script: Vec<Found>,
) -> Box<dyn Check> {
    Box::new(Scripted { id, groups, script: Script(Arc::new(Mutex::new(script))) })
}

fn is(status: Status) -> Found {
    Found::Is(Outcome::new(status))
}

fn built(settings: Settings, checks: Vec<Box<dyn Check>>) -> (Health, Readiness, Supervisor) {
    let mut registry = HealthRegistry::new(settings, Paused::shared());
    for check in checks {
        registry.register(check);
    }
    registry.build()
}

/// The statuses of `db` that a script leads to, seen once a run.
async fn statuses(script: Vec<Found>, runs: u32) -> Vec<Status> {
    let (health, _, supervisor) = built(Settings::default(), vec![scripted("db", &[], script)]);
    let mut seen = Vec::new();
    supervisor
        .run(async {
            // Between two runs, and after a time-out.
            sleep(Duration::from_millis(2500)).await;
            for _ in 0..runs {
                seen.push(health.status("db").unwrap());
                sleep(Duration::from_secs(5)).await;
            }
        })
        .await;
    seen
}

#[tokio::test(start_paused = true)]
async fn down_needs_two_failures_and_up_one_success() {
    use Status::{Degraded, Down, OutOfService, Up};
    for (script, expected) in [
        (vec![Up, Down, Down, Up, Down], vec![Up, Up, Down, Up, Up]),
        (vec![Up, Down, Up, Down, Up], vec![Up; 5]),
        (vec![Degraded, Down, Down], vec![Degraded, Degraded, Down]),
        (vec![Down, Up], vec![Down, Up]),
        (vec![Up, OutOfService, Up], vec![Up, OutOfService, Up]),
    ] {
        let runs = u32::try_from(script.len()).unwrap();
        let script = script.into_iter().map(is).collect();
        assert_eq!(statuses(script, runs).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_or_panics_has_failed() {
    for failure in [Found::Hangs, Found::Panics] {
        let (health, _, supervisor) = built(
            Settings { show_details: Show::Always, ..Settings::default() },
            vec![
                scripted("bad", &[], vec![is(Status::Up), failure]),
                scripted("good", &[], vec![is(Status::Up)]),
            ],
        );
        supervisor.run(sleep(Duration::from_secs(30))).await;
        assert_eq!(health.status("bad"), Some(Status::Down));
        assert_eq!(health.status("good"), Some(Status::Up));
        let shown = health.show(&["bad"], false).unwrap();
        assert!(shown.body["details"]["consecutiveFailures"].as_u64().unwrap() > 1);
        assert!(shown.body["details"]["reason"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_looked_at_for_long_is_unknown_or_down() {
    let (health, _, supervisor) = built(
        Settings::default(),
        vec![
            scripted("db", &[], vec![is(Status::Up)]),
            scripted("redis", &[], vec![is(Status::Up)]),
        ],
    );
    assert_eq!(health.status("db"), Some(Status::Unknown));
    assert_eq!(health.status("nothing"), None);
    supervisor.run(sleep(Duration::from_secs(1))).await;
    assert_eq!(health.status("db"), Some(Status::Up));
    sleep(Duration::from_secs(14)).await;
    assert_eq!(health.status("redis"), Some(Status::Up));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(health.status("redis"), Some(Status::Unknown));
    assert_eq!(health.status("db"), Some(Status::Down));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_runs_everything_now() {
    let script = vec![is(Status::Up), is(Status::Degraded)];
    let (health, _, supervisor) = built(Settings::default(), vec![scripted("db", &[], script)]);
    assert!(!health.refresh(Duration::from_millis(10)).await, "nobody runs the checks");
    supervisor
        .run(async {
            sleep(Duration::from_millis(1)).await;
            assert_eq!(health.status("db"), Some(Status::Up));
            assert!(health.refresh(Duration::from_secs(1)).await);
            assert_eq!(health.status("db"), Some(Status::Degraded));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn readiness_follows_the_start_and_the_drain() {
    let (health, readiness, supervisor) =
        built(Settings::default(), vec![scripted("db", &[], vec![is(Status::Up)])]);
    let states = || {
        let http = |group| health.show(&[group], false).unwrap().http_status;
        (health.status("readinessState").unwrap(), http("readiness"), http("startup"))
    };
    assert_eq!(states(), (Status::OutOfService, 503, 503));
    readiness.accept();
    assert_eq!(states(), (Status::OutOfService, 503, 503), "no check has run");
    supervisor.run(sleep(Duration::from_secs(1))).await;
    assert_eq!(states(), (Status::Up, 200, 200));
    readiness.refuse();
    readiness.accept();
    assert_eq!(states(), (Status::OutOfService, 503, 200));
}

#[tokio::test(start_paused = true)]
async fn statuses_are_meters() {
    let meters = Registry::new(MeterSettings::default(), Paused::shared());
    let (_, _, supervisor) =
        built(Settings::default(), vec![scripted("db", &[], vec![is(Status::Degraded)])]);
    // The recorder is the thread's, and this runtime has one thread.
    let recorder = metrics::set_default_local_recorder(&meters);
    supervisor.run(sleep(Duration::from_millis(1500))).await;
    drop(recorder);
    let value = |status: &str| {
        let tags = ["component:db".parse().unwrap(), format!("status:{status}").parse().unwrap()];
        meters.view("health.component.status", &tags).unwrap().measurements[0].value
    };
    assert_eq!((value("DEGRADED"), value("UP")), (1.0, 0.0));
    let checks = meters.view("health.check", &["outcome:DEGRADED".parse().unwrap()]).unwrap();
    assert_eq!(checks.measurements[0].value, 1.0);
    assert_eq!(meters.misuses(), [""; 0]);
}

#[test]
fn the_worst_status_wins() {
    use Status::{Degraded, Down, OutOfService, Unknown, Up};
    for (statuses, expected) in [
        (&[][..], Unknown),
        (&[Unknown], Unknown),
        (&[Unknown, Up], Up),
        (&[Up, Degraded, Unknown], Degraded),
        (&[Degraded, OutOfService], OutOfService),
        (&[OutOfService, Down, Up], Down),
    ] {
        assert_eq!(Status::worst(statuses.iter().copied()), expected);
    }
}

/// A health whose checks have run once.
async fn looked(settings: Settings) -> Health {
    let channels = Outcome::composite(
        [
            ("telegram".to_owned(), Outcome::up()),
            ("whatsapp".to_owned(), Outcome::degraded("token expires")),
        ]
        .into(),
    );
    let redis = Outcome::degraded("unreachable").strict(Status::Down);
    let mut registry = HealthRegistry::new(settings, Paused::shared());
    registry.register(scripted("db", &["deploy"], vec![is(Status::Up)]));
    registry.register(scripted("redis", &["deploy"], vec![Found::Is(redis)]));
    registry.register(scripted("channels", &[], vec![Found::Is(channels)]));
    registry.register_view(
        "chatwoot",
        &[("database", &["db"]), ("system", &["redis", "channels"]), ("tenants", &["tenants"])],
    );
    let (health, readiness, supervisor) = registry.build();
    readiness.accept();
    supervisor.run(sleep(Duration::from_secs(1))).await;
    health
}

#[tokio::test(start_paused = true)]
async fn the_root_is_shaped_as_boot_shapes_it() {
    let health =
        looked(Settings { show_components: Some(Show::Always), ..Settings::default() }).await;
    let shown = health.show(&[], false).unwrap();
    assert_eq!(shown.http_status, 200);
    let up = || json!({"status": "UP"});
    assert_eq!(
        shown.body,
        json!({
            "status": "UP",
            "groups": ["deploy", "liveness", "readiness", "startup"],
            "components": {
                "channels": {"status": "UP", "components": {"telegram": up(), "whatsapp": up()}},
                "chatwoot": {"status": "UP", "components": {"database": up(), "system": up()}},
                "db": up(), "ping": up(), "readinessState": up(), "redis": up(),
                "startupState": up(),
            },
        })
    );
}

#[tokio::test(start_paused = true)]
async fn details_are_for_operators() {
    let health = looked(Settings::default()).await;
    assert_eq!(
        health.show(&[], false).unwrap().body,
        json!({"status": "UP", "groups": ["deploy", "liveness", "readiness", "startup"]})
    );
    for hidden in [&["db"][..], &["deploy", "db"], &["channels", "telegram"]] {
        assert_eq!(health.show(hidden, false), None, "{hidden:?}");
        assert!(health.show(hidden, true).is_some(), "{hidden:?}");
    }
    for unknown in [&["nope"][..], &["db", "nope"], &["deploy", "ping"], &["channels", "x", "y"]] {
        assert_eq!(health.show(unknown, true), None, "{unknown:?}");
    }
    assert_eq!(
        health.show(&["redis"], true).unwrap().body,
        json!({
            "status": "UP",
            "details": {
                "degraded": true, "reason": "unreachable",
                "checkedAt": "1970-01-01T00:00:00.000Z", "ageMs": 1000,
            },
        })
    );
    assert_eq!(health.show(&["ping"], true).unwrap().body, json!({"status": "UP"}));
}

#[tokio::test(start_paused = true)]
async fn degraded_can_be_told() {
    let health =
        looked(Settings { degraded_as: DegradedAs::Degraded, ..Settings::default() }).await;
    let shown = health.show(&[], false).unwrap();
    assert_eq!((shown.http_status, &shown.body["status"]), (200, &json!("DEGRADED")));
}

#[tokio::test(start_paused = true)]
async fn a_strict_group_does_not_accept_what_the_server_lives_with() {
    let health = looked(Settings::default()).await;
    let shown = health.show(&["deploy"], true).unwrap();
    assert_eq!(shown.http_status, 503);
    assert_eq!(shown.body["status"], "DOWN");
    assert_eq!(shown.body["components"]["redis"]["status"], "DOWN");
    assert_eq!(shown.body["components"]["db"]["status"], "UP");
    assert_eq!(shown.body.get("groups"), None);
    assert_eq!(health.show(&["deploy", "redis"], true).unwrap().http_status, 503);
}

#[tokio::test(start_paused = true)]
async fn an_operator_makes_groups() {
    let mut settings = Settings::default();
    settings.groups.insert(
        "mine".to_owned(),
        GroupSettings {
            include: vec!["*".to_owned()],
            exclude: vec!["channels".to_owned(), "chatwoot".to_owned()],
            show_components: Some(Show::Always),
            http_status: [(Status::Degraded, 207)].into(),
            ..GroupSettings::default()
        },
    );
    settings.groups.get_mut("readiness").unwrap().include = vec!["redis".to_owned()];
    let health = looked(settings).await;
    let shown = health.show(&["mine"], false).unwrap();
    assert_eq!(shown.http_status, 207);
    let members: Vec<_> = shown.body["components"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["db", "ping", "readinessState", "redis", "startupState"]);
    let readiness = health.show(&["readiness"], true).unwrap();
    assert_eq!(readiness.body["components"].as_object().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_only_for_what_requests_need() {
    let (health, readiness, supervisor) =
        built(Settings::default(), vec![scripted("db", &[], vec![is(Status::Up)]), Box::new(Slow)]);
    readiness.accept();
    supervisor
        .run(async {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(health.show(&["readiness"], false).unwrap().http_status, 200);
            assert_eq!(health.status("mail"), Some(Status::Unknown));
            sleep(Duration::from_secs(10)).await;
            assert_eq!(health.status("mail"), Some(Status::Degraded));
        })
        .await;
}

#[test]
fn groups_tell_what_they_list_that_is_not_there() {
    let mut settings = Settings::default();
    let ops = GroupSettings {
        include: ["db", "dB"].map(str::to_owned).into(),
        exclude: ["*", "redis"].map(str::to_owned).into(),
        ..GroupSettings::default()
    };
    settings.groups.insert("ops".to_owned(), ops);
    let (health, ..) = built(settings, vec![scripted("db", &[], vec![is(Status::Up)])]);
    let expected = ["dB", "redis"].map(|id| ("ops".to_owned(), id.to_owned()));
    assert_eq!(health.strangers(), expected);
}
