//! `serve`: the whole server.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::Router;
use chatwarden_api::front_ends::FrontEnds;
use chatwarden_api::presence::Board;
use chatwarden_api::{Around, ListedOrigins, Telemetry};
use chatwarden_cable::{Bus, InProcess, RedisBus, RedisBusConfig, RedisPresence, Signal};
use chatwarden_core::desk::Desk;
use chatwarden_db::{Ambient, Db};
use chatwarden_guard::{Edge, RateLimiter};
use chatwarden_telemetry::clock::SystemClock;
use chatwarden_telemetry::health::{
    Cpu, DiskSpace, Health, HealthRegistry, Liveness, LivenessState, Memory, Readiness, Supervisor,
};
use chatwarden_telemetry::logs::{self, Levels, RotatingFile, Rotation, Sinks};
use chatwarden_telemetry::meters::Registry;
use chatwarden_telemetry::system::LatestReadings;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::allocator;
use crate::census;
use crate::checks::{
    Clock, Database, JobLag, Mail, Migrations, Redis, Scheduler, Storage, Tenants,
};
use crate::config::{Config, Secret};
use crate::measure;
use crate::node::{Node, Parts};
use crate::nodes;
use crate::open_files;
use crate::options;
use crate::secrets::Secrets;
use crate::serve::{self, Aborted, Limits, Signals};

/// Less free space than this on the data's disk is a failure (operations.md §3.2).
const DISK_THRESHOLD: u64 = 512 << 20;

/// How long connections to sockets are spread over while draining (operations.md §3.5).
const SOCKET_SPREAD: Duration = Duration::from_secs(5);

/// How long what runs beside the requests may take to end, of the time for flushing: the database is closed and the
/// log written in any case.
const ENDING: Duration = Duration::from_secs(1);

/// Runs the server until it is told to stop.
///
/// # Errors
/// What keeps it from starting; being stopped without a drain.
pub(super) fn run(config: &Config) -> anyhow::Result<()> {
    run_with(config, |_| std::future::ready(()))
}

/// The same; `once_up` runs beside the server as soon as it listens.
///
/// # Errors
/// As [`run`].
pub(super) fn run_with<F>(
    config: &Config,
    once_up: impl FnOnce(SocketAddr) -> F,
) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(config, once_up));
    // Blocking threads may hold on for long; what they had to do is done or given up.
    runtime.shutdown_background();
    outcome
}

