//! The endpoints for operators: health, metrics, levels of logs.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use ipnet::IpNet;

use super::Groups;
use crate::config::setting::Fallback::{Absent, Computed, Text};
use crate::config::setting::section;
use crate::config::source::Sources;
use crate::config::value::{Secret, Value, choices};

choices! {
    /// Who sees details.
    pub enum Show {
        /// Nobody.
        Never = "never",
        /// Operators who have shown their credential.
        WhenAuthorized = "when-authorized" | "when_authorized",
        /// Everybody.
        Always = "always",
    }
}

choices! {
    /// What an operator may do.
    pub enum Role {
        /// Look.
        Read = "ops.read",
        /// Change things, and look.
        Write = "ops.write",
    }
}

choices! {
    /// What a degraded state is called in health answers.
    pub enum DegradedAs {
        /// `UP`, with `details.degraded`.
        Up = "up",
        /// `DEGRADED`.
        Degraded = "degraded",
    }
}

choices! {
    /// Which accounts have series of their own.
    pub enum TenantLabel {
        /// None.
        Off = "off",
        /// The 50 largest.
        Top = "top",
    }
}

/// A path below which something lives: starts with a slash, does not end with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    /// The path, e.g. `/actuator`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for BasePath {
    fn form() -> String {
        "a path of letters, digits, `-`, `_`, `.` that starts with a slash and is not `/` alone"
            .into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let path = text.trim_end_matches('/');
        let segments = path.strip_prefix('/').ok_or_else(String::new)?;
        let sound = segments.split('/').all(|segment| {
            !segment.is_empty()
                && !segment.trim_matches('.').is_empty()
                && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        });
        if sound { Ok(Self(path.to_owned())) } else { Err(String::new()) }
    }
}

/// The endpoints of operations.md §1.2, by the first segment of their path.
const ENDPOINTS: [&str; 18] = [
    "health",
    "info",
    "metrics",
    "prometheus",
    "loggers",
    "env",
    "configprops",
    "httpexchanges",
    "scheduledtasks",
    "mappings",
    "threaddump",
    "auditevents",
    "caches",
    "flyway",
    "sbom",
    "logfile",
    "startup",
    "shutdown",
];

/// An endpoint for operators, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposed {
    /// All that are not off unless named.
    All,
    /// This one.
    One(&'static str),
}

impl Value for Exposed {
    fn form() -> String {
        format!("`*` or one of {}", ENDPOINTS.join(" "))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        let known = ENDPOINTS.iter().find(|known| known.eq_ignore_ascii_case(text));
        known.map(|known| Self::One(known)).ok_or_else(String::new)
    }
}

