//! Rows are decoded by position into the type that the statement declares.

use tokio_postgres::types::{FromSql, Type};

use crate::{DbError, Json, Timestamp};

/// What a result column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// `bigint` / `integer`
    Int,
    /// `boolean` / `integer`
    Bool,
    /// `double precision` / `real`
    Float,
    /// `text`
    Text,
    /// `jsonb` / `text`
    Json,
    /// `bytea` / `blob`
    Bytes,
}

/// One field of a row, borrowed from the driver.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// SQL null.
    Null,
    /// An integer (on SQLite also a truth value).
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A floating-point number.
    Float(f64),
    /// A text or a JSON document.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

/// A row of either driver.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    driver: Driver<'a>,
    /// Where the part of the row that is being decoded begins.
    offset: usize,
}

#[derive(Debug, Clone, Copy)]
enum Driver<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl<'a> Row<'a> {
    pub(crate) const fn sqlite(row: &'a rusqlite::Row<'a>) -> Self {
        Self { driver: Driver::Sqlite(row), offset: 0 }
    }

    pub(crate) const fn postgres(row: &'a tokio_postgres::Row) -> Self {
        Self { driver: Driver::Postgres(row), offset: 0 }
    }

    /// The row without its first `columns` columns: for rows joined of several types.
    #[must_use]
    pub const fn after(self, columns: usize) -> Self {
        Self { driver: self.driver, offset: self.offset + columns }
    }

    /// The field at `index`, as `T`.
    ///
    /// # Errors
    /// A bug of ours: no such column, or one of another type.
    pub fn get<T: Column>(&self, index: usize) -> Result<T, DbError> {
        let index = index + self.offset;
        let cell = match self.driver {
            Driver::Sqlite(row) => {
                use rusqlite::types::ValueRef;
                match row.get_ref(index)? {
                    ValueRef::Null => Cell::Null,
                    ValueRef::Integer(v) => Cell::Int(v),
                    ValueRef::Real(v) => Cell::Float(v),
                    ValueRef::Text(v) => Cell::Text(
                        std::str::from_utf8(v)
                            .map_err(|e| DbError::bug(format!("column {index}: {e}")))?,
                    ),
                    ValueRef::Blob(v) => Cell::Bytes(v),
                }
            }
            Driver::Postgres(row) => row.try_get::<_, Cell<'_>>(index)?,
        };
        T::from_cell(cell).map_err(|found| {
            DbError::bug(format!("column {index}: {found} where {:?} was declared", T::TYPE))
        })
    }
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(
        ty: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(match *ty {
            Type::INT8 => Cell::Int(i64::from_sql(ty, raw)?),
            Type::INT4 => Cell::Int(i64::from(i32::from_sql(ty, raw)?)),
            Type::INT2 => Cell::Int(i64::from(i16::from_sql(ty, raw)?)),
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::FLOAT8 => Cell::Float(f64::from_sql(ty, raw)?),
            Type::FLOAT4 => Cell::Float(f64::from(f32::from_sql(ty, raw)?)),
            Type::BYTEA => Cell::Bytes(raw),
            // The first byte is the format's version.
            Type::JSONB => Cell::Text(std::str::from_utf8(raw.get(1..).unwrap_or_default())?),
            _ => Cell::Text(std::str::from_utf8(raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Cell::Null)
    }

    fn accepts(ty: &Type) -> bool {
        [
            Type::INT8,
            Type::INT4,
            Type::INT2,
            Type::BOOL,
            Type::FLOAT8,
            Type::FLOAT4,
            Type::BYTEA,
            Type::JSONB,
            Type::JSON,
            Type::TEXT,
            Type::VARCHAR,
            Type::NAME,
            Type::BPCHAR,
            Type::UNKNOWN,
        ]
        .contains(ty)
    }
}

/// What a field can be decoded into.
pub trait Column: Sized {
    /// What the column must hold; checked against both engines by a test.
    const TYPE: ColumnType;
    /// Whether null is a value of this type.
    const NULLABLE: bool = false;

    /// Decodes a field.
    ///
    /// # Errors
    /// What was found instead.
    fn from_cell(cell: Cell<'_>) -> Result<Self, String>;
}

macro_rules! column {
    ($($type:ty, $of:ident, $($pattern:pat => $value:expr),+;)*) => {$(
        impl Column for $type {
            const TYPE: ColumnType = ColumnType::$of;
            fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
                match cell {
                    $($pattern => Ok($value),)+
                    other => Err(format!("{other:?}")),
                }
            }
        }
    )*};
}

column! {
    i64, Int, Cell::Int(v) => v;
    bool, Bool, Cell::Bool(v) => v, Cell::Int(v) => v != 0;
    f64, Float, Cell::Float(v) => v, Cell::Int(v) => v as f64;
    String, Text, Cell::Text(v) => v.to_owned();
    std::sync::Arc<str>, Text, Cell::Text(v) => v.into();
    Vec<u8>, Bytes, Cell::Bytes(v) => v.to_vec();
    Timestamp, Int, Cell::Int(v) => Timestamp::from_micros(v);
}

impl<T: Column> Column for Option<T> {
    const TYPE: ColumnType = T::TYPE;
    const NULLABLE: bool = true;
    fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
        if cell == Cell::Null { Ok(None) } else { T::from_cell(cell).map(Some) }
    }
}

impl<T: serde::de::DeserializeOwned> Column for Json<T> {
    const TYPE: ColumnType = ColumnType::Json;
    fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
        match cell {
            Cell::Text(text) => serde_json::from_str(text).map(Json).map_err(|e| e.to_string()),
            other => Err(format!("{other:?}")),
        }
    }
}

/// A row type: what a statement gives back.
pub trait FromRow: Sized {
    /// The columns, in order: their type and whether they may be null.
    const COLUMNS: &'static [(ColumnType, bool)];