async fn serve<F>(config: &Config, once_up: impl FnOnce(SocketAddr) -> F) -> anyhow::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let began = Instant::now();
    let instance = instance_name();
    let log = logs::install(
        options::logs(config, &instance, std::io::stdout().is_terminal()),
        sink(config)?,
        SystemClock::shared(),
    )
    .context("setting up the log")?;
    let levels = log.levels().clone();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    if let Err(error) = allocator::give_back_in_background() {
        tracing::warn!(%error, "memory is given back only when more is asked for");
    }
    if let Err(error) = open_files::raise_limit() {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
    // Before any statement runs: meters keep their handles from the first use.
    let meters = Registry::new(options::meters(config), SystemClock::shared());
    meters.install().context("setting up the meters")?;
    let tenants = meters.tenants().cloned();
    let secrets = Secrets::load(config)?;
    let namespace = secrets.namespace();
    let board = Arc::new(board(config, &namespace)?);
    let desk =
        Arc::new(Desk { presence: board.clone(), ..options::desk(config, &secrets.key_base) });
    let db = open(config, desk.clone()).await?;
    let epoch = epoch(&db).await?;
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    let (bus, news) = bus(config, &db, &namespace, &instance, &tasks, &stop)?;
    let mut limits = options::rate_limits(config, &secrets.key_base)?;
    limits.partition.clone_from(&namespace);
    let guard_ambient = chatwarden_guard::Ambient::system();
    let limiter = match options::redis_url(config) {
        Some(url) => {
            let limiter = RateLimiter::shared(limits, guard_ambient.clone(), url.expose())?;
            let client = redis::Client::open(url.expose())?;
            let counting =
                nodes::count(client, namespace.clone(), instance.clone(), limiter.clone());
            tasks.spawn(stop.clone().run_until_cancelled_owned(counting));
            limiter
        }
        None => RateLimiter::local(limits, guard_ambient.clone()),
    };
    let sampler = measure::sampler(config, &db);
    let canary = format!("{namespace}:health:{instance}");
    let (health, readiness, supervisor) =
        health(config, &db, &instance, canary, sampler.readings())?;
    let actuator =
        Arc::new(options::actuator(config, &secrets, measure::info(config, sampler.readings())));
    let node = Node::assemble(Parts {
        db: db.clone(),
        desk,
        bus,
        epoch,
        board,
        around: Around {
            limiter: limiter.clone(),
            telemetry: Telemetry { health, meters, levels: levels.clone(), actuator },
            front_ends: FrontEnds::open(options::front_ends(config))
                .context("opening the front ends (CHATWARDEN_FRONTEND_DIR)")?,
            api_docs: config.server.api_docs,
        },
        outside: options::outside(config)?,
        name: instance.clone(),
    });
    let node = Arc::new(node);
    let mut layers = options::edge(config);
    layers.cors.lookup = Some(Arc::new(ListedOrigins::new(node.app.clone())));
    let edge = Edge::new(layers, limiter, guard_ambient);
    let wrapped = |router: Router| -> Router {
        edge.wrap_with(router, chatwarden_api::request_line(options::request_line(config)))
    };
    let address = config.server.listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address} (LISTEN)"))?;
    let bound = listener.local_addr().unwrap_or(address);
    let mut listeners = vec![(listener, wrapped(node.router()))];
    if let Some(address) = config.management.listen {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("listening on {address} (MANAGEMENT_LISTEN)"))?;
        listeners.push((listener, wrapped(node.operators())));
    }
    metrics::gauge!("application.started.time").set(began.elapsed().as_secs_f64());
    let (hub, closing) = (node.hub.clone(), db.clone());
    readiness.accept();
    let lifecycle = options::lifecycle(config)
        .on_drain(move || readiness.refuse())
        .sockets(move || async move { hub.drain(SOCKET_SPREAD).await })
        .workers({
            let node = node.clone();
            move || async move { node.rest().await }
        })
        .flush({
            let node = node.clone();
            move || async move {
                let ended = async {
                    node.stop_telling().await;
                    stop.cancel();
                    tasks.close();
                    tasks.wait().await;
                };
                if tokio::time::timeout(ENDING, ended).await.is_err() {
                    tracing::warn!("some of what runs in the background did not end in time");
                }
                closing.close().await;
                log.flush(Duration::from_secs(1));
            }
        });
    let signals = Signals::catch(&lifecycle)?;
    let link = node.app.write(async |tx| chatwarden_core::setup::make_link(tx).await).await?;
    // Until the process ends: the second signal is to be heard however far the drain is.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime")]
    tokio::spawn(signals.pass_on());
    let watch = node.stop.clone();
    node.tasks.spawn(async move { supervisor.run(watch.cancelled_owned()).await });
    let measuring = measure::measure(sampler, SystemClock::shared());
    node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(measuring));
    node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(expire(levels)));
    let counting = census::count(node.clone());
    node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(counting));
    if let Some(tenants) = tenants {
        let sorting = census::sort(db, tenants);
        node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(sorting));
    }
    if let Err(error) = say_hello(config, bound, link.as_deref()) {
        tracing::warn!(%error, "nobody reads the greeting");
    }
    // Nothing can keep the server from starting any more: only now may it take jobs, which it would leave
    // leased to nobody.
    node.work();
    if let Some(news) = news {
        node.listen(news);
    }
    node.tasks.spawn(node.stop.clone().run_until_cancelled_owned(once_up(bound)));
    match serve::serve(listeners, Limits::default(), lifecycle).await {
        Ok(_) => Ok(()),
        Err(Aborted) => bail!("stopped without draining"),
    }
}

/// Takes levels back that an operator changed for a time.
async fn expire(levels: Levels) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        levels.expire();
    }
}

/// Where log lines go.
fn sink(config: &Config) -> anyhow::Result<logs::Sink> {
    let standard: logs::Sink = Box::new(std::io::stdout());
    let Some(path) = &config.log.file else { return Ok(standard) };
    let file = RotatingFile::open(path.clone(), Rotation::default(), SystemClock::shared())
        .with_context(|| format!("opening {} (LOG_FILE)", path.display()))?;
    Ok(Box::new(Sinks::new(vec![standard, Box::new(file)])))
}

/// Names this process among all that ever were: host, process id, and what tells containers apart that share both.
fn instance_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}-{:08x}", host.trim(), std::process::id(), rand::random::<u32>())
}

/// Opens the database and brings its schema up to date, where it may (`AUTO_MIGRATE`).
///
/// # Errors
/// What the database says; a schema that is behind and may not be touched.
pub(crate) async fn open(config: &Config, desk: Arc<Desk>) -> anyhow::Result<Db> {
    let ambient = Ambient { lent: desk, ..Ambient::default() };
    let db = Db::open(options::database(config), ambient)
        .context("opening the database (DATABASE_URL)")?;
    if !config.database.auto_migrate {
        let behind = chatwarden_db::migration_status(&db).await?;
        if let Some(first) = behind.iter().find(|migration| migration.at.is_none()) {
            bail!(
                "the schema is behind, {} is pending, and AUTO_MIGRATE is false: run \
                 `chatwarden migrate`",
                first.name
            );
        }
        return Ok(db);
    }
    for name in chatwarden_db::migrate(&db).await.context("migrating the database")? {
        tracing::info!(migration = name, "applied a migration");
    }
    Ok(db)
}

