//! The endpoints for operators (operations.md §1): health, build, meters. They read what background
//! tasks have measured; asking causes no work elsewhere.

mod access;
mod answers;
mod environment;
mod kept;
mod loggers;
mod mappings;
mod schedules;

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use chatwarden_guard::ClientIp;
use chatwarden_telemetry::meters::{Exposition, IncludedNames, TagFilter};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{StatusCode, header};
use ipnet::IpNet;
use serde_json::{Map, Value, json};

pub use access::{Caller, InCharge, Operator, Scraper};
pub use environment::{Environment, Property};

use crate::app::App;
use crate::routes::Routes;
pub(crate) use answers::refusal;
use answers::{accepts_gzip, document, made_once, negotiate};
pub(crate) use kept::Kept;

/// How long all checks may take that an operator asked for.
const FRESHENS: Duration = Duration::from_secs(5);

/// Who may ask for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// All endpoints but `shutdown`.
    pub all: bool,
    /// These, by their name.
    pub named: Vec<&'static str>,
}

impl Exposure {
    fn has(&self, endpoint: &str) -> bool {
        (self.all && endpoint != "shutdown") || self.named.contains(&endpoint)
    }
}

/// What the binary knows of itself.
#[derive(Clone)]
pub struct Info {
    /// What everybody may know: `build`, `git`.
    pub public: Map<String, Value>,
    /// What operators may know, measured when asked: `os`, `process`, `app`.
    pub operators: Arc<dyn Fn() -> Map<String, Value> + Send + Sync>,
}

impl std::fmt::Debug for Info {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Info").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Default for Info {
    fn default() -> Self {
        Self { public: Map::new(), operators: Arc::new(Map::new) }
    }
}

/// What an operator may choose about these endpoints.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The path they live below.
    pub base_path: String,
    /// They have a listener of their own: on the main one there are none.
    pub apart: bool,
    /// What anybody may ask for, as far as it is for anybody.
    pub exposed: Exposure,
    /// What operators may ask for besides.
    pub exposed_to_operators: Exposure,
    /// The bearer tokens of operators who look. Without any, and without `basic`, nobody is one.
    pub tokens: Vec<String>,
    /// The bearer tokens of operators who change things as well.
    pub admin_tokens: Vec<String>,
    /// User name and password of operators.
    pub basic: Option<(String, String)>,
    /// Networks that may scrape without a credential.
    pub scrapers: Vec<IpNet>,
    /// Whether only operators who may change things see the details of health that operators see.
    pub health_for_those_in_charge: bool,
    /// How long an answer is shown again; not at all for no time.
    pub cache_ttl: Duration,
    /// What the binary knows of itself.
    pub info: Info,
    /// The configuration as it was read.
    pub environment: Environment,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            base_path: "/actuator".to_owned(),
            apart: false,
            exposed: Exposure {
                all: false,
                named: vec!["health", "info", "metrics", "prometheus"],
            },
            exposed_to_operators: Exposure { all: true, named: Vec::new() },
            tokens: Vec::new(),
            admin_tokens: Vec::new(),
            basic: None,
            scrapers: Vec::new(),
            health_for_those_in_charge: false,
            cache_ttl: Duration::ZERO,
            info: Info::default(),
            environment: Environment::default(),
        }
    }
}

impl Settings {
    /// Whether `path` is below the base path.
    fn holds(&self, path: &str) -> bool {
        path.strip_prefix(self.base_path.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The endpoint that `path` is of; nothing for the index.
    fn endpoint<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.base_path.as_str())?.strip_prefix('/')?;
        rest.split('/').next().filter(|name| !name.is_empty())
    }

    fn may_scrape(&self, address: IpAddr) -> bool {
        self.scrapers.iter().any(|network| network.contains(&address))
    }
}

pub(crate) fn routes(base_path: &str) -> Routes {
    Routes::new(base_path.to_owned())
        .get("", index)
        .get("/configprops", environment::configprops)
        .get("/configprops/{prefix}", environment::configprops_below)
        .get("/env", environment::env)
        .get("/env/{property}", environment::env_property)
        .get("/health", health)
        .get("/health/{*path}", health_below)
        .get("/info", info)
        .get("/loggers", loggers::index)
        .get("/loggers/{name}", loggers::show)
        .post("/loggers/{name}", loggers::set)
        .get("/mappings", mappings::mappings)
        .get("/metrics", names)
        .get("/metrics/{name}", meter)
        .get("/prometheus", scrape)
        .get("/scheduledtasks", schedules::tasks)
}

/// The answer below the base path where there is no route, or none for the method.
pub(crate) fn fallback(app: &App, request: &Request, status: StatusCode) -> Option<Response> {
    let path = request.uri().path();
    let settings = app.actuator();
    (!settings.apart && settings.holds(path)).then(|| refusal(status, path))
}

/// The answer to a method that an endpoint does not have. Without asking who calls: only what is there for everybody
/// is said to be there.
pub(crate) fn wrong_method(settings: &Settings, path: &str) -> Response {
    let there = access::is_there(settings, path, false);
    refusal(if there { StatusCode::METHOD_NOT_ALLOWED } else { StatusCode::NOT_FOUND }, path)
}

