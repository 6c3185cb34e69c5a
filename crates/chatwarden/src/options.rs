//! What the configuration means to the crates that read it: one function for each.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use chatwarden_api::presence::Windows;
use chatwarden_api::{RequestLineSettings, actuator, front_ends};
use chatwarden_core::desk::{self, Desk};
use chatwarden_core::outside::{Outside, Post};
use chatwarden_db as db;
use chatwarden_files::Disk;
use chatwarden_guard::EdgeConfig;
use chatwarden_guard::client_ip::ClientIpConfig;
use chatwarden_guard::cors::CorsConfig;
use chatwarden_guard::headers::{CspConfig, HeadersConfig};
use chatwarden_guard::input::InputConfig;
use chatwarden_guard::limits::LimitsConfig;
use chatwarden_guard::rate_limit::{ConfigError, RateLimitConfig};
use chatwarden_guard::request_id::RequestIdConfig;
use chatwarden_mail::{Encryption, Mailer, Mechanism};
use chatwarden_telemetry::health;
use chatwarden_telemetry::logs::{self, Service};
use chatwarden_telemetry::meters;
use chatwarden_telemetry::request_line::AccessSample;
use url::Url;

use crate::config::{
    Config, DatabaseUrl, DegradedAs, Environment, Exposed, LogLevels, Provenance, Role, Secret,
    Show, Signup, SmtpAuthentication, SmtpVerify, Synchronous, TenantLabel, WidgetCoep,
};
use crate::post::MailServer;
use crate::secrets::Secrets;
use crate::serve::Lifecycle;
use crate::web::GuardedWeb;

/// Where stored files are in the folder of data.
const STORAGE: &str = "storage";

/// Where stored files are.
#[must_use]
pub fn storage(config: &Config) -> PathBuf {
    config.server.data_dir.join(STORAGE)
}

/// How to open the database.
#[must_use]
pub fn database(config: &Config) -> db::Options {
    let given = &config.database;
    match &given.url {
        DatabaseUrl::Sqlite(path) => {
            let mut options = db::SqliteOptions::new(path);
            options.full_sync = given.sqlite_synchronous == Synchronous::Full;
            options.queue_timeout = given.queue_timeout;
            options.statement_timeout = given.statement_timeout.0;
            options.slow = given.slow_query;
            if let Some(readers) = given.pool_size {
                options.readers = readers.get();
            }
            db::Options::Sqlite(options)
        }
        DatabaseUrl::Postgres(url) => {
            let mut options = db::PostgresOptions::new(url.expose());
            options.queue_timeout = given.queue_timeout;
            options.statement_timeout = given.statement_timeout.0;
            options.prepare = given.prepare;
            options.root_certificates.clone_from(&given.ca_file);
            options.slow = given.slow_query;
            if let Some(connections) = given.pool_size {
                options.connections = connections.get();
            }
            db::Options::Postgres(options)
        }
    }
}

/// The file of the database, where it is one.
#[must_use]
pub fn database_file(config: &Config) -> Option<PathBuf> {
    match &config.database.url {
        DatabaseUrl::Sqlite(path) => Some(path.clone()),
        DatabaseUrl::Postgres(_) => None,
    }
}

/// Where Redis is, with `REDIS_PASSWORD` in its place.
#[must_use]
pub fn redis_url(config: &Config) -> Option<Secret> {
    let url = &config.redis.url.as_ref()?.0;
    let Some(password) = &config.redis.password else {
        return Some(url.clone());
    };
    let mut parsed = Url::parse(url.expose()).ok()?;
    if parsed.password().is_none() {
        parsed.set_password(Some(password.expose())).ok()?;
    }
    Some(Secret::new(parsed))
}

