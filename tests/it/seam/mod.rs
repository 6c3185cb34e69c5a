//! The seam: transactions, groups, failures, on whichever engine the tests run.

mod histories;
mod sslmode;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatwarden_db::{
    Ambient, Buffered, Db, DbError, Engine, ErrorKind, OnConflict as _, Options, PostgresOptions,
    SqliteOptions, Tx, UsageScope, WriteTx, args, statements,
};
use chatwarden_testkit::engine;
use chatwarden_testkit::services::{Database, Postgres};
use futures::TryStreamExt as _;

statements! {
    CREATE: () = "seam.create", "create table things (id bigint primary key, name text not null, size bigint not null, unique (name))";
    INSERT: () = "seam.insert", "insert into things (id, name, size) values ($1, $2, $3)";
    UPSERT: () = "seam.upsert",
        "insert into things (id, name, size) values ($1, $2, $3) on conflict (id) do update set name = excluded.name, size = excluded.size";
    RESIZE: () = "seam.resize", "update things set size = size + $2 where id = $1";
    DELETE: () = "seam.delete", "delete from things where id = $1";
    ALL: (i64, String, i64) = "seam.all", "select id, name, size from things order by id";
    SOME: (i64,) = "seam.some", "select id from things where id @in($1) order by id";
    SUM: (i64,) = "seam.sum", "select cast(coalesce(sum(size), 0) as bigint) from things";
    WIDEN: () = "seam.widen", "alter table things add column note text";
    RESIZE_ALL: () = "seam.resize_all", "update things set size = size + $1";
    ENDLESS: (i64,) = "seam.endless",
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < $1) select count(*) from n";
    FLOOD: () = "seam.flood",
        "with recursive n (i) as (select cast(1 as bigint) union all select i + 1 from n where i < $1)
         insert into things (id, name, size) select i + 9, cast(i as text), 1 from n";
    HOLD: () = "seam.hold", "select pg_advisory_xact_lock($1)";
    WAITING: (bool,) = "seam.waiting",
        "select count(*) > 0 from pg_locks l where l.locktype = 'advisory' and not l.granted
            and l.database = (select oid from pg_database where datname = current_database())";
    WAITED_LONG: (bool,) = "seam.waited_long",
        "select count(*) > 0 from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'
            and clock_timestamp() - a.query_start > interval '300 milliseconds'";
    ENCRYPTED: (bool,) = "seam.encrypted", "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    WHOLE: (i64, String) = "seam.whole", "select * from things where id = $1";
}

/// How long a transaction waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_millis(200);
/// Of a database on PostgreSQL.
const CONNECTIONS: usize = 3;

/// A database with an empty table, and what keeps it there.
struct Place {
    db: Db,
    _folder: tempfile::TempDir,
    _database: Option<Database<'static>>,
}

async fn place_on(engine: Engine) -> Place {
    place_with(engine, Duration::from_secs(14), QUEUE_TIMEOUT).await
}

/// Statements have so long, and so has who waits for their turn.
async fn place_with(engine: Engine, statement_timeout: Duration, queue_timeout: Duration) -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let (options, database) = match engine {
        Engine::Sqlite => {
            let mut options = SqliteOptions::new(folder.path().join("seam.sqlite3"));
            options.queue_timeout = queue_timeout;
            options.statement_timeout = statement_timeout;
            (Options::Sqlite(options), None)
        }
        Engine::Postgres => {
            let database = Postgres::shared().expect("a server").database().expect("a database");
            let mut options = PostgresOptions::new(database.url());
            options.connections = CONNECTIONS;
            options.queue_timeout = queue_timeout;
            options.statement_timeout = statement_timeout;
            (Options::Postgres(options), Some(database))
        }
    };
    let db = Db::open(options, Ambient::default()).expect("a database");
    write(&db, async |tx| tx.run(&CREATE, []).await).await.expect("a table");
    Place { db, _folder: folder, _database: database }
}

async fn place() -> Place {
    place_on(engine()).await
}

async fn write<R: Send + 'static>(
    db: &Db,
    body: impl AsyncFnOnce(&mut WriteTx<'_>) -> Result<R, DbError> + Send + 'static,
) -> Result<R, DbError> {
    db.write(body).await
}

