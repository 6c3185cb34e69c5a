//! PostgreSQL: pooled connections, TLS, prepared statements.

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use deadpool_postgres::{
    Hook, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
};
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, RowStream};

use crate::{DbError, PostgresOptions, Value, pool, tls};

/// A leased connection. Dropped in the middle of a transaction, it is closed instead of returned:
/// nobody knows what it was about to do.
pub(crate) struct Session {
    client: Option<Object>,
    prepare: bool,
    state: State,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// No transaction.
    Idle,
    /// Begun, nothing run yet: a stale plan can be prepared again unseen.
    Begun,
    /// In the middle.
    Working,
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.state != State::Idle
            && let Some(client) = self.client.take()
        {
            drop(Object::take(client));
        }
        pool::used(self.since.elapsed());
    }
}

impl Session {
    pub(crate) async fn lease(pool: &Pool, prepare: bool) -> Result<Self, DbError> {
        let began = Instant::now();
        let client = pool.get().await.map_err(|e| match e {
            PoolError::Backend(e) => DbError::from(e),
            other => {
                if matches!(other, PoolError::Timeout(_)) {
                    pool::timed_out();
                }
                DbError::unavailable(other.to_string())
            }
        })?;
        pool::acquired(began.elapsed());
        Ok(Self { client: Some(client), prepare, state: State::Idle, since: Instant::now() })
    }

    /// The connection itself, for migrations and checks.
    pub(crate) fn raw(&self) -> Result<&Object, DbError> {
        self.client.as_ref().ok_or_else(|| DbError::bug("the connection was given back"))
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&mut self) -> Result<(), DbError> {
        self.state = State::Working;
        self.raw()?.batch_execute("begin").await?;
        self.state = State::Begun;
        Ok(())
    }

    /// Ends the transaction with `commit` or `rollback`.
    pub(crate) async fn end(&mut self, how: &'static str) -> Result<(), DbError> {
        self.state = State::Working;
        self.raw()?.batch_execute(how).await?;
        self.state = State::Idle;
        Ok(())
    }

    pub(crate) async fn control(&mut self, text: &'static str) -> Result<(), DbError> {
        self.state = State::Working;
        Ok(self.raw()?.batch_execute(text).await?)
    }

    /// Runs a query. A plan that went stale (a migration changed a table meanwhile) is prepared
    /// again where nothing was done yet; in mid-transaction the caller is asked to come again.
    ///
    /// A text that is not `kept` is planned for its values and forgotten: of such there are many.
    pub(crate) async fn query(
        &mut self,
        text: &str,
        args: &[Value],
        kept: bool,
    ) -> Result<RowStream, DbError> {
        let prepare = self.prepare && kept;
        let before = self.state;
        if before == State::Begun {
            self.state = State::Working;
        }
        match attempt(self.raw()?, prepare, text, args).await {
            Err(error) if is_stale(&error) => {
                self.raw()?.statement_cache.clear();
                match before {
                    State::Idle => {}
                    State::Begun => self.raw()?.batch_execute("rollback; begin").await?,
                    State::Working => {
                        return Err(DbError::unavailable(format!("a plan went stale: {error}")));
                    }
                }
                Ok(attempt(self.raw()?, prepare, text, args).await?)
            }
            other => Ok(other?),
        }
    }
}

async fn attempt(
    client: &Object,
    prepare: bool,
    text: &str,
    args: &[Value],
) -> Result<RowStream, tokio_postgres::Error> {
    if prepare {
        let statement = client.prepare_cached(text).await?;
        client.query_raw(&statement, args).await
    } else {
        client.query_typed_raw(text, args.iter().map(|v| (v, v.postgres_type()))).await
    }
}

/// Whether the server says that a prepared statement no longer fits.
fn is_stale(error: &tokio_postgres::Error) -> bool {
    let Some(db) = error.as_db_error() else { return false };
    *db.code() == SqlState::INVALID_SQL_STATEMENT_NAME
        || (*db.code() == SqlState::FEATURE_NOT_SUPPORTED && db.message().contains("cached plan"))
}

/// A pool for `options`. Connects lazily: a database that is away makes requests fail, not the start.
pub(crate) fn pool(options: &PostgresOptions) -> Result<Pool, DbError> {
    let (url, secured) = tls::of(&options.url, options.root_certificates.as_deref())?;
    let mut config = tokio_postgres::Config::from_str(&url)
        .map_err(|e| DbError::bug(format!("not a PostgreSQL URL: {e}")))?;
    config.application_name("chatwarden");
    config.connect_timeout(Duration::from_secs(2));
    config.keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(10));
    // A failover leaves the old primary reachable: take the host that can write.
    config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::ReadWrite);
    let millis = |d: Duration| d.as_millis();
    config.options(format!(
        "-c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={} -c default_transaction_isolation=read\\ committed",
        millis(options.statement_timeout),
        millis(options.statement_timeout.min(Duration::from_secs(5))),
        millis(options.statement_timeout.max(Duration::from_secs(10))),
    ));
    let manage = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = match secured {
        None => Manager::from_config(config, NoTls, manage),
        Some(secured) => Manager::from_config(config, secured, manage),
    };
    Pool::builder(manager)
        .max_size(options.connections)
        .wait_timeout(Some(options.queue_timeout))
        .create_timeout(Some(Duration::from_secs(3)))
        .recycle_timeout(Some(Duration::from_secs(2)))
        .runtime(Runtime::Tokio1)
        .post_create(Hook::sync_fn(|_, _| {
            pool::created();
            Ok(())
        }))
        .build()
        .map_err(|e| DbError::bug(e.to_string()))
}