/// The layers of the security edge. Origins that tenants have listed are for the caller to add.
#[must_use]
pub fn edge(config: &Config) -> EdgeConfig {
    let frontend = &config.server.frontend_url;
    let headers = &config.headers;
    let texts = |sources: &[crate::config::CspSource]| {
        sources.iter().map(|source| source.as_str().to_owned()).collect()
    };
    EdgeConfig {
        client_ip: ClientIpConfig {
            trusted_proxies: config.security.trusted_proxies.clone(),
            tls: false,
        },
        request_id: RequestIdConfig { sampling: config.log.traces_sample.get() },
        headers: HeadersConfig {
            force_ssl: config.server.force_ssl,
            own_hosts: frontend.url().host_str().map(str::to_owned).into_iter().collect(),
            hsts_preload: headers.hsts_preload,
            widget_coep: headers.widget_coep == WidgetCoep::Credentialless,
            widget_require_allowed_domains: headers.widget_require_allowed_domains,
            csp: CspConfig {
                mode: headers.csp_mode,
                unsafe_eval: headers.csp_unsafe_eval,
                inline_styles: headers.csp_inline_styles,
                storage: texts(&headers.csp_storage_origins),
                image_proxy: headers.csp_image_proxy.as_ref().map(|url| url.as_str().to_owned()),
                scripts: texts(&headers.csp_script_sources),
                frames: texts(&headers.csp_frame_sources),
            },
            ..HeadersConfig::default()
        },
        cors: CorsConfig {
            own_origins: vec![frontend.url().origin().ascii_serialization()],
            allowed_origins: config.security.cors_allowed_origins.clone(),
            cable_origins: config.security.cable_allowed_origins.clone(),
            enable_api_cors: config.security.enable_api_cors,
            api_only_server: config.security.api_only,
            lookup: None,
            routes: Some(Arc::new(chatwarden_api::Methods)),
        },
        limits: limits(config),
        input: InputConfig {
            target: config.security.input_guard_target,
            detector: config.security.input_guard_detector,
        },
    }
}

fn limits(config: &Config) -> LimitsConfig {
    let mut limits = LimitsConfig {
        body: config.limits.body.bytes(),
        file: config.accounts.maximum_file_upload_size.bytes(),
        upload: config.limits.upload.bytes(),
        timeout: config.limits.timeout,
        upload_timeout: config.limits.upload_timeout,
        in_flight: config.limits.concurrent_requests.get(),
        ..LimitsConfig::default()
    };
    // Operators get in however busy the server is, wherever their endpoints live.
    let operators = config.management.base_path.as_str().split('/').nth(1).unwrap_or_default();
    if !limits.always.iter().any(|segment| segment == operators) {
        limits.always.push(operators.to_owned());
    }
    limits
}

/// The rate limits; `secret` hides the identities they count.
///
/// # Errors
/// A value that the limits do not take although its form was right, e.g. a quota beyond all bounds.
pub fn rate_limits(config: &Config, secret: &Secret) -> Result<RateLimitConfig, ConfigError> {
    let mut limits = RateLimitConfig {
        secret: secret.expose().as_bytes().to_owned(),
        ..RateLimitConfig::default()
    };
    // Which upstream name means which class is the limits' own knowledge.
    limits.apply_env(|name| config.text(name).map(str::to_owned))?;
    Ok(limits)
}

/// What operations know of the installation; nobody is present yet.
#[must_use]
pub fn desk(config: &Config, secret: &Secret) -> Desk {
    let accounts = &config.accounts;
    let number = |n: std::num::NonZeroU32| i64::from(n.get());
    Desk {
        frontend_url: config.server.frontend_url.as_str().trim_end_matches('/').to_owned(),
        default_locale: accounts.default_locale.as_str().to_owned(),
        sender_email: config.text("MAILER_SENDER_EMAIL").unwrap_or_default().to_owned(),
        sends_mail: config.mail.address.is_some(),
        secret: std::sync::Arc::from(secret.expose()),
        max_user_sessions: number(accounts.max_user_sessions),
        widget_token_days: number(accounts.widget_token_expiry),
        conversations_per_page: number(accounts.conversation_results_per_page),
        messages_per_minute: number(accounts.messages_per_minute),
        signup: match accounts.enable_signup {
            Signup::Closed => desk::Signup::Closed,
            Signup::Open => desk::Signup::Open,
            Signup::ApiOnly => desk::Signup::ApiOnly,
        },
        ..Desk::default()
    }
}

