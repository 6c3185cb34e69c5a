//! What can go wrong at the seam, in the same words for both engines.

use std::fmt;

/// Why a statement or a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A row was expected and none was there.
    NoRow,
    /// A unique, foreign-key, check or not-null rule was broken. The name is the constraint's as
    /// PostgreSQL would call it (`labels_account_id_title_key`); SQLite's words are turned into it.
    Constraint {
        /// The constraint.
        name: String,
    },
    /// The database is busy or away; trying again later may help.
    Unavailable,
    /// The statement ran longer than allowed and was cancelled.
    Timeout,
    /// The engine refused a value (too large, a NUL byte in a text).
    Value,
    /// A fault of ours: wrong SQL, wrong row type, a wait inside a SQLite transaction, a panic.
    Bug,
}

/// A failure at the seam.
#[derive(Clone)]
pub struct DbError {
    pub(crate) kind: ErrorKind,
    pub(crate) statement: Option<&'static str>,
    pub(crate) detail: String,
}

impl DbError {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, statement: None, detail: detail.into() }
    }

    pub(crate) fn bug(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, detail)
    }

    /// A refusal by the caller's own rules, to end a transaction with.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Value, detail)
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, detail)
    }

    pub(crate) fn within(mut self, statement: &'static str) -> Self {
        self.statement.get_or_insert(statement);
        self
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The statement that failed, where one did.
    pub fn statement(&self) -> Option<&'static str> {
        self.statement
    }

    /// Whether `name` is the constraint that was broken.
    pub fn broke(&self, name: &str) -> bool {
        matches!(&self.kind, ErrorKind::Constraint { name: broken } if broken == name)
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(statement) = self.statement {
            write!(f, "{statement}: ")?;
        }
        match &self.kind {
            ErrorKind::Constraint { name } => {
                write!(f, "constraint {name} broken ({})", self.detail)
            }
            kind => write!(f, "{kind:?}: {}", self.detail),
        }
    }
}

impl fmt::Debug for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for DbError {}

/// Turns a broken constraint into the product's own answer, so that there is no check-then-insert race.
pub trait OnConflict<T> {
    /// Where the constraint `name` was broken, `answer()`; any other failure as it is.
    ///
    /// # Errors
    /// `answer()`, or the failure.
    fn on_conflict<E: From<DbError>>(self, name: &str, answer: impl FnOnce() -> E) -> Result<T, E>;
}

impl<T> OnConflict<T> for Result<T, DbError> {
    fn on_conflict<E: From<DbError>>(self, name: &str, answer: impl FnOnce() -> E) -> Result<T, E> {
        self.map_err(|e| if e.broke(name) { answer() } else { e.into() })
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let detail = error.to_string();
        let kind = match &error {
            rusqlite::Error::QueryReturnedNoRows => ErrorKind::NoRow,
            rusqlite::Error::SqliteFailure(code, message) => match code.code {
                Code::ConstraintViolation => ErrorKind::Constraint {
                    name: sqlite_constraint(message.as_deref().unwrap_or_default()),
                },
                Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::CannotOpen
                | Code::DiskFull
                | Code::SystemIoFailure
                | Code::ReadOnly => ErrorKind::Unavailable,
                Code::OperationInterrupted => ErrorKind::Timeout,
                Code::TooBig | Code::TypeMismatch => ErrorKind::Value,
                _ => ErrorKind::Bug,
            },
            _ => ErrorKind::Bug,
        };
        Self::new(kind, detail)
    }
}

/// The name PostgreSQL would give the constraint that SQLite says was broken.
fn sqlite_constraint(message: &str) -> String {
    let columns = |list: &str, suffix: &str| {
        let mut table = "";
        let mut name = String::new();
        for column in list.split(", ") {
            let (t, c) = column.split_once('.').unwrap_or((table, column));
            table = t;
            name.push('_');
            name.push_str(c);
        }
        format!("{table}{name}_{suffix}")
    };
    if let Some(rest) = message.strip_prefix("UNIQUE constraint failed: ") {
        return match rest.strip_prefix("index '") {
            Some(index) => index.trim_end_matches('\'').to_owned(),
            None => columns(rest, "key"),
        };
    }
    if let Some(rest) = message.strip_prefix("NOT NULL constraint failed: ") {
        return columns(rest, "not_null");
    }
    if let Some(rest) = message.strip_prefix("CHECK constraint failed: ") {
        return rest.to_owned();
    }
    if message.starts_with("FOREIGN KEY") { "foreign_key".to_owned() } else { message.to_owned() }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::SqlState;
        let Some(db) = error.as_db_error() else {
            let kind = if error.is_closed()
                || std::error::Error::source(&error).is_some_and(|s| s.is::<std::io::Error>())
            {
                ErrorKind::Unavailable
            } else {
                ErrorKind::Bug
            };
            let source =
                std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            return Self::new(kind, format!("{error}{source}"));
        };
        let detail = db.message().to_owned();
        let code = db.code().code();
        let kind = match db.code() {
            c if *c == SqlState::FOREIGN_KEY_VIOLATION => {
                ErrorKind::Constraint { name: "foreign_key".to_owned() }
            }
            c if *c == SqlState::NOT_NULL_VIOLATION => ErrorKind::Constraint {
                name: format!(
                    "{}_{}_not_null",
                    db.table().unwrap_or_default(),
                    db.column().unwrap_or_default()
                ),
            },
            c if *c == SqlState::QUERY_CANCELED => ErrorKind::Timeout,
            _ if code.starts_with("23") => {
                ErrorKind::Constraint { name: db.constraint().unwrap_or_default().to_owned() }
            }
            // Data exceptions: out of range, invalid text representation, NUL in text, invalid JSON. And what is
            // larger than the server takes, of a statement or for an index.
            _ if code.starts_with("22") || code.starts_with("54") => ErrorKind::Value,
            // Connection, resources, operator intervention, serialisation and deadlock, lock not
            // available, read-only server (a failover in progress).
            _ if ["08", "53", "57", "58", "40", "55"]
                .iter()
                .any(|class| code.starts_with(class)) =>
            {
                ErrorKind::Unavailable
            }
            c if *c == SqlState::READ_ONLY_SQL_TRANSACTION => ErrorKind::Unavailable,
            _ => ErrorKind::Bug,
        };
        Self::new(kind, format!("{detail} ({code})"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sqlite_constraints_as_postgresql_does() {
        let check = |message: &str, expected: &str| {
            assert_eq!(sqlite_constraint(message), expected, "{message}")
        };
        check(
            "UNIQUE constraint failed: labels.account_id, labels.title",
            "labels_account_id_title_key",
        );
        check("UNIQUE constraint failed: users.uid", "users_uid_key");
        check("UNIQUE constraint failed: index 'contacts_email_key'", "contacts_email_key");
        check("NOT NULL constraint failed: users.name", "users_name_not_null");
        check("CHECK constraint failed: users_name_check", "users_name_check");
        check("FOREIGN KEY constraint failed", "foreign_key");
    }
}