section! {
    /// The endpoints for operators: health, metrics, levels of logs.
    Management in "management" {
        /// The path they live below.
        base_path: BasePath = "MANAGEMENT_BASE_PATH", Text("/actuator"), "/actuator";
        /// An address and port of their own; then the main one has only `/livez`, `/readyz` and
        /// `/health`.
        listen: Option<SocketAddr> = "MANAGEMENT_LISTEN", Computed {
            told: "the host of `LISTEN` with the port of `MANAGEMENT_PORT`, when that is set",
            rule: management_listen,
        }, "127.0.0.1:9090";
        /// A port of their own.
        port: Option<u16> = "MANAGEMENT_PORT", Absent, "9090";
        /// Endpoints anybody may ask for, as far as their role allows.
        exposure_include: Vec<Exposed> = "MANAGEMENT_EXPOSURE_INCLUDE",
            Text("health,info,metrics,prometheus"), "health,info";
        /// Endpoints operators with a credential may ask for; `*` is all but
        /// `shutdown`.
        exposure_authenticated: Vec<Exposed> = "MANAGEMENT_EXPOSURE_AUTHENTICATED", Text("*"),
            "*,shutdown";
        /// How long an answer may be repeated; `0s` is not at all. Health is always what was found last, and levels of
        /// loggers are as they stand.
        cache_ttl: Duration = "MANAGEMENT_CACHE_TTL", Text("1s"), "1s";
        /// Bearer token of operators who read. When missing, one is made at the first start and kept
        /// in `DATA_DIR`.
        token: Option<Secret> = "ACTUATOR_TOKEN", Absent, "$(openssl rand -hex 32)";
        /// Bearer token of operators who change things; without one nobody can.
        admin_token: Option<Secret> = "ACTUATOR_ADMIN_TOKEN", Absent,
            "$(openssl rand -hex 32)";
        /// User name for HTTP Basic, which Prometheus and Spring Boot Admin speak.
        username: Option<String> = "ACTUATOR_USERNAME", Absent, "prometheus";
        /// Its password.
        password: Option<Secret> = "ACTUATOR_PASSWORD", Absent, "a-long-password";
        /// Networks that may scrape metrics without a credential.
        metrics_allow_cidrs: Vec<IpNet> = "METRICS_ALLOW_CIDRS", Absent, "10.0.0.0/8";
        /// Who sees the details of health.
        health_show_details: Show = "HEALTH_SHOW_DETAILS", Computed {
            told: "`always` when `APP_ENV` is `dev`, else `when-authorized`",
            rule: health_show_details,
        }, "never";
        /// Who sees the components of health; when missing, who sees the details.
        health_show_components: Option<Show> = "HEALTH_SHOW_COMPONENTS", Absent, "always";
        /// What a degraded state is called.
        health_degraded_as: DegradedAs = "HEALTH_DEGRADED_AS", Text("up"), "degraded";
        /// Components that readiness depends on besides its own, e.g. `db`.
        health_readiness_include: Vec<String> = "HEALTH_READINESS_INCLUDE", Absent, "db";
        /// Groups of health, by their names: what is in them, or what the groups that there are have besides and
        /// have not, and who sees their details.
        health_group: Groups = "HEALTH_GROUP_", Absent, "db";
        /// Which operators see details of health where those with a credential do: the token
        /// `ACTUATOR_TOKEN` and the user look (`ops.read`), `ACTUATOR_ADMIN_TOKEN` changes things
        /// (`ops.write`) and may look as well. All of them when missing.
        health_roles: Vec<Role> = "HEALTH_ROLES", Absent, "ops.write";
        /// Whether `info` tells what was built.
        info_build: bool = "INFO_BUILD_ENABLED", Text("true"), "false";
        /// Whether `info` tells from which commit.
        info_git: bool = "INFO_GIT_ENABLED", Text("true"), "false";
        /// Whether `info` tells operators of the operating system.
        info_os: bool = "INFO_OS_ENABLED", Text("true"), "false";
        /// Whether `info` tells operators of the process.
        info_process: bool = "INFO_PROCESS_ENABLED", Text("true"), "false";
        /// Whether `info` tells operators of the compiler.
        info_rust: bool = "INFO_RUST_ENABLED", Text("true"), "false";
        /// Whether `info` tells operators what is configured.
        info_app: bool = "INFO_APP_ENABLED", Text("true"), "false";
        /// Who sees the values of settings; secrets are masked always.
        env_show_values: Show = "ENV_SHOW_VALUES", Text("never"), "when-authorized";
        /// Whether the names of the JVM's metrics that tools ask for are answered by their
        /// counterparts here.
        jvm_aliases: bool = "ACTUATOR_JVM_ALIASES", Text("true"), "false";
        /// Whether anything is measured; without it there are no metrics to ask for.
        metrics_enabled: bool = "METRICS_ENABLED", Text("true"), "false";
        /// What the names of business metrics begin with.
        metrics_prefix: String = "METRICS_PREFIX", Text("chatwoot"), "chatwoot";
        /// Label sets a metric may have; more are counted together.
        metrics_max_labelsets: NonZeroUsize = "METRICS_MAX_LABELSETS", Text("1000"), "1000";
        /// Which accounts have series of their own in the meters that say so: with `top` the 50 with the most
        /// conversations, looked at once an hour; all others are `other`.
        metrics_tenant_label: TenantLabel = "METRICS_TENANT_LABEL", Text("off"), "top";
    }
}

fn management_listen(sources: &Sources) -> Option<String> {
    let port = sources.text("MANAGEMENT_PORT")?;
    let listen = sources.text("LISTEN");
    let host = match listen.as_deref().and_then(|listen| listen.rsplit_once(':')) {
        Some((host, _)) => host,
        None if sources.text("PORT").is_some() => "0.0.0.0",
        None => "127.0.0.1",
    };
    Some(format!("{host}:{port}"))
}

fn health_show_details(sources: &Sources) -> Option<String> {
    Some(if sources.is_dev() { "always" } else { "when-authorized" }.into())
}
