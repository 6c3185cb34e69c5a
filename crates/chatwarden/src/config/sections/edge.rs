//! The security edge: proxies, CORS, rate limits, input guard, bans, outbound requests.

use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::config::setting::Fallback::{Absent, Text};
use crate::config::setting::section;
use crate::config::source::{Family, Members};
use crate::config::value::{Value, choices};

/// Whose `X-Forwarded-For` is believed (operations.md §5.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyRule {
    /// Loopback and private networks.
    Private,
    /// Cloudflare's published networks.
    Cloudflare,
    /// Railway's edge, which names the client in `X-Real-IP`.
    Railway,
    /// These addresses.
    Network(IpNet),
}

impl Value for ProxyRule {
    fn form() -> String {
        "`private`, `cloudflare`, `railway`, or an IP address or CIDR block".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "private" => Ok(Self::Private),
            "cloudflare" => Ok(Self::Cloudflare),
            "railway" => Ok(Self::Railway),
            _ => IpNet::parse(text).map(Self::Network),
        }
    }
}

/// An origin that browsers may call from: scheme, host, optional port; the host's first label may
/// be `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// The origin as browsers spell it, e.g. `https://app.example.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Origin {
    fn form() -> String {
        "an origin such as `https://app.example.com` or `https://*.example.com`".into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            // operations.md §4.4: never every origin together with credentials.
            return Err(
                "every origin can't be allowed with credentials; ENABLE_API_CORS opens the \
                        API to all without them"
                    .into(),
            );
        }
        // The URL standard forbids `*` in a host, so it stands in as a label for the check.
        let url =
            Url::parse(&text.replacen("://*.", "://any.", 1)).map_err(|error| error.to_string())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("its scheme is {:?}", url.scheme()));
        }
        if text.replacen("://*.", "", 1).contains('*') {
            return Err("`*` may only be the first label of the host".into());
        }
        if text.contains("://*.") && url.host_str().is_none_or(|host| host.split('.').count() < 3) {
            return Err("`*` may not stand directly above a top-level domain".into());
        }
        let origin = url.origin().ascii_serialization();
        if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
            return Err(format!("only {origin} is an origin"));
        }
        Ok(Self(match text.contains("://*.") {
            true => origin.replacen("://any.", "://*.", 1),
            false => origin,
        }))
    }
}

choices! {
    /// A set of rate limits (operations.md §5.1).
    pub enum RateProfile {
        /// The founding system's.
        Strict = "strict",
        /// Chatwoot's.
        Chatwoot = "chatwoot",
        /// Ours.
        Balanced = "balanced",
    }
}

/// So many requests in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Requests.
    pub limit: NonZeroU32,
    /// Time.
    pub period: Duration,
    /// Requests at once, where that is not `limit`.
    pub burst: Option<NonZeroU32>,
}

/// The windows of a class; all have to allow a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota(pub Vec<Window>);

impl Value for Quota {
    fn form() -> String {
        "`LIMIT/PERIOD[;burst=N]`, several separated by commas; a period is `s`, `min`, `h`, `d` or \
         a duration"
            .into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let windows = text
            .split(',')
            .map(|window| {
                let (window, burst) = match window.split_once(';') {
                    Some((window, parameter)) => {
                        (window, Some(parameter.trim().strip_prefix("burst=")?.parse().ok()?))
                    }
                    None => (window, None),
                };
                let (limit, period) = window.split_once('/')?;
                let period = period.trim();
                let period = match period.starts_with(|c: char| c.is_ascii_alphabetic()) {
                    true => Duration::parse(&format!("1{period}")),
                    false => Duration::parse(period),
                }
                .ok()
                .filter(|period| !period.is_zero())?;
                Some(Window { limit: limit.trim().parse().ok()?, period, burst })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(String::new)?;
        Ok(Self(windows))
    }
}

/// The classes of requests that have a limit (operations.md §5.1).
#[derive(Clone, Copy, Debug)]
pub struct RateClasses;

impl Members for RateClasses {
    const NAMES: &'static [&'static str] = &[
        "general",
        "api-ip",
        "api-token",
        "api-tenant",
        "auth-ip",
        "auth-identity",
        "admin-login",
        "mfa",
        "password-reset",
        "confirm-resend",
        "signup",
        "contact-search",
        "reports",
        "transcript",
        "upload",
        "widget-conversation",
        "widget-contact",
        "widget-page",
        "widget-message",
        "ws-connect",
        "webhook-in",
        "platform",
        "csp-report",
        "preflight",
        "actuator",
    ];
}

section! {
    /// Rate limits.
    RateLimits in "rate_limit" {
        /// Whether requests are limited at all.
        enabled: bool = "ENABLE_RACK_ATTACK", Text("true"), "false";
        /// Whether the widget's requests are limited.
        widget_enabled: bool = "ENABLE_RACK_ATTACK_WIDGET_API", Text("true"), "false";
        /// Which set of limits: `strict`, Chatwoot's, or the one in between.
        profile: RateProfile = "RATE_LIMIT_PROFILE", Text("balanced"), "chatwoot";
        /// Requests of one address in a minute; overrides class `general`.
        general_limit: Option<NonZeroU32> = "RACK_ATTACK_LIMIT", Absent, "3000";
        /// Networks whose requests are not limited.
        allow_cidrs: Vec<IpNet> = "RATE_LIMIT_ALLOW_CIDRS" | "RACK_ATTACK_ALLOWED_IPS", Absent,
            "10.0.0.0/8,192.0.2.7";
        /// The limit of one class, instead of the profile's.
        quota: Family<RateClasses, Quota> = "RATELIMIT_", Absent, "1200/min,20000/h";
        /// Whether answers carry the older `X-RateLimit-…` headers as well.
        legacy_headers: bool = "RATELIMIT_LEGACY_HEADERS", Text("false"), "true";
        /// Searches for contacts of one account in a minute; overrides class `contact-search`.
        contact_search: Option<NonZeroU32> = "RATE_LIMIT_CONTACT_SEARCH", Absent, "100";
        /// Reports one person may ask for in a minute.
        reports_user: Option<NonZeroU32> = "RATE_LIMIT_REPORTS_API_USER_LEVEL", Absent, "100";
        /// Reports one account may ask for in a minute.
        reports_account: Option<NonZeroU32> = "RATE_LIMIT_REPORTS_API_ACCOUNT_LEVEL", Absent, "1000";
        /// Transcripts one account may send in an hour; overrides class `transcript`.
        transcript: Option<NonZeroU32> = "RATE_LIMIT_CONVERSATION_TRANSCRIPT", Absent, "1000";
    }
}

choices! {
    /// What is done about an input that looks like an attack.
    pub enum GuardMode {
        /// It is not looked for.
        Off = "off",
        /// It is counted.
        Detect = "detect",
        /// The request is refused, where blocking is allowed (never for free text).
        Block = "block",
    }
}

/// What the input guard looks for (operations.md §6.3).
#[derive(Clone, Copy, Debug)]
pub struct GuardCategories;

impl Members for GuardCategories {
    const NAMES: &'static [&'static str] = &[
        "sqli",
        "xss",
        "traversal",
        "crlf",
        "nullbyte",
        "nosql",
        "ssti",
        "cmdi",
        "ssrf",
        "proto",
        "encoding",
    ];
}

