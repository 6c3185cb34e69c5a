use std::collections::BTreeSet;
use std::sync::Arc;

use chatwarden_db::Engine;
use serde_json::json;
use tokio::sync::oneshot;

use super::*;
use crate::testing::{Bench, Done, entry, noting, soon};
use crate::{NewJob, Registry, enqueue};

fn events(stored: &[Stored]) -> Vec<&str> {
    stored.iter().map(|stored| stored.entry.event.as_str()).collect()
}

/// Each event causes one job, named after it.
fn one_each(stored: &Stored) -> Vec<NewJob> {
    let payload = json!(stored.entry.event);
    vec![
        NewJob::new(stored.entry.account_id, "note", payload)
            .unique(format!("event:{}", stored.id)),
    ]
}

fn whole_log() -> &'static chatwarden_db::Statement<sql::Row> {
    crate::testing::sql(format!("select {} from outbox order by id", sql::COLUMNS))
}

#[tokio::test]
async fn what_is_emitted_is_stored_as_it_is_in_one_statement() {
    for bench in Bench::each().await {
        let mut entries: Vec<Entry> = (0..1000).map(|n| entry(n, &format!("event.{n}"))).collect();
        entries[1].except = Some("stream of a tab".to_owned());
        entries[2].streams = vec!["a".to_owned(), "ü\"\\".to_owned(), String::new()];
        entries[3].message =
            json!({"content": "C:\\u0000 \u{1} 'é' \u{1f600} \"quoted\" \0"}).to_string();
        entries[4].context =
            json!({"id": 9_007_199_254_740_993_i64, "list": [1.5, null, true, "\\"]});
        entries[5].message = String::new();
        let written = entries.clone();
        let (stored, statements) = bench
            .db
            .write(async move |tx: &mut WriteTx<'_>| {
                for entry in entries {
                    push(tx, entry);
                }
                let before = tx.usage().statements;
                let stored = flush(tx).await?;
                assert!(flush(tx).await?.is_empty(), "it is written once");
                Ok::<_, DbError>((stored, tx.usage().statements - before))
            })
            .await
            .unwrap();
        assert_eq!(statements, 1);
        let plain: Vec<Entry> = stored.iter().map(|stored| stored.entry.clone()).collect();
        assert_eq!(plain, written);
        let relay = Relay::new(bench.db.clone(), Arc::new(|_: &Stored| Vec::new()));
        assert_eq!(relay.turn().await.unwrap().0, 500);
        let read = bench
            .db
            .read(async |tx| tx.all(whole_log(), []).await)
            .await
            .unwrap()
            .into_iter()
            .map(Stored::from)
            .collect::<Vec<_>>();
        assert_eq!(read, stored, "{:?}", bench.engine());
    }
}

#[tokio::test]
async fn a_nul_in_a_context_is_refused_on_both_engines() {
    for bench in Bench::each().await {
        let mut bad = entry(1, "bad");
        bad.context = json!("\0");
        let outcome = bench
            .db
            .write(async move |tx: &mut WriteTx<'_>| {
                push(tx, bad);
                flush(tx).await
            })
            .await;
        assert!(outcome.is_err(), "{:?}", bench.engine());
    }
}

