//! A server in process, for one test: a database of its own, the test's clock and randomness.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use chatwarden::node::{Node, Parts};
use chatwarden::post::MailServer;
use chatwarden::web::GuardedWeb;
use chatwarden_api::front_ends::FrontEnds;
use chatwarden_api::presence::{Board, Windows};
use chatwarden_api::{Around, ListedOrigins, RequestLineSettings, Telemetry, actuator};
use chatwarden_cable::InProcess;
use chatwarden_core::desk::{Desk, Signup};
use chatwarden_core::outside::{Outside, Post};
use chatwarden_db::{
    Ambient, Clock, Db, Engine, Entropy, Options, PostgresOptions, SqliteOptions, Timestamp,
};
use chatwarden_files::Disk;
use chatwarden_guard::rate_limit::RateLimitConfig;
use chatwarden_guard::{Edge, EdgeConfig, RateLimiter};
use chatwarden_telemetry::clock::SystemClock;
use chatwarden_telemetry::health::{self, HealthRegistry};
use chatwarden_telemetry::logs::Levels;
use chatwarden_telemetry::meters::{self, Registry};
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::reply::Reply;
use crate::services::{Database, Postgres};

/// Where every test's clock begins: 2026-01-05 09:00:00 UTC, a Monday.
pub const BEGINNING: Timestamp = Timestamp::from_unix(1_767_603_600);

/// What the operators of the tests show.
const OPERATOR: &str = "the operators' token";
/// What those of them show who may change things.
const IN_CHARGE: &str = "the token of operators in charge";

/// The largest file of tests, in bytes.
pub const FILE_LIMIT: u64 = 1 << 20;

/// The clock of a test: it stands still until it is moved.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

impl chatwarden_guard::Clock for TestClock {
    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0))
    }
    fn unix(&self) -> Duration {
        self.monotonic()
    }
}

/// The randomness of a test: the same in every run.
#[derive(Debug)]
struct TestEntropy(Mutex<StdRng>);

impl Entropy for TestEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

impl chatwarden_guard::Entropy for TestEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        self.0.lock().fill_bytes(buffer);
    }
}

/// The same bytes in every run, others for each `seed`.
fn entropy(seed: u64) -> Arc<TestEntropy> {
    Arc::new(TestEntropy(Mutex::new(StdRng::seed_from_u64(seed))))
}

/// A server in process. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    node: Node,
    router: Router,
    db: Db,
    clock: Arc<TestClock>,
    platform_token: String,
    names: AtomicU64,
    _database: Held,
    files: tempfile::TempDir,
}

/// What goes away with the test.
enum Held {
    Nothing,
    Sqlite { _folder: tempfile::TempDir },
    Postgres { _database: Database<'static> },
}

/// Whether tests run on PostgreSQL (`CHATWARDEN_TEST_DB=postgres`).
pub fn engine() -> Engine {
    match std::env::var("CHATWARDEN_TEST_DB").as_deref() {
        Ok("postgres") => Engine::Postgres,
        _ => Engine::Sqlite,
    }
}

/// The meters of this process: all its servers count into the same ones.
fn meters() -> Registry {
    static METERS: std::sync::LazyLock<Registry> = std::sync::LazyLock::new(|| {
        let meters = Registry::new(meters::Settings::default(), SystemClock::shared());
        meters.install().expect("the first recorder of the process");
        meters
    });
    METERS.clone()
}

/// A migrated database for one test, opened with `ambient`.
async fn database(ambient: Ambient) -> anyhow::Result<(Db, Held)> {
    match engine() {
        Engine::Sqlite => {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("test.sqlite3");
            std::fs::copy(template().await?, &path)?;
            let mut options = SqliteOptions::new(path);
            options.full_sync = false;
            options.readers = 2;
            Ok((Db::open(Options::Sqlite(options), ambient)?, Held::Sqlite { _folder: folder }))
        }
        Engine::Postgres => {
            let shared = Postgres::shared()?;
            let database = shared.database_from("chatwarden_it", |url| {
                let url = url.to_owned();
                // The template is filled outside the test's runtime: this closure is not async.
                std::thread::spawn(move || {
                    let runtime =
                        tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                    runtime.block_on(async {
                        let db = Db::open(
                            Options::Postgres(PostgresOptions::new(url)),
                            Ambient::default(),
                        )?;
                        chatwarden_db::migrate(&db).await?;
                        db.close().await;
                        anyhow::Ok(())
                    })
                })
                .join()
                .map_err(|_| anyhow::anyhow!("migrating the template panicked"))?
            })?;
            let mut options = PostgresOptions::new(database.url());
            options.connections = 6;
            Ok((
                Db::open(Options::Postgres(options), ambient)?,
                Held::Postgres { _database: database },
            ))
        }
    }
}

/// The migrated SQLite file that tests copy, made once a process.
async fn template() -> anyhow::Result<PathBuf> {
    static TEMPLATE: tokio::sync::OnceCell<(tempfile::TempDir, PathBuf)> =
        tokio::sync::OnceCell::const_new();
    let (_, path) = TEMPLATE
        .get_or_try_init(|| async {
            let folder = tempfile::tempdir()?;
            let path = folder.path().join("template.sqlite3");
            let db = Db::open(Options::Sqlite(SqliteOptions::new(&path)), Ambient::default())?;
            chatwarden_db::migrate(&db).await?;
            // Closing writes the log back into the file.
            db.close().await;
            anyhow::Ok((folder, path))
        })
        .await?;
    Ok(path.clone())
}

impl App {
    /// A server with an account and its administrator.
    pub async fn start() -> (Self, Actor) {
        let app = Self::empty().await;
        let account = app.account("Acme").await;
        let admin = app.member(account, "Ada", "administrator").await;
        (app, admin)
    }

