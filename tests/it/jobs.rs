//! Jobs: leases, fences, back-off, fair shares, schedules; and the relay of events.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chatwarden_db::DbError;
use chatwarden_jobs::outbox::{Relay, Routing, Stored, Tail};
use chatwarden_jobs::{
    Every, Job, JobError, Limits, NewJob, Registry, Schedule, Worker, dead, discard, enqueue,
    enqueue_all, leases, retry_dead,
};
use chatwarden_testkit::App;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// What was done, in order: (account, payload).
type Done = Arc<Mutex<Vec<(i64, Value)>>>;

/// Each event causes one job.
struct OneEach;

impl Routing for OneEach {
    fn jobs_for(&self, stored: &Stored) -> Vec<NewJob> {
        let payload = json!({"event": stored.entry.event});
        vec![
            NewJob::new(stored.entry.account_id, "note", payload)
                .unique(format!("event:{}", stored.id)),
        ]
    }
}

struct Nothing;

impl Routing for Nothing {
    fn jobs_for(&self, _: &Stored) -> Vec<NewJob> {
        Vec::new()
    }
}

fn worker(app: &App, holder: &str, registry: Registry, schedules: &'static [Schedule]) -> Worker {
    let relay = Relay::new(app.db().clone(), Arc::new(Nothing));
    Worker::new(
        app.db().clone(),
        registry,
        relay,
        schedules,
        Limits::default(),
        holder.to_owned(),
        |_| (),
    )
}

fn noting(done: &Done) -> Registry {
    let done = done.clone();
    Registry::new().on("note", move |job: Job| {
        done.lock().push((job.account_id, job.payload));
        std::future::ready(Ok(()))
    })
}

async fn add(app: &App, job: NewJob) -> bool {
    app.db().write(async move |tx| enqueue(tx, &job).await).await.expect("enqueued")
}

#[tokio::test]
async fn a_job_is_done_once_and_gone() {
    let app = App::empty().await;
    let done = Done::default();
    let worker = worker(&app, "one", noting(&done), &[]);
    assert!(add(&app, NewJob::new(1, "note", json!(1))).await);
    assert_eq!(worker.settle().await.expect("settled"), 1);
    assert_eq!(worker.settle().await.expect("settled"), 0);
    assert_eq!(*done.lock(), [(1, json!(1))]);
}

#[tokio::test]
async fn a_job_of_a_failed_transaction_never_was() {
    let app = App::empty().await;
    let done = Done::default();
    let outcome: Result<(), DbError> = app
        .db()
        .write(async |tx| {
            enqueue(tx, &NewJob::new(1, "note", json!(1))).await?;
            Err(DbError::refused("no"))
        })
        .await;
    assert!(outcome.is_err());
    assert_eq!(worker(&app, "one", noting(&done), &[]).settle().await.expect("settled"), 0);
}

#[tokio::test]
async fn one_live_job_has_a_unique_key() {
    let app = App::empty().await;
    let done = Done::default();
    let worker = worker(&app, "one", noting(&done), &[]);
    assert!(add(&app, NewJob::new(1, "note", json!(1)).unique("k")).await);
    assert!(!add(&app, NewJob::new(1, "note", json!(2)).unique("k")).await);
    assert!(add(&app, NewJob::new(1, "note", json!(3)).unique("other")).await);
    assert_eq!(worker.settle().await.expect("settled"), 2);
    assert!(
        add(&app, NewJob::new(1, "note", json!(4)).unique("k")).await,
        "the key is free once the job is done"
    );
}

