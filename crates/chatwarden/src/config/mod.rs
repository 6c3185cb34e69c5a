//! The configuration: one typed model, read at the start from command line, environment, file and
//! defaults, in this order of precedence.
//!
//! Each setting is declared once, in [`sections`]; the model, the reading, the messages about wrong
//! values, the origin of each value and the reference for operators follow from that row.

mod problem;
mod reference;
mod sections;
mod setting;
mod source;
mod value;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use http::Method;

pub use problem::{Invalid, Problem};
pub use reference::render as render_reference;
pub use sections::*;
pub use setting::{Fallback, Named, Setting};
pub use source::{Family, Members, Origin as Provenance, Provided, Sources};
pub use value::{BaseUrl, DatabaseUrl, Mebibytes, Ratio, RedisUrl, Secret, Timeout, Value};

/// The configuration in effect.
#[derive(Clone, Debug)]
pub struct Config {
    /// Listening, the address people use, the folder of data, the drain.
    pub server: Server,
    /// The database.
    pub database: Database,
    /// Redis.
    pub redis: Redis,
    /// Mail that goes out.
    pub mail: Mail,
    /// What accounts and the people in them may do.
    pub accounts: Accounts,
    /// The security edge.
    pub security: Edge,
    /// Sizes and times of requests.
    pub limits: Limits,
    /// Headers of answers.
    pub headers: Headers,
    /// Rate limits.
    pub rate_limit: RateLimits,
    /// The endpoints for operators.
    pub management: Management,
    /// Logs.
    pub log: Logs,
    provided: Vec<Provided>,
}

/// All settings, in the order of the reference.
pub fn catalogue() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.iter().flat_map(|section| section.iter())
}

/// Settings that are read and checked although the part of the server that acts on them is not built: the
/// reference says so, and whoever sets one is warned at the start.
const WITHOUT_EFFECT: &[&str] = &[
    "MAILER_INBOUND_EMAIL_DOMAIN",
    "MAX_TENANTS",
    "DIRECT_UPLOADS_ENABLED",
    "ENABLE_INBOX_EVENTS",
    "WEBHOOK_TIMEOUT",
];

/// What routes there are, to see which limits are ever met: looked at where a limit is set.
#[derive(Default)]
struct Effects(OnceCell<Vec<(Method, String)>>);

impl Effects {
    fn routes(&self) -> impl Iterator<Item = (&Method, &str)> {
        let table = || {
            let table = chatwarden_api::table().into_iter().map(|route| (route.method, route.path));
            // Sockets are in no table.
            table.chain([(Method::GET, "/cable".to_owned())]).collect()
        };
        std::iter::once_with(move || self.0.get_or_init(table))
            .flatten()
            .map(|(method, path)| (method, path.as_str()))
    }

    /// Whether anything acts on the variable `name`, one of `setting`'s.
    fn has(&self, setting: &Setting, name: &str) -> bool {
        !WITHOUT_EFFECT.contains(&setting.name)
            && chatwarden_guard::rate_limit::is_met(name, self.routes()) != Some(false)
    }
}

const SECTIONS: &[&[Setting]] = &[
    Server::SETTINGS,
    Database::SETTINGS,
    Redis::SETTINGS,
    Mail::SETTINGS,
    Accounts::SETTINGS,
    Edge::SETTINGS,
    Headers::SETTINGS,
    Limits::SETTINGS,
    RateLimits::SETTINGS,
    Management::SETTINGS,
    Logs::SETTINGS,
];

/// The file that is read when nothing names one.
const DEFAULT_FILE: &str = "chatwarden.toml";

/// The variable that names the file.
const FILE_VARIABLE: &str = "CHATWARDEN_CONFIG";

