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

/// Every statement.
pub fn all() -> Vec<&'static AnyStatement> {
    let mut all = chatwarden_core::statements();
    all.extend(chatwarden_jobs::statements());
    all.extend(chatwarden_db::statements());
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
    let columns = schema(&both.postgres).await.expect("a schema");
    let nullable: BTreeSet<(&str, &str)> = columns
        .iter()
        .filter(|c| c.nullable)
        .map(|c| (c.table.as_str(), c.column.as_str()))
        .collect();
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
            let text = statement.text(engine);
            for ((column, origin), (_, may_be_null)) in
                described.columns.iter().zip(&described.origins).zip(declared)
            {
                let Some((table, of)) = origin else { continue };
                let is_null = nullable.contains(&(table.as_str(), of.as_str()));
                let excluded = NOT_NULL_HERE.contains(&(name, of.as_str()));
                if (is_null || is_outer(text, table)) && !may_be_null && !excluded {
                    faults.push(format!(
                        "{name} on {engine:?}: {} may be null, declared otherwise",
                        column.0
                    ));
                }
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

/// Columns that may be null, in statements that only see rows in which they are not.
const NOT_NULL_HERE: [(&str, &str); 0] = [];

/// A table that a statement names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub table: String,
    /// What its columns are called by: its alias, or else its own name.
    pub name: String,
    /// Whether rows without a partner in it are kept.
    outer: bool,
    inserted: bool,
}

/// The tables that a text names.
pub fn places(text: &str) -> Vec<Place> {
    let word = Regex::new(r"[a-z_0-9.$]+|[(),]").expect("a pattern");
    let text = text.to_lowercase();
    let words: Vec<&str> = word.find_iter(&text).map(|found| found.as_str()).collect();
    let at = |index: usize| words.get(index).copied().unwrap_or_default();
    let no_names = [
        "",
        "(",
        ")",
        ",",
        "select",
        "set",
        "where",
        "on",
        "left",
        "join",
        "values",
        "order",
        "group",
        "limit",
        "as",
        "using",
        "inner",
        "cross",
        "for",
        "union",
        "having",
        "returning",
        "offset",
        "lateral",
        "of",
    ];
    let mut out = Vec::new();
    for (index, verb) in words.iter().enumerate() {
        let before = if index == 0 { "" } else { at(index - 1) };
        // `for update of`, `is distinct from`
        if !["from", "join", "update", "into"].contains(verb)
            || ["for", "distinct"].contains(&before)
        {
            continue;
        }
        let table = at(index + 1);
        if no_names.contains(&table) {
            continue;
        }
        let alias = if at(index + 2) == "as" { at(index + 3) } else { at(index + 2) };
        let name = if no_names.contains(&alias) { table } else { alias };
        out.push(Place {
            table: table.to_owned(),
            name: name.to_owned(),
            outer: before == "left" || (before == "outer" && at(index.saturating_sub(2)) == "left"),
            inserted: *verb == "into",
        });
    }
    out
}

/// Whether a table is only joined in where it has a partner: then all its columns may be null.
fn is_outer(text: &str, table: &str) -> bool {
    let mut named = places(text).into_iter().filter(|place| place.table == table).peekable();
    named.peek().is_some() && named.all(|place| place.outer)
}