/// The name of this database, made with it: sockets resume only where they were.
async fn epoch(db: &Db) -> anyhow::Result<String> {
    Ok(db.write(async |tx| chatwarden_core::installation::epoch(tx).await).await?)
}

/// What is looked at in the background; `canary` is a key of Redis that is this instance's.
fn health(
    config: &Config,
    db: &Db,
    instance: &str,
    canary: String,
    readings: LatestReadings,
) -> anyhow::Result<(Health, Readiness, Supervisor)> {
    let mut registry = HealthRegistry::new(options::health(config), SystemClock::shared());
    registry.register(Box::new(Liveness::start(LivenessState::default(), SystemClock::shared())?));
    registry.register(Box::new(Memory::new(readings.clone(), SystemClock::shared())));
    registry.register(Box::new(Cpu::new(readings, SystemClock::shared())));
    registry.register(Box::new(JobLag(db.clone())));
    if let Some(url) = options::redis_url(config) {
        registry.register(Box::new(Redis::new(url.expose(), config.redis.required, canary)?));
    }
    let redis = options::redis_url(config);
    if let Some(clock) = Clock::new(db.clone(), redis.as_ref().map(Secret::expose))? {
        registry.register(Box::new(clock));
    }
    if let Some(mailer) = options::mailer(config) {
        registry.register(Box::new(Mail(mailer)));
    }
    // The shape that clients of the document this began with know.
    registry.register_view(
        "chatwoot",
        &[
            ("database", &["db", "migrations"]),
            ("redis", &["redis"]),
            ("system", &["memory", "cpu", "diskSpace"]),
            ("tenants", &["tenants"]),
        ],
    );
    registry.register(Box::new(Database::new(db.clone(), options::database_file(config))));
    registry.register(Box::new(Scheduler::new(db.clone())));
    registry.register(Box::new(Storage::new(options::storage(config), instance)));
    registry.register(Box::new(Tenants(db.clone())));
    registry.register(Box::new(Migrations(db.clone())));
    registry.register(Box::new(DiskSpace::new(
        vec![config.server.data_dir.clone()],
        DISK_THRESHOLD,
        SystemClock::shared(),
    )));
    let built = registry.build();
    for (group, id) in built.0.strangers() {
        tracing::warn!(group, id, "a group of health names a component that there is not");
    }
    Ok(built)
}

/// Who is present, shared through Redis where there is one.
fn board(config: &Config, namespace: &str) -> anyhow::Result<Board> {
    let windows = options::presence(config);
    let shared = match options::redis_url(config) {
        Some(url) => Some(Arc::new(RedisPresence::new(
            url.expose(),
            namespace,
            windows.users.max(windows.contacts),
        )?) as Arc<dyn chatwarden_cable::Presence>),
        None => None,
    };
    Ok(Board::new(windows, shared))
}

/// What the bus says of itself: the link is lost, a gap is to be filled.
type BusNews = mpsc::Receiver<Signal>;

/// How this node hears from the others: through Redis where there is one.
fn bus(
    config: &Config,
    db: &Db,
    namespace: &str,
    instance: &str,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<(Arc<dyn Bus>, Option<BusNews>)> {
    let Some(url) = options::redis_url(config) else {
        return Ok((Arc::new(InProcess::new()), None));
    };
    let ambient = db.ambient().clone();
    let (bus, signals) = RedisBus::start(
        RedisBusConfig {
            url: url.expose().to_owned(),
            prefix: namespace.to_owned(),
            node: instance.to_owned(),
            clock: Arc::new(move || ambient.now().micros()),
        },
        tasks,
        stop.clone(),
    )?;
    Ok((bus, Some(signals)))
}

/// Says where the server is and, while nobody is there, how to make the first account.
fn say_hello(config: &Config, bound: SocketAddr, link: Option<&str>) -> anyhow::Result<()> {
    let base = config.server.frontend_url.as_str().trim_end_matches('/');
    // Lines of JSON stay among themselves, and the link out of what collects them.
    let of_log = options::logs(config, "", std::io::stdout().is_terminal()).format;
    let mut out: Box<dyn std::io::Write> = match of_log {
        logs::Format::Pretty => Box::new(std::io::stdout().lock()),
        logs::Format::Otel | logs::Format::Ecs => Box::new(std::io::stderr().lock()),
    };
    writeln!(out, "\nChatwarden listens on http://{bound} and is reached at {base}")?;
    if let Some(link) = link {
        writeln!(
            out,
            "There is nobody here yet. Make the first account at (the link works once)\n"
        )?;
        writeln!(out, "    {base}/setup/{link}\n")?;
        writeln!(out, "or with `chatwarden admin create --name … --email … --account …`.\n")?;
    }
    Ok(())
}
