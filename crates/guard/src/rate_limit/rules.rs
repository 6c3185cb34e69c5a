//! The table of limits: behaviours.md §17 and operations.md §5.1.
//!
//! Classes keyed by address alone are checked by the layer; attempts, and those keyed by what only
//! the handler knows (the account, the identity in the body), are checked by [`super::RateLimiter::check_request`].

use http::Method;

use super::Quota;
use crate::path::PathPattern;

/// Which column of the table applies. Env `RATE_LIMIT_PROFILE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Few requests for everybody.
    Strict,
    /// The upstream's limits and no others.
    Chatwoot,
    /// An office of agents behind one address works; a script doesn't.
    #[default]
    Balanced,
}

impl std::str::FromStr for Profile {
    type Err = super::ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "strict" => Ok(Self::Strict),
            "chatwoot" => Ok(Self::Chatwoot),
            "balanced" => Ok(Self::Balanced),
            _ => Err(super::ConfigError::Profile(text.to_owned())),
        }
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ip,
    /// Address and a query parameter.
    IpAndQuery(&'static str),
    /// Address and a website that only the handler knows.
    IpAndWebsite,
    /// The path, which names a channel.
    Path,
    Email,
    MfaToken,
    Account,
    User,
    AccountUser,
    /// An API token, by its id.
    Token,
    Contact,
}

/// What else must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    QueryLacks(&'static str),
    /// Whether the sign-in carries an `mfa_token`, which is in the body.
    Mfa(bool),
}

/// How many units a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    One,
    /// The size of the content.
    Bytes,
}

/// How the class is decided without the shared store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    Local,
    /// Half of the local share: guessing passwords on each instance must not pay.
    Halved,
    Open,
}

pub(super) struct Rule {
    pub(super) class: &'static str,
    pub(super) on: &'static [(&'static [Method], PathPattern)],
    pub(super) except: &'static [PathPattern],
    pub(super) when: When,
    pub(super) key: KeyKind,
    pub(super) cost: Cost,
    pub(super) chatwoot: &'static [Quota],
    pub(super) balanced: &'static [Quota],
    /// As `balanced` if empty.
    pub(super) strict: &'static [Quota],
    /// Number of the first quota.
    pub(super) env: Option<&'static str>,
    /// Number of which a tenth is the default.
    pub(super) env_tenth: Option<&'static str>,
    /// A denied request takes a unit as well, and a success gives its unit back.
    pub(super) attempts: bool,
    pub(super) away: Away,
    /// Refused with `503` instead of `429`: a provider retries that.
    pub(super) unavailable: bool,
    /// Off with `ENABLE_RACK_ATTACK_WIDGET_API=false`.
    pub(super) widget: bool,
}

const ANY: &[Method] = &[];
const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const DELETE: &[Method] = &[Method::DELETE];
const UPDATE: &[Method] = &[Method::PATCH, Method::PUT];

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

const OFF: Rule = Rule {
    class: "",
    on: &[],
    except: &[],
    when: When::Always,
    key: KeyKind::Ip,
    cost: Cost::One,
    chatwoot: &[],
    balanced: &[],
    strict: &[],
    env: None,
    env_tenth: None,
    attempts: false,
    away: Away::Local,
    unavailable: false,
    widget: false,
};

/// A rule that is the same in all profiles.
const fn same(
    class: &'static str,
    key: KeyKind,
    on: &'static [(&'static [Method], PathPattern)],
    quota: &'static [Quota],
) -> Rule {
    Rule { class, key, on, chatwoot: quota, balanced: quota, ..OFF }
}

/// A rule on guesses at a secret.
const fn attempts(
    class: &'static str,
    key: KeyKind,
    on: &'static [(&'static [Method], PathPattern)],
    quota: &'static [Quota],
) -> Rule {
    Rule { attempts: true, away: Away::Halved, ..same(class, key, on, quota) }
}

const SIGN_IN: &[(&[Method], PathPattern)] = &[(POST, PathPattern("/auth/sign_in"))];
const ADMIN_SIGN_IN: &[(&[Method], PathPattern)] = &[(POST, PathPattern("/super_admin/sign_in"))];
const PASSWORD: &[(&[Method], PathPattern)] = &[(POST, PathPattern("/auth/password"))];
const RESEND: &[(&[Method], PathPattern)] = &[(POST, PathPattern("/resend_confirmation"))];
const SIGN_UP: PathPattern = PathPattern("/api/v1/accounts");
const SIGN_UP_BY_ADDRESS: PathPattern = PathPattern("/api/v2/accounts");
const WEBHOOKS: &[(&[Method], PathPattern)] =
    &[(POST, PathPattern("/webhooks/**")), (POST, PathPattern("/twilio/**"))];
