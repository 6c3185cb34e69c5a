//! What is bound to a statement: a closed set of values, so that per-type code stays small.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::{DbError, ErrorKind, Timestamp};

/// A bound value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// SQL null, of whatever type the place wants.
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A text.
    Text(String),
    /// A JSON document, already serialised.
    Json(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list of integers for `@in($n)`.
    Ints(Vec<i64>),
    /// A list of texts for `@in($n)`.
    Texts(Vec<String>),
}

/// The bound values of one execution.
pub type Args<'a> = &'a [Value];

/// What can be bound.
pub trait ToValue {
    /// The value to bind.
    fn to_value(&self) -> Value;
}

/// A JSON document: `jsonb` on PostgreSQL, `text` on SQLite.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

macro_rules! to_value {
    ($($type:ty => |$v:ident| $value:expr),* $(,)?) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value { let $v = self; $value }
        }
    )*};
}

to_value! {
    Value => |v| v.clone(),
    bool => |v| Value::Bool(*v),
    i64 => |v| Value::Int(*v),
    i32 => |v| Value::Int(i64::from(*v)),
    u32 => |v| Value::Int(i64::from(*v)),
    f64 => |v| Value::Float(*v),
    str => |v| Value::Text(v.to_owned()),
    String => |v| Value::Text(v.clone()),
    Timestamp => |v| Value::Int(v.micros()),
    [u8] => |v| Value::Bytes(v.to_vec()),
    Vec<u8> => |v| Value::Bytes(v.clone()),
    [i64] => |v| Value::Ints(v.to_vec()),
    Vec<i64> => |v| Value::Ints(v.clone()),
    [String] => |v| Value::Texts(v.to_vec()),
    Vec<String> => |v| Value::Texts(v.clone()),
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: serde::Serialize> ToValue for Json<T> {
    fn to_value(&self) -> Value {
        // Serialising fails only for maps with keys that are no strings; those are no documents.
        serde_json::to_string(&self.0).map_or(Value::Null, Value::Json)
    }
}

/// The bound values of a statement, in the order of `$1`, `$2`, …: `args![scope.account_id(), &title]`.
#[macro_export]
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::ToValue::to_value(&$value)),*] };
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
        let list = |json: serde_json::Result<String>| {
            json.map(|text| ToSqlOutput::Owned(Owned::Text(text)))
                .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
        };
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Bool(v) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(*v))),
            Self::Int(v) => ToSqlOutput::Borrowed(ValueRef::Integer(*v)),
            Self::Float(v) => ToSqlOutput::Borrowed(ValueRef::Real(*v)),
            Self::Text(v) | Self::Json(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Self::Bytes(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
            Self::Ints(v) => list(serde_json::to_string(v))?,
            Self::Texts(v) => list(serde_json::to_string(v))?,
        })
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Bool(v) => v.to_sql(ty, out),
            Self::Int(v) => match *ty {
                Type::INT4 => i32::try_from(*v)?.to_sql(ty, out),
                Type::INT2 => i16::try_from(*v)?.to_sql(ty, out),
                #[expect(clippy::cast_precision_loss, reason = "the place wants a double")]
                Type::FLOAT8 => (*v as f64).to_sql(ty, out),
                Type::INT8 => v.to_sql(ty, out),
                _ => Err(format!("an integer cannot be bound as {ty}").into()),
            },
            Self::Float(v) => v.to_sql(ty, out),
            Self::Text(v) | Self::Json(v) => {
                if *ty == Type::JSONB {
                    out.put_u8(1);
                }
                out.put_slice(v.as_bytes());
                Ok(IsNull::No)
            }
            Self::Bytes(v) => v.to_sql(ty, out),
            Self::Ints(v) => v.to_sql(ty, out),
            Self::Texts(v) => v.to_sql(ty, out),
        }
    }

    // What the place wants is checked while encoding: the same value suits several types.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Value {
    /// The type to announce where a statement is not prepared first (behind pgbouncer).
    pub(crate) fn postgres_type(&self) -> Type {
        match self {
            Self::Null => Type::UNKNOWN,
            Self::Bool(_) => Type::BOOL,
            Self::Int(_) => Type::INT8,
            Self::Float(_) => Type::FLOAT8,
            Self::Text(_) => Type::TEXT,
            Self::Json(_) => Type::JSONB,
            Self::Bytes(_) => Type::BYTEA,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Texts(_) => Type::TEXT_ARRAY,
        }
    }

    /// Refuses what PostgreSQL cannot store, on both engines alike: a NUL character in a text.
    pub(crate) fn check(&self) -> Result<(), DbError> {
        let nul = match self {
            Self::Text(v) => v.contains('\0'),
            Self::Json(v) => has_nul(v),
            Self::Texts(v) => v.iter().any(|t| t.contains('\0')),
            _ => false,
        };
        if nul { Err(DbError::new(ErrorKind::Value, "a NUL character in a text")) } else { Ok(()) }
    }
}

/// Whether a JSON text has an escaped NUL, which `jsonb` refuses: `\u0000` whose backslash is not itself escaped.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json.as_bytes().iter().take(at).rev().take_while(|b| **b == b'\\').count();
        before % 2 == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_is_told_from_one_that_is_quoted() {
        let check = |text: &str, refused: bool| {
            let values = [
                Json(text).to_value(),
                Json(serde_json::json!({text: [text]})).to_value(),
                text.to_value(),
                Value::Texts(vec![text.to_owned()]),
            ];
            for value in values {
                assert_eq!(value.check().is_err(), refused, "{value:?}");
            }
        };
        check("plain", false);
        check("\0", true);
        check("before\0after", true);
        check("\\u0000", false);
        check("\\\0", true);
        check("\\\\u0000", false);
        check("C:\\users\\u0000", false);
    }
}
