//! What replaces compile-time checking of SQL: how both engines describe a statement, plan it, and
//! what their schemas are. For tests; nothing here runs in a server.

use crate::{AnyStatement, ColumnType, Db, DbError, Engine, Value};

/// How an engine describes a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Parameters it takes.
    pub parameters: usize,
    /// Result columns: name, and type where the engine knows it (SQLite: columns of tables only).
    pub columns: Vec<(String, Option<ColumnType>)>,
    /// Column types that the seam does not decode, by the engine's name.
    pub foreign_types: Vec<String>,
    /// For each result column the table and the column it is taken from as it is.
    pub origins: Vec<Option<(String, String)>>,
}

/// A plan, one line a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained(pub Vec<String>);

/// A column of the schema, in words common to both engines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaColumn {
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
    /// `integer`, `boolean`, `float`, `text`, `json` or `bytes`; SQLite knows no booleans and no JSON.
    pub of: String,
    /// Whether it may be null.
    pub nullable: bool,
}

/// Prepares `statement` and tells what the engine makes of it.
///
/// # Errors
/// What the engine has against it.
pub async fn describe(db: &Db, statement: &AnyStatement) -> Result<Described, DbError> {
    let text = statement.text(db.engine());
    if let Some(conn) = db.detached() {
        let conn = conn?;
        let prepared = conn.prepare(text)?;
        let columns = prepared
            .columns()
            .map(|c| {
                let of = c.decl_type().map(str::to_ascii_lowercase);
                let of = match of.as_deref() {
                    Some("integer" | "int" | "bigint") => Some(ColumnType::Int),
                    Some("real") => Some(ColumnType::Float),
                    Some("text") => Some(ColumnType::Text),
                    Some("blob") => Some(ColumnType::Bytes),
                    _ => None,
                };
                (c.name().to_owned(), of)
            })
            .collect();
        let origins = prepared
            .columns_with_metadata()
            .map(|c| Some((c.table_name()?.to_owned(), c.origin_name()?.to_owned())))
            .collect();
        return Ok(Described {
            parameters: prepared.parameter_count(),
            columns,
            foreign_types: Vec::new(),
            origins,
        });
    }
    let Some(session) = db.session().await else { return Err(DbError::bug("no engine")) };
    let session = session?;
    let prepared = session.raw()?.prepare(text).await?;
    let mut foreign_types = Vec::new();
    let columns = prepared
        .columns()
        .iter()
        .map(|c| {
            let of = match c.type_().name() {
                "int8" => Some(ColumnType::Int),
                "bool" => Some(ColumnType::Bool),
                "float8" => Some(ColumnType::Float),
                "text" => Some(ColumnType::Text),
                "jsonb" => Some(ColumnType::Json),
                "bytea" => Some(ColumnType::Bytes),
                other => {
                    foreign_types.push(format!("{}: {other}", c.name()));
                    None
                }
            };
            (c.name().to_owned(), of)
        })
        .collect();
    let mut origins = Vec::new();
    for column in prepared.columns() {
        let origin = match (column.table_oid(), column.column_id()) {
            (Some(table), Some(number)) => {
                let found = session
                    .raw()?
                    .query_opt(
                        "select c.relname::text, a.attname::text from pg_attribute a
                         join pg_class c on c.oid = a.attrelid where a.attrelid = $1 and a.attnum = $2",
                        &[&table, &number],
                    )
                    .await?;
                found.map(|row| (row.get(0), row.get(1)))
            }
            _ => None,
        };
        origins.push(origin);
    }
    Ok(Described { parameters: prepared.params().len(), columns, foreign_types, origins })
}