const REPORTS: &[(&[Method], PathPattern)] =
    &[(ANY, PathPattern("/api/v2/accounts/{account}/reports/**"))];
const UPLOAD: &[(&[Method], PathPattern)] =
    &[(POST, PathPattern("/api/v1/accounts/{account}/upload"))];
const WIDGET_MESSAGES: &[(&[Method], PathPattern)] =
    &[(POST, PathPattern("/api/v1/widget/messages"))];
const API: PathPattern = PathPattern("/api/**");
const PUBLIC_API: PathPattern = PathPattern("/public/api/**");
const PLATFORM_API: PathPattern = PathPattern("/platform/**");
const AUTH: PathPattern = PathPattern("/auth/**");

pub(super) const RULES: &[Rule] = &[
    Rule {
        class: "general",
        on: &[(ANY, PathPattern("/**"))],
        // Paths with a class of their own; where that class is off, `general` has them.
        except: &[
            API,
            PUBLIC_API,
            PLATFORM_API,
            AUTH,
            PathPattern("/webhooks/**"),
            PathPattern("/twilio/**"),
        ],
        chatwoot: &[Quota::new(3000, MINUTE)],
        balanced: &[Quota::new(900, MINUTE), Quota::new(15_000, HOUR)],
        strict: &[Quota::new(100, MINUTE), Quota::new(1000, HOUR)],
        env: Some("RACK_ATTACK_LIMIT"),
        ..OFF
    },
    Rule {
        class: "api-ip",
        on: &[(ANY, API), (ANY, PUBLIC_API), (ANY, PLATFORM_API), (ANY, AUTH)],
        balanced: &[Quota::new(1200, MINUTE), Quota::new(20_000, HOUR)],
        strict: &[Quota::new(200, MINUTE), Quota::new(2000, HOUR)],
        ..OFF
    },
    Rule {
        class: "api-token",
        on: &[(ANY, API)],
        key: KeyKind::Token,
        balanced: &[Quota::new(600, MINUTE)],
        ..OFF
    },
    Rule {
        class: "api-tenant",
        on: &[
            (ANY, PathPattern("/api/v1/accounts/{account}/**")),
            (ANY, PathPattern("/api/v2/accounts/{account}/**")),
        ],
        key: KeyKind::Account,
        // An installation of one's own has no plans: the highest one.
        balanced: &[Quota::new(30_000, MINUTE)],
        ..OFF
    },
    Rule {
        balanced: &[Quota::new(10, 5 * MINUTE), Quota::new(60, HOUR)],
        strict: &[Quota::new(5, MINUTE), Quota::new(20, HOUR)],
        when: When::Mfa(false),
        ..attempts("auth-ip", KeyKind::Ip, SIGN_IN, &[Quota::new(5, 5 * MINUTE)])
    },
    Rule {
        balanced: &[Quota::new(10, 15 * MINUTE), Quota::new(50, DAY)],
        when: When::Mfa(false),
        ..attempts("auth-identity", KeyKind::Email, SIGN_IN, &[Quota::new(10, 15 * MINUTE)])
    },
    attempts("admin-login-ip", KeyKind::Ip, ADMIN_SIGN_IN, &[Quota::new(5, 5 * MINUTE)]),
    attempts("admin-login-identity", KeyKind::Email, ADMIN_SIGN_IN, &[Quota::new(5, 15 * MINUTE)]),
    Rule {
        balanced: &[Quota::new(5, MINUTE)],
        when: When::Mfa(true),
        ..attempts("mfa-ip", KeyKind::Ip, SIGN_IN, &[Quota::new(10, MINUTE)])
    },
    Rule {
        // A pending sign-in lives for minutes: five in a day are five in total.
        balanced: &[Quota::new(5, DAY)],
        when: When::Mfa(true),
        ..attempts("mfa-token", KeyKind::MfaToken, SIGN_IN, &[Quota::new(10, MINUTE)])
    },
    attempts(
        "mfa-manage",
        KeyKind::Ip,
        &[
            (DELETE, PathPattern("/api/v1/profile/mfa")),
            (POST, PathPattern("/api/v1/profile/mfa/verify")),
            (POST, PathPattern("/api/v1/profile/mfa/backup_codes")),
        ],
        &[Quota::new(5, MINUTE)],
    ),
    same("password-reset-ip", KeyKind::Ip, PASSWORD, &[Quota::new(5, 30 * MINUTE)]),
    same("password-reset-identity", KeyKind::Email, PASSWORD, &[Quota::new(5, HOUR)]),
    same(
        "confirm-resend",
        KeyKind::Ip,
        &[(POST, PathPattern("/api/v1/profile/resend_confirmation"))],
        &[Quota::new(5, 30 * MINUTE)],
    ),
    same("confirm-resend-ip", KeyKind::Ip, RESEND, &[Quota::new(5, 30 * MINUTE)]),
    same("confirm-resend-identity", KeyKind::Email, RESEND, &[Quota::new(5, HOUR)]),
    // Only for changes of the address, which only the handler knows: no path of its own. Each sends a mail to an
    // address of the sender's choice.
    Rule { class: "email-change", key: KeyKind::User, balanced: &[Quota::new(5, HOUR)], ..OFF },
    // A password, or a code, asked for once more of who is signed in: no path of its own either.
    Rule {
        class: "password-check",
        key: KeyKind::User,
        balanced: &[Quota::new(10, 15 * MINUTE), Quota::new(50, DAY)],
        attempts: true,
        away: Away::Halved,
        ..OFF
    },
    same("signup", KeyKind::Ip, &[(POST, SIGN_UP)], &[Quota::new(5, 30 * MINUTE)]),
    Rule {
        class: "signup-by-address",
        on: &[(POST, SIGN_UP_BY_ADDRESS)],
        balanced: &[Quota::new(5, 30 * MINUTE)],
        ..OFF
    },
    Rule {
        // Each sends a mail, perhaps to somebody who never asked for one.
        class: "signup-identity",
        key: KeyKind::Email,
        on: &[(POST, SIGN_UP), (POST, SIGN_UP_BY_ADDRESS)],
        balanced: &[Quota::new(5, HOUR)],
        ..OFF
    },
    Rule {
        widget: true,
        key: KeyKind::Ip,
        chatwoot: &[Quota::new(6, 12 * HOUR)],
        on: &[(POST, PathPattern("/api/v1/widget/conversations"))],
        class: "widget-conversation",
        ..OFF
    },
    Rule {
        widget: true,
        key: KeyKind::IpAndQuery("website_token"),
        balanced: &[Quota::new(60, 12 * HOUR)],
        on: &[(POST, PathPattern("/api/v1/widget/conversations"))],
        class: "widget-conversation-inbox",
        ..OFF
    },
    Rule {
        widget: true,
        key: KeyKind::Contact,
        balanced: &[Quota::new(6, 12 * HOUR)],
        on: &[(POST, PathPattern("/api/v1/widget/conversations"))],
        class: "widget-conversation-contact",
        ..OFF
    },
    Rule {
        widget: true,
        ..same(
            "widget-contact",
            KeyKind::Ip,
            // The clients call the singular path, so that upstream never meets this limit.
            &[(UPDATE, PathPattern("/api/v1/widget/contacts"))],
            &[Quota::new(60, HOUR)],
        )
    },
    Rule {
        widget: true,
        class: "widget-page",
        when: When::QueryLacks("cw_conversation"),
        on: &[(GET, PathPattern("/widget"))],
        chatwoot: &[Quota::new(5, HOUR)],
        ..OFF
    },
    // Only for visitors who are new, which only the handler knows: no path of its own.
    Rule {
        widget: true,
        class: "widget-page-inbox",
        key: KeyKind::IpAndWebsite,
        balanced: &[Quota::new(60, HOUR)],
        ..OFF
    },
    Rule {
        widget: true,
        ..same(
            "widget-transcript",
            KeyKind::Ip,
            &[(POST, PathPattern("/api/v1/widget/conversations/transcript"))],
            &[Quota::new(5, HOUR)],
        )
    },
    Rule {
        widget: true,
        class: "widget-message-contact",
        key: KeyKind::Contact,
        on: WIDGET_MESSAGES,
        balanced: &[Quota::new(30, MINUTE)],
        ..OFF
    },
    Rule {
        widget: true,
        class: "widget-message",
        key: KeyKind::IpAndQuery("website_token"),
        on: WIDGET_MESSAGES,
        balanced: &[Quota::new(300, MINUTE)],
        ..OFF
    },
    Rule {
        env: Some("RATE_LIMIT_CONVERSATION_TRANSCRIPT"),
        ..same(
            "transcript",
            KeyKind::Account,
            &[(POST, PathPattern("/api/v1/accounts/{account}/conversations/{id}/transcript"))],
            &[Quota::new(1000, HOUR)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_CONVERSATION_DELETE"),
        ..same(
            "conversation-delete",
            KeyKind::Account,
            &[(DELETE, PathPattern("/api/v1/accounts/{account}/conversations/{id}"))],
            &[Quota::new(60, MINUTE)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_CONVERSATIONS_META"),
        ..same(
            "conversations-meta",
            KeyKind::AccountUser,
            &[(GET, PathPattern("/api/v1/accounts/{account}/conversations/meta"))],
            &[Quota::new(30, MINUTE)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_AGENT_CREATE"),
        ..same(
            "agent-create",
            KeyKind::Account,
            &[
                (POST, PathPattern("/api/v1/accounts/{account}/agents")),
                (POST, PathPattern("/api/v1/accounts/{account}/agents/bulk_create")),
            ],
            &[Quota::new(100, DAY)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_AGENT_DELETE"),
        ..same(
            "agent-delete",
            KeyKind::Account,
            &[(DELETE, PathPattern("/api/v1/accounts/{account}/agents/{id}"))],
            &[Quota::new(50, DAY)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_REPORTS_DRILLDOWN_API_USER_LEVEL"),
        env_tenth: Some("RATE_LIMIT_REPORTS_API_USER_LEVEL"),
        ..same(
            "reports-drilldown",
            KeyKind::AccountUser,
            &[(ANY, PathPattern("/api/v2/accounts/{account}/reports/drilldown"))],
            &[Quota::new(10, MINUTE)],
        )
    },
    Rule {
        env: Some("RATE_LIMIT_REPORTS_API_USER_LEVEL"),
        ..same("reports-user", KeyKind::AccountUser, REPORTS, &[Quota::new(100, MINUTE)])
    },
    Rule {
        env: Some("RATE_LIMIT_REPORTS_API_ACCOUNT_LEVEL"),
        ..same("reports-account", KeyKind::Account, REPORTS, &[Quota::new(1000, MINUTE)])
    },
    Rule {
        chatwoot: &[Quota::new(60, HOUR)],
        balanced: &[Quota::new(600, HOUR)],
        class: "upload",
        key: KeyKind::Account,
        on: UPLOAD,
        ..OFF
    },
    Rule {
        balanced: &[Quota::new(2 << 30, HOUR)],
        class: "upload-bytes",
        key: KeyKind::Account,
        cost: Cost::Bytes,
        on: UPLOAD,
        ..OFF
    },
    Rule {
        env: Some("RATE_LIMIT_CONTACT_SEARCH"),
        ..same(
            "contact-search",
            KeyKind::Account,
            &[(GET, PathPattern("/api/v1/accounts/{account}/contacts/search"))],
            &[Quota::new(100, MINUTE)],
        )
    },
    Rule {
        class: "ws-connect",
        on: &[(GET, PathPattern("/cable"))],
        balanced: &[Quota::new(60, MINUTE)],
        ..OFF
    },
    Rule {
        class: "webhook-in",
        key: KeyKind::Path,
        on: WEBHOOKS,
        balanced: &[Quota::new(6000, MINUTE)],
        away: Away::Open,
        unavailable: true,
        ..OFF
    },
    Rule {
        class: "platform",
        key: KeyKind::Token,
        on: &[(ANY, PLATFORM_API)],
        balanced: &[Quota::new(600, MINUTE)],
        ..OFF
    },
    Rule {
        class: "csp-report",
        on: &[(POST, PathPattern("/csp-reports"))],
        balanced: &[Quota::new(60, MINUTE)],
        ..OFF
    },
    // Checked by the layer that decides on origins, before all others: no path of its own.
    Rule { class: "preflight", balanced: &[Quota::new(600, MINUTE)], ..OFF },
    // Only for callers without a credential, which only the handler knows: no path of their own.
    Rule { class: "actuator", balanced: &[Quota::new(60, MINUTE)], ..OFF },
    Rule {
        class: "actuator-auth",
        balanced: &[Quota::new(10, 15 * MINUTE)],
        attempts: true,
        away: Away::Halved,
        ..OFF
    },
];

/// Whether the limit that the variable `name` sets is ever met on these routes, each a method and a path; nothing
/// where it sets none.
pub fn is_met<'a>(
    name: &str,
    mut routes: impl Iterator<Item = (&'a Method, &'a str)>,
) -> Option<bool> {
    let class = name.strip_prefix("RATELIMIT_").map(|it| it.to_ascii_lowercase().replace('_', "-"));
    let sets = |rule: &&Rule| class.as_deref() == Some(rule.class) || rule.env == Some(name);
    let rule = RULES.iter().find(sets)?;
    let met = |(method, path): (&Method, &str)| {
        rule.on.iter().any(|(methods, pattern)| {
            (methods.is_empty() || methods.contains(method)) && pattern.matches(path)
        })
    };
    // Without a path it is met where a handler says so.
    Some(rule.on.is_empty() || routes.any(met))
}

impl Rule {
    pub(super) fn quotas(&self, profile: Profile) -> &'static [Quota] {
        match profile {
            Profile::Chatwoot => self.chatwoot,
            Profile::Strict if !self.strict.is_empty() => self.strict,
            Profile::Balanced | Profile::Strict => self.balanced,
        }
    }

    /// Can the layer decide it, from address, method and target alone? Attempts are for the
    /// handler, which knows whether to give them back.
    pub(super) fn at_the_edge(&self) -> bool {
        !self.attempts && matches!(self.key, KeyKind::Ip | KeyKind::IpAndQuery(_) | KeyKind::Path)
    }
}