/// The names in a text whose account is the one bound to `$1`: by themselves, or as another's that is.
fn bound(text: &str, places: &[Place]) -> BTreeSet<String> {
    let equal = Regex::new(
        r"(?i)(?:\b([a-z_0-9]+)\.)?\b(account_id|id)\s*=\s*(?:(\$1)(?:\D|$)|(?:([a-z_0-9]+)\.)?(account_id|id)\b)",
    )
    .expect("a pattern");
    // A column without a table's name is of the one table that has no alias, as far as we can tell.
    let bare: Vec<&Place> = places.iter().filter(|place| place.name == place.table).collect();
    let owners = |name: Option<regex::Match<'_>>, column: &str| -> Vec<String> {
        let candidates: Vec<&Place> = match name {
            Some(name) => {
                places.iter().filter(|p| p.name.eq_ignore_ascii_case(name.as_str())).collect()
            }
            None => bare.clone(),
        };
        // An account's own id is its `account_id`; another row's id says nothing.
        let fits = |place: &&Place| column == "account_id" || place.table == "accounts";
        candidates.into_iter().filter(fits).map(|place| place.name.clone()).collect()
    };
    let (mut known, mut edges) = (BTreeSet::new(), Vec::new());
    for found in equal.captures_iter(text) {
        let left = owners(found.get(1), &found[2].to_lowercase());
        if found.get(3).is_some() {
            known.extend(left);
        } else {
            edges.push((left, owners(found.get(4), &found[5].to_lowercase())));
        }
    }
    loop {
        let before = known.len();
        for (left, right) in &edges {
            if left.iter().chain(right).any(|name| known.contains(name)) {
                known.extend(left.iter().chain(right).cloned());
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

/// Whether an insert puts `$1`, or what a bound row has, into `account_id`.
fn inserts_bound(text: &str, table: &str, known: &BTreeSet<String>) -> bool {
    let Some((_, rest)) = text.split_once(&format!("into {table}")) else { return false };
    let Some((columns, rest)) = rest.trim_start().trim_start_matches('(').split_once(')') else {
        return false;
    };
    let Some(place) = columns.split(',').position(|column| column.trim() == "account_id") else {
        return false;
    };
    let rest = rest.trim_start();
    let values = rest.strip_prefix("values").map(|rest| rest.trim_start().trim_start_matches('('));
    let values = values.or_else(|| rest.strip_prefix("select ")).unwrap_or(rest);
    let value = values.split(',').nth(place).unwrap_or_default().trim();
    let value = value.trim_end_matches(')').trim();
    value == "$1"
        || value.starts_with("cast($1 ")
        || value.split_once('.').is_some_and(|(name, column)| {
            known.contains(name) && ["account_id", "id"].contains(&column)
        })
        || (value == "account_id" && !known.is_empty())
}

/// The statements that look at a tenant's table without binding it to the tenant that `$1` is, by name, with
/// the table.
fn unscoped(tenant_tables: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut out = Vec::new();
    for statement in all() {
        let text = statement.text(Engine::Postgres);
        let places = places(text);
        let known = bound(text, &places);
        for place in places.iter().filter(|place| tenant_tables.contains(&place.table)) {
            let said = if place.inserted {
                inserts_bound(text, &place.table, &known)
            } else {
                known.contains(&place.name)
            };
            if !said {
                out.push((statement.name().to_owned(), place.table.clone()));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}

#[test]
fn a_tenant_that_is_not_bound_is_found_out() {
    let check = |text: &str, expected: &[&str]| {
        let places = places(text);
        let known = bound(text, &places);
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(known, expected, "{text}");
    };
    check("select 1 from labels where account_id = $1 and id = $2", &["labels"]);
    check("select 1 from labels where account_id = $12", &[]);
    check("select 1 from labels l where l.account_id = l.account_id", &[]);
    check("select 1 from labels l where l.id = $1", &[]);
    check(
        "select 1 from labels l join teams t on t.account_id = l.account_id where l.account_id = $1",
        &["l", "t"],
    );
    check(
        "select 1 from labels l join teams t on t.account_id = l.account_id where t.id = $1",
        &[],
    );
    check(
        "select 1 from labels l join accounts a on a.id = l.account_id where a.id = $1",
        &["a", "l"],
    );
    let all = BTreeSet::new();
    assert!(inserts_bound(
        "insert into labels (account_id, title) values ($1, $2)",
        "labels",
        &all
    ));
    assert!(!inserts_bound(
        "insert into labels (title, account_id) values ($1, $2)",
        "labels",
        &all
    ));
    assert!(is_outer("select x from a left join users u on u.id = a.id", "users"));
    assert!(!is_outer("select x from users left join users u on u.id = a.id", "users"));
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
        "Statements that name a tenant's table without binding its account_id to their first value. Each is a way to find out\n\
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
    println!("{} of {} statements differ between the engines", forks.len(), all().len());
    assert!(forks.len() < FORKS, "{} forks: {forks:?}", forks.len());
    let mut out =
        format!("{} of {} statements differ between the engines:\n\n", forks.len(), all().len());
    for name in forks {
        let _ = writeln!(out, "{name}");
    }
    golden("docs/reference/forks.txt", &out);
}
