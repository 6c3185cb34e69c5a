mod draining;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chatwarden_db::{Engine, args, explain};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::perform::Ending;
use super::*;
use crate::queue::{dead, with_news};
use crate::testing::{Bench, Done, job, noting, soon};
use crate::{Every, NewJob, schedules, trace};

/// Claims `limit` jobs and lets go of them at once: the rows stay claimed.
async fn claim(worker: &Worker, limit: usize) -> Vec<(i64, Value)> {
    let claimed = worker.claim("default", limit, usize::MAX).await.unwrap();
    claimed.leases.iter().map(|l| (l.job.account_id, l.job.payload.0.clone())).collect()
}

#[tokio::test]
async fn ten_thousand_jobs_of_one_tenant_keep_nobody_waiting() {
    for bench in Bench::each().await {
        bench.enqueue((0..10_000).map(|n| job(1, n)).collect()).await;
        let worker = bench.worker(Registry::new());
        // Busy: a worker comes free one at a time.
        for n in 0..3 {
            assert_eq!(claim(&worker, 1).await, [(1, json!(n))], "{:?}", bench.engine());
        }
        bench.advance(60);
        bench.enqueue(vec![job(2, 0), job(3, 0), job(3, 1)]).await;
        let next: Vec<i64> = {
            let mut accounts = Vec::new();
            for _ in 0..6 {
                accounts.extend(claim(&worker, 1).await.iter().map(|(account, _)| *account));
            }
            accounts
        };
        // The others came during the round in which the first was served already.
        assert_eq!(next, [2, 3, 1, 3, 1, 1], "{:?}", bench.engine());
    }
}

#[tokio::test]
async fn a_round_serves_each_tenant_once_however_many_there_are() {
    for bench in Bench::each().await {
        let tenants = 600;
        bench.enqueue((0..3).flat_map(|n| (1..=tenants).map(move |a| job(a, n))).collect()).await;
        let worker = bench.worker(Registry::new());
        let mut served = Vec::new();
        loop {
            let got = claim(&worker, 7).await;
            assert!(got.len() <= 7, "{:?}: never more than asked for", bench.engine());
            if got.is_empty() {
                break;
            }
            served.extend(got);
        }
        assert_eq!(served.len(), 1800);
        let distinct: BTreeSet<String> = served.iter().map(|(a, n)| format!("{a} {n}")).collect();
        assert_eq!(distinct.len(), 1800, "none twice");
        // Nobody is more than one window's round ahead of anybody in the same window.
        let mut counts: HashMap<i64, usize> = HashMap::new();
        for (n, (account, payload)) in served.iter().enumerate() {
            let count = counts.entry(*account).or_default();
            assert_eq!(*payload, json!(*count), "a tenant's jobs come in order");
            *count += 1;
            if n == 599 {
                assert!(counts.values().all(|count| *count == 1), "{:?}", bench.engine());
                assert_eq!(counts.len(), 600);
            }
        }
    }
}

#[tokio::test]
async fn the_longest_waiting_comes_first_in_a_round() {
    for bench in Bench::each().await {
        for account in [7, 3, 9, 5] {
            bench.enqueue(vec![job(account, 0)]).await;
            bench.advance(1);
        }
        let worker = bench.worker(Registry::new());
        let order: Vec<i64> = claim(&worker, 3).await.iter().map(|(account, _)| *account).collect();
        assert_eq!(order, [7, 3, 9]);
        assert_eq!(claim(&worker, 3).await, [(5, json!(0))]);
    }
}

