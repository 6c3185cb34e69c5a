//! Where values come from: command line, environment, file; and reading them with all that is wrong
//! noted instead of stopping at the first.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::setting::{Fallback, Named, Setting};
use super::value::{Secret, Value};
use super::{Environment, Problem, catalogue};

/// Where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option of the command, as typed.
    CommandLine(&'static str),
    /// An environment variable, by name.
    Environment(String),
    /// A place in the configuration file; line and column count from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line of the value.
        line: usize,
        /// The column of the value.
        column: usize,
    },
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(option) => write!(formatter, "command line, {option}"),
            Self::Environment(name) => write!(formatter, "environment, {name}"),
            Self::File { path, line, column } => {
                write!(formatter, "{}:{line}:{column}", path.display())
            }
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// A text somebody gave for a setting.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) text: String,
    pub(crate) origin: Origin,
}

/// Everything that was given, before it is understood.
#[derive(Debug, Default)]
pub struct Sources {
    command_line: BTreeMap<&'static str, (&'static str, String)>,
    environment: BTreeMap<String, String>,
    file: Option<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    values: BTreeMap<String, FileValue>,
}

#[derive(Debug)]
struct FileValue {
    text: String,
    line: usize,
    column: usize,
}

impl Sources {
    /// Takes the environment. A variable that is empty counts as not set, as in Chatwoot's
    /// `.env` template, where most are.
    pub fn new(environment: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            environment: environment
                .into_iter()
                .filter(|(_, text)| !text.trim().is_empty())
                .collect(),
            ..Self::default()
        }
    }

    /// Adds an option of the command line for the setting `name`.
    pub fn option(&mut self, name: &'static str, option: &'static str, text: Option<String>) {
        if let Some(text) = text {
            self.command_line.insert(name, (option, text));
        }
    }

    /// The value of an environment variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// The text in effect for the setting `name`, given by anybody.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let setting = catalogue().find(|setting| setting.name == name)?;
        self.all(setting).into_iter().next().map(|given| given.text)
    }

    /// Whether the setting `name` is given on the command line.
    pub(crate) fn has_option(&self, name: &str) -> bool {
        self.command_line.contains_key(name)
    }

    /// Whether this is a developer's machine.
    pub(crate) fn is_dev(&self) -> bool {
        let environment = self.text("APP_ENV").map(|text| Environment::parse(&text));
        environment == Some(Ok(Environment::Dev))
    }

    /// Adds a configuration file with this text.
    pub(super) fn file(&mut self, path: &Path, text: &str) -> Result<(), Problem> {
        let place = |offset: usize| position(text, offset);
        let table = DeTable::parse(text).map_err(|error| {
            let (line, column) = place(error.span().map_or(0, |span| span.start));
            Problem::file(path, Some((line, column)), error.message())
        })?;
        let mut values = BTreeMap::new();
        flatten(table.get_ref(), "", &mut |key, value| {
            let (line, column) = place(value.span().start);
            let text = scalar(value.get_ref()).ok_or_else(|| {
                let reason =
                    format!("{key} has to be a text, a number, a switch or a list of them");
                Problem::file(path, Some((line, column)), &reason)
            })?;
            values.insert(key, FileValue { text, line, column });
            Ok(())
        })?;
        self.file = Some(File { path: path.to_owned(), values });
        Ok(())
    }

    /// All that is given for a setting, the winner first.
    fn all(&self, setting: &Setting) -> Vec<Given> {
        let option = self.command_line.get(setting.name).map(|(option, text)| Given {
            text: text.clone(),
            origin: Origin::CommandLine(option),
        });
        let variables = std::iter::once(&setting.name)
            .chain(setting.aliases)
            .filter_map(|name| self.in_environment(name));
        option.into_iter().chain(variables).chain(self.in_file(&setting.key())).collect()
    }

    fn in_environment(&self, name: &str) -> Option<Given> {
        self.variable(name).map(|text| Given {
            text: text.trim().to_owned(),
            origin: Origin::Environment(name.to_owned()),
        })
    }

    fn in_file(&self, key: &str) -> Option<Given> {
        let file = self.file.as_ref()?;
        let value = file.values.get(key)?;
        (!value.text.is_empty()).then(|| Given {
            text: value.text.clone(),
            origin: Origin::File {
                path: file.path.clone(),
                line: value.line,
                column: value.column,
            },
        })
    }

    /// What is given for one member of a family, the winner first.
    fn member(&self, setting: &Setting, member: &str) -> Vec<Given> {
        let variable = format!("{}{}", setting.name, member_variable(member));
        self.in_environment(&variable)
            .into_iter()
            .chain(self.in_file(&format!("{}.{member}", setting.key())))
            .collect()
    }

    /// What is given for the members of a family that operators name, the winner of each first.
    fn named(&self, setting: &Setting, named: &Named) -> BTreeMap<String, Vec<Given>> {
        let mut given: BTreeMap<String, Vec<Given>> = BTreeMap::new();
        for name in self.environment.keys() {
            let rest = name.strip_prefix(setting.name);
            if let Some(member) = rest.and_then(|rest| (named.of_variable)(rest)) {
                given.entry(member).or_default().extend(self.in_environment(name));
            }
        }
        let keys = self.file.iter().flat_map(|file| file.values.keys());
        for key in keys {
            let member = key.strip_prefix(&setting.key()).and_then(|rest| rest.strip_prefix('.'));
            if let Some(member) = member.filter(|member| (named.of_key)(member).is_some()) {
                given.entry(member.to_owned()).or_default().extend(self.in_file(key));
            }
        }
        given
    }

    /// Keys of the file that no setting has, and variables that look like members of a family but
    /// are none.
    pub(super) fn strangers(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(file) = &self.file {
            for (key, value) in &file.values {
                if !file_keys().any(|known| known == *key) && !is_named(key) {
                    problems.push(Problem::unknown_key(
                        &file.path,
                        (value.line, value.column),
                        key,
                        suggestion(key, file_keys().chain(keys_by_variable(key))),
                    ));
                }
            }
        }
        for family in catalogue().filter(|setting| setting.is_family()) {
            for name in self.environment.keys().filter(|name| name.starts_with(family.name)) {
                let named = family.named.and_then(|named| {
                    (named.of_variable)(name.strip_prefix(family.name).unwrap_or_default())
                });
                if named.is_none() && !variables().any(|known| known == *name) {
                    problems.push(Problem::unknown_variable(name, suggestion(name, variables())));
                }
            }
        }
        problems
    }
}

