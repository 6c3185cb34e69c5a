//! The declarations, in the order of the reference.

use super::{
    COUNT_BUCKETS, DELIVERY_BUCKETS, Meter, REQUEST_BUCKETS, SIZE_BUCKETS, STORE_BUCKETS, Standard,
    Unit,
};

/// Meters that are read together.
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) meters: &'static [Meter],
}

pub(super) const ALL: &[Group] = &[
    Group { title: "HTTP", meters: HTTP },
    Group { title: "Product", meters: PRODUCT },
    Group { title: "WebSocket", meters: WEBSOCKET },
    Group { title: "Database", meters: DATABASE },
    Group { title: "Caches", meters: CACHES },
    Group { title: "Jobs and outbox", meters: JOBS },
    Group { title: "Security edge", meters: EDGE },
    Group { title: "System and process", meters: SYSTEM },
    Group { title: "Health and telemetry", meters: HEALTH },
];

const HTTP: &[Meter] = &[
    Meter::timer("http.server.requests", "Duration of HTTP requests until the end of the body")
        .labels(&["method", "uri", "status", "outcome", "exception", "error", "slo"])
        .buckets(REQUEST_BUCKETS),
    Meter::long_task("http.server.requests.active", "HTTP requests being served")
        .labels(&["method", "uri"]),
    Meter::summary("http.server.request.size", "Bytes of request bodies")
        .unit(Unit::Bytes)
        .labels(&["uri"])
        .buckets(SIZE_BUCKETS),
    Meter::summary("http.server.response.size", "Bytes of response bodies")
        .unit(Unit::Bytes)
        .labels(&["uri"])
        .buckets(SIZE_BUCKETS),
    Meter::counter("http.server.panics", "Requests whose handler panicked"),
    Meter::counter("http.limits.refused", "Requests refused for their size or for want of room")
        .labels(&["reason"]),
    Meter::counter("http.insecure.refused", "Plain HTTP requests that were redirected or refused")
        .labels(&["answer"]),
    Meter::counter("requestid.rejected", "Request ids of callers that were not taken over")
        .labels(&["header"]),
    Meter::counter("clientip.rejected", "Forwarding headers that were not believed")
        .labels(&["reason"]),
    Meter::counter("chatwoot.api.requests", "HTTP requests").sum_of("http.server.requests"),
    Meter::counter("chatwoot.api.errors", "HTTP requests answered with an error")
        .labels(&["class"]),
    Meter::timer("chatwoot.api.response.time", "Duration of all HTTP requests together")
        .sum_of("http.server.requests"),
];

const PRODUCT: &[Meter] = &[
    Meter::counter("chatwoot.conversations.total", "Conversations created")
        .labels(&["channel", "tenant"]),
    Meter::counter("chatwoot.conversations.resolved", "Conversations resolved")
        .labels(&["channel", "tenant"]),
    Meter::counter("chatwoot.messages.total", "Messages created").labels(&[
        "direction",
        "channel",
        "tenant",
    ]),
    Meter::gauge("chatwoot.tenants.current", "Accounts").labels(&["status"]).clustered(),
    Meter::gauge("chatwoot.users.current", "People in accounts, by role")
        .labels(&["role"])
        .clustered(),
    Meter::gauge("chatwoot.users.online", "People who are present").labels(&["kind"]).clustered(),
    Meter::gauge("chatwoot.sessions.active", "Sign-ins that are still good").clustered(),
    Meter::gauge("chatwoot.contacts.current", "Contacts; absent beyond a million").clustered(),
    Meter::gauge("chatwoot.conversations.current", "Conversations").labels(&["status"]).clustered(),
    Meter::gauge("chatwoot.conversations.active", "Conversations that are open or pending")
        .clustered(),
    Meter::gauge("chatwoot.conversations.unassigned", "Open conversations that are nobody's")
        .clustered(),
    Meter::gauge("chatwoot.messages.current", "Messages; absent beyond a million").clustered(),
    Meter::gauge("chatwoot.storage.bytes", "Bytes of stored files; absent beyond a million files")
        .unit(Unit::Bytes)
        .labels(&["kind"])
        .clustered(),
    Meter::counter("chatwoot.users.total", "Users registered"),
    Meter::counter("chatwoot.tenants.total", "Accounts created"),
    Meter::counter(
        "chatwoot.notifications.sent",
        "Notifications told to their member's sockets, or handed to the mail server",
    )
    .labels(&["type", "channel", "status"]),
    Meter::timer(
        "chatwoot.notifications.delivery.time",
        "Time from a notification until the mail server answered",
    )
    .labels(&["channel", "status"])
    .buckets(DELIVERY_BUCKETS),
    Meter::counter("chatwoot.auth.attempts", "Attempts to authenticate").labels(&["method"]),
    Meter::counter("chatwoot.auth.failures", "Attempts to authenticate that were refused")
        .labels(&["method", "reason"]),
    Meter::timer(
        "chatwoot.message.fanout",
        "Time from commit until a frame is written to a socket",
    )
    .labels(&["audience"])
    .buckets(REQUEST_BUCKETS),
];