#[tokio::test]
async fn failures_are_tried_later_each_time_and_die_in_the_end() {
    let app = App::empty().await;
    let tries = Arc::new(Mutex::new(Vec::new()));
    let noted = tries.clone();
    let clock = app.clone();
    let registry = Registry::new().on("fails", move |_: Job| {
        noted.lock().push(clock.now());
        std::future::ready(Err(JobError::Retry("not yet".to_owned())))
    });
    let worker = worker(&app, "one", registry, &[]);
    let job = NewJob { max_attempts: 4, ..NewJob::new(1, "fails", json!({})) };
    add(&app, job.unique("k")).await;
    for _ in 0..200 {
        worker.settle().await.expect("settled");
        app.advance(Duration::from_secs(1));
    }
    let tries = tries.lock().clone();
    let waits: Vec<i64> =
        tries.windows(2).map(|w| (w[1].micros() - w[0].micros()) / 1_000_000).collect();
    assert_eq!(waits.len(), 3, "{waits:?}");
    for (wait, expected) in waits.iter().zip([3.0, 6.0, 12.0]) {
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let wait = *wait as f64;
        assert!(wait >= expected * 0.7 && wait <= expected * 1.3 + 1.0, "{waits:?}");
    }
    let buried = app.db().read(async |tx| dead(tx, 10).await).await.expect("the dead");
    assert_eq!(buried.len(), 1);
    assert_eq!(buried[0].last_error.as_deref(), Some("not yet"));
    assert!(
        add(&app, NewJob::new(1, "fails", json!({})).unique("k")).await,
        "a dead job frees its key"
    );

    let id = buried[0].id;
    assert!(
        !app.db()
            .write(async move |tx| discard(tx, chatwarden_jobs::JobId(id.0 + 999)).await)
            .await
            .expect("none")
    );
    assert!(app.db().write(async move |tx| discard(tx, id).await).await.expect("discarded"));
    assert!(!app.db().write(async move |tx| retry_dead(tx, id).await).await.expect("it is gone"));
}

#[tokio::test]
async fn what_can_never_work_dies_at_once_and_can_be_tried_again_by_hand() {
    let app = App::empty().await;
    let works = Arc::new(Mutex::new(false));
    let asked = works.clone();
    let registry = Registry::new().on("fails", move |_: Job| {
        std::future::ready(if *asked.lock() {
            Ok(())
        } else {
            Err(JobError::Fail("never".to_owned()))
        })
    });
    let worker = worker(&app, "one", registry, &[]);
    add(&app, NewJob::new(1, "fails", json!({}))).await;
    assert_eq!(worker.settle().await.expect("settled"), 1);
    let buried = app.db().read(async |tx| dead(tx, 10).await).await.expect("the dead");
    let id = buried[0].id;
    *works.lock() = true;
    assert!(app.db().write(async move |tx| retry_dead(tx, id).await).await.expect("retried"));
    assert_eq!(worker.settle().await.expect("settled"), 1);
    assert!(app.db().read(async |tx| dead(tx, 10).await).await.expect("the dead").is_empty());
}

#[tokio::test]
async fn a_handler_that_panics_is_a_failure_like_others() {
    let app = App::empty().await;
    let registry = Registry::new().on("panics", |job: Job| {
        assert!(job.attempt > 1_000, "a bug in a handler");
        std::future::ready(Ok(()))
    });
    let worker = worker(&app, "one", registry, &[]);
    add(&app, NewJob { max_attempts: 1, ..NewJob::new(1, "panics", json!({})) }).await;
    worker.settle().await.expect("settled");
    let buried = app.db().read(async |tx| dead(tx, 10).await).await.expect("the dead");
    assert_eq!(buried[0].last_error.as_deref(), Some("the handler panicked"));
}