async fn rows(db: &Db) -> Vec<(i64, String, i64)> {
    db.read(async |tx: &mut Tx<'_>| tx.all(&ALL, []).await).await.expect("rows")
}

async fn add(db: &Db, id: i64) -> Result<u64, DbError> {
    write(db, async move |tx| tx.run(&INSERT, args![id, format!("thing {id}"), 1_i64]).await).await
}

#[tokio::test]
async fn a_failed_transaction_leaves_nothing_and_those_beside_it_stand() {
    let place = place().await;
    let running = (0..60).map(|id| {
        let db = place.db.clone();
        async move {
            let outcome = write(&db, async move |tx| {
                tx.run(&INSERT, args![id, format!("thing {id}"), 1_i64]).await?;
                if id % 3 == 0 {
                    // Breaks the rule that a name is given once, after having inserted a row.
                    tx.run(&INSERT, args![id + 1000, format!("thing {id}"), 1_i64]).await?;
                }
                Ok(id)
            })
            .await;
            (id, outcome)
        }
    });
    for (id, outcome) in futures::future::join_all(running).await {
        match outcome {
            Err(error) if error.kind() == &ErrorKind::Unavailable => panic!("{id}: {error}"),
            outcome => assert_eq!(outcome.is_err(), id % 3 == 0, "{id}: {outcome:?}"),
        }
    }
    let ids: Vec<i64> = rows(&place.db).await.into_iter().map(|(id, ..)| id).collect();
    assert_eq!(ids, (0..60).filter(|id| id % 3 != 0).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_broken_rule_has_the_same_name_on_both_engines() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![2_i64, "thing 1", 1_i64])
            .await
            .on_conflict("things_name_key", || DbError::clone(&too_late()))
            .map(drop)
    })
    .await;
    assert_eq!(outcome.expect_err("it is taken").to_string(), too_late().to_string());
    let twice = add(&place.db, 1).await.expect_err("the id is taken");
    assert!(matches!(twice.kind(), ErrorKind::Constraint { .. }), "{twice}");
    assert_eq!(twice.statement(), Some("seam.insert"));
}

/// An error to be recognised by.
fn too_late() -> DbError {
    chatwarden_db::DbError::refused("taken")
}

#[tokio::test]
async fn a_panic_is_one_callers_failure() {
    let place = place().await;
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![1_i64, "thing", 1_i64]).await?;
        assert!(tx.now().micros() < 0, "a bug in a closure");
        Ok(())
    })
    .await;
    assert_eq!(outcome.expect_err("it panicked").kind(), &ErrorKind::Bug);
    assert_eq!(rows(&place.db).await, []);
    let read = place
        .db
        .read(async |tx: &mut Tx<'_>| {
            assert!(tx.now().micros() < 0, "a bug in a closure");
            Ok::<_, DbError>(())
        })
        .await;
    assert_eq!(read.expect_err("it panicked").kind(), &ErrorKind::Bug);
    add(&place.db, 2).await.expect("the writer goes on");
}

#[tokio::test]
async fn waiting_for_anything_else_inside_a_transaction_is_a_bug_that_shows_on_sqlite() {
    let place = place_on(Engine::Sqlite).await;
    let outcome = write(&place.db, async |tx| {
        tx.run(&INSERT, args![1_i64, "thing", 1_i64]).await?;
        tokio::task::yield_now().await;
        Ok(())
    })
    .await;
    let error = outcome.expect_err("it waited");
    assert_eq!(error.kind(), &ErrorKind::Bug);
    assert!(error.to_string().contains("waited"), "{error}");
    assert_eq!(rows(&place.db).await, []);
}

#[tokio::test]
async fn after_a_failed_statement_nothing_more_is_done() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        let _ = tx.run(&INSERT, args![1_i64, "again", 1_i64]).await;
        tx.run(&INSERT, args![2_i64, "other", 1_i64]).await
    })
    .await;
    assert_eq!(outcome.expect_err("it failed before").kind(), &ErrorKind::Bug);
    let swallowed = write(&place.db, async |tx| {
        let _ = tx.run(&INSERT, args![1_i64, "again", 1_i64]).await;
        Ok(())
    })
    .await;
    assert!(swallowed.is_err(), "a swallowed failure must not look like a success");
    assert_eq!(rows(&place.db).await.len(), 1);
}

/// Numbers collected besides the rows.
#[derive(Default)]
struct Collected(Vec<i64>);