/// An event whose jobs can't be made goes without them; the others don't wait for it.
#[tokio::test]
async fn a_poisonous_event_does_not_stop_the_relay() {
    for bench in Bench::each().await {
        let names = ["first", "poison", "panic", "last"];
        bench.emit(names.iter().map(|name| entry(1, name)).collect()).await;
        let relay = Relay::new(
            bench.db.clone(),
            Arc::new(|stored: &Stored| {
                let event = stored.entry.event.as_str();
                assert!(event != "panic", "a bug in a rule");
                let text = if event == "poison" { "\0" } else { event };
                vec![NewJob::new(1, "note", json!(text))]
            }),
        );
        let mut taken = 0;
        for _ in 0..4 {
            taken += relay.turn().await.unwrap().0;
        }
        assert_eq!(taken, 4, "{:?}", bench.engine());
        let waiting = bench.count("select count(*) from outbox where dispatched_at is null").await;
        assert_eq!(waiting, 0);
        let done = Done::default();
        bench.worker(noting(&done)).settle().await.unwrap();
        assert_eq!(*done.lock(), [(1, json!("first")), (1, json!("last"))]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relays_of_several_nodes_make_each_job_once() {
    for bench in Bench::each().await {
        bench.emit((0..1500).map(|n| entry(n % 7, &format!("event.{n}"))).collect()).await;
        let relay = Relay::new(bench.db.clone(), Arc::new(one_each));
        let drain = async || {
            let mut taken = 0;
            loop {
                match relay.turn().await.unwrap().0 {
                    0 => return taken,
                    n => taken += n,
                }
            }
        };
        let (a, b, c) = futures::join!(drain(), drain(), drain());
        assert_eq!(a + b + c, 1500, "{:?}", bench.engine());
        assert_eq!(bench.count("select count(*) from jobs").await, 1500);
        assert_eq!(bench.count("select count(distinct unique_key) from jobs").await, 1500);
    }
}

/// A crash between the commit of a change and the relay, and one in the middle of the relay's work.
#[tokio::test]
async fn a_crash_before_the_relay_commits_loses_and_doubles_nothing() {
    for bench in Bench::each().await {
        bench.emit(vec![entry(1, "one"), entry(1, "two")]).await;
        // The relay's transaction fails: what it took is not taken.
        let routed: Result<(), DbError> = bench
            .db
            .write(async |tx: &mut WriteTx<'_>| {
                let now = tx.now();
                let rows = tx.all(&sql::TAKE, args![now, 500]).await?;
                assert_eq!(rows.len(), 2);
                enqueue(tx, &NewJob::new(1, "note", json!("half"))).await?;
                Err(DbError::refused("kill -9"))
            })
            .await;
        assert!(routed.is_err());
        assert_eq!(bench.count("select count(*) from jobs").await, 0);
        bench.advance(5);
        bench.emit(vec![entry(1, "three")]).await;
        let relay = Relay::new(bench.db.clone(), Arc::new(one_each));
        let (taken, again) = relay.turn().await.unwrap();
        assert_eq!((taken, events(&again)), (3, vec!["one", "two"]), "{:?}", bench.engine());
        assert_eq!(relay.turn().await.unwrap(), (0, Vec::new()));
        assert_eq!(bench.count("select count(*) from jobs").await, 3);
    }
}

/// On PostgreSQL a later entry may be committed first: whoever follows the log waits for the earlier one.
#[tokio::test]
async fn the_log_has_no_holes_where_commits_are_out_of_order() {
    let Some(bench) = Bench::postgres().await else { return };
    let mut tail = Tail::from_end(&bench.db).await.unwrap();
    let (written, has_written) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let db = bench.db.clone();
    let early = async move {
        db.write(async move |tx: &mut WriteTx<'_>| {
            push(tx, entry(1, "early"));
            let stored = flush(tx).await?;
            let _ = written.send(());
            may_go_on.await.unwrap();
            Ok::<_, DbError>(stored)
        })
        .await
        .unwrap()
    };
    let late = async {
        has_written.await.unwrap();
        let late = bench.emit(vec![entry(1, "late")]).await;
        // It is there for everybody, and its position is after one that is not.
        assert_eq!(bench.count("select count(*) from outbox").await, 1);
        assert!(tail.next(&bench.db).await.unwrap().is_empty(), "it waits for the early one");
        go_on.send(()).unwrap();
        late
    };
    let (early, late) = futures::join!(early, late);
    assert!(early[0].id < late[0].id);
    assert_eq!(events(&tail.next(&bench.db).await.unwrap()), ["early", "late"]);
}

#[tokio::test]
async fn a_long_transaction_in_another_database_does_not_hold_up_the_log() {
    let (Some(bench), Some(other)) = (Bench::postgres().await, Bench::postgres().await) else {
        return;
    };
    let (written, has_written) = oneshot::channel();
    let (go_on, may_go_on) = oneshot::channel::<()>();
    let long = other.db.write(async move |tx: &mut WriteTx<'_>| {
        push(tx, entry(1, "an import"));
        flush(tx).await?;
        let _ = written.send(());
        may_go_on.await.unwrap();
        Ok::<_, DbError>(())
    });
    let meanwhile = async {
        has_written.await.unwrap();
        bench.emit(vec![entry(1, "before")]).await;
        let mut tail = Tail::from_end(&bench.db).await.unwrap();
        assert!(tail.next(&bench.db).await.unwrap().is_empty());
        bench.emit(vec![entry(1, "one"), entry(1, "two")]).await;
        assert_eq!(events(&tail.next(&bench.db).await.unwrap()), ["one", "two"]);
        assert!(tail.next(&bench.db).await.unwrap().is_empty());
        go_on.send(()).unwrap();
    };
    let (long, ()) = futures::join!(long, meanwhile);
    long.unwrap();
}

/// Writers of all lengths at once; the follower reads all the time, and gets everything, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_skips_nothing_whatever_the_order_of_commits() {
    const WRITERS: usize = 8;
    const WRITES: usize = 25;
    for bench in Bench::each().await {
        bench.emit(vec![entry(1, "before")]).await;
        let mut tail = Tail::from_end(&bench.db).await.unwrap();
        let postgres = bench.engine() == Engine::Postgres;
        let db = &bench.db;
        let write = async |writer: usize| {
            for n in 0..WRITES {
                let yields = if postgres { (writer * 7 + n * 3) % 11 } else { 0 };
                db.write(async move |tx: &mut WriteTx<'_>| {
                    push(tx, entry(1, &format!("{writer}.{n}")));
                    let stored = flush(tx).await?;
                    for _ in 0..yields {
                        tokio::task::yield_now().await;
                        tx.one(&sql::WAITING, []).await?;
                    }
                    Ok::<_, DbError>(stored)
                })
                .await
                .unwrap();
            }
        };
        let follow = async {
            let mut read = Vec::new();
            while read.len() < WRITERS * WRITES {
                read.extend(tail.next(db).await.unwrap());
                tokio::task::yield_now().await;
            }
            read
        };
        let writers = futures::future::join_all((0..WRITERS).map(write));
        let (_, read) = soon(async { futures::join!(writers, follow) }).await;
        let mut seen = BTreeSet::new();
        for stored in &read {
            assert!(seen.insert(stored.id), "{:?}: {} came twice", bench.engine(), stored.id);
        }
        assert_eq!(seen.len(), WRITERS * WRITES, "{:?}", bench.engine());
    }
}