/// A worker whose process stops in the middle of a job: its lease runs out, another does it, and the
/// first can't finish what is no longer its own.
#[tokio::test]
async fn a_lost_lease_is_fenced() {
    let app = App::empty().await;
    let done = Done::default();
    let (release, released) = tokio::sync::oneshot::channel::<()>();
    let released = Arc::new(Mutex::new(Some(released)));
    let slow = Registry::new().on("note", move |_: Job| {
        let waiting = released.lock().take();
        async move {
            if let Some(waiting) = waiting {
                let _ = waiting.await;
            }
            // Says that it failed for good: that must not bury the job another has done.
            Err(JobError::Fail("too late".to_owned()))
        }
    });
    let first = worker(&app, "first", slow, &[]);
    let second = worker(&app, "second", noting(&done), &[]);
    add(&app, NewJob::new(1, "note", json!(1))).await;
    let stuck = first.settle();
    tokio::pin!(stuck);
    // Claimed, and in the middle of its work.
    while futures::poll!(&mut stuck).is_pending() {
        let running = app.db().read(async |tx| tx.one(&RUNNING, []).await).await.expect("a count");
        if running.0 == 1 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(second.settle().await.expect("settled"), 0, "the lease holds");
    app.advance(Duration::from_secs(31));
    assert_eq!(second.settle().await.expect("settled"), 1, "the lease ran out");
    release.send(()).expect("the first waits");
    stuck.await.expect("settled");
    assert_eq!(*done.lock(), [(1, json!(1))]);
    assert!(app.db().read(async |tx| dead(tx, 10).await).await.expect("the dead").is_empty());
}

chatwarden_db::statements! {
    RUNNING: (i64,) = "test.running", "select count(*) from jobs where state = 1";
    WAITING: (i64,) = "test.waiting", "select count(*) from outbox where dispatched_at is null";
}

#[tokio::test]
async fn a_tenant_with_many_jobs_does_not_keep_others_waiting() {
    let app = App::empty().await;
    let done = Done::default();
    let worker = worker(&app, "one", noting(&done), &[]);
    let many: Vec<NewJob> = (0..400).map(|n| NewJob::new(1, "note", json!(n))).collect();
    app.db().write(async move |tx| enqueue_all(tx, &many).await).await.expect("enqueued");
    app.advance(Duration::from_secs(5));
    add(&app, NewJob::new(2, "note", json!("urgent"))).await;
    worker.settle().await.expect("settled");
    let done = done.lock();
    assert_eq!(done.len(), 401);
    let place = done.iter().position(|(account, _)| *account == 2).expect("it was done");
    assert!(place <= 2, "the other tenant's job came {place}th");
    let own: HashMap<i64, usize> = done.iter().fold(HashMap::new(), |mut counts, (account, _)| {
        *counts.entry(*account).or_default() += 1;
        counts
    });
    assert_eq!(own[&1], 400);
}

#[tokio::test]
async fn a_schedule_fires_once_a_tick_whoever_looks() {
    static SCHEDULES: &[Schedule] =
        &[Schedule { name: "tidy", every: Every::Seconds(60), kind: "note" }];
    let app = App::empty().await;
    let done = Done::default();
    let first = worker(&app, "first", noting(&done), SCHEDULES);
    let second = worker(&app, "second", noting(&done), SCHEDULES);
    for minute in 0..4_usize {
        for _ in 0..2 {
            first.settle().await.expect("settled");
            second.settle().await.expect("settled");
        }
        assert_eq!(done.lock().len(), minute, "in minute {minute}");
        app.advance(Duration::from_secs(60));
    }
    app.advance(Duration::from_secs(3600));
    first.settle().await.expect("settled");
    assert_eq!(done.lock().len(), 4, "what was missed for an hour comes once");
}

#[tokio::test]
async fn what_a_worker_gives_back_counts_as_not_tried() {
    let app = App::empty().await;
    let slow = Registry::new().on("note", |_: Job| std::future::pending());
    let first = worker(&app, "first", slow, &[]);
    add(&app, NewJob { max_attempts: 1, ..NewJob::new(1, "note", json!(1)) }).await;
    {
        let stuck = first.settle();
        tokio::pin!(stuck);
        while futures::poll!(&mut stuck).is_pending() {
            if app.db().read(async |tx| tx.one(&RUNNING, []).await).await.expect("a count").0 == 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(first.give_back().await.expect("given back"), 1);
    let done = Done::default();
    assert_eq!(worker(&app, "second", noting(&done), &[]).settle().await.expect("settled"), 1);
    assert_eq!(done.lock().len(), 1);
}

#[tokio::test]
async fn of_several_nodes_one_holds_a_lease() {
    let app = App::empty().await;
    let take = async |holder: &'static str| {
        let ttl = Duration::from_secs(10);
        app.db()
            .write(async move |tx| leases::acquire(tx, "leader", holder, ttl).await)
            .await
            .expect("asked")
    };
    assert_eq!(take("a").await, Some(1));
    assert_eq!(take("b").await, None);
    assert_eq!(take("a").await, Some(1), "renewed with the same token");
    app.advance(Duration::from_secs(11));
    assert_eq!(take("b").await, Some(2), "a new holder has a greater token");
    assert_eq!(take("a").await, None);
    app.db().write(async |tx| leases::release(tx, "leader", "b").await).await.expect("released");
    app.advance(Duration::from_secs(1));
    assert_eq!(take("a").await, Some(3));
}

/// An event committed by a node that died before it told anybody: the relay makes its jobs, and has it
/// published again; neither is done twice.
#[tokio::test]
async fn the_relay_takes_up_what_a_crash_left() {
    let (app, admin) = App::start().await;
    admin.post("/contacts", json!({"name": "Vera"})).await.ok();
    let relay = Relay::new(app.db().clone(), Arc::new(OneEach));
    let waiting = app.db().read(async |tx| tx.one(&WAITING, []).await).await.expect("a count").0;
    assert!(waiting > 0);
    app.advance(Duration::from_secs(10));
    let (taken, again) = relay.turn().await.expect("a turn");
    assert_eq!(i64::try_from(taken).expect("a count"), waiting);
    assert_eq!(again.len(), taken, "all of them are overdue");
    assert!(again.iter().any(|stored| stored.entry.event == "contact.created"));
    assert_eq!(relay.turn().await.expect("a turn").0, 0);
    let done = Done::default();
    assert_eq!(worker(&app, "one", noting(&done), &[]).settle().await.expect("settled"), taken);
}

#[tokio::test]
async fn the_log_is_followed_from_where_it_was() {
    let (app, admin) = App::start().await;
    admin.post("/contacts", json!({"name": "before"})).await.ok();
    let mut tail = Tail::from_end(app.db()).await.expect("a tail");
    assert!(tail.next(app.db()).await.expect("the log").is_empty());
    for name in ["one", "two"] {
        admin.post("/contacts", json!({"name": name})).await.ok();
    }
    let read = tail.next(app.db()).await.expect("the log");
    let names: Vec<String> = read
        .iter()
        .filter(|stored| stored.entry.event == "contact.created")
        .map(|stored| {
            let message: Value = serde_json::from_str(&stored.entry.message).expect("a message");
            message["data"]["name"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(names, ["one", "two"]);
    assert!(tail.next(app.db()).await.expect("the log").is_empty());
}

#[tokio::test]
async fn what_a_request_causes_has_its_trace() {
    chatwarden_db::statements! {
        TRACES: (Option<String>,) = "test.traces", "select trace_id from outbox where account_id = $1 order by id desc limit 1";
    }
    let (app, traced) = App::start().await;
    traced.post("/contacts", json!({"name": "Vera"})).await.ok();
    let account = traced.account.unwrap();
    let found = app
        .db()
        .read(async move |tx: &mut chatwarden_db::Tx<'_>| {
            tx.one(&TRACES, chatwarden_db::args![account]).await
        })
        .await
        .unwrap();
    let trace = found.0.expect("a trace");
    assert!(trace.len() == 32 && trace.bytes().all(|b| b.is_ascii_hexdigit()), "{trace}");
}

/// A job that its transaction ended is not done again, whatever became of whoever did it.
#[tokio::test]
async fn a_job_may_end_with_the_transaction_that_does_it() {
    let app = App::empty().await;
    let done = Done::default();
    let (db, noted) = (app.db().clone(), done.clone());
    let registry = noting(&done).on("once", move |job: Job| {
        let (db, noted) = (db.clone(), noted.clone());
        async move {
            let attempt = job.attempt;
            let wanted = db
                .write(async move |tx| {
                    enqueue(tx, &NewJob::new(1, "note", json!(attempt))).await?;
                    let ours = job.finish(tx).await?;
                    if attempt == 1 { Err(DbError::refused("given up")) } else { Ok(ours) }
                })
                .await;
            noted.lock().push((0, json!(wanted.is_ok())));
            // What comes after the commit changes nothing.
            Err(JobError::Retry("the process went away".to_owned()))
        }
    });
    let worker = worker(&app, "one", registry, &[]);
    add(&app, NewJob::new(1, "once", json!(null))).await;
    for _ in 0..3 {
        worker.settle().await.expect("settled");
        app.advance(Duration::from_secs(60));
    }
    assert_eq!(*done.lock(), [(0, json!(false)), (0, json!(true)), (1, json!(2))]);
}

/// Who lost the lease must not change anything any more.
#[tokio::test]
async fn a_job_is_not_ended_by_whoever_lost_it() {
    let app = App::empty().await;
    let done = Done::default();
    let (inner, noted) = (app.clone(), done.clone());
    let registry = Registry::new().on("once", move |job: Job| {
        let (app, noted) = (inner.clone(), noted.clone());
        async move {
            if job.attempt == 1 {
                // Another worker finds the lease run out, and does the job meanwhile.
                app.advance(Duration::from_secs(31));
                let again = noted.clone();
                let registry = Registry::new().on("once", move |job: Job| {
                    again.lock().push((job.attempt, job.payload));
                    std::future::ready(Ok(()))
                });
                worker(&app, "two", registry, &[]).settle().await.expect("settled");
            }
            let (db, attempt) = (app.db().clone(), job.attempt);
            let ours = db.write(async move |tx| job.finish(tx).await).await?;
            noted.lock().push((attempt, json!(ours)));
            Ok(())
        }
    });
    add(&app, NewJob::new(1, "once", json!("again"))).await;
    worker(&app, "one", registry, &[]).settle().await.expect("settled");
    assert_eq!(*done.lock(), [(2, json!("again")), (1, json!(false))]);
}
