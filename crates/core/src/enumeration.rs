//! Enumerations stored as Chatwoot's integers.

/// Maps an enumeration to its integers and names, for columns, bindings and parameters.
#[macro_export]
#[doc(hidden)]
macro_rules! integer_enum {
    ($type:ident { $($variant:ident = $value:literal),* $(,)? }) => {
        impl $type {
            /// The stored integer.
            pub const fn integer(self) -> i64 {
                match self { $(Self::$variant => $value),* }
            }
        }
        impl chatwarden_db::Column for $type {
            const TYPE: chatwarden_db::ColumnType = chatwarden_db::ColumnType::Int;
            fn from_cell(cell: chatwarden_db::Cell<'_>) -> Result<Self, String> {
                match <i64 as chatwarden_db::Column>::from_cell(cell)? {
                    $($value => Ok(Self::$variant),)*
                    other => Err(format!("{other}, which is no {}", stringify!($type))),
                }
            }
        }
        impl chatwarden_db::ToValue for $type {
            fn to_value(&self) -> chatwarden_db::Value {
                chatwarden_db::Value::Int(self.integer())
            }
        }
    };
    ($type:ident { $($variant:ident = $value:literal $name:literal),* $(,)? }) => {
        $crate::integer_enum! { $type { $($variant = $value),* } }
        impl $type {
            /// Every value, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that clients use.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// By the name that clients use.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}