const WEBSOCKET: &[Meter] = &[
    Meter::counter("chatwoot.websocket.connections", "WebSocket handshakes")
        .labels(&["kind", "outcome"]),
    Meter::gauge("chatwoot.websocket.connections.active", "Open WebSocket connections")
        .labels(&["kind"]),
    Meter::counter("chatwoot.websocket.frames", "WebSocket frames").labels(&["direction"]),
    Meter::counter("chatwoot.websocket.bytes", "Bytes of WebSocket frames")
        .unit(Unit::Bytes)
        .labels(&["direction"]),
    Meter::summary("chatwoot.websocket.send.queue", "Frames waiting in a connection's send queue")
        .buckets(COUNT_BUCKETS),
    Meter::counter("chatwoot.websocket.closed", "WebSocket connections closed, by close code")
        .labels(&["code"]),
    Meter::counter(
        "chatwoot.cable.repeats",
        "Publications that came by two ways and were told once",
    ),
    Meter::counter("chatwoot.cable.bus.signals", "Signals between nodes")
        .labels(&["direction", "outcome"]),
    Meter::counter("chatwoot.presence.fallbacks", "Presence operations done without Redis")
        .labels(&["op"]),
];

const DATABASE: &[Meter] = &[
    Meter::timer("db.query", "Duration of named statements")
        .labels(&["query"])
        .buckets(STORE_BUCKETS),
    Meter::timer("chatwoot.database.query.time", "Duration of all statements together")
        .sum_of("db.query"),
    Meter::timer("db.transaction", "Duration of transactions")
        .labels(&["mode", "outcome"])
        .buckets(STORE_BUCKETS),
    Meter::counter("db.query.errors", "Statements that failed").labels(&["query"]),
    Meter::summary("db.commit.group", "Transactions committed together").buckets(COUNT_BUCKETS),
    Meter::gauge("db.pool.connections", "Connections of a pool").labels(&["pool", "state"]),
    Meter::gauge("db.pool.max", "Connections a pool may have").labels(&["pool"]),
    Meter::gauge("db.pool.pending", "Callers waiting for a connection").labels(&["pool"]),
    Meter::timer("db.pool.acquire", "Time waited for a connection")
        .labels(&["pool"])
        .buckets(STORE_BUCKETS),
    Meter::timer("db.pool.usage", "Time a connection was kept, or a thread was at work")
        .labels(&["pool"])
        .buckets(STORE_BUCKETS),
    Meter::counter("db.pool.timeouts", "Callers that got no connection in time").labels(&["pool"]),
    Meter::counter("db.pool.created", "Connections made").labels(&["pool"]),
    Meter::gauge("chatwoot.database.connections", "Connections of all pools together"),
    Meter::gauge("db.size", "Bytes of the database on its disk").unit(Unit::Bytes).clustered(),
    Meter::counter("db.deadlocks", "Deadlocks that PostgreSQL ended").clustered(),
    Meter::gauge("db.locks.waiting", "Locks of PostgreSQL that somebody waits for").clustered(),
    Meter::gauge(
        "db.oldest.transaction",
        "Age of our role's oldest open transaction in PostgreSQL",
    )
    .unit(Unit::Seconds)
    .clustered(),
    Meter::timer("redis.command", "Duration of commands to Redis, of a pipeline as of one")
        .labels(&["command", "outcome"])
        .buckets(STORE_BUCKETS),
    Meter::counter("redis.reconnects", "Connections to Redis that came back after a loss"),
    Meter::gauge("redis.memory.used", "Bytes that Redis uses").unit(Unit::Bytes).clustered(),
    Meter::counter("redis.evicted", "Keys that Redis gave up for want of memory").clustered(),
];