/// Which endpoints the caller may reach.
async fn index(caller: Caller, State(app): State<App>, parts: Parts) -> Response {
    let settings = app.actuator();
    let origin = parts.extensions.get::<ClientIp>().and_then(ClientIp::origin);
    let base = format!("{}{}", origin.unwrap_or_default(), settings.base_path);
    let mut links = Map::new();
    let mut link = |key: &str, path: &str| {
        let target = json!({"href": format!("{base}{path}"), "templated": path.contains('{')});
        links.insert(key.to_owned(), target);
    };
    link("self", "");
    for (endpoint, for_operators, key, path) in [
        ("configprops", true, "configprops", "/configprops"),
        ("configprops", true, "configprops-prefix", "/configprops/{prefix}"),
        ("env", true, "env", "/env"),
        ("env", true, "env-toMatch", "/env/{toMatch}"),
        ("health", false, "health", "/health"),
        ("health", false, "health-path", "/health/{*path}"),
        ("info", false, "info", "/info"),
        ("loggers", true, "loggers", "/loggers"),
        ("loggers", true, "loggers-name", "/loggers/{name}"),
        ("mappings", true, "mappings", "/mappings"),
        ("metrics", true, "metrics", "/metrics"),
        ("metrics", true, "metrics-requiredMetricName", "/metrics/{requiredMetricName}"),
        ("prometheus", true, "prometheus", "/prometheus"),
        ("scheduledtasks", true, "scheduledtasks", "/scheduledtasks"),
    ] {
        let scrapes = endpoint == "prometheus" && access::is_scraper(settings, &parts);
        let allowed = !for_operators || caller.is_operator() || scrapes;
        if allowed && access::exposes(settings, endpoint, caller.is_operator()) {
            link(key, path);
        }
    }
    document(&parts.headers, parts.uri.path(), StatusCode::OK, &json!({"_links": links}))
}

async fn health(caller: Caller, State(app): State<App>, parts: Parts) -> Response {
    freshen(&app, caller, &parts).await;
    shown(&app, &[], &caller, &parts)
}

/// Looks anew where an operator asks for it with `fresh=true`: everybody else sees what was found last.
async fn freshen(app: &App, caller: Caller, parts: &Parts) {
    let asked =
        parts.uri.query().is_some_and(|query| query.split('&').any(|it| it == "fresh=true"));
    if asked && caller.is_operator() {
        app.health().freshen(FRESHENS).await;
    }
}

/// A group or a component.
async fn health_below(
    caller: Caller,
    State(app): State<App>,
    Path(path): Path<String>,
    parts: Parts,
) -> Response {
    let path: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    freshen(&app, caller, &parts).await;
    shown(&app, &path, &caller, &parts)
}

fn shown(app: &App, path: &[&str], caller: &Caller, parts: &Parts) -> Response {
    let sees = caller.sees_health(app.actuator());
    let Some(shown) = app.health().show(path, sees) else {
        return refusal(StatusCode::NOT_FOUND, parts.uri.path());
    };
    let status = StatusCode::from_u16(shown.http_status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    document(&parts.headers, parts.uri.path(), status, &shown.body)
}

/// What was built; for operators also where it runs and what it can do.
async fn info(caller: Caller, State(app): State<App>, parts: Parts) -> Response {
    let info = &app.actuator().info;
    if !caller.is_operator() {
        let body = Value::Object(info.public.clone());
        return document(&parts.headers, parts.uri.path(), StatusCode::OK, &body);
    }
    made_once(&app, &parts, || {
        let mut body = info.public.clone();
        body.extend((info.operators)());
        Some(Value::Object(body))
    })
}

/// The names of all meters that have a value.
async fn names(_: Operator, State(app): State<App>, parts: Parts) -> Response {
    made_once(&app, &parts, || Some(json!(app.meters().names())))
}

/// One meter, narrowed by `tag=key:value`.
async fn meter(
    _: Operator,
    State(app): State<App>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    parts: Parts,
) -> Response {
    let tags = query.iter().filter(|(key, _)| key == "tag").map(|(_, tag)| tag.parse());
    let Ok(filters) = tags.collect::<Result<Vec<TagFilter>, _>>() else {
        return refusal(StatusCode::BAD_REQUEST, parts.uri.path());
    };
    made_once(&app, &parts, || app.meters().view(&name, &filters).map(|view| json!(view)))
}

/// All meters, for Prometheus and its like.
async fn scrape(
    _: Scraper,
    State(app): State<App>,
    Query(query): Query<Vec<(String, String)>>,
    parts: Parts,
) -> Response {
    const FORMATS: [(&str, Exposition); 2] = [
        ("text/plain", Exposition::Prometheus),
        ("application/openmetrics-text", Exposition::OpenMetrics),
    ];
    let Some(format) = negotiate(&parts.headers, &FORMATS.map(|(name, _)| name)) else {
        return refusal(StatusCode::NOT_ACCEPTABLE, parts.uri.path());
    };
    let format = FORMATS.get(format).map_or(Exposition::Prometheus, |(_, format)| *format);
    let names: Vec<&str> = query
        .iter()
        .filter(|(key, _)| key == "includedNames")
        .map(|(_, names)| names.as_str())
        .collect();
    let names = names.join(",");
    let key = format!("{} {names}", format.content_type());
    let made = || app.meters().expose(format, &IncludedNames::parse(&names));
    let text = app.kept().or_made(key, || Some(made())).unwrap_or_default();
    let headers = [
        (CONTENT_TYPE, format.content_type()),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Encoding"),
    ];
    match gzipped(&parts.headers, &text) {
        Some(bytes) => (headers, [(header::CONTENT_ENCODING, "gzip")], bytes).into_response(),
        None => (headers, text.to_string()).into_response(),
    }
}

/// A text as gzip, where the client takes it: a scrape is large, and as repetitive as can be.
fn gzipped(headers: &http::HeaderMap, text: &str) -> Option<Vec<u8>> {
    if !accepts_gzip(headers) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok()
}
