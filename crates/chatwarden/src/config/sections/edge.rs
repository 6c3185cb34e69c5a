//! The security edge: proxies, CORS, rate limits, sizes and times, input guard, outbound requests.
//!
//! What a value may be is said once, by the layer of `chatwarden-guard` that reads it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use chatwarden_guard::client_ip::TrustedProxies;
use chatwarden_guard::cors::OriginPattern;
use chatwarden_guard::input::Mode;
use chatwarden_guard::rate_limit::{Profile, Quota};
use ipnet::IpNet;

use crate::config::setting::Fallback::{Absent, Text};
use crate::config::setting::section;
use crate::config::source::{Family, Members};
use crate::config::value::{Mebibytes, Value, from_str_values};

from_str_values! {
    TrustedProxies: "a list, separated by commas, of `private`, `cloudflare`, `railway`, IP addresses \
                     and CIDR blocks" told;
    OriginPattern: "origins such as `https://app.example.com` or `https://*.example.com`" told;
    Profile: "one of `strict`, `chatwoot`, `balanced`";
    Mode: "one of `off`, `detect`, `block`";
}

/// The quotas of a class; all have to allow a request, none leaves it unlimited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quotas(pub Vec<Quota>);

impl Value for Quotas {
    fn form() -> String {
        "`LIMIT/PERIOD` such as `900/min` or `10/15min`, several separated by commas, or `off`"
            .into()
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(Vec::new())),
            list => Quota::list(list).map(Self).map_err(|error| error.to_string()),
        }
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
        "admin-login-ip",
        "admin-login-identity",
        "mfa-ip",
        "mfa-token",
        "mfa-manage",
        "password-reset-ip",
        "password-reset-identity",
        "confirm-resend",
        "confirm-resend-ip",
        "confirm-resend-identity",
        "email-change",
        "password-check",
        "signup",
        "signup-by-address",
        "signup-identity",
        "widget-conversation",
        "widget-conversation-inbox",
        "widget-conversation-contact",
        "widget-contact",
        "widget-page",
        "widget-page-inbox",
        "widget-transcript",
        "widget-message-contact",
        "widget-message",
        "transcript",
        "conversation-delete",
        "conversations-meta",
        "agent-create",
        "agent-delete",
        "reports-drilldown",
        "reports-user",
        "reports-account",
        "upload",
        "upload-bytes",
        "contact-search",
        "ws-connect",
        "webhook-in",
        "platform",
        "csp-report",
        "preflight",
        "actuator",
        "actuator-auth",
    ];
}

section! {
    /// Rate limits.
    RateLimits in "rate_limit" {
        /// Whether requests are limited at all.
        enabled: bool = "ENABLE_RACK_ATTACK", Text("true"), "false";
        /// Whether the widget's requests are limited.
        widget_enabled: bool = "ENABLE_RACK_ATTACK_WIDGET_API", Text("true"), "false";
        /// Which set of limits: `strict`, `balanced`, or `chatwoot`, which allows many more guesses at passwords and codes.
        profile: Profile = "RATE_LIMIT_PROFILE", Text("balanced"), "chatwoot";
        /// Networks whose requests are not limited.
        allow_cidrs: Vec<IpNet> = "RATE_LIMIT_ALLOW_CIDRS" | "RACK_ATTACK_ALLOWED_IPS", Absent,
            "10.0.0.0/8,192.0.2.7";
        /// Whether callers on this machine have no limits (`true`), or the same as all others (`false`). A request
        /// that a proxy passed on is never one of this machine's.
        allow_loopback: bool = "RATE_LIMIT_ALLOW_LOOPBACK", Text("true"), "false";
        /// Whether answers tell the limits (`RateLimit`, `RateLimit-Policy`).
        headers: bool = "RATELIMIT_HEADERS", Text("true"), "false";
        /// Whether answers carry the older `X-RateLimit-…` headers as well.
        legacy_headers: bool = "RATELIMIT_LEGACY_HEADERS", Text("false"), "true";
        /// How many milliseconds an answer of Redis may take before this node decides alone.
        redis_timeout_ms: NonZeroU32 = "RATE_LIMIT_REDIS_TIMEOUT_MS", Text("50"), "25";
        /// The limit of one class, instead of the profile's; `off` switches the class off.
        quota: Family<RateClasses, Quotas> = "RATELIMIT_", Absent, "1200/min,20000/h";
        /// Requests of one address in a minute, of whatever kind.
        general_limit: Option<NonZeroU32> = "RACK_ATTACK_LIMIT", Absent, "3000";
        /// Searches for contacts of one account in a minute.
        contact_search: Option<NonZeroU32> = "RATE_LIMIT_CONTACT_SEARCH", Absent, "100";
        /// Reports one person may ask for in a minute.
        reports_user: Option<NonZeroU32> = "RATE_LIMIT_REPORTS_API_USER_LEVEL", Absent, "100";
        /// Reports one account may ask for in a minute.
        reports_account: Option<NonZeroU32> = "RATE_LIMIT_REPORTS_API_ACCOUNT_LEVEL", Absent,
            "1000";
        /// Details of reports one person may ask for in a minute; a tenth of the reports when
        /// missing.
        reports_drilldown: Option<NonZeroU32> = "RATE_LIMIT_REPORTS_DRILLDOWN_API_USER_LEVEL",
            Absent, "10";
        /// Transcripts one account may send in an hour.
        transcript: Option<NonZeroU32> = "RATE_LIMIT_CONVERSATION_TRANSCRIPT", Absent, "1000";
        /// Conversations one account may delete in a minute.
        conversation_delete: Option<NonZeroU32> = "RATE_LIMIT_CONVERSATION_DELETE", Absent, "60";
        /// Counts of conversations one person may ask for in a minute.
        conversations_meta: Option<NonZeroU32> = "RATE_LIMIT_CONVERSATIONS_META", Absent, "30";
        /// Agents one account may create in a day.
        agent_create: Option<NonZeroU32> = "RATE_LIMIT_AGENT_CREATE", Absent, "100";
        /// Agents one account may delete in a day.
        agent_delete: Option<NonZeroU32> = "RATE_LIMIT_AGENT_DELETE", Absent, "50";
    }
}