#[tokio::test]
async fn a_tenant_has_a_share_and_a_priority_of_its_own() {
    for bench in Bench::each().await {
        let mut jobs: Vec<NewJob> = (0..20).map(|n| job(1, n)).collect();
        jobs.push(NewJob { priority: -1, ..job(1, 99) });
        bench.enqueue(jobs).await;
        let worker = bench.worker(Registry::new());
        let held = worker.claim("default", 8, Share::of(8)).await.unwrap().leases;
        assert_eq!(held.len(), 6);
        assert_eq!(held[0].job.payload.0, json!(99));
        assert!(worker.claim("default", 2, Share::of(8)).await.unwrap().leases.is_empty());
        bench.enqueue(vec![job(2, 0)]).await;
        let other = worker.claim("default", 2, Share::of(8)).await.unwrap();
        assert_eq!(other.leases.len(), 1);
        assert_eq!(other.leases[0].job.account_id, 2);
        drop(held);
        assert_eq!(worker.claim("default", 2, Share::of(8)).await.unwrap().leases.len(), 2);
    }
}

#[tokio::test]
async fn what_is_to_come_is_not_ready() {
    for bench in Bench::each().await {
        let later = bench.now().plus_seconds(10);
        bench.enqueue(vec![job(1, 0).at(later), job(1, 1).on("mail"), job(1, 2)]).await;
        let done = Done::default();
        let worker = bench.worker(noting(&done));
        assert_eq!(worker.settle().await.unwrap(), 2);
        bench.advance(9);
        assert_eq!(worker.settle().await.unwrap(), 0);
        bench.advance(1);
        assert_eq!(worker.settle().await.unwrap(), 1);
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
    }
}

/// Several workers of several processes on one queue: each job once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_at_the_same_queue_share_it() {
    for bench in Bench::each().await {
        let (send, mut done) = mpsc::unbounded_channel();
        let registry = Registry::new().on("note", move |job: Job| {
            let send = send.clone();
            async move {
                tokio::task::yield_now().await;
                send.send(job.payload).map_err(|e| JobError::Fail(e.to_string()))
            }
        });
        bench.enqueue((0..300).map(|n| job(n % 5, n)).collect()).await;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let workers: Vec<Worker> = (0..3).map(|_| bench.worker(registry.clone())).collect();
        for worker in &workers {
            worker.start(&tasks, &stop);
        }
        let mut seen = BTreeSet::new();
        for _ in 0..300 {
            let n = soon(done.recv()).await.and_then(|n| n.as_i64()).unwrap();
            assert!(seen.insert(n), "{:?}: {n} was done twice", bench.engine());
        }
        stop.cancel();
        tasks.close();
        soon(tasks.wait()).await;
        assert_eq!(bench.count("select count(*) from jobs").await, 0, "{:?}", bench.engine());
    }
}

#[tokio::test]
async fn a_commit_wakes_the_workers() {
    let bench = Bench::sqlite().await;
    let (send, mut done) = mpsc::unbounded_channel();
    let registry = Registry::new().on("note", move |job: Job| {
        std::future::ready(send.send(job.payload).map_err(|e| JobError::Fail(e.to_string())))
    });
    // Nobody looks by himself.
    let limits = Limits { poll: Duration::from_secs(3600), ..Limits::default() };
    let worker = bench.worker_with(registry, &[], limits);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    worker.start(&tasks, &stop);
    for (n, queue) in ["default", "mail", "bulk", "default"].into_iter().enumerate() {
        let n = i64::try_from(n).unwrap();
        bench.enqueue(vec![job(1, n).on(queue)]).await;
        assert_eq!(soon(done.recv()).await, Some(json!(n)), "on {queue}");
    }
    stop.cancel();
    tasks.close();
    soon(tasks.wait()).await;
}