    /// A server without accounts.
    pub async fn empty() -> Self {
        Self::open(database, FrontEnds::default(), None, EdgeConfig::default())
            .await
            .expect("a server in process starts")
    }

    /// A server on the SQLite file at `path`, which stays, with an account and its administrator; `told` is
    /// told each statement with its values.
    pub async fn told(path: &std::path::Path, told: fn(&str)) -> anyhow::Result<(Self, Actor)> {
        let mut options = SqliteOptions::new(path);
        options.told = Some(told);
        let opening = async |ambient| {
            let db = Db::open(Options::Sqlite(options), ambient)?;
            chatwarden_db::migrate(&db).await?;
            Ok((db, Held::Nothing))
        };
        let app = Self::open(opening, FrontEnds::default(), None, EdgeConfig::default()).await?;
        let account = app.account("Acme").await;
        let admin = app.member(account, "Ada", "administrator").await;
        Ok((app, admin))
    }

    /// A server behind an edge of its own, with an account and its administrator.
    pub async fn behind(edge: EdgeConfig) -> (Self, Actor) {
        let app = Self::open(database, FrontEnds::default(), None, edge);
        let app = app.await.expect("a server in process starts");
        let account = app.account("Acme").await;
        let admin = app.member(account, "Ada", "administrator").await;
        (app, admin)
    }

    /// A server without accounts that serves front ends.
    pub async fn with_front_ends(front_ends: FrontEnds) -> Self {
        Self::open(database, front_ends, None, EdgeConfig::default())
            .await
            .expect("a server in process starts")
    }

    /// A server with an account and its administrator, at which everybody may sign up.
    pub async fn open_to_all() -> (Self, Actor) {
        let edge = EdgeConfig::default();
        let app = Self::open_for(Signup::Open, database, FrontEnds::default(), None, edge);
        let app = app.await.expect("a server in process starts");
        let account = app.account("Acme").await;
        let admin = app.member(account, "Ada", "administrator").await;
        (app, admin)
    }

    /// A server with an account and its administrator, and with a mail server.
    pub async fn start_with_mail(mailer: chatwarden_mail::Mailer) -> (Self, Actor) {
        let app = Self::open(database, FrontEnds::default(), Some(mailer), EdgeConfig::default());
        let app = app.await.expect("a server in process starts");
        let account = app.account("Acme").await;
        let admin = app.member(account, "Ada", "administrator").await;
        (app, admin)
    }

    async fn open(
        database: impl AsyncFnOnce(Ambient) -> anyhow::Result<(Db, Held)>,
        front_ends: FrontEnds,
        mailer: Option<chatwarden_mail::Mailer>,
        edge: EdgeConfig,
    ) -> anyhow::Result<Self> {
        Self::open_for(Signup::Closed, database, front_ends, mailer, edge).await
    }

