//! Statements: static texts with a name, written once for both engines.
//!
//! The name is the span's, the metric's label and what the slow-query log says. The text is in the
//! dialect that both engines share; what is spelled differently is a directive:
//!
//! | written | PostgreSQL | SQLite |
//! |---|---|---|
//! | `$1` | `$1` | `?1` |
//! | `@in($1)` | `= any($1)` | `in (select value from json_each(?1))` |
//! | `@not_in($1)` | `<> all($1)` | `not in (select value from json_each(?1))` |
//! | `@any_in(c.labels, $1)`: a document that is a list of texts holds one of them | `c.labels ?| $1` | `exists (select 1 from json_each(c.labels) …)` |
//! | `@number(c.custom_attributes, $1)`: the number that a document has under a key, null where it is none | `case … ::double precision` | `case … as real` |
//! | `@lock(c)` | `for update of c` | nothing: there is one writer |
//! | `@skip_locked` | `for update skip locked` | nothing |
//!
//! Anything else that must differ is declared with `sqlite: …, postgres: …` and listed in a golden file.

use std::marker::PhantomData;
use std::sync::OnceLock;

use crate::{ColumnType, Engine, FromRow};

/// The text of a statement.
#[derive(Debug, Clone, Copy)]
pub enum Sql {
    /// One text for both engines.
    Both(&'static str),
    /// A declared fork.
    PerEngine {
        /// For SQLite.
        sqlite: &'static str,
        /// For PostgreSQL.
        postgres: &'static str,
    },
}

/// A named statement that gives rows of type `R`.
#[derive(Debug)]
pub struct Statement<R> {
    any: AnyStatement,
    row: PhantomData<fn() -> R>,
}

/// A statement without its row type: what the registry lists.
#[derive(Debug)]
pub struct AnyStatement {
    name: &'static str,
    sql: Sql,
    file: &'static str,
    columns: &'static [(ColumnType, bool)],
    sqlite: OnceLock<String>,
    postgres: OnceLock<String>,
    pub(crate) timer: OnceLock<metrics::Histogram>,
}

impl<R: FromRow> Statement<R> {
    /// Declares a statement; [`statements!`](crate::statements) does it for you.
    pub const fn new(name: &'static str, sql: Sql, file: &'static str) -> Self {
        Self {
            any: AnyStatement {
                name,
                sql,
                file,
                columns: R::COLUMNS,
                sqlite: OnceLock::new(),
                postgres: OnceLock::new(),
                timer: OnceLock::new(),
            },
            row: PhantomData,
        }
    }

    /// The statement without its row type.
    pub const fn any(&self) -> &AnyStatement {
        &self.any
    }
}

impl AnyStatement {
    /// `feature.verb`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The source file that declares it.
    pub fn file(&self) -> &'static str {
        self.file
    }

    /// The declared result columns: type, and whether null is expected.
    pub fn columns(&self) -> &'static [(ColumnType, bool)] {
        self.columns
    }

    /// Whether it is a declared fork.
    pub fn is_fork(&self) -> bool {
        matches!(self.sql, Sql::PerEngine { .. })
    }

    /// The text as `engine` takes it.
    pub fn text(&self, engine: Engine) -> &str {
        let (slot, source) = match (engine, self.sql) {
            (Engine::Sqlite, Sql::Both(sql) | Sql::PerEngine { sqlite: sql, .. }) => {
                (&self.sqlite, sql)
            }
            (Engine::Postgres, Sql::Both(sql) | Sql::PerEngine { postgres: sql, .. }) => {
                (&self.postgres, sql)
            }
        };
        slot.get_or_init(|| render(source, engine))
    }
}