#[tokio::test]
async fn a_heartbeat_keeps_a_lease_and_a_lost_one_ends_the_run() {
    for bench in Bench::each().await {
        bench.enqueue(vec![job(1, 0)]).await;
        let worker = bench.worker(Registry::new());
        let other = bench.worker(Registry::new());
        let lease = worker.claim("default", 1, 1).await.unwrap().leases.remove(0);
        for _ in 0..5 {
            bench.advance(20);
            worker.beat().await;
            other.keep_up().await.unwrap();
        }
        assert!(!lease.lost.is_cancelled());
        assert!(other.claim("default", 1, 1).await.unwrap().leases.is_empty());
        bench.advance(31);
        other.keep_up().await.unwrap();
        let again = other.claim("default", 1, 1).await.unwrap().leases;
        assert_eq!(again.len(), 1);
        assert_eq!(again[0].job.attempts, 2);
        worker.beat().await;
        assert!(lease.lost.is_cancelled());
        // The first can't end what the second has, neither well nor badly.
        let wait = Duration::from_secs(1);
        for ending in
            [Ending::Done, Ending::Again(wait, "no".to_owned()), Ending::Dead("no".to_owned())]
        {
            let label = ending.label();
            worker.conclude(&lease.job, ending).await.unwrap();
            assert_eq!(
                bench.count("select count(*) from jobs where state = 1").await,
                1,
                "{label}"
            );
        }
        other.conclude(&again[0].job, Ending::Done).await.unwrap();
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
    }
}

/// The same worker may get a job again whose lease it lost: its first run is not the second's.
#[tokio::test]
async fn a_run_is_told_from_a_later_one_of_the_same_worker() {
    for bench in Bench::each().await {
        bench.enqueue(vec![job(1, 0)]).await;
        let worker = bench.worker(Registry::new());
        let first = worker.claim("default", 1, 9).await.unwrap().leases.remove(0);
        bench.advance(31);
        worker.keep_up().await.unwrap();
        let second = worker.claim("default", 1, 9).await.unwrap().leases.remove(0);
        worker.beat().await;
        assert!(first.lost.is_cancelled());
        assert!(!second.lost.is_cancelled());
        worker.conclude(&first.job, Ending::Done).await.unwrap();
        drop(first);
        bench.advance(20);
        worker.beat().await;
        bench.advance(20);
        worker.keep_up().await.unwrap();
        assert!(!second.lost.is_cancelled());
        assert_eq!(bench.count("select count(*) from jobs where state = 1").await, 1);
    }
}

#[tokio::test]
async fn a_worker_that_cannot_renew_lets_go_in_time() {
    let bench = Bench::sqlite().await;
    bench.enqueue(vec![job(1, 0)]).await;
    let worker = bench.worker(Registry::new());
    let lease = worker.claim("default", 1, 1).await.unwrap().leases.remove(0);
    bench.db.close().await;
    bench.advance(29);
    worker.beat().await;
    let now = bench.db.ambient().now();
    assert_eq!(worker.0.running.expire(now), Some(now.plus_seconds(1)));
    assert!(!lease.lost.is_cancelled(), "it is still ours");
    bench.advance(1);
    assert_eq!(worker.0.running.expire(bench.db.ambient().now()), None);
    assert!(lease.lost.is_cancelled());
}

/// Between two beats, and while one of them waits for a database that does not answer.
#[tokio::test]
async fn a_lease_ends_when_it_runs_out_and_not_at_the_next_beat() {
    let bench = Bench::sqlite().await;
    let limits = Limits { lease: Duration::from_millis(20), ..Limits::default() };
    let worker = bench.worker_with(Registry::new(), &[], limits);
    let stop = CancellationToken::new();
    let mut expiring = Box::pin(worker.expire(&stop));
    assert!(futures::poll!(&mut expiring).is_pending());
    bench.enqueue(vec![job(1, 0)]).await;
    let lease = worker.claim("default", 1, 1).await.unwrap().leases.remove(0);
    assert!(futures::poll!(&mut expiring).is_pending(), "it is told of the new lease");
    bench.advance(1);
    tokio::select! {
        () = &mut expiring => unreachable!("it goes on until told to stop"),
        () = soon(lease.lost.cancelled()) => {}
    }
}