/// The web, and the folder of stored files.
///
/// # Errors
/// Where the folder can't be made, or TLS can't be set up.
pub fn outside(config: &Config) -> anyhow::Result<Outside> {
    let folder = storage(config);
    let disk = Disk::open(&folder, config.accounts.maximum_file_upload_size.bytes())
        .with_context(|| format!("making the folder of files {} (DATA_DIR)", folder.display()))?;
    let allow_private = config.security.safe_fetch_allow_private_network;
    let web = GuardedWeb::new(allow_private).context("setting up the HTTP client")?;
    let post = mailer(config).map(|mailer| Arc::new(MailServer(mailer)) as Arc<dyn Post>);
    Ok(Outside { web: Arc::new(web), disk, post })
}

/// Who hands letters to the mail server; nobody where there is none.
#[must_use]
pub fn mailer(config: &Config) -> Option<Mailer> {
    let mail = &config.mail;
    let account = mail.username.clone().zip(mail.password.as_ref());
    Some(Mailer::new(chatwarden_mail::Settings {
        host: mail.address.clone()?,
        port: mail.port,
        hello: mail.domain.clone(),
        account: account.map(|(username, password)| chatwarden_mail::Account {
            username,
            password: password.expose().to_owned(),
            mechanism: match mail.authentication {
                SmtpAuthentication::Plain => Mechanism::Plain,
                SmtpAuthentication::Login => Mechanism::Login,
                SmtpAuthentication::CramMd5 => Mechanism::CramMd5,
            },
        }),
        encryption: match (mail.tls, mail.enable_starttls_auto) {
            (true, _) => Encryption::FromTheStart,
            (false, true) => Encryption::WhenOffered,
            (false, false) => Encryption::Never,
        },
        verify: mail.openssl_verify_mode == SmtpVerify::Peer,
    }))
}

/// How long somebody counts as present after having been seen.
#[must_use]
pub fn presence(config: &Config) -> Windows {
    Windows {
        users: config.accounts.presence_duration,
        contacts: config.accounts.contact_presence_duration,
    }
}

/// The log; `instance` names this process among its like, `terminal` says whether people watch.
#[must_use]
pub fn logs(config: &Config, instance: &str, terminal: bool) -> logs::Options {
    let dev = config.server.environment == Environment::Dev;
    let read = (terminal || dev) && config.log.file.is_none();
    let default = if read { logs::Format::Pretty } else { logs::Format::Otel };
    let levels = if dev { "info,chatwarden=debug" } else { "info" };
    logs::Options {
        levels: config.log.levels.as_ref().map_or(levels, LogLevels::as_str).to_owned(),
        format: config.log.format.unwrap_or(default),
        color: terminal && config.log.file.is_none(),
        service: Service {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: instance.to_owned(),
            environment: config.server.environment.name().to_owned(),
        },
        ..logs::Options::default()
    }
}

/// The request lines.
#[must_use]
pub fn request_line(config: &Config) -> RequestLineSettings {
    RequestLineSettings {
        sample: AccessSample::new(config.log.access_sample.get()),
        address: config.log.address,
    }
}

/// The meters.
#[must_use]
pub fn meters(config: &Config) -> meters::Settings {
    meters::Settings {
        environment: config.server.environment.name().to_owned(),
        prefix: config.management.metrics_prefix.clone(),
        max_label_sets: config.management.metrics_max_labelsets.get(),
        measures: config.management.metrics_enabled,
        jvm_aliases: config.management.jvm_aliases,
        tenants: match config.management.metrics_tenant_label {
            TenantLabel::Top => Some(meters::Tenants::default()),
            TenantLabel::Off => None,
        },
        ..meters::Settings::default()
    }
}

/// Health: who sees how much, and which groups there are.
#[must_use]
pub fn health(config: &Config) -> health::Settings {
    let management = &config.management;
    let show = |show: Show| match show {
        Show::Never => health::Show::Never,
        Show::WhenAuthorized => health::Show::WhenAuthorized,
        Show::Always => health::Show::Always,
    };
    let mut settings = health::Settings {
        show_details: show(management.health_show_details),
        show_components: management.health_show_components.map(show),
        degraded_as: match management.health_degraded_as {
            DegradedAs::Up => health::DegradedAs::Up,
            DegradedAs::Degraded => health::DegradedAs::Degraded,
        },
        ..health::Settings::default()
    };
    if let Some(readiness) = settings.groups.get_mut("readiness") {
        readiness.include.clone_from(&management.health_readiness_include);
    }
    for (name, said) in &management.health_group.0 {
        let group = settings.groups.entry(name.clone()).or_default();
        group.include.extend_from_slice(&said.include);
        group.exclude.extend_from_slice(&said.exclude);
        group.show_details = said.show_details.map(show);
    }
    settings
}