    /// Decodes a row.
    ///
    /// # Errors
    /// A bug of ours: the statement gives other columns than were declared.
    fn from_row(row: &Row<'_>) -> Result<Self, DbError>;
}

impl FromRow for () {
    const COLUMNS: &'static [(ColumnType, bool)] = &[];
    fn from_row(_: &Row<'_>) -> Result<Self, DbError> {
        Ok(())
    }
}

macro_rules! tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Column),+> FromRow for ($($name,)+) {
            const COLUMNS: &'static [(ColumnType, bool)] = &[$(($name::TYPE, $name::NULLABLE)),+];
            fn from_row(row: &Row<'_>) -> Result<Self, DbError> {
                Ok(($(row.get::<$name>($index)?,)+))
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, F 4);
tuple!(A 0, B 1, C 2, D 3, F 4, G 5);

/// Declares a row type: a struct whose fields are the result columns, in order.
///
/// ```ignore
/// row! {
///     /// A label of an account.
///     pub struct Label { pub id: LabelId, pub title: String, pub description: Option<String> }
/// }
/// ```
#[macro_export]
macro_rules! row {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident : $type:ty),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "columns are the table's; the schema documents them")]
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $type),* }

        impl $crate::FromRow for $name {
            const COLUMNS: &'static [($crate::ColumnType, bool)] =
                &[$((<$type as $crate::Column>::TYPE, <$type as $crate::Column>::NULLABLE)),*];
            fn from_row(row: &$crate::Row<'_>) -> Result<Self, $crate::DbError> {
                let mut index = 0..;
                $(let $field = row.get::<$type>(index.next().unwrap_or_default())?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Columns of joined rows, one after the other; those of an outer join may all be null.
#[doc(hidden)]
pub const fn joined_columns<const N: usize>(
    parts: &[(&'static [(ColumnType, bool)], bool)],
) -> [(ColumnType, bool); N] {
    let mut out = [(ColumnType::Int, false); N];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        #[expect(
            clippy::indexing_slicing,
            reason = "evaluated at compile time, within the bounds of the loop"
        )]
        let (columns, optional) = parts[part];
        let mut column = 0;
        while column < columns.len() {
            #[expect(
                clippy::indexing_slicing,
                reason = "evaluated at compile time, within the bounds of the loop"
            )]
            {
                out[at] = (columns[column].0, columns[column].1 || optional);
            }
            at += 1;
            column += 1;
        }
        part += 1;
    }
    out
}

/// Declares a row of a join: a struct of row types, in the order of their columns. A part of an
/// outer join is written `? Type` and is `None` where its first column is null.
///
/// ```ignore
/// joined! { pub struct Found { pub label: Label, pub author: ? Member } }
/// ```
#[macro_export]
macro_rules! joined {
    (@type ? $type:ident) => { Option<$type> };
    (@type $type:ident) => { $type };
    (@optional) => { false };
    (@optional ?) => { true };
    (@get $row:ident $at:ident ? $type:ident) => {{
        let part = $row.after($at);
        match part.get::<$crate::Presence>(0)? {
            $crate::Presence::Absent => None,
            $crate::Presence::Present => Some(<$type as $crate::FromRow>::from_row(&part)?),
        }
    }};
    (@get $row:ident $at:ident $type:ident) => { <$type as $crate::FromRow>::from_row(&$row.after($at))? };
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $fvis:vis $field:ident : $(? $opt:ident)? $($req:ident)? ),* $(,)? }) => {
        $(#[$meta])*
        #[allow(missing_docs, reason = "parts are row types, which are documented")]
        #[derive(Debug, Clone)]
        $vis struct $name { $($(#[$fmeta])* $fvis $field: $crate::joined!(@type $(? $opt)? $($req)?)),* }

        impl $crate::FromRow for $name {
            const COLUMNS: &'static [($crate::ColumnType, bool)] = &{
                const N: usize = 0 $(+ <$($opt)? $($req)? as $crate::FromRow>::COLUMNS.len())*;
                $crate::joined_columns::<N>(&[$((
                    <$($opt)? $($req)? as $crate::FromRow>::COLUMNS,
                    stringify!($($opt)?).len() > 0,
                )),*])
            };
            fn from_row(row: &$crate::Row<'_>) -> Result<Self, $crate::DbError> {
                let mut at = 0;
                $(
                    let $field = $crate::joined!(@get row at $(? $opt)? $($req)?);
                    at += <$($opt)? $($req)? as $crate::FromRow>::COLUMNS.len();
                )*
                let _ = at;
                Ok(Self { $($field),* })
            }
        }
    };
}

/// Whether a part of an outer join is there: the null or the value of its first column.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Null.
    Absent,
    /// A value.
    Present,
}

impl Column for Presence {
    const TYPE: ColumnType = ColumnType::Int;
    fn from_cell(cell: Cell<'_>) -> Result<Self, String> {
        Ok(if cell == Cell::Null { Self::Absent } else { Self::Present })
    }
}

/// Declares an id: a `bigint` that is no other table's id.
#[macro_export]
macro_rules! id {
    ($($(#[$meta:meta])* $name:ident),* $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl $crate::Column for $name {
            const TYPE: $crate::ColumnType = $crate::ColumnType::Int;
            fn from_cell(cell: $crate::Cell<'_>) -> Result<Self, String> {
                <i64 as $crate::Column>::from_cell(cell).map(Self)
            }
        }
        impl $crate::ToValue for $name {
            fn to_value(&self) -> $crate::Value { $crate::Value::Int(self.0) }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
    )*};
}