#[tokio::test]
async fn a_job_wakes_the_workers_of_its_queue() {
    // Of queues that no other test of this process has.
    let (mail, bulk) = (wake::of("its mail"), wake::of("its bulk"));
    let bench = Bench::sqlite().await;
    let now = bench.db.ambient().now();
    let jobs = vec![job(1, 0).on("its mail"), job(1, 1).on("its bulk").at(now.plus_seconds(60))];
    // Asked of the rule: the upkeep of another test of this process may wake any queue meanwhile.
    assert_eq!(with_news(&jobs, now).into_iter().collect::<Vec<_>>(), ["its mail"]);
    let mut mail = Box::pin(mail.notified());
    mail.as_mut().enable();
    bench.enqueue(jobs).await;
    assert!(futures::poll!(mail).is_ready());
    let mut bulk = Box::pin(bulk.notified());
    bulk.as_mut().enable();
    bench.advance(60);
    bench.worker(Registry::new()).keep_up().await.unwrap();
    assert!(futures::poll!(bulk).is_ready(), "due now");
}

/// A job that kills its process is tried ever later, and no more than it may.
#[tokio::test]
async fn a_job_that_kills_its_worker_ends() {
    for bench in Bench::each().await {
        bench.enqueue(vec![NewJob { max_attempts: 4, ..job(1, 0) }]).await;
        let mut waits = Vec::new();
        let mut waited = 0;
        while bench.count("select count(*) from jobs where state = 2").await == 0 {
            // A process that comes up, takes the job and dies.
            let worker = bench.worker(Registry::new());
            worker.keep_up().await.unwrap();
            if worker.claim("default", 1, 1).await.unwrap().leases.is_empty() {
                bench.advance(1);
                waited += 1;
                assert!(waited < 1000, "{waits:?}");
            } else {
                waits.push(waited);
                waited = 0;
            }
        }
        // Each lease takes 30 s to run out.
        assert_eq!(waits, [0, 31, 36, 51], "{:?}", bench.engine());
        let buried = bench.db.read(async |tx| dead(tx, 9).await).await.unwrap();
        assert_eq!(buried[0].last_error.as_deref(), Some("its worker went away"));
        assert_eq!(buried[0].attempts, 4);
    }
}

#[tokio::test]
async fn a_handler_says_when_to_come_again() {
    for bench in Bench::each().await {
        let wait = Duration::from_secs(77);
        let registry = Registry::new().on("note", move |job: Job| {
            let busy = JobError::RetryAfter(wait, format!("busy\0 {}", "x".repeat(5000)));
            std::future::ready(if job.attempt == 1 { Err(busy) } else { Ok(()) })
        });
        let worker = bench.worker(registry);
        bench.enqueue(vec![job(1, 0)]).await;
        assert_eq!(worker.settle().await.unwrap(), 1);
        assert_eq!(bench.count("select length(last_error) from jobs").await, 2000);
        bench.advance(76);
        assert_eq!(worker.settle().await.unwrap(), 0);
        bench.advance(1);
        assert_eq!(worker.settle().await.unwrap(), 1);
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
    }
}

#[tokio::test]
async fn a_job_may_not_run_for_ever() {
    let bench = Bench::sqlite().await;
    let registry = Registry::new().on("note", |_: Job| std::future::pending());
    let limits = Limits { run: Duration::from_millis(5), ..Limits::default() };
    let worker = bench.worker_with(registry, &[], limits);
    bench.enqueue(vec![NewJob { max_attempts: 1, ..job(1, 0) }]).await;
    soon(worker.settle()).await.unwrap();
    let buried = bench.db.read(async |tx| dead(tx, 9).await).await.unwrap();
    assert_eq!(buried[0].last_error.as_deref(), Some("it took too long"));
}