section! {
    /// Sizes and times of requests.
    Limits in "limits" {
        /// The largest body that carries no file.
        body: Mebibytes = "MAX_BODY_SIZE_MB", Text("10"), "10";
        /// The largest body that carries several files; `MAXIMUM_FILE_UPLOAD_SIZE` holds for each.
        upload: Mebibytes = "MAX_UPLOAD_REQUEST_MB", Text("128"), "128";
        /// Time until an answer begins.
        timeout: Duration = "REQUEST_TIMEOUT", Text("30s"), "30s";
        /// The same for requests that carry files.
        upload_timeout: Duration = "UPLOAD_TIMEOUT", Text("300s"), "10min";
        /// Requests under way at the same time; more are answered 503 at once, so that those
        /// admitted stay fast.
        concurrent_requests: NonZeroUsize = "MAX_CONCURRENT_REQUESTS", Text("2048"), "2048";
    }
}

section! {
    /// The security edge.
    Edge in "security" {
        /// Proxies whose forwarding headers are believed; everybody else's are ignored.
        trusted_proxies: TrustedProxies = "TRUSTED_PROXIES", Text("none"), "private,203.0.113.7";
        /// Origins that browsers may call the API from, with credentials.
        cors_allowed_origins: Vec<OriginPattern> = "CORS_ALLOWED_ORIGINS", Absent,
            "https://app.example.com";
        /// Origins whose pages may open sockets, besides this server's own; all of them when missing.
        cable_allowed_origins: Vec<OriginPattern> = "CABLE_ALLOWED_ORIGINS", Absent,
            "https://app.example.com,https://*.example.com";
        /// Whether browsers may call the API from any origin, without credentials.
        enable_api_cors: bool = "ENABLE_API_CORS", Text("false"), "true";
        /// Whether this server is an API alone, without web pages.
        api_only: bool = "CW_API_ONLY_SERVER", Text("false"), "true";
        /// What is done about a path or query that can't be decoded, or decodes to what a path can't
        /// be.
        input_guard_target: Mode = "INPUT_GUARD_TARGET", Text("block"), "detect";
        /// What is done about input that looks like an attack. Free text is never refused.
        input_guard_detector: Mode = "INPUT_GUARD_DETECTOR", Text("detect"), "block";
        /// Whether webhooks, avatars and uploads by URL may reach private networks.
        safe_fetch_allow_private_network: bool = "SAFE_FETCH_ALLOW_PRIVATE_NETWORK", Text("false"),
            "true";
        /// How long a webhook's receiver has for its answer.
        webhook_timeout: Duration = "WEBHOOK_TIMEOUT", Text("5s"), "5s";
    }
}