    async fn open_for(
        signup: Signup,
        database: impl AsyncFnOnce(Ambient) -> anyhow::Result<(Db, Held)>,
        front_ends: FrontEnds,
        mailer: Option<chatwarden_mail::Mailer>,
        mut edge: EdgeConfig,
    ) -> anyhow::Result<Self> {
        // Before any statement runs: meters keep their handles from the first use.
        let meters = meters();
        let clock = Arc::new(TestClock(AtomicI64::new(BEGINNING.micros())));
        let board = Arc::new(Board::new(Windows::default(), None));
        let desk = Arc::new(Desk {
            presence: board.clone(),
            secret: Arc::from("a secret of the tests, long enough to sign with"),
            signup,
            ..Desk::default()
        });
        let ambient = Ambient { clock: clock.clone(), entropy: entropy(7), lent: desk.clone() };
        let (db, held) = database(ambient).await?;
        let files = tempfile::tempdir()?;
        let around = chatwarden_guard::Ambient { clock: clock.clone(), entropy: entropy(11) };
        let limiter = RateLimiter::local(RateLimitConfig::default(), around.clone());
        // Who is far away comes through a proxy of ours.
        edge.client_ip.trusted_proxies = "127.0.0.1".parse()?;
        let (health, readiness, _) =
            HealthRegistry::new(health::Settings::default(), SystemClock::shared()).build();
        readiness.accept();
        let node = Node::assemble(Parts {
            db: db.clone(),
            desk,
            bus: Arc::new(InProcess::new()),
            epoch: "test".to_owned(),
            board,
            around: Around {
                limiter: limiter.clone(),
                telemetry: Telemetry {
                    health,
                    meters,
                    levels: Levels::new("info", Vec::new(), SystemClock::shared())?,
                    actuator: Arc::new(actuator::Settings {
                        tokens: vec![OPERATOR.to_owned()],
                        admin_tokens: vec![IN_CHARGE.to_owned()],
                        environment: environment(),
                        ..actuator::Settings::default()
                    }),
                },
                front_ends,
                api_docs: true,
            },
            outside: Outside {
                // Tests have servers of their own, on this machine.
                web: Arc::new(GuardedWeb::new(true)?),
                disk: Disk::open(files.path(), FILE_LIMIT)?,
                post: mailer.map(|mailer| Arc::new(MailServer(mailer)) as Arc<dyn Post>),
            },
            name: "test".to_owned(),
        });
        let platform_token =
            db.write(async |tx| chatwarden_core::platform::create_app(tx, "tests").await).await?;
        edge.cors.lookup = Some(Arc::new(ListedOrigins::new(node.app.clone())));
        edge.cors.routes = Some(Arc::new(chatwarden_api::Methods));
        Ok(Self(Arc::new(Inner {
            router: Edge::new(edge, limiter, around).wrap_with(
                node.router(),
                chatwarden_api::request_line(RequestLineSettings::default()),
            ),
            node,
            db,
            clock,
            platform_token,
            names: AtomicU64::new(1),
            _database: held,
            files,
        })))
    }

    /// The database, for what no route shows.
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// The stored files on the disk, by their names there, without what is being received.
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.0.files.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.file_name().expect("a name").to_string_lossy().into_owned());
                }
            }
        }
        found
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// The present moment of this test.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Does what is to be done in the background: events, jobs, schedules, until nothing is due.
    pub async fn settle(&self) -> usize {
        self.0.node.worker.settle().await.expect("the background work is done")
    }

    /// Whoever shows no credential.
    pub fn anyone(&self) -> Actor {
        Actor { app: self.clone(), account: None, id: None, email: None, headers: Vec::new() }
    }

    /// The platform app of the tests.
    pub fn platform(&self) -> Actor {
        self.anyone().with_header("api_access_token", &self.0.platform_token)
    }

    /// Somebody who runs the server.
    pub fn operator(&self) -> Actor {
        self.anyone().with_header("authorization", &format!("Bearer {OPERATOR}"))
    }

    /// Somebody who runs the server and may change how.
    pub fn operator_in_charge(&self) -> Actor {
        self.anyone().with_header("authorization", &format!("Bearer {IN_CHARGE}"))
    }

    /// A new account.
    pub async fn account(&self, name: &str) -> i64 {
        let made = self
            .platform()
            .post("/platform/api/v1/accounts", serde_json::json!({"name": name}))
            .await
            .ok();
        made["id"].as_i64().expect("an id")
    }

    /// A new user who is a member of `account` in `role`.
    pub async fn member(&self, account: i64, name: &str, role: &str) -> Actor {
        let number = self.0.names.fetch_add(1, Ordering::Relaxed);
        let email = format!("{}.{number}@example.com", name.to_lowercase());
        let platform = self.platform();
        let user = platform
            .post(
                "/platform/api/v1/users",
                serde_json::json!({"name": name, "email": email, "password": "Passw0rd!23"}),
            )
            .await
            .ok();
        let id = user["id"].as_i64().expect("an id");
        let path = format!("/platform/api/v1/accounts/{account}/account_users");
        platform.post(&path, serde_json::json!({"user_id": id, "role": role})).await.ok();
        let token =
            platform.post(&format!("/platform/api/v1/users/{id}/token"), Value::Null).await.ok();
        let token = token["access_token"].as_str().expect("a token").to_owned();
        let mut actor = self.anyone().with_header("api_access_token", &token);
        actor.account = Some(account);
        actor.id = Some(id);
        actor.email = Some(email);
        actor
    }
}

