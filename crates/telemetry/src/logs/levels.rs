//! Which loggers write at which level, while the process runs.
//!
//! A logger is named by the module path with dots, our crates under
//! `chatwarden` (`chatwarden_api::labels` is `chatwarden.api.labels`); a
//! logger without a level of its own has that of the nearest one above it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Serialize;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use crate::clock::SharedClock;

/// The name of what is above all loggers.
pub(super) const ROOT: &str = "ROOT";

/// Loggers that are set together.
const GROUPS: &[(&str, &[&str])] = &[
    ("sql", &["chatwarden.db", "sql.bind"]),
    ("web", &["chatwarden.api", "chatwarden.access", "chatwarden.guard", "tower_http", "hyper"]),
];

/// How much a logger writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// What may fail.
    Warn,
    /// What happened.
    Info,
    /// How it happened.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    /// All levels, quietest first.
    pub const ALL: [Self; 6] =
        [Self::Off, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// As it is written in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "OFF",
            Self::Error => "ERROR",
            Self::Warn => "WARN",
            Self::Info => "INFO",
            Self::Debug => "DEBUG",
            Self::Trace => "TRACE",
        }
    }

    fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl FromStr for Level {
    type Err = LevelsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim().to_ascii_lowercase().as_str() {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            _ => Err(LevelsError(text.trim().to_owned())),
        }
    }
}

/// A level that doesn't exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no log level (off, error, warn, info, debug, trace)")]
pub struct LevelsError(String);

/// The levels of one logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Logger {
    /// The level it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_level: Option<Level>,
    /// The level it writes at.
    pub effective_level: Level,
}

/// Loggers that are set together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggerGroup {
    /// The level all members were given, if they have one in common.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured_level: Option<Level>,
    /// The names of the members.
    pub members: Vec<String>,
}

/// The answer of `GET /actuator/loggers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loggers {
    /// All levels, quietest first.
    pub levels: [Level; 6],
    /// The loggers that have a level or have been used.
    pub loggers: BTreeMap<String, Logger>,
    /// The groups.
    pub groups: BTreeMap<String, LoggerGroup>,
}

/// The levels of the process; a clone is the same levels.
#[derive(Clone)]
pub struct Levels {
    inner: Arc<Inner>,
}

struct Inner {
    table: RwLock<Table>,
    initial: Table,
    forbidden: Vec<String>,
    /// The loggers that have been met.
    seen: Mutex<BTreeSet<String>>,
    reverts: Mutex<BTreeMap<String, Revert>>,
    clock: SharedClock,
}

/// What a logger goes back to, and when.
struct Revert {
    at: Duration,
    to: Option<Level>,
}

#[derive(Clone, Debug, PartialEq)]
struct Table {
    root: Level,
    configured: BTreeMap<String, Level>,
}

impl Table {
    fn parse(text: &str) -> Result<Self, LevelsError> {
        let mut table = Self { root: Level::Info, configured: BTreeMap::new() };
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((name, level)) => table.set(&logger_name(name.trim()), Some(level.parse()?)),
                None => table.root = part.parse()?,
            }
        }
        Ok(table)
    }

    fn set(&mut self, name: &str, level: Option<Level>) {
        match level {
            Some(level) if name == ROOT => self.root = level,
            Some(level) => {
                self.configured.insert(name.to_owned(), level);
            }
            None => {
                self.configured.remove(name);
            }
        }
    }

    fn configured(&self, name: &str) -> Option<Level> {
        if name == ROOT {
            return Some(self.root);
        }
        self.configured.get(name).copied()
    }

    fn effective(&self, name: &str) -> Level {
        let mut name = name;
        loop {
            if let Some(level) = self.configured(name) {
                return level;
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => return self.root,
            }
        }
    }
}

impl Levels {
    /// The levels that `text` says, as `info,chatwarden.db=debug`; `forbidden` loggers stay off.
    ///
    /// # Errors
    /// Where a level is none.
    pub fn new(
        text: &str,
        forbidden: Vec<String>,
        clock: SharedClock,
    ) -> Result<Self, LevelsError> {
        let initial = Table::parse(text)?;
        Ok(Self {
            inner: Arc::new(Inner {
                table: RwLock::new(initial.clone()),
                initial,
                forbidden,
                seen: Mutex::new(BTreeSet::new()),
                reverts: Mutex::new(BTreeMap::new()),
                clock,
            }),
        })
    }

    pub(super) fn filter(&self) -> LevelsFilter {
        LevelsFilter { levels: self.clone() }
    }

