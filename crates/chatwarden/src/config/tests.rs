use std::collections::BTreeSet;
use std::time::Duration;

use chatwarden_telemetry::logs::Format;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    Sources::new(pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())))
}

fn load(
    file: &str,
    pairs: &[(&str, &str)],
    options: &[(&'static str, &str)],
) -> Result<Config, Invalid> {
    let mut sources = environment(pairs);
    for (name, text) in options {
        sources.option(name, "--option", Some((*text).to_owned()));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("test.toml");
    std::fs::write(&path, file).expect("written");
    Config::load(sources, Some(&path))
}

fn with(pairs: &[(&str, &str)]) -> Config {
    load("", pairs, &[]).expect("a sound configuration")
}

fn told(file: &str, pairs: &[(&str, &str)]) -> String {
    load(file, pairs, &[]).expect_err("a wrong configuration").to_string()
}

#[test]
fn nothing_has_to_be_set() {
    let config = with(&[]);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.server.frontend_url.as_str(), "http://localhost:3000");
    assert_eq!(config.database.url, DatabaseUrl::Sqlite("./data/chatwarden.sqlite3".into()));
    assert_eq!(config.log.format, None);
    assert_eq!(config.management.health_show_details, Show::WhenAuthorized);
    assert_eq!(config.warnings(), Vec::<String>::new());
}

#[test]
fn precedence() {
    let file = "[server]\ndata_dir = '/file'\n";
    let variable = [("DATA_DIR", "/environment")];
    let option = [("DATA_DIR", "/option")];
    for (file, pairs, options, expected) in [
        ("", &[][..], &[][..], "./data"),
        (file, &[], &[], "/file"),
        (file, &variable, &[], "/environment"),
        (file, &variable, &option, "/option"),
        ("", &[], &option, "/option"),
        (file, &[("DATA_DIR", " ")], &[], "/file"),
    ] {
        let config = load(file, pairs, options).expect("a sound configuration");
        assert_eq!(config.server.data_dir, Path::new(expected));
    }
}

#[test]
fn every_value_remembers_where_it_came_from() {
    let file =
        "# a comment\n[redis]\nurl = 'redis://:hush@cache/1'\n\n[server]\n  data_dir = '/file'\n";
    let config = load(file, &[("DATA_DIR", "/environment")], &[]).expect("sound");
    let lines: Vec<String> = config
        .provided()
        .iter()
        .filter(|value| ["DATA_DIR", "REDIS_URL"].contains(&value.name.as_str()))
        .map(|value| {
            let origin = match &value.origin {
                Provenance::File { line, column, .. } => format!("{line}:{column}"),
                other => other.to_string(),
            };
            format!("{} {} {origin} {}", value.name, value.shown, value.effective)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "DATA_DIR /environment environment, DATA_DIR true",
            "DATA_DIR /file 6:14 false",
            "DATA_DIR ./data default false",
            "REDIS_URL redis://cache/1 3:7 true",
        ]
    );
}

#[test]
fn the_port_of_a_platform() {
    for (pairs, options, listen, frontend) in [
        (&[("PORT", "8080")][..], &[][..], "0.0.0.0:8080", "http://localhost:8080"),
        (
            &[("PORT", "8080"), ("LISTEN", "10.0.0.1:3000")],
            &[],
            "10.0.0.1:8080",
            "http://localhost:8080",
        ),
        (
            &[("PORT", "8080")],
            &[("LISTEN", "127.0.0.1:4000")],
            "127.0.0.1:4000",
            "http://localhost:4000",
        ),
        (&[("LISTEN", "[::1]:5000")], &[], "[::1]:5000", "http://localhost:5000"),
        (
            &[("PORT", "8080"), ("FRONTEND_URL", "https://desk.example.com/")],
            &[],
            "0.0.0.0:8080",
            "https://desk.example.com",
        ),
    ] {
        let config = load("", pairs, options).expect("a sound configuration");
        assert_eq!(config.server.listen.to_string(), listen);
        assert_eq!(config.server.frontend_url.as_str(), frontend);
    }
}

#[test]
fn the_database_of_chatwoots_variables() {
    let chatwoot = [
        ("POSTGRES_HOST", "db"),
        ("POSTGRES_USERNAME", "desk"),
        ("POSTGRES_PASSWORD", "p@ss/w:rd"),
    ];
    for (pairs, expected) in [
        (&chatwoot[..], "postgres://desk:p%40ss%2Fw%3Ard@db:5432/chatwarden"),
        (
            &[("POSTGRES_HOST", "db"), ("POSTGRES_PORT", "6000"), ("POSTGRES_DATABASE", "d")],
            "postgres://postgres@db:6000/d",
        ),
        (&[("POSTGRES_HOST", "db"), ("DATABASE_URL", "postgres://other/d")], "postgres://other/d"),
    ] {
        match with(pairs).database.url {
            DatabaseUrl::Postgres(url) => assert_eq!(url.expose(), expected),
            sqlite => panic!("{sqlite:?}"),
        }
    }
}

#[test]
fn the_environment_decides_defaults() {
    for name in ["APP_ENV", "RAILS_ENV", "SPRING_PROFILES_ACTIVE"] {
        let config = with(&[(name, "development")]);
        assert_eq!(config.server.environment, Environment::Dev, "{name}");
        assert_eq!(config.management.health_show_details, Show::Always);
    }
    let config = with(&[("APP_ENV", "dev"), ("RAILS_ENV", "production"), ("LOG_FORMAT", "ecs")]);
    assert_eq!(config.server.environment, Environment::Dev);
    assert_eq!(config.log.format, Some(Format::Ecs));
}

#[test]
fn values_of_the_file_keep_their_types() {
    let file = r#"
        [server]
        drain_delay = 7
        force_ssl = true
        [security]
        trusted_proxies = ["private", "203.0.113.0/24"]
        [log]
        access_sample = 0.5
        [rate_limit.quota]
        api-ip = "10/min, 100/h"
    "#;
    let config = load(file, &[("RATELIMIT_AUTH_IP", "3/min"), ("RATELIMIT_UPLOAD", "off")], &[])
        .expect("a sound configuration");
    assert_eq!(config.server.drain_delay, Duration::from_secs(7));
    assert!(config.server.force_ssl);
    for (ip, trusted) in [("10.0.0.1", true), ("203.0.113.9", true), ("192.0.2.1", false)] {
        let ip = ip.parse().expect("an address");
        assert_eq!(config.security.trusted_proxies.contains(ip), trusted, "{ip}");
    }
    assert!((config.log.access_sample.get() - 0.5).abs() < f64::EPSILON);
    let classes: Vec<_> = config.rate_limit.quota.iter().map(|(class, _)| class).collect();
    assert_eq!(classes, ["api-ip", "auth-ip", "upload"]);
    assert_eq!(config.rate_limit.quota.get("api-ip").map(|quota| quota.0.len()), Some(2));
    assert_eq!(config.rate_limit.quota.get("upload"), Some(&Quotas(Vec::new())));
    assert_eq!(config.rate_limit.quota.get("platform"), None);
}

#[test]
fn operators_name_groups_of_health() {
    let file = "[management.health_group.my-team]\ninclude = ['db', 'mail']\nexclude = 'x'\n";
    let pairs = [
        ("HEALTH_GROUP_MY_TEAM_EXCLUDE", "redis"),
        ("HEALTH_GROUP_READINESS_SHOW_DETAILS", "always"),
    ];
    let config = load(file, &pairs, &[]).expect("a sound configuration");
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let team =
        Group { include: list(&["db", "mail"]), exclude: list(&["redis"]), show_details: None };
    let readiness = Group { show_details: Some(Show::Always), ..Group::default() };
    let expected = [("my-team".to_owned(), team), ("readiness".to_owned(), readiness)];
    assert_eq!(config.management.health_group.0, expected.into());
    let said: Vec<_> = config
        .provided()
        .iter()
        .filter(|value| value.name == "HEALTH_GROUP_MY_TEAM_EXCLUDE")
        .map(|value| (value.shown.as_str(), value.effective))
        .collect();
    assert_eq!(said, [("redis", true), ("x", false)]);
    let message = told("", &[("HEALTH_GROUP_OPS_SHOW_DETAILS", "some")]);
    assert!(message.contains("HEALTH_GROUP_OPS_SHOW_DETAILS (environment"), "{message}");
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_what_would_be_right() {
    let message = told(
        "[mail]\nport = 'smtp'\n",
        &[
            ("LISTEN", "banana"),
            ("SECRET_KEY_BASE", "hush"),
            ("DATABASE_URL", "mysql://root:hush@h/d"),
            ("RATELIMIT_API_IP", "many"),
        ],
    );
    for part in [
        "5 problems",
        "LISTEN (environment, LISTEN)\n  found: \"banana\"\n  wanted: an IP address and a port\n  \
         example: LISTEN=0.0.0.0:3000",
        "test.toml:2:8)\n  found: \"smtp\"\n  wanted: a whole number from 0 to 65535\n  example: \
         mail.port = \"587\"",
        "SECRET_KEY_BASE (environment, SECRET_KEY_BASE)\n  problem: it has 4 characters",
        "RATELIMIT_API_IP (environment, RATELIMIT_API_IP)\n  problem: \"many\" is not a quota",
    ] {
        assert!(message.contains(part) || part == "5 problems", "{part:?} not in:\n{message}");
    }
    assert!(!message.contains("hush"), "{message}");
}

#[test]
fn what_nobody_knows_is_refused_with_a_suggestion() {
    for (file, pairs, part) in [
        (
            "[server]\nlisten_ = 'x'",
            &[][..],
            "test.toml:2:11\n  problem: no setting is called server.listen_; did you mean server.listen?",
        ),
        ("[server]\nsmtp_port = 25", &[], "did you mean mail.port?"),
        ("LISTEN = '127.0.0.1:3000'", &[], "did you mean server.listen?"),
        ("[sever]\ndata_dir = 'x'", &[], "did you mean server.data_dir?"),
        (
            "[server]\nzzz = 1",
            &[],
            "no setting is called server.zzz; `chatwarden config reference`",
        ),
        ("[rate_limit.quota]\napi-ips = '1/s'", &[], "did you mean rate_limit.quota.api-ip?"),
        (
            "[management.health_group.ops]\nincludes = 'db'",
            &[],
            "no setting is called management.health_group.ops.includes",
        ),
        (
            "",
            &[("HEALTH_GROUP_OPS", "db")],
            "HEALTH_GROUP_OPS\n  problem: no setting has this name",
        ),
        (
            "",
            &[("RATELIMIT_AUTH_IPS", "1/s")],
            "RATELIMIT_AUTH_IPS\n  problem: no setting has this name; did you mean RATELIMIT_AUTH_IP?",
        ),
        ("[server\n", &[], "test.toml:1:"),
        (
            "[server]\nlisten = [[1]]",
            &[],
            "test.toml:2:10\n  problem: server.listen has to be a text",
        ),
        (
            "[server]\nlisten = 1979-05-27",
            &[],
            "test.toml:2:10\n  problem: server.listen has to be",
        ),
    ] {
        let message = told(file, pairs);
        assert!(message.contains(part), "{part:?} not in:\n{message}");
    }
}

#[test]
fn settings_that_contradict_each_other() {
    for (pairs, part) in [
        (&[("DRAIN_DELAY", "30s")][..], "DRAIN_DELAY, DRAIN_TIMEOUT\n  problem: the delay (30s)"),
        (&[("SMTP_USERNAME", "u")], "SMTP_USERNAME, SMTP_PASSWORD"),
        (&[("ACTUATOR_PASSWORD", "p")], "ACTUATOR_USERNAME, ACTUATOR_PASSWORD"),
        (&[("MANAGEMENT_PORT", "3000")], "both ask for 127.0.0.1:3000"),
        (&[("CORS_ALLOWED_ORIGINS", "*")], "\"*\": allowed origins: \"*\" is not"),
        (
            &[("SECRET_KEY_BASE", "replace_with_lengthy_secure_hex_01234567")],
            "sample of a template",
        ),
        (&[("SECRET_KEY_BASE", "abababababababababababababababababab")], "2 different characters"),
        (&[("MANAGEMENT_EXPOSURE_INCLUDE", "health,helth")], "\"helth\" is not of this form"),
        (&[("MANAGEMENT_BASE_PATH", "/../etc")], "MANAGEMENT_BASE_PATH"),
    ] {
        let message = told("", pairs);
        assert!(message.contains(part), "{part:?} not in:\n{message}");
    }
}

#[test]
fn what_is_probably_not_meant_is_told() {
    for (pairs, part) in [
        (&[("LISTEN", "0.0.0.0:3000")][..], "FRONTEND_URL is not https: passwords"),
        (&[("FORCE_SSL", "true")], "FORCE_SSL redirects"),
        (&[("REDIS_URL", "redis://cache")], "without SECRET_KEY_BASE"),
        (&[("ENABLE_RACK_ATTACK", "false")], "guessing of passwords"),
        (&[("MAX_TENANTS", "3")], "MAX_TENANTS has no effect"),
        (&[("RATELIMIT_WEBHOOK_IN", "3/min")], "RATELIMIT_WEBHOOK_IN has no effect"),
    ] {
        let warnings = with(pairs).warnings();
        assert!(warnings.iter().any(|warning| warning.contains(part)), "{warnings:?}");
    }
}

#[test]
fn limits_that_are_met_have_an_effect() {
    let effects = Effects::default();
    let setting = |name| catalogue().find(|setting| setting.name == name).expect(name);
    for (name, variable, expected) in [
        ("RATELIMIT_", "RATELIMIT_ADMIN_LOGIN_IP", false),
        ("RATELIMIT_", "RATELIMIT_GENERAL", true),
        ("RATELIMIT_", "RATELIMIT_WS_CONNECT", true),
        ("RATELIMIT_", "RATELIMIT_PREFLIGHT", true),
        ("RATELIMIT_", "RATELIMIT_CSP_REPORT", true),
        ("RATE_LIMIT_AGENT_CREATE", "RATE_LIMIT_AGENT_CREATE", true),
        ("LISTEN", "LISTEN", true),
    ] {
        assert_eq!(effects.has(setting(name), variable), expected, "{variable}");
    }
}

#[test]
fn settings_without_effect_are_settings() {
    let known: BTreeSet<&str> = catalogue().map(|setting| setting.name).collect();
    for name in WITHOUT_EFFECT {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn a_named_file_has_to_exist() {
    let missing = Path::new("/nonexistent/chatwarden.toml");
    for (sources, file) in [
        (environment(&[]), Some(missing)),
        (environment(&[(FILE_VARIABLE, "/nonexistent/chatwarden.toml")]), None),
    ] {
        let message = Config::load(sources, file).expect_err("missing").to_string();
        assert!(
            message
                .contains("/nonexistent/chatwarden.toml\n  problem: the configuration file can't"),
            "{message}"
        );
    }
}

#[test]
fn a_configuration_never_prints_its_secrets() {
    let config = with(&[
        ("SECRET_KEY_BASE", "hush-0123456789abcdef0123456789abcdef"),
        ("DATABASE_URL", "postgres://u:hush@h/d"),
        ("REDIS_URL", "redis://:hush@h"),
        ("SMTP_USERNAME", "u"),
        ("SMTP_PASSWORD", "hush"),
        ("ACTUATOR_TOKEN", "hush"),
    ]);
    assert!(!format!("{config:?}").contains("hush"));
    assert!(config.provided().iter().all(|value| !value.shown.contains("hush")));
}

#[test]
fn declarations_are_sound() {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for setting in catalogue() {
        for name in std::iter::once(&setting.name).chain(setting.aliases) {
            assert!(names.insert(*name), "{name} is declared twice");
        }
        assert!(keys.insert(setting.key()), "{} is declared twice", setting.key());
        assert!(!setting.description.trim().is_empty(), "{} has no description", setting.name);
        let name = setting.example_name();
        // An example has to work, as far as it does not need a partner.
        let partners =
            [("SMTP_USERNAME", "SMTP_PASSWORD"), ("ACTUATOR_USERNAME", "ACTUATOR_PASSWORD")];
        let mut pairs = vec![(name.as_str(), setting.example)];
        for (one, other) in partners {
            if name == one {
                pairs.push((other, "x"));
            } else if name == other {
                pairs.push((one, "x"));
            }
        }
        if let Err(error) = load("", &pairs, &[]) {
            // The shell replaces it before we see it.
            assert!(setting.example.starts_with("$("), "{name}={}: {error}", setting.example);
        }
    }
}