impl Buffered for Collected {
    fn mark(&self) -> usize {
        self.0.len()
    }
    fn rewind(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}

#[tokio::test]
async fn a_savepoint_undoes_rows_callbacks_and_what_was_collected() {
    let place = place().await;
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    let collected = write(&place.db, async move |tx| {
        let count = |tx: &mut WriteTx<'_>, by: usize| {
            let called = counted.clone();
            tx.after_commit(move || {
                called.fetch_add(by, Ordering::SeqCst);
            });
        };
        tx.run(&INSERT, args![1_i64, "kept", 1_i64]).await?;
        tx.local::<Collected>().0.push(1);
        count(tx, 1);
        let inner = tx
            .savepoint(async |tx: &mut WriteTx<'_>| {
                tx.run(&INSERT, args![2_i64, "undone", 1_i64]).await?;
                tx.local::<Collected>().0.push(2);
                count(tx, 10);
                tx.run(&INSERT, args![3_i64, "kept", 1_i64]).await
            })
            .await;
        assert!(inner.is_err());
        tx.savepoint(async |tx: &mut WriteTx<'_>| {
            tx.local::<Collected>().0.push(4);
            count(tx, 100);
            tx.run(&INSERT, args![4_i64, "inner", 1_i64]).await
        })
        .await?;
        Ok(tx.local::<Collected>().0.clone())
    })
    .await
    .expect("the outer transaction stands");
    assert_eq!(collected, [1, 4]);
    assert_eq!(called.load(Ordering::SeqCst), 101);
    assert_eq!(rows(&place.db).await.iter().map(|(id, ..)| *id).collect::<Vec<_>>(), [1, 4]);
}

#[tokio::test]
async fn callbacks_of_a_failed_transaction_are_not_called() {
    let place = place().await;
    let called = Arc::new(AtomicUsize::new(0));
    let counted = called.clone();
    let outcome: Result<(), DbError> = write(&place.db, async move |tx| {
        tx.after_commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        tx.run(&INSERT, args![1_i64, "a\0b", 1_i64]).await.map(drop)
    })
    .await;
    assert_eq!(outcome.expect_err("a NUL").kind(), &ErrorKind::Value);
    assert_eq!(called.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_plan_that_went_stale_is_prepared_again() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let find =
        async |db: &Db| db.read(async |tx: &mut Tx<'_>| tx.one(&WHOLE, args![1_i64]).await).await;
    for _ in 0..4 {
        find(&place.db).await.expect("a row");
    }
    write(&place.db, async |tx| tx.run(&WIDEN, []).await).await.expect("the table changes");
    for _ in 0..4 {
        assert_eq!(find(&place.db).await.expect("a row").1, "thing 1");
        add(&place.db, 10).await.map_or_else(drop, drop);
    }
}

#[tokio::test]
async fn lists_are_bound_and_rows_streamed() {
    let place = place().await;
    write(&place.db, async |tx| {
        for id in 0..1000_i64 {
            tx.run(&INSERT, args![id, format!("thing {id}"), id]).await?;
        }
        Ok(())
    })
    .await
    .expect("rows");
    let some = place
        .db
        .read(async |tx: &mut Tx<'_>| tx.all(&SOME, args![vec![3_i64, 5, 2000]]).await)
        .await
        .expect("rows");
    assert_eq!(some, [(3,), (5,)]);
    let none =
        place.db.read(async |tx: &mut Tx<'_>| tx.all(&SOME, args![Vec::<i64>::new()]).await).await;
    assert_eq!(none.expect("no rows"), []);
    let streamed: Vec<_> = place.db.stream(&ALL, &[]).try_collect().await.expect("a stream");
    assert_eq!(streamed.len(), 1000);
    let first: Vec<_> = {
        use futures::StreamExt as _;
        place.db.stream(&ALL, &[]).take(3).try_collect().await.expect("a stream that is left early")
    };
    assert_eq!(first.len(), 3);
}

#[tokio::test]
async fn a_savepoint_that_went_on_after_a_failure_is_not_called_done() {
    let place = place().await;
    add(&place.db, 1).await.expect("a row");
    let outcome = write(&place.db, async |tx| {
        tx.savepoint(async |tx| {
            tx.run(&INSERT, args![2_i64, "kept?", 0_i64]).await?;
            let _ = tx.run(&INSERT, args![1_i64, "taken", 0_i64]).await;
            Ok::<_, DbError>(())
        })
        .await
    })
    .await;
    assert_eq!(*outcome.expect_err("it was undone").kind(), ErrorKind::Bug);
    assert_eq!(rows(&place.db).await.len(), 1);
}

#[tokio::test]
async fn usage_counts_what_was_fetched_and_what_was_changed() {
    let place = place().await;
    let scope = UsageScope::default();
    chatwarden_db::usage_scope(scope.clone(), async {
        for id in 1..=3 {
            add(&place.db, id).await.expect("a row");
        }
        write(&place.db, async |tx| tx.run(&RESIZE_ALL, args![1_i64]).await).await.expect("rows");
        rows(&place.db).await;
    })
    .await;
    let used = scope.usage();
    assert_eq!((used.statements, used.rows), (5, 3 + 3 + 3), "{used:?}");
}