    /// The logger called `name` (`::` is accepted for dots); nothing when it
    /// has no level and was never met.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Logger> {
        let name = logger_name(name);
        let logger = self.logger(&name);
        let known = logger.configured_level.is_some() || self.inner.seen.lock().contains(&*name);
        known.then_some(logger)
    }

    /// The group called `name`.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<LoggerGroup> {
        let (_, members) = GROUPS.iter().find(|(group, _)| *group == name)?;
        let table = self.inner.table.read();
        let mut levels = members.iter().map(|member| table.configured(member));
        let first = levels.next().flatten();
        Some(LoggerGroup {
            configured_level: first.filter(|_| levels.all(|level| level == first)),
            members: members.iter().map(|member| (*member).to_owned()).collect(),
        })
    }

    /// Everything, as the actuator shows it.
    #[must_use]
    pub fn loggers(&self) -> Loggers {
        let mut names: BTreeSet<String> = self.inner.seen.lock().clone();
        names.extend(self.inner.table.read().configured.keys().cloned());
        names.insert(ROOT.to_owned());
        Loggers {
            levels: Level::ALL,
            loggers: names
                .into_iter()
                .map(|name| {
                    let logger = self.logger(&name);
                    (name, logger)
                })
                .collect(),
            groups: GROUPS
                .iter()
                .filter_map(|(name, _)| Some(((*name).to_owned(), self.group(name)?)))
                .collect(),
        }
    }

    /// Gives a logger, or all members of a group, a level; without one it
    /// goes back to what the process was started with. After `ttl` it goes
    /// back by itself, when [`Levels::expire`] is called.
    pub fn set(&self, name: &str, level: Option<Level>, ttl: Option<Duration>) {
        let members = GROUPS.iter().find(|(group, _)| *group == name);
        match members {
            Some((_, members)) => {
                for member in *members {
                    self.set_logger(member, level, ttl);
                }
            }
            None => self.set_logger(&logger_name(name), level, ttl),
        }
        tracing::callsite::rebuild_interest_cache();
    }

    fn set_logger(&self, name: &str, level: Option<Level>, ttl: Option<Duration>) {
        let mut table = self.inner.table.write();
        let mut reverts = self.inner.reverts.lock();
        let earlier = reverts.remove(name);
        if let Some(ttl) = ttl {
            // A second change before the first went back must not make the
            // first permanent.
            let to = match earlier {
                Some(revert) => revert.to,
                None => table.configured(name),
            };
            let at = self.inner.clock.monotonic() + ttl;
            reverts.insert(name.to_owned(), Revert { at, to });
        }
        let initial = self.inner.initial.configured(name);
        table.set(name, level.or(initial));
    }

    /// Takes back the levels whose time is up. A background task calls it
    /// every second.
    pub fn expire(&self) {
        let now = self.inner.clock.monotonic();
        let mut changed = false;
        {
            let mut table = self.inner.table.write();
            self.inner.reverts.lock().retain(|name, revert| {
                if revert.at > now {
                    return true;
                }
                table.set(name, revert.to);
                changed = true;
                false
            });
        }
        if changed {
            tracing::callsite::rebuild_interest_cache();
        }
    }

    fn logger(&self, name: &str) -> Logger {
        let table = self.inner.table.read();
        Logger {
            configured_level: table.configured(name),
            effective_level: self.limited(name, table.effective(name)),
        }
    }

    fn limited(&self, name: &str, level: Level) -> Level {
        let forbidden = self.inner.forbidden.iter().any(|above| {
            name.strip_prefix(above.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
        if forbidden { Level::Off } else { level }
    }

    fn writes(&self, metadata: &Metadata<'_>) -> bool {
        let name = logger_name(metadata.target());
        let level = self.limited(&name, self.inner.table.read().effective(&name));
        level.filter() >= *metadata.level()
    }
}

/// The name of the logger of a `tracing` target.
pub(super) fn logger_name(target: &str) -> Cow<'_, str> {
    let ours = target.strip_prefix("chatwarden_");
    if ours.is_none() && !target.contains(':') {
        return Cow::Borrowed(target);
    }
    let mut name = String::with_capacity(target.len());
    if ours.is_some() {
        name.push_str("chatwarden.");
    }
    for (index, part) in
        ours.unwrap_or(target).split(':').filter(|part| !part.is_empty()).enumerate()
    {
        if index > 0 {
            name.push('.');
        }
        name.push_str(part);
    }
    Cow::Owned(name)
}

/// Applies [`Levels`] to events. Spans at INFO and above always pass: an error
/// keeps its context even where only errors are written.
pub(super) struct LevelsFilter {
    levels: Levels,
}

impl<S: Subscriber> Filter<S> for LevelsFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        is_context(metadata) || self.levels.writes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if is_context(metadata) {
            return Interest::always();
        }
        let name = logger_name(metadata.target());
        self.levels.inner.seen.lock().insert(name.into_owned());
        if self.levels.writes(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let table = self.levels.inner.table.read();
        let loudest = table.configured.values().copied().max();
        let loudest = loudest.map_or(table.root, |level| level.max(table.root));
        Some(loudest.filter().max(LevelFilter::INFO))
    }
}

