//! The two schemas are one.

use std::fmt::Write as _;

use chatwarden_db::{
    Ambient, Db, MIGRATIONS, Options, PostgresOptions, SqliteOptions, migrate, migration_status,
    schema,
};
use chatwarden_testkit::golden;
use chatwarden_testkit::services::Postgres;

/// What SQLite has no type of its own for.
fn common(of: &str) -> &str {
    match of {
        "boolean" => "integer",
        "json" => "text",
        other => other,
    }
}

#[tokio::test]
async fn reference_of_the_schema_that_both_engines_have() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("schema.sqlite3");
    let sqlite = Db::open(Options::Sqlite(SqliteOptions::new(path)), Ambient::default())
        .expect("a database");
    let database = Postgres::shared().expect("a server").database().expect("a database");
    let postgres =
        Db::open(Options::Postgres(PostgresOptions::new(database.url())), Ambient::default())
            .expect("a database");
    for db in [&sqlite, &postgres] {
        assert_eq!(migrate(db).await.expect("migrations apply").len(), MIGRATIONS.len());
        assert!(
            migrate(db).await.expect("migrations apply").is_empty(),
            "a second time there is nothing to do"
        );
        let status = migration_status(db).await.expect("a status");
        assert!(status.iter().all(|m| m.at.is_some() && m.unchanged), "{status:?}");
    }
    let (lite, full) =
        (schema(&sqlite).await.expect("a schema"), schema(&postgres).await.expect("a schema"));
    let shape = |columns: &[chatwarden_db::SchemaColumn]| -> Vec<String> {
        columns
            .iter()
            .map(|c| {
                format!(
                    "{}.{} {}{}",
                    c.table,
                    c.column,
                    common(&c.of),
                    if c.nullable { " null" } else { "" }
                )
            })
            .collect()
    };
    let (lite_shape, full_shape) = (shape(&lite), shape(&full));
    let only = |a: &[String], b: &[String]| {
        a.iter().filter(|c| !b.contains(c)).cloned().collect::<Vec<_>>()
    };
    assert_eq!(only(&lite_shape, &full_shape), Vec::<String>::new(), "only SQLite has");
    assert_eq!(only(&full_shape, &lite_shape), Vec::<String>::new(), "only PostgreSQL has");

    let mut out = String::from("The tables of a database, as PostgreSQL names their types.\n");
    let mut table = "";
    for column in &full {
        if column.table != table {
            table = &column.table;
            let _ = writeln!(out, "\n{table}");
        }
        let _ = writeln!(
            out,
            "  {:28} {}{}",
            column.column,
            column.of,
            if column.nullable { " null" } else { "" }
        );
    }
    golden("docs/reference/schema.txt", &out);
}
