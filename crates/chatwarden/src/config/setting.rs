//! The declaration of a setting: one row says everything that is known about it.

use super::source::{Sources, member_variable};

/// A setting, as declared by [`section!`].
#[derive(Debug)]
pub struct Setting {
    /// The table of the configuration file, and the part of the model, it belongs to.
    pub section: &'static str,
    /// Its key in that table, and its field in the model.
    pub field: &'static str,
    /// The environment variable.
    pub name: &'static str,
    /// Further environment variables that are read when `name` is not set.
    pub aliases: &'static [&'static str],
    /// For a family of settings (`RATELIMIT_<CLASS>`), what may stand behind the prefix `name`.
    pub members: Option<&'static [&'static str]>,
    /// For a family of settings whose members operators name, how they are told apart.
    pub named: Option<&'static Named>,
    /// The wanted form in words.
    pub form: fn() -> String,
    /// What it is when nobody says.
    pub default: Fallback,
    /// A value as it could be given.
    pub example: &'static str,
    /// What it does, in Markdown.
    pub description: &'static str,
    /// Makes a given text fit to be shown.
    pub shown: fn(&str) -> String,
}

impl Setting {
    /// The key in the configuration file: `section.field`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", self.section, self.field)
    }

    /// Whether it is a family: its name is a prefix.
    #[must_use]
    pub fn is_family(&self) -> bool {
        self.members.is_some() || self.named.is_some()
    }

    /// The key in the section of the variable `name`, one of this setting's.
    #[must_use]
    pub fn field_of(&self, name: &str) -> String {
        let rest = name.strip_prefix(self.name).unwrap_or_default();
        let member = match (self.members, self.named) {
            (Some(_), _) => Some(rest.to_ascii_lowercase().replace('_', "-")),
            (None, Some(named)) => (named.of_variable)(rest),
            (None, None) => None,
        };
        member.map_or_else(|| self.field.to_owned(), |member| format!("{}.{member}", self.field))
    }

    /// The variable's name of one of its members, for examples; its own where it is no family.
    #[must_use]
    pub fn example_name(&self) -> String {
        let member = match (self.members.and_then(<[_]>::first), self.named) {
            (Some(member), _) => member_variable(member),
            (None, Some(named)) => named.example.to_owned(),
            (None, None) => String::new(),
        };
        format!("{}{member}", self.name)
    }
}

/// Members of a family that operators name.
#[derive(Debug)]
pub struct Named {
    /// The end of a variable's name, e.g. `OPS_INCLUDE`.
    pub example: &'static str,
    /// How such an end is made, for the reference.
    pub told: &'static str,
    /// The member as the file has it (`ops.include`) by the end of a variable's name; nothing where it is none.
    pub of_variable: fn(&str) -> Option<String>,
    /// The end of a variable's name by the member as the file has it; nothing where it is none.
    pub of_key: fn(&str) -> Option<String>,
}

/// Where a value comes from when no source gives one.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// Nowhere.
    Absent,
    /// A text, read as if it had been given.
    Text(&'static str),
    /// A text that follows from other settings; `told` describes it in the reference.
    Computed {
        /// The rule in words.
        told: &'static str,
        /// The rule.
        rule: fn(&Sources) -> Option<String>,
    },
}

/// Declares one part of the configuration: the struct, its settings, and how it is read.
///
/// A row is `field: Type = "ENV_NAME" [| "ALIAS"], fallback, "example";` below a doc comment that is
/// both the field's documentation and the setting's description in the reference.
macro_rules! section {
    ($(#[doc = $section_doc:literal])* $type:ident in $section:literal {
        $($(#[doc = $doc:literal])* $field:ident: $value:ty =
            $name:literal $(| $alias:literal)*, $default:expr, $example:literal;)*
    }) => {
        $(#[doc = $section_doc])*
        #[derive(Clone, Debug)]
        pub struct $type {
            $($(#[doc = $doc])* pub $field: $value,)*
        }

        impl $type {
            /// The settings of this part.
            pub const SETTINGS: &'static [$crate::config::setting::Setting] = &[
                $($crate::config::setting::Setting {
                    section: $section,
                    field: stringify!($field),
                    name: $name,
                    aliases: &[$($alias),*],
                    members: <$value as $crate::config::source::Read>::MEMBERS,
                    named: <$value as $crate::config::source::Read>::NAMED,
                    form: <$value as $crate::config::source::Read>::form,
                    default: $default,
                    example: $example,
                    description: concat!($($doc, "\n"),*),
                    shown: <$value as $crate::config::source::Read>::shown,
                },)*
            ];

            /// Reads this part; `None` when something in it is wrong, which the reader has noted.
            pub(crate) fn read(reader: &mut $crate::config::source::Reader<'_>) -> Option<Self> {
                let mut settings = Self::SETTINGS.iter();
                $(let $field = settings.next().and_then(|setting| reader.read::<$value>(setting));)*
                Some(Self { $($field: $field?,)* })
            }
        }
    };
}
pub(crate) use section;
