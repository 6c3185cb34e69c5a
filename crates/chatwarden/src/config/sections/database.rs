//! The database and Redis.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::config::setting::Fallback::{Absent, Computed, Text};
use crate::config::setting::section;
use crate::config::source::Sources;
use crate::config::value::{DatabaseUrl, RedisUrl, Secret, Timeout, choices};

choices! {
    /// When SQLite waits for the disk.
    pub enum Synchronous {
        /// At each commit: what was acknowledged survives a power cut.
        Full = "full",
        /// At checkpoints: a power cut may take the last commits, never the file.
        Normal = "normal",
    }
}

section! {
    /// The database: a SQLite file, or a PostgreSQL server.
    Database in "database" {
        /// Which database. Several PostgreSQL hosts, separated by commas, are tried until one
        /// takes writes.
        url: DatabaseUrl = "DATABASE_URL", Computed {
            told: "the server of `POSTGRES_HOST` when that is set, else `chatwarden.sqlite3` in `DATA_DIR`",
            rule: database_url,
        }, "postgres://chatwarden:secret@db.example.com/chatwarden?sslmode=require";
        /// Host of the PostgreSQL server; used when `DATABASE_URL` is not set.
        postgres_host: Option<String> = "POSTGRES_HOST", Absent, "db.example.com";
        /// Its port.
        postgres_port: u16 = "POSTGRES_PORT", Text("5432"), "5432";
        /// The role to connect as.
        postgres_username: String = "POSTGRES_USERNAME", Text("postgres"), "chatwarden";
        /// The password of the role.
        postgres_password: Option<Secret> = "POSTGRES_PASSWORD", Absent, "a-long-password";
        /// The database on that server. Not Chatwoot's own: the schema is another.
        postgres_database: String = "POSTGRES_DATABASE", Text("chatwarden"), "chatwarden";
        /// A statement is cancelled after this, on SQLite too.
        statement_timeout: Timeout = "POSTGRES_STATEMENT_TIMEOUT", Text("14s"), "14s";
        /// PostgreSQL connections at most, or SQLite reader threads.
        pool_size: Option<NonZeroUsize> = "DATABASE_POOL_SIZE", Absent, "16";
        /// How long a request waits for the database before it is answered 503 with `Retry-After`.
        queue_timeout: Duration = "DATABASE_QUEUE_TIMEOUT", Text("2s"), "2s";
        /// Statements slower than this are logged by name.
        slow_query: Duration = "DATABASE_SLOW_QUERY", Text("500ms"), "500ms";
        /// Whether statements are prepared; `false` behind a pgbouncer that pools transactions.
        prepare: bool = "DATABASE_PREPARE", Text("true"), "false";
        /// Certificates of the authority that signed the server's, PEM; without it, the system's
        /// authorities are trusted.
        ca_file: Option<PathBuf> = "DATABASE_CA_FILE", Absent, "/etc/ssl/db-ca.pem";
        /// When SQLite waits for the disk.
        sqlite_synchronous: Synchronous = "SQLITE_SYNCHRONOUS", Text("full"), "normal";
        /// Whether `serve` brings the schema up to date before it listens; otherwise it refuses to
        /// start on an older schema, and `chatwarden migrate` is for you to run.
        auto_migrate: bool = "AUTO_MIGRATE", Text("true"), "false";
    }
}

section! {
    /// Redis, for several nodes: the bus between them, presence, shared rate limits.
    Redis in "redis" {
        /// Where Redis is. Without it the server is one node.
        url: Option<RedisUrl> = "REDIS_URL", Absent, "redis://redis.example.com:6379/0";
        /// The password, when the URL has none.
        password: Option<Secret> = "REDIS_PASSWORD", Absent, "a-long-password";
        /// Whether the server is down when Redis is; otherwise it is degraded, with limits per node.
        required: bool = "REDIS_REQUIRED", Text("false"), "true";
    }
}

fn database_url(sources: &Sources) -> Option<String> {
    let Some(host) = sources.text("POSTGRES_HOST") else {
        let dir = sources.text("DATA_DIR").unwrap_or_else(|| "./data".into());
        return Some(format!("sqlite://{}/chatwarden.sqlite3", dir.trim_end_matches('/')));
    };
    let mut url = Url::parse("postgres://localhost/").ok()?;
    let or = |name: &str, default: &str| sources.text(name).unwrap_or_else(|| default.into());
    url.set_host(Some(&host)).ok()?;
    url.set_port(or("POSTGRES_PORT", "5432").parse().ok()).ok()?;
    url.set_username(&or("POSTGRES_USERNAME", "postgres")).ok()?;
    url.set_password(sources.text("POSTGRES_PASSWORD").as_deref()).ok()?;
    url.set_path(&or("POSTGRES_DATABASE", "chatwarden"));
    Some(url.into())
}
