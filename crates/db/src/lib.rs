//! The seam between the product and its database.
//!
//! SQL is written once, in the dialect that SQLite and PostgreSQL share, as named [`Statement`]s
//! with a declared row type. A transaction is an async closure over a [`Tx`] or a [`WriteTx`]:
//!
//! ```ignore
//! let label = db.write(async move |tx| labels::create(tx, &scope, &new).await).await?;
//! ```
//!
//! On SQLite the closure is shipped to the one writer thread and polled there: statements complete
//! at once, so the whole transaction is one hop, and waiting for anything else inside is an error.
//! The writer commits up to 32 closures together, each under a savepoint of its own. On PostgreSQL
//! the closure runs on the caller's task over a pooled connection.
//!
//! This crate knows nothing of what any table means.

mod ambient;
mod check;
mod checkpoints;
mod composed;
mod db;
mod error;
mod migrate;
mod pool;
mod postgres;
mod row;
mod sqlite;
mod statement;
mod tls;
mod tx;
mod usage;
mod value;

pub use ambient::{Ambient, Clock, Entropy, SystemClock, SystemEntropy, Timestamp};
pub use check::{Described, Explained, SchemaColumn, describe, explain, plan, schema};
pub use composed::Composed;
pub use db::{Db, Engine, Load, Options, PostgresOptions, Pressure, SqliteOptions, Standing};
pub use error::{DbError, ErrorKind, OnConflict};
pub use migrate::{Applied, MIGRATIONS, Migration, migrate, migration_status};
pub use row::{Cell, Column, ColumnType, FromRow, Presence, Row, joined_columns};
pub use statement::{AnyStatement, Sql, Statement};
pub use tx::{Buffered, Tx, WriteTx};
pub use usage::{Usage, UsageScope, usage_scope};
pub use value::{Args, Json, ToValue, Value};

/// The seam's own statements, for the checks that walk them all.
pub fn statements() -> Vec<&'static AnyStatement> {
    db::STATEMENTS.to_vec()
}