/// The plan of `statement` for whatever values, where no table is so small that to walk it is best.
///
/// # Errors
/// What the engine has against it.
pub async fn plan(db: &Db, statement: &AnyStatement) -> Result<Explained, DbError> {
    if let Some(conn) = db.detached() {
        let conn = conn?;
        let parameters = conn.prepare(statement.text(Engine::Sqlite))?.parameter_count();
        return explain(db, statement, &vec![Value::Null; parameters]).await;
    }
    let Some(session) = db.session().await else { return Err(DbError::bug("no engine")) };
    let session = session?;
    let client = session.raw()?;
    let text = statement.text(Engine::Postgres);
    client
        .batch_execute(&format!(
            "set enable_seqscan = off; set plan_cache_mode = force_generic_plan; prepare planned as {text}"
        ))
        .await?;
    let count = client.prepare(text).await?.params().len();
    let values =
        if count == 0 { String::new() } else { format!("({})", vec!["null"; count].join(", ")) };
    let steps = client.simple_query(&format!("explain execute planned{values}")).await;
    client.batch_execute("deallocate planned; reset enable_seqscan; reset plan_cache_mode").await?;
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Ok(Explained(steps?.iter().filter_map(line).collect()))
}

/// The plan of `statement` for `args`.
///
/// # Errors
/// What the engine has against it.
pub async fn explain(
    db: &Db,
    statement: &AnyStatement,
    args: &[Value],
) -> Result<Explained, DbError> {
    let text = statement.text(db.engine());
    if let Some(conn) = db.detached() {
        let conn = conn?;
        let mut prepared = conn.prepare(&format!("explain query plan {text}"))?;
        let lines =
            prepared.query_map(rusqlite::params_from_iter(args), |row| row.get::<_, String>(3))?;
        return Ok(Explained(lines.collect::<Result<_, _>>()?));
    }
    let Some(session) = db.session().await else { return Err(DbError::bug("no engine")) };
    let session = session?;
    let client = session.raw()?;
    // Small tables are always scanned; what matters is whether an index could serve.
    client.batch_execute("begin; set local enable_seqscan = off").await?;
    let rows = client
        .query_typed(
            &format!("explain {text}"),
            &args
                .iter()
                .map(|v| (v as &(dyn tokio_postgres::types::ToSql + Sync), v.postgres_type()))
                .collect::<Vec<_>>(),
        )
        .await;
    client.batch_execute("rollback").await?;
    Ok(Explained(rows?.iter().map(|row| row.get(0)).collect()))
}

/// The columns of all tables, sorted.
///
/// # Errors
/// Where the database doesn't answer.
pub async fn schema(db: &Db) -> Result<Vec<SchemaColumn>, DbError> {
    let mut out = Vec::new();
    if let Some(conn) = db.detached() {
        let conn = conn?;
        let mut prepared = conn.prepare(
            "select t.name, c.name, lower(c.type), c.\"notnull\" = 0 and c.pk = 0
             from sqlite_master t join pragma_table_info(t.name) c
             where t.type = 'table' and t.name not like 'sqlite_%'",
        )?;
        let rows = prepared.query_map([], |row| {
            Ok(SchemaColumn {
                table: row.get(0)?,
                column: row.get(1)?,
                of: row.get(2)?,
                nullable: row.get(3)?,
            })
        })?;
        for row in rows {
            let mut column = row?;
            column.of = match column.of.as_str() {
                "integer" | "bigint" => "integer",
                "real" => "float",
                "blob" => "bytes",
                other => other,
            }
            .to_owned();
            out.push(column);
        }
    } else if let Some(session) = db.session().await {
        let session = session?;
        let rows = session
            .raw()?
            .query(
                "select table_name::text, column_name::text, data_type::text, is_nullable = 'YES'
                 from information_schema.columns where table_schema = current_schema()",
                &[],
            )
            .await?;
        out.extend(rows.iter().map(|row| {
            let of: String = row.get(2);
            let of = match of.as_str() {
                "bigint" => "integer",
                "double precision" => "float",
                "jsonb" => "json",
                "bytea" => "bytes",
                other => other,
            };
            SchemaColumn {
                table: row.get(0),
                column: row.get(1),
                of: of.to_owned(),
                nullable: row.get(3),
            }
        }));
    }
    out.sort();
    Ok(out)
}