/// The endpoints for operators; `secrets` has the token where the configuration has none.
#[must_use]
pub fn actuator(config: &Config, secrets: &Secrets, info: actuator::Info) -> actuator::Settings {
    let management = &config.management;
    let exposure = |list: &[Exposed]| actuator::Exposure {
        all: list.contains(&Exposed::All),
        named: list
            .iter()
            .filter_map(|exposed| match exposed {
                Exposed::All => None,
                Exposed::One(name) => Some(*name),
            })
            .collect(),
    };
    let exposed = |secret: &Secret| secret.expose().to_owned();
    let basic = management.username.clone().zip(management.password.as_ref().map(exposed));
    actuator::Settings {
        base_path: management.base_path.as_str().to_owned(),
        apart: management.listen.is_some(),
        exposed: exposure(&management.exposure_include),
        exposed_to_operators: exposure(&management.exposure_authenticated),
        tokens: vec![exposed(&secrets.actuator_token)],
        admin_tokens: management.admin_token.iter().map(exposed).collect(),
        basic,
        scrapers: management.metrics_allow_cidrs.clone(),
        health_for_those_in_charge: !management.health_roles.is_empty()
            && !management.health_roles.contains(&Role::Read),
        cache_ttl: management.cache_ttl,
        info,
        environment: environment(config),
    }
}

/// The configuration as operators see it.
fn environment(config: &Config) -> actuator::Environment {
    const COMMAND_LINE: &str = "commandLineArgs";
    const VARIABLES: &str = "systemEnvironment";
    const DEFAULTS: &str = "defaults";
    let mut file = None;
    let mut properties = Vec::new();
    for value in config.provided() {
        let setting = value.setting;
        let field = setting.field_of(&value.name);
        let key = format!("{}.{field}", setting.section);
        let (source, name, origin) = match &value.origin {
            Provenance::CommandLine(option) => {
                (COMMAND_LINE.to_owned(), key, Some(format!("\"{option}\" from commandLineArgs")))
            }
            Provenance::Environment(variable) => (
                VARIABLES.to_owned(),
                variable.clone(),
                Some(format!("System Environment Property \"{variable}\"")),
            ),
            Provenance::File { path, .. } => {
                let source = format!("configFile [{}]", path.display());
                file = Some(source.clone());
                (source, key, Some(value.origin.to_string()))
            }
            Provenance::Default => (DEFAULTS.to_owned(), key, None),
        };
        properties.push(actuator::Property {
            source,
            name,
            section: setting.section.to_owned(),
            field,
            value: value.shown.clone(),
            origin,
            effective: value.effective,
        });
    }
    let sources = [Some(COMMAND_LINE.to_owned()), Some(VARIABLES.to_owned()), file];
    actuator::Environment {
        profile: config.server.environment.name().to_owned(),
        shows_values: config.management.env_show_values != Show::Never,
        sources: sources.into_iter().flatten().chain([DEFAULTS.to_owned()]).collect(),
        properties,
    }
}

/// Chatwoot's own front ends.
#[must_use]
pub fn front_ends(config: &Config) -> front_ends::Settings {
    front_ends::Settings {
        folder: config.server.frontend_dir.clone(),
        maximum_file_upload_size: config.accounts.maximum_file_upload_size.bytes() >> 20,
        display_manifest: config.server.display_manifest,
    }
}