impl Config {
    /// Reads the configuration. `file` is the file named on the command line; without one,
    /// `CHATWARDEN_CONFIG` names it, or `chatwarden.toml` in the working directory is read if it is
    /// there.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn load(mut sources: Sources, file: Option<&Path>) -> Result<Self, Invalid> {
        let mut problems = Vec::new();
        let named =
            file.map(Path::to_owned).or_else(|| sources.variable(FILE_VARIABLE).map(PathBuf::from));
        let path = named.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        match std::fs::read_to_string(&path) {
            Ok(text) => problems.extend(sources.file(&path, &text).err()),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let reason = format!("the configuration file can't be read: {error}");
                problems.push(Problem::file(&path, None, &reason));
            }
        }
        problems.extend(sources.strangers());
        Self::read(&sources, problems)
    }

    fn read(sources: &Sources, problems: Vec<Problem>) -> Result<Self, Invalid> {
        let mut reader = source::Reader::new(sources);
        reader.problems = problems;
        // All parts are read before any is missed, so that one start tells all that is wrong.
        let server = Server::read(&mut reader);
        let database = Database::read(&mut reader);
        let redis = Redis::read(&mut reader);
        let mail = Mail::read(&mut reader);
        let accounts = Accounts::read(&mut reader);
        let security = Edge::read(&mut reader);
        let limits = Limits::read(&mut reader);
        let headers = Headers::read(&mut reader);
        let rate_limit = RateLimits::read(&mut reader);
        let management = Management::read(&mut reader);
        let log = Logs::read(&mut reader);
        let provided = std::mem::take(&mut reader.provided);
        let whole = (|| {
            let mut server = server?;
            server.settle(sources);
            Some(Self {
                server,
                database: database?,
                redis: redis?,
                mail: mail?,
                accounts: accounts?,
                security: security?,
                limits: limits?,
                headers: headers?,
                rate_limit: rate_limit?,
                management: management?,
                log: log?,
                provided,
            })
        })();
        match whole {
            Some(config) => {
                let mut problems = reader.problems;
                problems.extend(config.contradictions());
                if problems.is_empty() { Ok(config) } else { Err(Invalid(problems)) }
            }
            None => Err(Invalid(reader.problems)),
        }
    }

    /// Settings that are fine each by itself and wrong together.
    fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let server = &self.server;
        if server.drain_delay >= server.drain_timeout {
            problems.push(Problem::together(
                "DRAIN_DELAY, DRAIN_TIMEOUT",
                format!(
                    "the delay ({:?}) leaves nothing of the whole drain ({:?})",
                    server.drain_delay, server.drain_timeout
                ),
            ));
        }
        if self.mail.username.is_some() != self.mail.password.is_some() {
            problems.push(Problem::together(
                "SMTP_USERNAME, SMTP_PASSWORD",
                "one is set without the other",
            ));
        }
        let management = &self.management;
        if management.username.is_some() != management.password.is_some() {
            problems.push(Problem::together(
                "ACTUATOR_USERNAME, ACTUATOR_PASSWORD",
                "one is set without the other",
            ));
        }
        if management.listen == Some(server.listen) && server.listen.port() != 0 {
            problems.push(Problem::together(
                "LISTEN, MANAGEMENT_PORT",
                format!("both ask for {}", server.listen),
            ));
        }
        problems
    }

    /// What is allowed and yet probably not meant; for the log at the start.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let server = &self.server;
        let real = server.environment != Environment::Dev;
        if real && !server.listen.ip().is_loopback() && !server.frontend_url.is_https() {
            warnings.push(
                "FRONTEND_URL is not https: passwords and tokens cross the network in the clear"
                    .into(),
            );
        }
        if server.force_ssl && !server.frontend_url.is_https() {
            warnings.push("FORCE_SSL redirects to https, and FRONTEND_URL is not https".into());
        }
        if self.redis.url.is_some() && server.secret_key_base.is_none() {
            warnings.push(
                "REDIS_URL is set without SECRET_KEY_BASE: nodes that do not share DATA_DIR would \
                 not accept each other's sessions"
                    .into(),
            );
        }
        let given = self.provided.iter().filter(|v| v.effective && v.origin != Provenance::Default);
        let effects = Effects::default();
        for value in given.filter(|value| !effects.has(value.setting, &value.name)) {
            warnings.push(format!("{} has no effect in this version", value.name));
        }
        if real && !self.rate_limit.enabled {
            warnings
                .push("ENABLE_RACK_ATTACK is false: nothing limits guessing of passwords".into());
        }
        warnings
    }

    /// The text in effect for a variable, defaults included: for a crate that reads its part of
    /// the catalogue by name.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.provided.iter();
        values.find(|value| value.effective && value.name == name).map(|value| value.text.expose())
    }

    /// Every value that was given or defaulted, with its origin, secrets masked: what
    /// `/actuator/env` shows.
    #[must_use]
    pub fn provided(&self) -> &[Provided] {
        &self.provided
    }
}

#[cfg(test)]
mod tests;