fn is_context(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= tracing::Level::INFO
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::clock::ManualClock;

    fn levels(text: &str) -> (Levels, Arc<ManualClock>) {
        let clock = ManualClock::at(SystemTime::UNIX_EPOCH);
        let levels = Levels::new(text, vec!["sql.bind".to_owned()], clock.clone()).unwrap();
        (levels, clock)
    }

    #[test]
    fn a_logger_has_the_level_of_the_nearest_above() {
        let (levels, _) = levels("warn, chatwarden=info,chatwarden::db=debug, hyper=off");
        for (name, expected) in [
            ("ROOT", Level::Warn),
            ("other", Level::Warn),
            ("chatwarden", Level::Info),
            ("chatwarden_api::labels", Level::Info),
            ("chatwarden.db", Level::Debug),
            ("chatwarden_db::pool", Level::Debug),
            ("chatwarden.dbx", Level::Info),
            ("hyper::proto", Level::Off),
        ] {
            assert_eq!(levels.logger(&logger_name(name)).effective_level, expected, "{name}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["loud", "info,a=verbose", "=,"] {
            assert!(Table::parse(text).is_err(), "{text}");
        }
        assert_eq!(Table::parse("").unwrap().root, Level::Info);
    }

    #[test]
    fn a_level_can_be_given_and_taken_back() {
        let (levels, _) = levels("info,a=warn");
        assert_eq!(levels.get("b"), None);
        levels.set("b", Some(Level::Trace), None);
        levels.set("a", Some(Level::Trace), None);
        levels.set("ROOT", Some(Level::Error), None);
        let logger =
            |configured_level, effective_level| Some(Logger { configured_level, effective_level });
        assert_eq!(levels.get("b"), logger(Some(Level::Trace), Level::Trace));
        levels.set("b", None, None);
        levels.set("a", None, None);
        levels.set("ROOT", None, None);
        assert_eq!(levels.get("b"), None);
        assert_eq!(levels.get("a"), logger(Some(Level::Warn), Level::Warn));
        assert_eq!(levels.get("ROOT"), logger(Some(Level::Info), Level::Info));
    }

    #[test]
    fn a_level_with_a_time_goes_back_by_itself() {
        let (levels, clock) = levels("info,a=warn");
        let minute = Some(Duration::from_secs(60));
        levels.set("a", Some(Level::Debug), minute);
        levels.set("a", Some(Level::Trace), minute);
        clock.advance(Duration::from_secs(59));
        levels.expire();
        assert_eq!(levels.logger("a").effective_level, Level::Trace);
        clock.advance(Duration::from_secs(1));
        levels.expire();
        assert_eq!(levels.logger("a").effective_level, Level::Warn);
    }

    #[test]
    fn a_change_for_good_cancels_the_time() {
        let (levels, clock) = levels("info");
        levels.set("a", Some(Level::Debug), Some(Duration::from_secs(1)));
        levels.set("a", Some(Level::Error), None);
        clock.advance(Duration::from_secs(2));
        levels.expire();
        assert_eq!(levels.logger("a").effective_level, Level::Error);
    }

    #[test]
    fn a_group_sets_its_members_but_not_what_is_forbidden() {
        let (levels, _) = levels("info");
        levels.set("sql", Some(Level::Trace), None);
        assert_eq!(levels.logger("chatwarden.db").effective_level, Level::Trace);
        assert_eq!(levels.logger("sql.bind").effective_level, Level::Off);
        let group = levels.group("sql").unwrap();
        assert_eq!(group.configured_level, Some(Level::Trace));
        levels.set("chatwarden.db", Some(Level::Info), None);
        assert_eq!(levels.group("sql").unwrap().configured_level, None);
        assert_eq!(levels.group("nope"), None);
    }

    #[test]
    fn the_actuator_sees_what_spring_would_show() {
        let (levels, _) = levels("info,chatwarden=debug");
        let shown = serde_json::to_value(levels.loggers()).unwrap();
        assert_eq!(
            shown["levels"],
            serde_json::json!(["OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"])
        );
        assert_eq!(
            shown["loggers"],
            serde_json::json!({
                "ROOT": {"configuredLevel": "INFO", "effectiveLevel": "INFO"},
                "chatwarden": {"configuredLevel": "DEBUG", "effectiveLevel": "DEBUG"},
            })
        );
        assert!(shown["groups"]["web"]["members"].as_array().unwrap().len() > 1);
    }
}
