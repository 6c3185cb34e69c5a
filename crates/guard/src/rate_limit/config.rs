//! Settings of the limits, and their names in the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use ipnet::IpNet;

use super::rules::RULES;
use super::{InvalidQuota, Profile, Quota};
use crate::client_ip::network;

/// Settings of the limits. [`RateLimitConfig::apply_env`] reads them from the environment.
#[derive(Debug, Clone)]
pub struct RateLimitConfig {
    /// Env `ENABLE_RACK_ATTACK`, default true.
    pub enabled: bool,
    /// Env `ENABLE_RACK_ATTACK_WIDGET_API`, default true: the limits on the widget.
    pub widget: bool,
    /// Env `RATE_LIMIT_PROFILE`, default `balanced`.
    pub profile: Profile,
    /// Quotas by class, in place of the profile's; an empty list switches a class off. Env
    /// `RATELIMIT_<CLASS>` (upper case, `_` for `-`), `n/period[,n/period]` or `off`, and the
    /// upstream's names: `RACK_ATTACK_LIMIT` (then one class has all requests, as upstream),
    /// `RATE_LIMIT_…`.
    pub overrides: BTreeMap<&'static str, Vec<Quota>>,
    /// Clients without limits. Env `RACK_ATTACK_ALLOWED_IPS`, `RATE_LIMIT_ALLOW_CIDRS`.
    pub allow: Vec<IpNet>,
    /// Callers on this machine have no limits. Env `RATE_LIMIT_ALLOW_LOOPBACK`, default true.
    pub allow_loopback: bool,
    /// First path segments without limits: probes and static files.
    pub exempt: Vec<String>,
    /// Key of the hashes under which identities are kept; the same on all nodes.
    pub secret: Vec<u8>,
    /// Name of the installation within the shared store.
    pub partition: String,
    /// What an answer of Redis may take. Env `RATE_LIMIT_REDIS_TIMEOUT_MS`, default 50 ms.
    pub timeout: Duration,
    /// Identities remembered in this process.
    pub capacity: usize,
    /// Send `RateLimit` and `RateLimit-Policy`. Env `RATELIMIT_HEADERS`, default true.
    pub headers: bool,
    /// Send `X-RateLimit-*` too. Env `RATELIMIT_LEGACY_HEADERS`, default false.
    pub legacy_headers: bool,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        let exempt = [
            "health",
            "livez",
            "readyz",
            "packs",
            "vite",
            "assets",
            "audio",
            "brand-assets",
            "dashboard",
            "favicon.ico",
            "robots.txt",
            "manifest.json",
            "sw.js",
        ];
        Self {
            enabled: true,
            widget: true,
            profile: Profile::default(),
            overrides: BTreeMap::new(),
            allow: Vec::new(),
            allow_loopback: true,
            exempt: exempt.map(String::from).to_vec(),
            secret: Vec::new(),
            partition: "chatwarden".to_owned(),
            timeout: Duration::from_millis(50),
            capacity: 200_000,
            headers: true,
            legacy_headers: false,
        }
    }
}

/// A setting that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `RATE_LIMIT_PROFILE`.
    #[error("RATE_LIMIT_PROFILE: {0:?} is not strict, chatwoot or balanced")]
    Profile(String),
    /// A quota.
    #[error("{name}: {source}")]
    Quota {
        /// The variable.
        name: String,
        /// What is wrong.
        source: InvalidQuota,
    },
    /// A network, number or switch.
    #[error("{name}: can't read {value:?}")]
    Value {
        /// The variable.
        name: String,
        /// Its value.
        value: String,
    },
    /// The address of Redis.
    #[error("rate limits in Redis: {0}")]
    Redis(#[from] ::redis::RedisError),
}

impl RateLimitConfig {
    /// Reads every variable this configuration knows.
    ///
    /// # Errors
    /// The first value that can't be read.
    pub fn apply_env(
        &mut self,
        lookup: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigError> {
        let lookup = |name: &str| lookup(name).filter(|value| !value.trim().is_empty());
        let unreadable = |name: &str, value: &str| ConfigError::Value {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        if let Some(profile) = lookup("RATE_LIMIT_PROFILE") {
            self.profile = profile.parse()?;
        }
        for (name, switch) in [
            ("ENABLE_RACK_ATTACK", &mut self.enabled),
            ("ENABLE_RACK_ATTACK_WIDGET_API", &mut self.widget),
            ("RATE_LIMIT_ALLOW_LOOPBACK", &mut self.allow_loopback),
            ("RATELIMIT_HEADERS", &mut self.headers),
            ("RATELIMIT_LEGACY_HEADERS", &mut self.legacy_headers),
        ] {
            if let Some(value) = lookup(name) {
                *switch = match value.trim().to_ascii_lowercase().as_str() {
                    "true" | "1" | "on" | "yes" => true,
                    "false" | "0" | "off" | "no" => false,
                    _ => return Err(unreadable(name, &value)),
                };
            }
        }
        for name in ["RACK_ATTACK_ALLOWED_IPS", "RATE_LIMIT_ALLOW_CIDRS"] {
            let value = lookup(name).unwrap_or_default();
            for entry in value.split([',', ' ']).map(str::trim).filter(|it| !it.is_empty()) {
                self.allow.push(network(entry).ok_or_else(|| unreadable(name, entry))?);
            }
        }
        if let Some(value) = lookup("RATE_LIMIT_REDIS_TIMEOUT_MS") {
            let millis = value.trim().parse();
            let millis = millis.map_err(|_| unreadable("RATE_LIMIT_REDIS_TIMEOUT_MS", &value))?;
            self.timeout = Duration::from_millis(millis);
        }
        let number = |name: &str| -> Result<Option<u64>, ConfigError> {
            let Some(value) = lookup(name) else { return Ok(None) };
            let number = value.trim().parse().ok().filter(|number| *number > 0);
            number.map(Some).ok_or_else(|| unreadable(name, &value))
        };
        for rule in RULES {
            let stated = rule.env.map(number).transpose()?.flatten();
            let tenth = rule.env_tenth.map(number).transpose()?.flatten();
            if let Some(limit) = stated.or(tenth.map(|limit| (limit / 10).max(1))) {
                // The upstream's windows, whatever the profile.
                let quota = rule.chatwoot.first().map(|quota| Quota { limit, ..*quota });
                self.overrides.insert(rule.class, quota.into_iter().collect());
                if rule.class == "general" {
                    self.overrides.insert("api-ip", Vec::new());
                }
            }
        }
        for rule in RULES {
            let name = format!("RATELIMIT_{}", rule.class.to_ascii_uppercase().replace('-', "_"));
            if let Some(value) = lookup(&name) {
                let quotas = match value.trim() {
                    "off" => Vec::new(),
                    list => Quota::list(list)
                        .map_err(|source| ConfigError::Quota { name: name.clone(), source })?,
                };
                self.overrides.insert(rule.class, quotas);
            }
        }
        Ok(())
    }
}