#[tokio::test]
async fn one_node_leads_and_another_takes_over() {
    static SCHEDULES: &[Schedule] =
        &[Schedule { name: "tidy", every: Every::Seconds(10), kind: "note" }];
    for bench in Bench::each().await {
        let ticks = Arc::new(AtomicI64::new(0));
        let counted = ticks.clone();
        let registry = Registry::new().on("note", move |_: Job| {
            counted.fetch_add(1, Ordering::SeqCst);
            std::future::ready(Ok(()))
        });
        let node = || bench.worker_with(registry.clone(), SCHEDULES, Limits::default());
        let (first, second) = (node(), node());
        first.settle().await.unwrap();
        second.settle().await.unwrap();
        for n in 1..=3 {
            bench.advance(10);
            second.settle().await.unwrap();
            assert_eq!(ticks.load(Ordering::SeqCst), n - 1, "the second does not lead");
            first.settle().await.unwrap();
            assert_eq!(ticks.load(Ordering::SeqCst), n);
        }
        // The first is never heard of again.
        bench.advance(10);
        second.settle().await.unwrap();
        assert_eq!(ticks.load(Ordering::SeqCst), 3);
        bench.advance(6);
        second.settle().await.unwrap();
        assert_eq!(ticks.load(Ordering::SeqCst), 4, "its lease ran out");
        // One that goes in good order leaves the lead at once.
        second.give_back().await.unwrap();
        let third = node();
        bench.advance(10);
        third.settle().await.unwrap();
        assert_eq!(ticks.load(Ordering::SeqCst), 5);
    }
}

#[tokio::test]
async fn a_schedule_whose_rule_changed_is_reckoned_anew_and_none_piles_up() {
    static MONTHLY: &[Schedule] =
        &[Schedule { name: "tidy", every: Every::Cron("0 0 1 * *"), kind: "none" }];
    static MINUTELY: &[Schedule] =
        &[Schedule { name: "tidy", every: Every::Cron("* * * * *"), kind: "none" }];
    static NEVER: &[Schedule] =
        &[Schedule { name: "tidy", every: Every::Cron("no cron"), kind: "none" }];
    for bench in Bench::each().await {
        let tick = async |schedules: &'static [Schedule]| {
            bench.db.write(async move |tx| schedules::tick(tx, schedules).await).await.unwrap()
        };
        let month = tick(MONTHLY).await.unwrap();
        assert_eq!(month.iso(), "2026-02-01T00:00:00.000Z");
        assert_eq!(tick(MINUTELY).await.unwrap().iso(), "2026-01-05T09:01:00.000Z");
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
        for _ in 0..3 {
            bench.advance(60);
            tick(MINUTELY).await.unwrap();
            // No handler did the last one yet.
            assert_eq!(bench.count("select count(*) from jobs").await, 1);
        }
        assert_eq!(tick(NEVER).await, None);
    }
}

#[tokio::test]
async fn what_is_long_over_is_pruned() {
    for bench in Bench::each().await {
        let worker = bench.worker(
            Registry::new()
                .on("note", |_: Job| std::future::ready(Err(JobError::Fail("never".to_owned())))),
        );
        bench.emit(vec![crate::testing::entry(1, "old"), crate::testing::entry(1, "old")]).await;
        bench.enqueue(vec![job(1, 0)]).await;
        worker.settle().await.unwrap();
        bench.advance(599);
        worker.settle().await.unwrap();
        assert_eq!(bench.count("select count(*) from outbox").await, 2);
        bench.emit(vec![crate::testing::entry(1, "not dispatched")]).await;
        bench.advance(700);
        worker.keep_up().await.unwrap();
        assert_eq!(bench.count("select count(*) from outbox").await, 1);
        bench.advance(30 * 86_400 - 1400);
        worker.settle().await.unwrap();
        assert_eq!(bench.count("select count(*) from jobs").await, 1);
        bench.advance(200);
        worker.settle().await.unwrap();
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
    }
}