/// Renders the directives of a text for an engine. Nothing is quoted or escaped: texts are static
/// and values are bound.
pub(crate) fn render(source: &str, engine: Engine) -> String {
    let mut out = String::with_capacity(source.len() + 32);
    let mut rest = source;
    let sqlite = engine == Engine::Sqlite;
    while let Some(at) = rest.find(['$', '@', '\'']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let argument = |directive: &str| -> Option<(&str, &str)> {
            let inner = from.strip_prefix(directive)?.strip_prefix('(')?;
            inner.split_once(')')
        };
        if let Some(quoted) = from.strip_prefix('\'') {
            // A literal: nothing inside is a directive.
            let end = quoted.find('\'').map_or(quoted.len(), |i| i + 1);
            let (literal, after) = quoted.split_at(end);
            out.push('\'');
            out.push_str(literal);
            rest = after;
        } else if let Some((n, after)) = argument("@in") {
            let n = n.trim_start_matches('$');
            out.push_str(&if sqlite {
                format!("in (select value from json_each(?{n}))")
            } else {
                format!("= any(${n})")
            });
            rest = after;
        } else if let Some((n, after)) = argument("@not_in") {
            let n = n.trim_start_matches('$');
            out.push_str(&if sqlite {
                format!("not in (select value from json_each(?{n}))")
            } else {
                format!("<> all(${n})")
            });
            rest = after;
        } else if let Some((arguments, after)) = argument("@any_in") {
            let (list, n) = arguments.split_once(',').unwrap_or((arguments, "$1"));
            let n = n.trim().trim_start_matches('$');
            out.push_str(&if sqlite {
                format!("exists (select 1 from json_each({list}) held where held.value in (select value from json_each(?{n})))")
            } else {
                format!("{list} ?| ${n}")
            });
            rest = after;
        } else if let Some((arguments, after)) = argument("@number") {
            let (document, n) = arguments.split_once(',').unwrap_or((arguments, "$1"));
            let n = n.trim().trim_start_matches('$');
            out.push_str(&if sqlite {
                let (value, bare) = (format!("{document} ->> ?{n}"), format!("ltrim({document} ->> ?{n}, '+-')"));
                format!(
                    "(case when typeof({value}) in ('integer', 'real') then cast({value} as real) \
                     when {bare} glob '[0-9]*' and {bare} not glob '*[^0-9.]*' then cast({value} as real) end)"
                )
            } else {
                let value = format!("({document} ->> ${n})");
                format!(
                    "(case when {value} ~ '^[-+]?[0-9]{{1,100}}([.][0-9]{{1,100}})?$' then cast({value} as double precision) end)"
                )
            });
            rest = after;
        } else if let Some((table, after)) = argument("@lock") {
            if !sqlite {
                out.push_str("for update of ");
                out.push_str(table);
            }
            rest = after;
        } else if let Some(after) = from.strip_prefix("@skip_locked") {
            if !sqlite {
                out.push_str("for update skip locked");
            }
            rest = after;
        } else if let Some(after) = from.strip_prefix('$') {
            out.push(if sqlite { '?' } else { '$' });
            rest = after;
        } else {
            out.push('@');
            rest = from.get(1..).unwrap_or_default();
        }
    }
    out.push_str(rest);
    out
}

/// Declares the statements of a feature and lists them for the registry.
///
/// ```ignore
/// statements! {
///     /// $1 account, $2 title
///     FIND: Label = "labels.find", "select id, title, description from labels where account_id = $1 and title = $2";
///     LIST: Label = "labels.list", (concat!("select ", columns!(), " from labels where account_id = $1"));
///     CLAIM: (i64,) = "jobs.claim", sqlite: "…", postgres: "…";
/// }
/// ```
#[macro_export]
macro_rules! statements {
    (@sql $text:literal) => { $crate::Sql::Both($text) };
    (@sql ($text:expr)) => { $crate::Sql::Both($text) };
    (@sql sqlite: $sqlite:literal, postgres: $postgres:literal) => {
        $crate::Sql::PerEngine { sqlite: $sqlite, postgres: $postgres }
    };
    (@sql sqlite: ($sqlite:expr), postgres: ($postgres:expr)) => {
        $crate::Sql::PerEngine { sqlite: $sqlite, postgres: $postgres }
    };
    ($($(#[$meta:meta])* $ident:ident : $row:ty = $name:literal,
        $($key:ident :)? $($text:literal)? $(($composed:expr))?
        $(, $key2:ident : $($text2:literal)? $(($composed2:expr))?)? ;)*) => {
        $($(#[$meta])* pub static $ident: $crate::Statement<$row> = $crate::Statement::new(
            $name,
            $crate::statements!(@sql $($key :)? $($text)? $(($composed))? $(, $key2 : $($text2)? $(($composed2))?)?),
            file!(),
        );)*

        /// Every statement of this file, for the checks that walk them all.
        pub static STATEMENTS: &[&$crate::AnyStatement] = &[$($ident.any()),*];
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_directives_for_each_engine() {
        let check = |source: &str, sqlite: &str, postgres: &str| {
            assert_eq!(render(source, Engine::Sqlite), sqlite);
            assert_eq!(render(source, Engine::Postgres), postgres);
        };
        check("select $1, $12", "select ?1, ?12", "select $1, $12");
        check("id @in($2)", "id in (select value from json_each(?2))", "id = any($2)");
        check("id @not_in($2)", "id not in (select value from json_each(?2))", "id <> all($2)");
        check(
            "@any_in(c.labels, $2) and b",
            "exists (select 1 from json_each(c.labels) held where held.value in (select value from json_each(?2))) and b",
            "c.labels ?| $2 and b",
        );
        check("select 1 @lock(c)", "select 1 ", "select 1 for update of c");
        check("limit 1 @skip_locked", "limit 1 ", "limit 1 for update skip locked");
        check(
            "a = '$1 @in(2)' and b = $1",
            "a = '$1 @in(2)' and b = ?1",
            "a = '$1 @in(2)' and b = $1",
        );
        check("a @> b", "a @> b", "a @> b");
    }
}