/// Whether a key of the file is a member that operators name.
fn is_named(key: &str) -> bool {
    catalogue().any(|setting| {
        let rest = key.strip_prefix(&setting.key()).and_then(|rest| rest.strip_prefix('.'));
        rest.zip(setting.named).is_some_and(|(rest, named)| (named.of_key)(rest).is_some())
    })
}

/// `api-ip` as the end of a variable's name.
pub(super) fn member_variable(member: &str) -> String {
    member.to_ascii_uppercase().replace('-', "_")
}

fn file_keys() -> impl Iterator<Item = String> {
    catalogue().flat_map(|setting| match setting.members {
        None if setting.named.is_some() => Vec::new(),
        None => vec![setting.key()],
        Some(members) => {
            members.iter().map(|member| format!("{}.{member}", setting.key())).collect()
        }
    })
}

fn variables() -> impl Iterator<Item = String> {
    catalogue().flat_map(|setting| match setting.members {
        None => vec![setting.example_name()],
        Some(members) => members
            .iter()
            .map(|member| format!("{}{}", setting.name, member_variable(member)))
            .collect(),
    })
}

/// The key of the setting whose variable somebody wrote as a key of the file.
fn keys_by_variable(key: &str) -> impl Iterator<Item = String> {
    let variable = key.rsplit('.').next().unwrap_or(key).to_ascii_uppercase();
    catalogue().filter(move |setting| setting.name == variable).map(Setting::key)
}

/// The known name nearest to one that is not known, if any is near.
fn suggestion(wrong: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let (section, last) = wrong.rsplit_once('.').unwrap_or(("", wrong));
    known
        .map(|name| {
            let (_, known_last) = name.rsplit_once('.').unwrap_or(("", &name));
            let same_variable = catalogue()
                .any(|setting| setting.name.eq_ignore_ascii_case(last) && setting.key() == name);
            let likeness = if same_variable {
                2.0
            } else if name.starts_with(section) {
                strsim::jaro_winkler(known_last, last) + 0.05
            } else {
                strsim::jaro_winkler(known_last, last)
            };
            (likeness, name)
        })
        .filter(|(likeness, _)| *likeness >= 0.88)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

fn flatten<'a>(
    table: &'a DeTable<'a>,
    prefix: &str,
    found: &mut impl FnMut(String, &'a Spanned<DeValue<'a>>) -> Result<(), Problem>,
) -> Result<(), Problem> {
    for (key, value) in table {
        let key = match prefix {
            "" => key.get_ref().to_string(),
            prefix => format!("{prefix}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, &key, found)?,
            _ => found(key, value)?,
        }
    }
    Ok(())
}

/// A value of the file as the text it would have in the environment.
fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.trim().to_owned()),
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::Array(_) => None,
                item => scalar(item),
            })
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

/// Line and column of a byte, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// A setting with the value in effect, as it may be shown.
#[derive(Clone, Debug)]
pub struct Provided {
    /// The setting.
    pub setting: &'static Setting,
    /// The full name of the variable (a member's for a family).
    pub name: String,
    /// The text, masked where it is secret.
    pub shown: String,
    pub(super) text: Secret,
    /// Where it came from.
    pub origin: Origin,
    /// Whether this is the value in effect (or one that another source overrides).
    pub effective: bool,
}