choices! {
    /// What is done about clients that behave like attackers.
    pub enum Ban {
        /// Nothing.
        Off = "off",
        /// It is told what would be done.
        Observe = "observe",
        /// They are shut out for a while.
        Enforce = "enforce",
    }
}

section! {
    /// The security edge.
    Edge in "security" {
        /// Proxies whose `X-Forwarded-For` is believed; everybody else's is ignored.
        trusted_proxies: Vec<ProxyRule> = "TRUSTED_PROXIES", Absent, "private,203.0.113.7";
        /// Origins that browsers may call the API from, with credentials.
        cors_allowed_origins: Vec<Origin> = "CORS_ALLOWED_ORIGINS", Absent,
            "https://app.example.com";
        /// Whether browsers may call the API from any origin, without credentials.
        enable_api_cors: bool = "ENABLE_API_CORS", Text("false"), "true";
        /// Whether this server is an API alone, without web pages.
        api_only: bool = "CW_API_ONLY_SERVER", Text("false"), "true";
        /// Origins that may open a socket; any when missing, as a token in the first frame decides.
        cable_allowed_origins: Vec<Origin> = "CABLE_ALLOWED_ORIGINS", Absent,
            "https://app.example.com";
        /// Whether `Strict-Transport-Security` asks for a place in browsers' own lists.
        hsts_preload: bool = "HSTS_PRELOAD", Text("false"), "true";
        /// Whether a widget without allowed domains may be framed by nobody (rather than anybody).
        widget_require_allowed_domains: bool = "WIDGET_REQUIRE_ALLOWED_DOMAINS", Text("false"),
            "true";
        /// What is done about one kind of suspicious input, instead of the default.
        input_guard: Family<GuardCategories, GuardMode> = "INPUT_GUARD_", Absent, "detect";
        /// What is done about clients that behave like attackers; when missing, `observe` in the
        /// first 7 days of an installation, then `enforce`.
        ban: Option<Ban> = "SECURITY_BAN", Absent, "observe";
        /// Whether webhooks, avatars and uploads by URL may reach private networks.
        safe_fetch_allow_private_network: bool = "SAFE_FETCH_ALLOW_PRIVATE_NETWORK", Text("false"),
            "true";
        /// How long a webhook's receiver has for its answer.
        webhook_timeout: Duration = "WEBHOOK_TIMEOUT", Text("5s"), "5s";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas() {
        let window = |limit, seconds, burst| Window {
            limit: NonZeroU32::new(limit).expect("not zero"),
            period: Duration::from_secs(seconds),
            burst: NonZeroU32::new(burst),
        };
        for (text, expected) in [
            ("900/min", Some(vec![window(900, 60, 0)])),
            ("5/5min, 20/h", Some(vec![window(5, 300, 0), window(20, 3600, 0)])),
            ("100/min;burst=10", Some(vec![window(100, 60, 10)])),
            ("50/day", Some(vec![window(50, 86_400, 0)])),
            ("6/12h", Some(vec![window(6, 43_200, 0)])),
            ("10/30", Some(vec![window(10, 30, 0)])),
            ("0/min", None),
            ("5", None),
            ("5/0s", None),
            ("5/min;size=3", None),
            ("5/min,", None),
        ] {
            assert_eq!(Quota::parse(text).ok(), expected.map(Quota), "{text:?}");
        }
    }

    #[test]
    fn origins() {
        for (text, expected) in [
            ("https://app.example.com", Some("https://app.example.com")),
            ("https://APP.example.com:443/", Some("https://app.example.com")),
            ("http://localhost:5173", Some("http://localhost:5173")),
            ("https://*.example.com", Some("https://*.example.com")),
            ("https://*.example.com:8443", Some("https://*.example.com:8443")),
            ("https://*.com", None),
            ("https://a.*.com", None),
            ("https://*.*.example.com", None),
            ("*", None),
            ("null", None),
            ("https://a.example.com/path", None),
            ("ftp://a.example.com", None),
        ] {
            let parsed = Origin::parse(text).ok();
            assert_eq!(parsed.as_ref().map(Origin::as_str), expected, "{text:?}");
        }
    }
}
