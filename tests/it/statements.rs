//! What replaces compile-time checking of SQL: every statement, on both engines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chatwarden_db::{
    Ambient, AnyStatement, ColumnType, Db, Engine, Options, PostgresOptions, SqliteOptions,
    describe, migrate, schema,
};
use chatwarden_testkit::golden;
use chatwarden_testkit::services::Postgres;
use regex::Regex;

/// More forks than this, and one text for both engines was a mistake
/// (docs/decisions/0001-one-sql-text-two-drivers.md).
const FORKS: usize = 20;

fn all() -> Vec<&'static AnyStatement> {
    let mut all = chatwarden_core::statements();
    all.extend(chatwarden_jobs::statements());
    all
}

/// A fresh migrated database of each engine.
struct Both {
    sqlite: Db,
    postgres: Db,
    _folder: tempfile::TempDir,
    _database: chatwarden_testkit::services::Database<'static>,
}

async fn both() -> Both {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("statements.sqlite3");
    let sqlite = Db::open(Options::Sqlite(SqliteOptions::new(path)), Ambient::default())
        .expect("a database");
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let postgres =
        Db::open(Options::Postgres(PostgresOptions::new(database.url())), Ambient::default())
            .expect("a database");
    for db in [&sqlite, &postgres] {
        migrate(db).await.expect("migrations apply");
    }
    Both { sqlite, postgres, _folder: folder, _database: database }
}

#[tokio::test]
async fn every_statement_is_what_it_declares_on_both_engines() {
    let both = both().await;
    let mut faults = Vec::new();
    for statement in all() {
        let mut parameters = BTreeMap::new();
        for db in [&both.sqlite, &both.postgres] {
            let engine = db.engine();
            let name = statement.name();
            let described = match describe(db, statement).await {
                Ok(described) => described,
                Err(error) => {
                    faults.push(format!("{name} on {engine:?}: {error}"));
                    continue;
                }
            };
            parameters.insert(format!("{engine:?}"), described.parameters);
            let declared = statement.columns();
            if described.columns.len() != declared.len() {
                faults.push(format!(
                    "{name} on {engine:?}: {} columns, its row declares {}",
                    described.columns.len(),
                    declared.len()
                ));
                continue;
            }
            for foreign in described.foreign_types {
                faults.push(format!("{name} on {engine:?}: {foreign} is no type of ours"));
            }
            for ((column, found), (wanted, _)) in described.columns.iter().zip(declared) {
                let Some(found) = found else { continue };
                // SQLite keeps truth values as integers and documents as texts.
                let same = match (engine, wanted) {
                    (Engine::Sqlite, ColumnType::Bool) => *found == ColumnType::Int,
                    (Engine::Sqlite, ColumnType::Json) => *found == ColumnType::Text,
                    _ => found == wanted,
                };
                if !same {
                    faults.push(format!(
                        "{name} on {engine:?}: {column} is {found:?}, declared {wanted:?}"
                    ));
                }
            }
        }
        let counts: BTreeSet<_> = parameters.values().collect();
        if counts.len() > 1 {
            faults.push(format!(
                "{}: the engines take different parameters: {parameters:?}",
                statement.name()
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn names_say_feature_and_verb_and_are_each_given_once() {
    let form = Regex::new("^[a-z_]+\\.[a-z0-9_]+$").expect("a pattern");
    let mut seen = BTreeSet::new();
    for statement in all() {
        assert!(form.is_match(statement.name()), "{} is no `feature.verb`", statement.name());
        assert!(seen.insert(statement.name()), "{} is declared twice", statement.name());
    }
}

/// Tables whose `account_id` says whom a row is for, not whose it is: workers and relays serve all.
const INFRASTRUCTURE: [&str; 2] = ["jobs", "outbox"];

/// The statements that look at a tenant's table without saying which tenant's, by name, with the table.
fn unscoped(tenant_tables: &BTreeSet<String>) -> Vec<(String, String)> {
    let places =
        Regex::new(r"(?i)\b(from|join|update|into)\s+([a-z_]+)(?:\s+(?:as\s+)?([a-z_]+))?")
            .expect("a pattern");
    let keywords = [
        "set", "where", "on", "left", "join", "values", "order", "group", "select", "limit", "as",
        "using", "inner",
    ];
    let mut out = Vec::new();
    for statement in all() {
        let text = statement.text(Engine::Postgres);
        for place in places.captures_iter(text) {
            let (verb, table) = (place[1].to_lowercase(), place[2].to_lowercase());
            if !tenant_tables.contains(&table) {
                continue;
            }
            let alias = place
                .get(3)
                .map(|m| m.as_str())
                .filter(|a| !keywords.contains(&a.to_lowercase().as_str()));
            let said = if verb == "into" {
                // The column list of an insert comes right after the table.
                text.split_once(&format!("into {table}")).is_some_and(|(_, rest)| {
                    rest.split_once(')').is_some_and(|(columns, _)| columns.contains("account_id"))
                })
            } else {
                let pattern = match alias {
                    Some(alias) => format!(r"\b{alias}\.account_id\s*=|=\s*{alias}\.account_id\b"),
                    None => r"(^|[^.\w])account_id\s*=".to_owned(),
                };
                Regex::new(&pattern).expect("a pattern").is_match(text)
            };
            if !said {
                out.push((statement.name().to_owned(), table));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}

#[tokio::test]
async fn reference_of_statements_that_cross_tenants() {
    let both = both().await;
    let columns = schema(&both.postgres).await.expect("a schema");
    let tenant_tables: BTreeSet<String> = columns
        .iter()
        .filter(|c| {
            c.column == "account_id" && !c.nullable && !INFRASTRUCTURE.contains(&c.table.as_str())
        })
        .map(|c| c.table.clone())
        .collect();
    assert!(
        tenant_tables.contains("conversations"),
        "the tables of tenants are known: {tenant_tables:?}"
    );
    let mut out = String::from(
        "Statements that name a tenant's table without constraining its account_id. Each is a way to find out\n\
         which tenant it is (a token, an address, a person's own rows), or serves all tenants; a new line here\n\
         wants a reason in the comment of its statement.\n\n",
    );
    for (name, table) in unscoped(&tenant_tables) {
        let _ = writeln!(out, "{name:44} {table}");
    }
    golden("docs/reference/cross-tenant-statements.txt", &out);
}

#[test]
fn reference_of_forks_between_the_engines() {
    let forks: Vec<&str> = {
        let mut names: Vec<&str> =
            all().into_iter().filter(|s| s.is_fork()).map(AnyStatement::name).collect();
        names.sort_unstable();
        names
    };
    assert!(forks.len() < FORKS, "{} forks: {forks:?}", forks.len());
    let mut out =
        format!("{} of {} statements differ between the engines:\n\n", forks.len(), all().len());
    for name in forks {
        let _ = writeln!(out, "{name}");
    }
    golden("docs/reference/forks.txt", &out);
}