#[tokio::test]
async fn a_request_s_trace_reaches_its_jobs() {
    for bench in Bench::each().await {
        let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let noted = seen.clone();
        let db = bench.db.clone();
        let registry = Registry::new()
            .on("first", move |job: Job| {
                let (db, noted) = (db.clone(), noted.clone());
                async move {
                    assert_eq!(job.trace_id, trace::current());
                    noted.lock().push(trace::current());
                    let trace = trace::current();
                    let next = NewJob::new(1, "second", Value::Null);
                    db.write(async move |tx| {
                        trace::carry(tx, trace);
                        crate::enqueue(tx, &next).await
                    })
                    .await?;
                    Ok(())
                }
            })
            .on("second", {
                let seen = seen.clone();
                move |job: Job| {
                    seen.lock().push(job.trace_id);
                    std::future::ready(Ok(()))
                }
            });
        let relay = Relay::new(
            bench.db.clone(),
            Arc::new(|_: &Stored| vec![NewJob::new(1, "first", Value::Null)]),
        );
        let worker = Worker::new(
            bench.db.clone(),
            registry,
            relay,
            &[],
            Limits::default(),
            "one".to_owned(),
            |_| (),
        );
        let db = bench.db.clone();
        trace::caused_by(Some("4bf9".to_owned()), async move {
            let trace = trace::current();
            db.write(async move |tx| {
                trace::carry(tx, trace);
                crate::outbox::push(tx, crate::testing::entry(1, "happened"));
                crate::outbox::flush(tx).await
            })
            .await
        })
        .await
        .unwrap();
        worker.settle().await.unwrap();
        let trace = Some("4bf9".to_owned());
        assert_eq!(*seen.lock(), [trace.clone(), trace], "{:?}", bench.engine());
    }
}

#[tokio::test]
async fn an_unknown_kind_waits_for_a_version_that_knows_it() {
    let bench = Bench::sqlite().await;
    bench.enqueue(vec![job(1, 0)]).await;
    let old = bench.worker(Registry::new());
    assert_eq!(old.settle().await.unwrap(), 1);
    let done = Done::default();
    let new = bench.worker(noting(&done));
    bench.advance(10);
    assert_eq!(new.settle().await.unwrap(), 1);
    assert_eq!(done.lock().len(), 1);
}

/// On hot paths the work must not grow with what is stored.
#[tokio::test]
async fn hot_statements_find_their_rows_by_an_index() {
    for bench in Bench::each().await {
        bench.enqueue((0..2000).map(|n| job(n % 3, n)).collect()).await;
        let (holder, none) = ("w", Vec::<i64>::new());
        let now = bench.now();
        let check = async |statement: &chatwarden_db::AnyStatement,
                           args: Vec<chatwarden_db::Value>,
                           index: &str| {
            let plan = explain(&bench.db, statement, &args).await.unwrap().0;
            let name = statement.name();
            assert!(plan.iter().any(|l| l.contains(index)), "{name}: no {index} in {plan:#?}");
            let whole = |line: &&String| match bench.engine() {
                Engine::Sqlite => {
                    line.contains("SCAN")
                        && ["jobs", " j", " c", "outbox", " w"].iter().any(|t| line.ends_with(t))
                }
                Engine::Postgres => line.contains("Seq Scan"),
            };
            assert_eq!(plan.iter().find(whole), None, "{name}: {plan:#?}");
        };
        use crate::outbox::sql as log;
        check(
            sql::CLAIM.any(),
            args!["default", 0, none, now, holder, now, 1].to_vec(),
            "jobs_ready_idx",
        )
        .await;
        check(sql::CLAIM_END.any(), args!["default", 0].to_vec(), "jobs_ready_idx").await;
        check(sql::CLAIM_LEFT.any(), args!["default", 0, none].to_vec(), "jobs_ready_idx").await;
        check(sql::REAP.any(), args![now].to_vec(), "jobs_running_idx").await;
        check(sql::PROMOTE.any(), args![now, 9].to_vec(), "jobs_to_come_idx").await;
        check(sql::DEAD.any(), args![9].to_vec(), "jobs_dead_idx").await;
        check(sql::PRUNE.any(), args![now, 9].to_vec(), "jobs_dead_idx").await;
        check(log::TAKE.any(), args![now, 9].to_vec(), "outbox_waiting_idx").await;
        check(log::LOG.any(), args![0, 0, 9, 0].to_vec(), "outbox_log_idx").await;
        let streams = vec!["account_1".to_owned()];
        for statement in [log::SIZE.any(), log::SINCE.any()] {
            let args = args![1, now, streams.clone(), 10].to_vec();
            check(statement, args, "outbox_account_id_created_at_idx").await;
        }
        check(log::PRUNE.any(), args![now, 9].to_vec(), "outbox_created_at_idx").await;
    }
}
