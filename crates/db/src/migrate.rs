//! Migrations: embedded, numbered, checked; both engines have the same numbers and names.

use sha2::{Digest as _, Sha256};

use crate::{Db, DbError, Engine, Timestamp};

/// A migration, in the words of both engines.
#[derive(Debug)]
pub struct Migration {
    /// `NNNN_name`.
    pub name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($name:literal),* $(,)?) => {
        &[$(Migration {
            name: $name,
            sqlite: include_str!(concat!("../../../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../../../migrations/postgres/", $name, ".sql")),
        }),*]
    };
}

/// All migrations, oldest first.
pub static MIGRATIONS: &[Migration] = migrations![
    "0001_jobs_and_outbox",
    "0002_support_desk",
    "0010_identity",
    "0011_second_factors",
    "0020_labels_and_teams",
    "0021_contact_extras",
    "0022_dashboard_apps",
    "0025_channel_addresses",
    "0026_assignment",
    "0030_conversation_threads",
    "0031_conversation_lists",
    "0032_conversation_counts",
    "0035_notifications",
    "0060_files",
    "0061_people_referred_to",
    "0062_fold",
    "0063_answers",
    "0065_reply_windows",
    "0066_shorter_walks",
    "0067_waiting",
    "0068_identified",
    "0075_absorbed",
];

/// A migration that a database has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// `NNNN_name`.
    pub name: String,
    /// When it was applied; `None` while it is pending.
    pub at: Option<Timestamp>,
    /// Whether the text it was applied with is the one of this server.
    pub unchanged: bool,
}

impl Migration {
    /// The text for `engine`.
    pub fn text(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }

    fn checksum(&self, engine: Engine) -> String {
        let digest = Sha256::digest(self.text(engine).as_bytes());
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

const LEDGER: &str = "create table if not exists schema_migrations \
    (name text primary key, checksum text not null, applied_at bigint not null)";
/// Any number does, as long as it is the same for all servers.
const LOCK: &str = "select pg_advisory_xact_lock(7241994)";

/// What has been applied and what is pending.
///
/// # Errors
/// Where the database doesn't answer.
pub async fn migration_status(db: &Db) -> Result<Vec<Applied>, DbError> {
    let engine = db.engine();
    let known = ledger(db).await?;
    let mut out: Vec<Applied> = MIGRATIONS
        .iter()
        .map(|m| {
            let row = known.iter().find(|(name, ..)| name == m.name);
            Applied {
                name: m.name.to_owned(),
                at: row.map(|(.., at)| Timestamp::from_micros(*at)),
                unchanged: row.is_none_or(|(_, checksum, _)| *checksum == m.checksum(engine)),
            }
        })
        .collect();
    // A newer server was here: its migrations stay listed.
    out.extend(known.iter().filter(|(name, ..)| !MIGRATIONS.iter().any(|m| m.name == name)).map(
        |(name, _, at)| Applied {
            name: name.clone(),
            at: Some(Timestamp::from_micros(*at)),
            unchanged: true,
        },
    ));
    Ok(out)
}

async fn ledger(db: &Db) -> Result<Vec<(String, String, i64)>, DbError> {
    const SELECT: &str = "select name, checksum, applied_at from schema_migrations order by name";
    if let Some(conn) = db.detached() {
        let conn = conn?;
        let exists: bool = conn.query_row(
            "select count(*) > 0 from sqlite_master where name = 'schema_migrations'",
            [],
            |row| row.get(0),
        )?;
        if !exists {
            return Ok(Vec::new());
        }
        let mut prepared = conn.prepare(SELECT)?;
        let rows = prepared.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        return Ok(rows.collect::<Result<_, _>>()?);
    }
    let Some(session) = db.session().await else { return Ok(Vec::new()) };
    let session = session?;
    let client = session.raw()?;
    if client
        .query_one("select to_regclass('schema_migrations') is not null", &[])
        .await?
        .get::<_, bool>(0)
    {
        let rows = client.query(SELECT, &[]).await?;
        return Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect());
    }
    Ok(Vec::new())
}

/// Applies what is pending, each migration in a transaction of its own; the names applied.
///
/// Several servers may start at once: one migrates, the others wait and find nothing to do.
///
/// # Errors
/// A migration whose text changed after it was applied; one that fails (it leaves nothing behind).
pub async fn migrate(db: &Db) -> Result<Vec<&'static str>, DbError> {
    let engine = db.engine();
    let now = db.ambient().now().micros();
    let mut applied = Vec::new();
    let changed =
        |name: &str| DbError::bug(format!("migration {name} was changed after it was applied"));
    if engine == Engine::Sqlite {
        for migration in MIGRATIONS {
            if db.migrate_sqlite(
                migration.name,
                migration.text(engine),
                &migration.checksum(engine),
                now,
            )? {
                applied.push(migration.name);
            }
        }
    } else if let Some(session) = db.session().await {
        let mut session = session?;
        for migration in MIGRATIONS {
            session.begin().await?;
            let client = session.raw()?;
            // Requests have limits; an index over a large table, and the wait for the node that builds it, have none.
            client
                .batch_execute("set local statement_timeout = 0; set local lock_timeout = 0")
                .await?;
            client.batch_execute(LOCK).await?;
            client.batch_execute(LEDGER).await?;
            let checksum = migration.checksum(engine);
            let row = client
                .query_opt(
                    "select checksum from schema_migrations where name = $1",
                    &[&migration.name],
                )
                .await?;
            match row {
                Some(row) if row.get::<_, String>(0) != checksum => {
                    return Err(changed(migration.name));
                }
                Some(_) => {}
                None => {
                    client.batch_execute(migration.text(engine)).await?;
                    client
                        .execute(
                            "insert into schema_migrations (name, checksum, applied_at) values ($1, $2, $3)",
                            &[&migration.name, &checksum, &now],
                        )
                        .await?;
                    applied.push(migration.name);
                }
            }
            session.end("commit").await?;
        }
    }
    Ok(applied)
}

impl Db {
    /// Applies one migration where it is missing; whether it did.
    fn migrate_sqlite(
        &self,
        name: &str,
        text: &str,
        checksum: &str,
        now: i64,
    ) -> Result<bool, DbError> {
        let Some(conn) = self.detached() else { return Ok(false) };
        let mut conn = conn?;
        conn.execute_batch("pragma query_only = off; pragma foreign_keys = off")?;
        let tx = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute_batch(LEDGER)?;
        let known: Option<String> = {
            let mut prepared =
                tx.prepare("select checksum from schema_migrations where name = ?1")?;
            let mut rows = prepared.query([name])?;
            rows.next()?.map(|row| row.get(0)).transpose()?
        };
        match known {
            Some(known) if known != checksum => {
                return Err(DbError::bug(format!(
                    "migration {name} was changed after it was applied"
                )));
            }
            Some(_) => return Ok(false),
            None => {}
        }
        tx.execute_batch(text)?;
        tx.execute(
            "insert into schema_migrations (name, checksum, applied_at) values (?1, ?2, ?3)",
            rusqlite::params![name, checksum, now],
        )?;
        tx.commit()?;
        Ok(true)
    }
}