/// The drain, without hooks yet.
#[must_use]
pub fn lifecycle(config: &Config) -> Lifecycle {
    Lifecycle::new(config.server.drain_delay, config.server.drain_timeout)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Members as _, RateClasses, Sources};

    fn config(pairs: &[(&str, &str)]) -> Config {
        let pairs = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        let empty = tempfile::NamedTempFile::new().expect("a file");
        Config::load(Sources::new(pairs), Some(empty.path())).expect("a sound configuration")
    }

    #[test]
    fn databases() {
        let given = [("DATABASE_POOL_SIZE", "3"), ("DATABASE_QUEUE_TIMEOUT", "7s")];
        match database(&config(&given)) {
            db::Options::Sqlite(options) => {
                assert_eq!(options.path, std::path::Path::new("./data/chatwarden.sqlite3"));
                assert_eq!((options.readers, options.queue_timeout.as_secs()), (3, 7));
                assert!(options.full_sync);
            }
            db::Options::Postgres(options) => panic!("{options:?}"),
        }
        let given = [
            ("POSTGRES_HOST", "db"),
            ("DATABASE_POOL_SIZE", "3"),
            ("DATABASE_PREPARE", "false"),
            ("POSTGRES_STATEMENT_TIMEOUT", "5000"),
        ];
        match database(&config(&given)) {
            db::Options::Postgres(options) => {
                assert_eq!(options.url, "postgres://postgres@db:5432/chatwarden");
                assert_eq!((options.connections, options.statement_timeout.as_secs()), (3, 5));
                assert!(!options.prepare);
            }
            db::Options::Sqlite(options) => panic!("{options:?}"),
        }
    }

    #[test]
    fn lines_are_for_people_where_they_watch() {
        use logs::Format::{Ecs, Otel, Pretty};
        for (pairs, terminal, expected) in [
            (&[][..], true, (Pretty, true)),
            (&[], false, (Otel, false)),
            (&[("LOG_FILE", "/tmp/log")], true, (Otel, false)),
            (&[("LOG_FORMAT", "ecs")], true, (Ecs, true)),
            (&[("LOG_FORMAT", "pretty")], false, (Pretty, false)),
            (&[("APP_ENV", "dev")], false, (Pretty, false)),
            (&[("APP_ENV", "dev"), ("LOG_FILE", "/tmp/log")], true, (Otel, false)),
        ] {
            let options = logs(&config(pairs), "one", terminal);
            assert_eq!((options.format, options.color), expected, "{pairs:?} {terminal}");
        }
        for (pairs, expected) in [
            (&[][..], "info"),
            (&[("APP_ENV", "dev")], "info,chatwarden=debug"),
            (&[("APP_ENV", "dev"), ("LOG_LEVEL", "warn")], "warn"),
        ] {
            assert_eq!(logs(&config(pairs), "one", false).levels, expected, "{pairs:?}");
        }
    }

    #[test]
    fn operators_see_settings_by_source_and_no_secret() {
        let given = [
            ("ACTUATOR_TOKEN", "canary"),
            ("DATABASE_URL", "postgres://me:canary@db.example/x"),
            ("RATELIMIT_API_IP", "5/min"),
        ];
        let shown = environment(&config(&given));
        assert!(!shown.shows_values, "not unless asked for");
        assert!(!format!("{shown:?}").contains("canary"), "{shown:?}");
        let of = |name: &str| shown.properties.iter().find(|it| it.name == name).expect(name);
        assert_eq!(of("ACTUATOR_TOKEN").value, "******");
        assert!(of("DATABASE_URL").value.contains("db.example"));
        let limit = of("RATELIMIT_API_IP");
        assert_eq!((limit.field.as_str(), limit.effective), ("quota.api-ip", true));
        assert_eq!(limit.source, "systemEnvironment");
        assert_eq!(of("management.env_show_values").source, "defaults");
    }

    #[test]
    fn the_password_of_redis() {
        for (pairs, expected) in [
            (&[][..], None),
            (&[("REDIS_URL", "redis://cache:1/2")], Some("redis://cache:1/2")),
            (
                &[("REDIS_URL", "redis://cache:1/2"), ("REDIS_PASSWORD", "a/b")],
                Some("redis://:a%2Fb@cache:1/2"),
            ),
            (
                &[("REDIS_URL", "redis://:x@cache"), ("REDIS_PASSWORD", "y")],
                Some("redis://:x@cache"),
            ),
        ] {
            let url = redis_url(&config(pairs));
            assert_eq!(url.as_ref().map(Secret::expose), expected);
        }
    }

    #[test]
    fn the_edge_follows_the_address_of_the_installation() {
        let edge = edge(&config(&[
            ("FRONTEND_URL", "https://desk.example.com:8443"),
            ("MANAGEMENT_BASE_PATH", "/ops/internal"),
            ("MAXIMUM_FILE_UPLOAD_SIZE", "5"),
            ("WIDGET_COEP", "credentialless"),
        ]));
        assert_eq!(edge.headers.own_hosts, ["desk.example.com"]);
        assert_eq!(edge.cors.own_origins, ["https://desk.example.com:8443"]);
        assert_eq!(edge.limits.file, 5 << 20);
        assert!(edge.limits.always.iter().any(|segment| segment == "ops"));
        assert!(edge.headers.widget_coep);
    }

    #[test]
    fn every_class_is_one_the_limits_know() {
        let secret = Secret::new("key");
        for class in RateClasses::NAMES {
            let name = format!("RATELIMIT_{}", class.to_ascii_uppercase().replace('-', "_"));
            let limits = rate_limits(&config(&[(&name, "7/min")]), &secret).expect("limits");
            let quotas = limits.overrides.get(class).unwrap_or_else(|| panic!("{class}"));
            assert_eq!(quotas.iter().map(|quota| quota.limit).collect::<Vec<_>>(), [7]);
        }
    }

    #[test]
    fn every_class_of_the_limits_has_a_setting() {
        let asked = std::cell::RefCell::new(Vec::new());
        let ask = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            None
        };
        RateLimitConfig::default().apply_env(ask).expect("nothing is set");
        let known = |class: &str| RateClasses::NAMES.contains(&class);
        let unknown: Vec<String> = asked
            .into_inner()
            .iter()
            .filter_map(|name| name.strip_prefix("RATELIMIT_"))
            .map(|class| class.to_ascii_lowercase().replace('_', "-"))
            .filter(|class| !known(class) && class != "headers" && class != "legacy-headers")
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }

    #[test]
    fn every_setting_of_the_limits_reaches_them() {
        let secret = Secret::new("key");
        let limits = |pairs: &[_]| rate_limits(&config(pairs), &secret).expect("limits");
        let none = limits(&[]);
        assert!(none.enabled && none.widget && none.allow_loopback && none.headers);
        assert!(none.overrides.is_empty(), "{:?}", none.overrides);
        assert_eq!(none.timeout.as_millis(), 50);
        for name in [
            "RACK_ATTACK_LIMIT",
            "RATE_LIMIT_CONTACT_SEARCH",
            "RATE_LIMIT_REPORTS_API_USER_LEVEL",
            "RATE_LIMIT_REPORTS_API_ACCOUNT_LEVEL",
            "RATE_LIMIT_REPORTS_DRILLDOWN_API_USER_LEVEL",
            "RATE_LIMIT_CONVERSATION_TRANSCRIPT",
            "RATE_LIMIT_CONVERSATION_DELETE",
            "RATE_LIMIT_CONVERSATIONS_META",
            "RATE_LIMIT_AGENT_CREATE",
            "RATE_LIMIT_AGENT_DELETE",
        ] {
            let quotas: Vec<_> = limits(&[(name, "77")]).overrides.into_values().collect();
            assert!(quotas.iter().flatten().any(|quota| quota.limit == 77), "{name}: {quotas:?}");
        }
        let set = limits(&[
            ("ENABLE_RACK_ATTACK", "false"),
            ("ENABLE_RACK_ATTACK_WIDGET_API", "false"),
            ("RATE_LIMIT_ALLOW_LOOPBACK", "false"),
            ("RATELIMIT_HEADERS", "false"),
            ("RATELIMIT_LEGACY_HEADERS", "on"),
            ("RACK_ATTACK_ALLOWED_IPS", "192.0.2.1, 10.0.0.0/8"),
            ("RATE_LIMIT_REDIS_TIMEOUT_MS", "25"),
        ]);
        assert!(!set.enabled && !set.widget && !set.allow_loopback && !set.headers);
        assert!(set.legacy_headers);
        assert_eq!((set.allow.len(), set.timeout.as_millis()), (2, 25));
    }
}