const CACHES: &[Meter] = &[
    Meter::counter("chatwoot.cache.hits", "Looks into a cache that found what they wanted")
        .labels(&["cache"]),
    Meter::counter(
        "chatwoot.cache.misses",
        "Looks into a cache that found nothing, or only what had changed",
    )
    .labels(&["cache"]),
    Meter::counter("cache.gets", "Looks into a cache").labels(&["cache", "result"]),
    Meter::gauge("chatwoot.cache.size", "Entries of a cache").labels(&["cache"]),
    Meter::counter("cache.evictions", "Entries of a cache that ended or had to make room")
        .labels(&["cache"]),
];

const JOBS: &[Meter] = &[
    Meter::timer("email.send", "Time to hand a mail to the SMTP server").labels(&["outcome"]),
    Meter::gauge("jobs.queue.depth", "Jobs by queue and state")
        .labels(&["queue", "state"])
        .clustered(),
    Meter::gauge("jobs.oldest.ready.age", "Age of the oldest job that could run")
        .unit(Unit::Seconds)
        .labels(&["queue"])
        .clustered(),
    Meter::timer("jobs.wait", "Time from when a job could run until it ran")
        .labels(&["queue", "job"])
        .buckets(REQUEST_BUCKETS),
    Meter::timer("jobs.execution", "Duration of job runs")
        .labels(&["queue", "job", "outcome"])
        .buckets(REQUEST_BUCKETS),
    Meter::counter("jobs.retries", "Job runs that failed and will be tried again")
        .labels(&["queue", "job"]),
    Meter::counter("jobs.dead", "Jobs given up").labels(&["queue", "job"]),
    Meter::counter("jobs.lease.lost", "Job runs whose lease somebody else took")
        .labels(&["queue", "job"]),
    Meter::timer("tasks.scheduled.execution", "Duration of scheduled tasks")
        .labels(&["task", "outcome"])
        .buckets(REQUEST_BUCKETS),
    Meter::gauge("tasks.scheduled.last.success", "When a scheduled task last succeeded")
        .unit(Unit::Timestamp)
        .labels(&["task"]),
    Meter::gauge("chatwoot.outbox.depth", "Events waiting for the relay").clustered(),
    Meter::gauge("chatwoot.outbox.oldest.age", "Age of the oldest event waiting for the relay")
        .unit(Unit::Seconds)
        .clustered(),
];

const EDGE: &[Meter] = &[
    Meter::counter("ratelimit.decisions", "Rate limit decisions").labels(&["class", "decision"]),
    Meter::timer("ratelimit.backend", "Duration of rate limit look-ups in Redis")
        .labels(&["outcome"])
        .buckets(STORE_BUCKETS),
    Meter::gauge("circuit.state", "A breaker: 0 closed, 1 half open, 2 open").labels(&["target"]),
    Meter::counter("inputguard.findings", "Suspicious input found")
        .labels(&["category", "location", "action"]),
    Meter::counter("cors.denied", "Cross-origin requests refused").labels(&["class"]),
    Meter::counter("csp.reports", "Violations of a page's policy that browsers reported")
        .labels(&["directive"]),
];