/// Somebody who calls: which headers they send, and where.
#[derive(Clone)]
pub struct Actor {
    app: App,
    /// The account whose routes `/…` below means.
    pub account: Option<i64>,
    /// The user's id.
    pub id: Option<i64>,
    /// The user's address.
    pub email: Option<String>,
    headers: Vec<(String, String)>,
}

impl Actor {
    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, Value::Null).await
    }

    /// Creates or acts.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, body).await
    }

    /// Updates.
    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, body).await
    }

    /// Replaces.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, body).await
    }

    /// Deletes.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, Value::Null).await
    }

    /// Sends JSON; null is no body. A path that is none of the API's own is one of the actor's account.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.send_raw(method, path, "application/json", body).await
    }

    /// Sends bytes of any type.
    pub async fn send_raw(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Reply {
        let own = [
            "/api",
            "/public/",
            "/platform/",
            "/auth/",
            "/resend_confirmation",
            "/widget",
            "/cable",
            "/health",
            "/livez",
            "/readyz",
            "/setup",
            "/actuator",
            "/app",
            "/survey/",
            "/installation/",
            "/.well-known/",
            "/robots.txt",
            "/csp-reports",
            "/swagger",
            "/rails/",
        ];
        let uri = match self.account {
            Some(account) if path != "/" && !own.iter().any(|prefix| path.starts_with(prefix)) => {
                format!("/api/v1/accounts/{account}{path}")
            }
            _ => path.to_owned(),
        };
        let mut request = Request::builder().method(method.clone()).uri(&uri);
        if !body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, content_type);
        }
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header(http::header::ACCEPT, "application/json");
        }
        let mut request = request.body(Body::from(body)).expect("a request");
        // Calls come from this machine, which no limit by address counts.
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 49_152))));
        for (name, value) in &self.headers {
            request.headers_mut().append(
                HeaderName::from_bytes(name.as_bytes()).expect("a header name"),
                HeaderValue::from_str(value).expect("a header value"),
            );
        }
        let response =
            self.app.0.router.clone().oneshot(request).await.expect("the router answers");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole answer").to_bytes();
        Reply::new(format!("{method} {uri}"), parts.status, parts.headers, bytes)
    }
}

/// As if a server had been started with a variable, its file and a default.
fn environment() -> actuator::Environment {
    let property = |source: &str, name: &str, field: &str, effective| actuator::Property {
        source: source.to_owned(),
        name: name.to_owned(),
        section: "rate_limit".to_owned(),
        field: field.to_owned(),
        value: format!("{source}'s"),
        origin: (source != "defaults").then(|| format!("{source}, {name}")),
        effective,
    };
    actuator::Environment {
        profile: "test".to_owned(),
        shows_values: true,
        sources: ["systemEnvironment", "defaults"].map(str::to_owned).into(),
        properties: vec![
            property("systemEnvironment", "RATE_LIMIT_PROFILE", "profile", true),
            property("defaults", "rate_limit.profile", "profile", false),
            property("defaults", "rate_limit.enabled", "enabled", true),
        ],
    }
}
