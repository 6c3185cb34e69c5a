//! No statement walks a large table: how both engines plan every one of them.

use std::collections::BTreeSet;

use chatwarden_db::{
    Ambient, AnyStatement, Db, Engine, Options, PostgresOptions, SqliteOptions, migrate, plan,
    schema,
};
use chatwarden_testkit::services::Postgres;
use regex::Regex;

use crate::statements::{all, places};

/// Tables that grow with use although no account owns their rows.
const LARGE: [&str; 5] = ["access_tokens", "account_users", "accounts", "user_sessions", "users"];

/// Indexes of few rows, whatever the table holds: what waits, runs or died. To walk them is their purpose.
const SMALL: [&str; 3] = ["jobs_dead_idx", "jobs_running_idx", "outbox_waiting_idx"];

/// Statements that walk a whole table and may.
const WALKERS: &[(&str, &str)] = &[
    ("assignment.waited_at", "a schedule asks for all accounts at once"),
    ("conversations.deltas_to_fold", "it stops at the thousandth row"),
    (
        "jobs.depth",
        "each node counts the queues every ten seconds, for its health and the leader for the gauges",
    ),
    ("notifications.excessive", "a schedule counts what all accounts keep"),
    ("setup.anybody", "it stops at the first row"),
    (
        "users.insert",
        "what refers to people is only looked at where a reference is broken just now",
    ),
];

/// The table that a step of a plan walks from end to end.
fn walked(engine: Engine, step: &str, statement: &AnyStatement) -> Option<String> {
    match engine {
        Engine::Sqlite => {
            let name = step.strip_prefix("SCAN ")?.split(' ').next()?;
            if SMALL.iter().any(|index| step.ends_with(index)) {
                return None;
            }
            let text = statement.text(engine);
            let of = places(text).into_iter().find(|place| place.name == name);
            Some(of.map_or_else(|| name.to_owned(), |place| place.table))
        }
        Engine::Postgres => {
            let scan = Regex::new(r"\bSeq Scan on (\w+)").expect("a pattern");
            Some(scan.captures(step)?[1].to_owned())
        }
    }
}

#[tokio::test]
async fn no_statement_walks_a_large_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("explain.sqlite3");
    let sqlite = Db::open(Options::Sqlite(SqliteOptions::new(path)), Ambient::default());
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let options = PostgresOptions::new(database.url());
    let postgres = Db::open(Options::Postgres(options), Ambient::default());
    let mut faults = Vec::new();
    for db in [sqlite.expect("a database"), postgres.expect("a database")] {
        migrate(&db).await.expect("migrations apply");
        let columns = schema(&db).await.expect("a schema");
        let large: BTreeSet<&str> = columns
            .iter()
            .filter(|c| c.column == "account_id")
            .map(|c| c.table.as_str())
            .chain(LARGE)
            .collect();
        for statement in all() {
            let name = statement.name();
            if WALKERS.iter().any(|(walker, _)| *walker == name) {
                continue;
            }
            let steps =
                plan(&db, statement).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            for step in steps.0 {
                let table = walked(db.engine(), step.trim(), statement);
                if table.is_some_and(|table| large.contains(table.as_str())) {
                    faults.push(format!("{name} on {:?}: {}", db.engine(), step.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