/// Reads settings from sources and keeps what was wrong, and where each value came from.
pub(crate) struct Reader<'a> {
    sources: &'a Sources,
    pub(super) problems: Vec<Problem>,
    pub(super) provided: Vec<Provided>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Self {
        Self { sources, problems: Vec::new(), provided: Vec::new() }
    }

    pub(crate) fn read<T: Read>(&mut self, setting: &'static Setting) -> Option<T> {
        T::read(self, setting)
    }

    fn note(&mut self, setting: &'static Setting, name: &str, given: &[Given]) {
        self.provided.extend(given.iter().enumerate().map(|(rank, given)| Provided {
            setting,
            name: name.to_owned(),
            shown: (setting.shown)(&given.text),
            text: Secret::new(&given.text),
            origin: given.origin.clone(),
            effective: rank == 0,
        }));
    }

    /// The winning texts of the members of a family that operators name, by member, with the names of their
    /// variables.
    pub(crate) fn named(
        &mut self,
        setting: &'static Setting,
        named: &Named,
    ) -> Vec<(String, String, Given)> {
        let mut winners = Vec::new();
        for (member, given) in self.sources.named(setting, named) {
            let end = (named.of_key)(&member).unwrap_or_default();
            let name = format!("{}{end}", setting.name);
            self.note(setting, &name, &given);
            winners.extend(given.into_iter().next().map(|winner| (member, name, winner)));
        }
        winners
    }

    pub(crate) fn parse<T: Value>(
        &mut self,
        setting: &'static Setting,
        name: &str,
        given: &Given,
    ) -> Option<T> {
        match T::parse(&given.text) {
            Ok(value) => Some(value),
            Err(reason) => {
                self.problems.push(Problem::wrong(setting, name, given, &reason));
                None
            }
        }
    }
}

/// A type that is read from sources: a single [`Value`], or a [`Family`] of them.
pub(crate) trait Read: Sized {
    /// For a family, its members.
    const MEMBERS: Option<&'static [&'static str]>;
    /// For a family whose members operators name, how they are told apart.
    const NAMED: Option<&'static Named> = None;
    /// See [`Value::form`].
    fn form() -> String;
    /// See [`Value::shown`].
    fn shown(text: &str) -> String;
    /// Reads the value; `None` when it is wrong, which the reader has noted.
    fn read(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<Self>;
}

impl<T: Value> Read for T {
    const MEMBERS: Option<&'static [&'static str]> = None;

    fn form() -> String {
        <T as Value>::form()
    }

    fn shown(text: &str) -> String {
        <T as Value>::shown(text)
    }

    fn read(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<Self> {
        let mut given = reader.sources.all(setting);
        let default = match setting.default {
            Fallback::Absent => None,
            Fallback::Text(text) => Some(text.to_owned()),
            Fallback::Computed { rule, .. } => rule(reader.sources),
        };
        given.extend(default.map(|text| Given { text, origin: Origin::Default }));
        reader.note(setting, setting.name, &given);
        match given.first() {
            Some(winner) => reader.parse(setting, setting.name, winner),
            None => T::absent().or_else(|| {
                reader.problems.push(Problem::missing(setting));
                None
            }),
        }
    }
}

/// The members of a family of settings.
pub trait Members {
    /// Their names in the configuration file, in kebab case.
    const NAMES: &'static [&'static str];
}

/// A family of settings with one type: `RATELIMIT_<CLASS>`. Only the members that were given are
/// in it.
#[derive(Clone, Debug)]
pub struct Family<M, T> {
    given: BTreeMap<&'static str, T>,
    members: PhantomData<M>,
}

impl<M, T> Family<M, T> {
    /// What was given for a member.
    #[must_use]
    pub fn get(&self, member: &str) -> Option<&T> {
        self.given.get(member)
    }

    /// The members that were given, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &T)> {
        self.given.iter().map(|(member, value)| (*member, value))
    }
}

impl<M: Members, T: Value> Read for Family<M, T> {
    const MEMBERS: Option<&'static [&'static str]> = Some(M::NAMES);

    fn form() -> String {
        T::form()
    }

    fn shown(text: &str) -> String {
        T::shown(text)
    }

    fn read(reader: &mut Reader<'_>, setting: &'static Setting) -> Option<Self> {
        let mut family = Self { given: BTreeMap::new(), members: PhantomData };
        let mut whole = true;
        for member in M::NAMES {
            let given = reader.sources.member(setting, member);
            let name = format!("{}{}", setting.name, member_variable(member));
            reader.note(setting, &name, &given);
            if let Some(winner) = given.first() {
                match reader.parse(setting, &name, winner) {
                    Some(value) => {
                        family.given.insert(member, value);
                    }
                    None => whole = false,
                }
            }
        }
        whole.then_some(family)
    }
}