const SYSTEM: &[Meter] = &[
    Meter::gauge("system.cpu.usage", "Share of the machine's processors in use"),
    Meter::gauge("process.cpu.usage", "Share of the available processors this process uses"),
    Meter::gauge("system.cpu.count", "Processors available to this process"),
    Meter::gauge("system.load.average.1m", "Load average over one minute"),
    Meter::counter("process.cpu.time", "Processor time used")
        .unit(Unit::Nanoseconds)
        .labels(&["mode"])
        .standards(&[Standard { name: "process_cpu_seconds", unit: Unit::Seconds, factor: 1e-9 }]),
    Meter::gauge("process.uptime", "Time since the process started").unit(Unit::Seconds),
    Meter::gauge("process.start.time", "When the process started, in seconds since the epoch")
        .unit(Unit::Seconds),
    Meter::gauge("process.files.open", "Open file descriptors")
        .unit(Unit::Files)
        .standards(&[Standard { name: "process_open_fds", unit: Unit::None, factor: 1.0 }]),
    Meter::gauge("process.files.max", "File descriptors the process may open")
        .unit(Unit::Files)
        .standards(&[Standard { name: "process_max_fds", unit: Unit::None, factor: 1.0 }]),
    Meter::gauge("process.memory.rss", "Resident memory by kind")
        .unit(Unit::Bytes)
        .labels(&["kind"])
        .standards(&[Standard {
            name: "process_resident_memory_bytes",
            unit: Unit::Bytes,
            factor: 1.0,
        }]),
    Meter::gauge("memory.allocator", "Memory of the allocator by state")
        .unit(Unit::Bytes)
        .labels(&["state"]),
    Meter::counter("allocator.purge", "Times the allocator gave unused memory back to the system"),
    Meter::gauge("memory.limit", "Memory this process may use: the cgroup's limit or the RAM")
        .unit(Unit::Bytes),
    Meter::gauge("memory.pressure", "Share of time in which some task waited for memory")
        .unit(Unit::Ratio)
        .labels(&["window"]),
    Meter::counter("memory.oom.kills", "Processes of the cgroup killed for want of memory"),
    Meter::gauge("process.threads", "Threads by state").unit(Unit::Threads).labels(&["state"]),
    Meter::gauge("process.threads.peak", "Most threads seen since the start").unit(Unit::Threads),
    Meter::counter("process.context.switches", "Context switches of this process")
        .labels(&["type"]),
    Meter::counter("process.page.faults", "Page faults of this process").labels(&["type"]),
    Meter::gauge("tokio.tasks.alive", "Asynchronous tasks alive"),
    Meter::gauge("tokio.queue.depth", "Tasks in the runtime's global queue"),
    Meter::counter("tokio.worker.busy", "Time a worker of the runtime ran tasks")
        .unit(Unit::Nanoseconds)
        .labels(&["worker"]),
    Meter::counter("tokio.worker.parks", "Times a worker of the runtime had nothing to run")
        .labels(&["worker"]),
    Meter::timer("runtime.stall", "How late the runtime ran a task that was due")
        .buckets(STORE_BUCKETS),
    Meter::gauge("disk.free", "Bytes free for this process").unit(Unit::Bytes).labels(&["path"]),
    Meter::gauge("disk.total", "Bytes of the file system").unit(Unit::Bytes).labels(&["path"]),
    Meter::counter(
        "network.listen.overflow",
        "Connections refused because a listen queue was full",
    ),
];

const HEALTH: &[Meter] = &[
    Meter::gauge("health.component.status", "1 for the status a component has, 0 for the others")
        .labels(&["component", "status"]),
    Meter::timer("health.check", "Duration of health checks")
        .labels(&["component", "outcome"])
        .buckets(STORE_BUCKETS),
    Meter::gauge("application.started.time", "Time the start took").unit(Unit::Seconds),
    Meter::gauge("build.info", "1; the labels say what was built")
        .labels(&["version", "commit", "rustc"]),
    Meter::counter("logging.events", "Log events by level").labels(&["level"]),
    Meter::counter("telemetry.dropped", "Telemetry that was dropped").labels(&["signal", "reason"]),
    Meter::counter("metrics.series.dropped", "Recordings of label sets beyond the cap of a meter")
        .labels(&["meter"]),
];
