//! What a setting may hold: how a text becomes a typed value, and how the form is told to people.

mod addresses;
mod amounts;

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use ipnet::IpNet;

pub use addresses::{BaseUrl, DatabaseUrl, RedisUrl};
pub use amounts::{Mebibytes, Ratio, Timeout};

/// A type that a setting can have.
pub trait Value: Sized {
    /// The wanted form in words, to finish the sentence "wanted: …".
    fn form() -> String;

    /// Reads the text of a setting (never empty).
    ///
    /// # Errors
    /// Says what is wrong with the text, or nothing where [`Value::form`] already says it.
    fn parse(text: &str) -> Result<Self, String>;

    /// The value when nobody gave one and there is no default; `None` makes the setting required.
    fn absent() -> Option<Self> {
        None
    }

    /// The text as it may be shown to an operator: secrets are masked, URLs lose their credentials.
    fn shown(text: &str) -> String {
        text.to_owned()
    }
}

impl<T: Value> Value for Option<T> {
    fn form() -> String {
        T::form()
    }
    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn shown(text: &str) -> String {
        T::shown(text)
    }
}

impl<T: Value> Value for Vec<T> {
    fn form() -> String {
        format!("a list, separated by commas, of {}", T::form())
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(|item| {
                T::parse(item).map_err(|reason| match reason.as_str() {
                    "" => format!("{item:?} is not of this form"),
                    reason => format!("{item:?}: {reason}"),
                })
            })
            .collect()
    }
    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

impl Value for bool {
    fn form() -> String {
        "`true` or `false`".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(String::new()),
        }
    }
}

/// Gives types that are read by `FromStr` a form in words. With `told`, their own message says
/// more than the form does.
macro_rules! from_str_values {
    ($($type:ty: $form:literal $($told:ident)?;)*) => {$(
        impl $crate::config::value::Value for $type {
            fn form() -> String {
                $form.into()
            }
            fn parse(text: &str) -> Result<Self, String> {
                text.parse::<Self>().map_err(
                    |error| $crate::config::value::from_str_values!(@ error $($told)?),
                )
            }
        }
    )*};
    (@ $error:ident told) => { $error.to_string() };
    (@ $error:ident) => {{ let _ = $error; String::new() }};
}
pub(crate) use from_str_values;

from_str_values! {
    u16: "a whole number from 0 to 65535";
    u64: "a whole number of at least 0";
    NonZeroU32: "a whole number of at least 1";
    NonZeroUsize: "a whole number of at least 1";
    SocketAddr: "an IP address and a port";
    PathBuf: "a path";
    String: "a text";
}

impl Value for IpNet {
    fn form() -> String {
        "an IP address or CIDR block".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| String::new())
    }
}

/// A text that is never printed: its `Debug` form is a mask and it has no other.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that has to use it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("******")
    }
}

impl Value for Secret {
    fn form() -> String {
        "a secret text".into()
    }
    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
    fn shown(_: &str) -> String {
        "******".into()
    }
}

/// Declares an enumeration whose names are the texts of a setting; further names are spellings
/// that are read as well.
macro_rules! choices {
    ($(#[$meta:meta])* pub enum $type:ident {
        $($(#[$variant_meta:meta])* $variant:ident = $name:literal $(| $alias:literal)*,)*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$variant_meta])* $variant,)*
        }

        impl $type {
            /// The text that selects this choice.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl $crate::config::value::Value for $type {
            fn form() -> String {
                let names: Vec<String> = vec![$(format!("`{}`", $name)),*];
                format!("one of {}", names.join(", "))
            }
            fn parse(text: &str) -> Result<Self, String> {
                match text.to_ascii_lowercase().as_str() {
                    $($name $(| $alias)* => Ok(Self::$variant),)*
                    _ => Err(String::new()),
                }
            }
        }
    };
}
pub(crate) use choices;

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn check<T: Value + std::fmt::Debug + PartialEq>(text: &str, expected: Option<T>) {
        assert_eq!(T::parse(text).ok(), expected, "{text:?}");
    }

    #[test]
    fn switches_numbers_and_networks() {
        check("TRUE", Some(true));
        check("0", Some(false));
        check::<bool>("maybe", None);
        check::<NonZeroU32>("0", None);
        check("10.0.0.0/8", "10.0.0.0/8".parse::<IpNet>().ok());
        check("::1", "::1/128".parse::<IpNet>().ok());
        check::<IpNet>("10.0.0.0/33", None);
        check::<Vec<u16>>(" 1, 2,,3 ", Some(vec![1, 2, 3]));
        assert_eq!(Vec::<u16>::parse("1,x"), Err(r#""x" is not of this form"#.into()));
    }
}