#[tokio::test]
async fn a_resume_reaches_back_and_says_when_it_cannot() {
    for bench in Bench::each().await {
        let mut ids = Vec::new();
        for (account, event) in [(1, "a"), (2, "b"), (1, "c"), (1, "d"), (1, "e")] {
            ids.push(bench.emit(vec![entry(account, event)]).await[0].id);
            bench.advance(10);
        }
        let resume = async |account: i64, since: Since| {
            let streams = [format!("account_{account}"), "elsewhere".to_owned()];
            bench
                .db
                .read(async move |tx| history(tx, account, &streams, since).await)
                .await
                .unwrap()
        };
        let check = async |account, since, expected: Option<&[&str]>| {
            let found = resume(account, since).await;
            let found = found.as_deref().map(events);
            assert_eq!(found.as_deref(), expected, "{since:?} on {:?}", bench.engine());
        };
        let at = |seconds: i64| Since::Time(bench.now().plus_seconds(-seconds));
        // From 15 s before: an earlier position may have been committed later.
        check(1, Since::Position(ids[3]), Some(&["c", "d", "e"])).await;
        check(1, Since::Position(ids[4]), Some(&["d", "e"])).await;
        check(2, Since::Position(ids[4]), Some(&[])).await;
        check(1, at(10), Some(&["d", "e"])).await;
        check(1, at(0), Some(&["e"])).await;
        check(1, Since::Position(ids[4] + 999), None).await;
        check(1, Since::Position(-1), None).await;
        check(1, at(586), None).await;
        check(1, at(585), Some(&["a", "c", "d", "e"])).await;
        bench.advance(600);
        check(1, Since::Position(ids[4]), None).await;
    }
}

#[tokio::test]
async fn more_than_can_be_replayed_is_not() {
    let bench = Bench::sqlite().await;
    let first = bench.emit(vec![entry(1, "first")]).await[0].id;
    let resume = async || {
        let (streams, since) = (["account_1".to_owned()], Since::Position(first));
        bench.db.read(async move |tx| history(tx, 1, &streams, since).await).await.unwrap()
    };
    bench.emit((0..1999).map(|_| entry(1, "more")).collect()).await;
    assert_eq!(resume().await.map(|found| found.len()), Some(2000));
    bench.emit(vec![entry(1, "too many")]).await;
    assert_eq!(resume().await, None);
}

#[tokio::test]
async fn what_others_were_told_is_not_read_for_a_resume() {
    for bench in Bench::each().await {
        let told = |streams: &[&str], event: &str, length: usize| Entry {
            streams: streams.iter().map(|stream| (*stream).to_owned()).collect(),
            message: "m".repeat(length),
            ..entry(1, event)
        };
        bench.emit((0..40).map(|_| told(&["inbox_1"], "long", 150_000)).collect()).await;
        bench.emit(vec![told(&["inbox_1", "visitor"], "for both", 10)]).await;
        let resume = async |stream: &str| {
            let (streams, since) = ([stream.to_owned()], Since::Time(bench.now()));
            bench.db.read(async move |tx| history(tx, 1, &streams, since).await).await.unwrap()
        };
        let visitor = resume("visitor").await;
        assert_eq!(visitor.as_deref().map(events).as_deref(), Some(&["for both"][..]));
        assert_eq!(resume("nobody").await, Some(Vec::new()), "{:?}", bench.engine());
        assert_eq!(resume("inbox_1").await, None, "six megabytes, {:?}", bench.engine());
    }
}

#[tokio::test]
async fn a_running_relay_is_woken_and_flushes_at_the_end() {
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    let bench = Bench::sqlite().await;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let limits =
        crate::Limits { poll: std::time::Duration::from_secs(3600), ..crate::Limits::default() };
    let worker = bench.worker_with(Registry::new(), &[], limits);
    worker.start(&tasks, &stop);
    let waiting = "select count(*) from outbox where dispatched_at is null";
    bench.emit(vec![entry(1, "one")]).await;
    crate::Wake::relay();
    soon(async {
        while bench.count(waiting).await > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // Nobody says that there is something; the end takes it all the same.
    bench.emit(vec![entry(1, "two")]).await;
    stop.cancel();
    tasks.close();
    soon(tasks.wait()).await;
    assert_eq!(bench.count(waiting).await, 0);
}
