//! Prometheus scrapes a server under load: what it stores is what the load did.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Answer, Prometheus, Server, wait_until};
use serde_json::{Value, json};

use crate::desk::{Desk, SETTINGS, program};
use crate::socket::Socket;

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "an-operators-token-6Zr1";
const PASSWORD: &str = "a-long-password-q8Xw";
/// Visitors at the same time, each with an agent's socket.
const VISITORS: usize = 4;
/// Conversations of each.
const CONVERSATIONS: usize = 5;
/// What a visitor writes in each.
const MESSAGES: usize = 5;
/// The scrapes themselves: they are nobody's load.
const SCRAPES: &str = "uri=\"/actuator/prometheus\"";
const REQUESTS: &str = "http_server_requests_seconds_count";

/// The series of a name that have some labels, and lack one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Series {
    name: &'static str,
    with: Vec<String>,
    without: Option<&'static str>,
}

impl Series {
    fn new(name: &'static str, labels: &[(&str, &str)]) -> Self {
        let with = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        Self { name, with, without: None }
    }

    /// All requests but the scrapes.
    fn requests() -> Self {
        Self { name: REQUESTS, with: Vec::new(), without: Some(SCRAPES) }
    }

    /// Their sum on a page of metrics.
    fn on(&self, page: &str) -> f64 {
        page.lines()
            .filter_map(|line| line.strip_prefix(self.name)?.strip_prefix('{')?.rsplit_once("} "))
            .filter(|(labels, _)| self.with.iter().all(|label| labels.contains(label.as_str())))
            .filter(|(labels, _)| self.without.is_none_or(|label| !labels.contains(label)))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }
}

/// As PromQL selects them.
impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lacking = self.without.map(|label| label.replacen('=', "!=", 1));
        let labels: Vec<&str> =
            self.with.iter().map(String::as_str).chain(lacking.as_deref()).collect();
        write!(f, "{}{{{}}}", self.name, labels.join(","))
    }
}

/// What the load did, as it counts itself.
#[derive(Default)]
struct Ledger(BTreeMap<Series, u32>);

impl Ledger {
    fn note(&mut self, name: &'static str, labels: &[(&str, &str)]) {
        *self.0.entry(Series::new(name, labels)).or_default() += 1;
    }

    fn request(&mut self, method: &str, route: &str, status: u16) {
        let status = status.to_string();
        self.note(REQUESTS, &[("method", method), ("uri", route), ("status", &status)]);
        *self.0.entry(Series::requests()).or_default() += 1;
        if status.starts_with('4') {
            self.note("chatwoot_api_errors_total", &[("class", "4xx")]);
        }
    }

    fn message(&mut self, direction: &str) {
        let labels = [("direction", direction), ("channel", "Channel::Api")];
        self.note("chatwoot_messages_total", &labels);
        self.note("db_query_seconds_count", &[("query", "messages.insert")]);
    }

    fn add(&mut self, other: Self) {
        for (series, count) in other.0 {
            *self.0.entry(series).or_default() += count;
        }
    }

    /// Where `counted` says something else.
    fn differences(&self, counted: impl Fn(&Series) -> Result<f64>) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for (series, done) in &self.0 {
            let counted = counted(series)?;
            if counted != f64::from(*done) {
                out.push(format!("{series}: {done} done, {counted} counted"));
            }
        }
        Ok(out)
    }
}

/// One visitor, and the agent who answers.
struct Visit<'a> {
    server: &'a Server,
    desk: &'a Desk,
    ledger: Ledger,
}

impl Visit<'_> {
    /// Calls a route with the values of its parameters.
    fn call(
        &mut self,
        token: &str,
        method: &str,
        route: &str,
        values: &[&str],
        body: &Value,
    ) -> Result<Answer> {
        let mut values = values.iter();
        let path: Vec<&str> =
            route
                .split('/')
                .map(|part| {
                    if part.starts_with('{') {
                        values.next().copied().unwrap_or(part)
                    } else {
                        part
                    }
                })
                .collect();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer =
            self.server.call(method, &path.join("/"), &[("api_access_token", token)], &body)?;
        self.ledger.request(method, route, answer.status);
        Ok(answer)
    }

    fn expect(
        &mut self,
        status: u16,
        token: &str,
        (method, route): (&str, &str),
        values: &[&str],
        body: Value,
    ) -> Result<Value> {
        let answer = self.call(token, method, route, values, &body)?;
        ensure!(answer.status == status, "{method} {route}: {} {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body).unwrap_or(Value::Null))
    }

    fn converse(&mut self, name: &str) -> Result<Vec<String>> {
        const CONTACTS: &str = "/public/api/v1/inboxes/{inbox_identifier}/contacts";
        const OPENED: &str =
            "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations";
        const WRITTEN: &str = "/public/api/v1/inboxes/{inbox_identifier}/contacts/{source_id}/conversations/{conversation_id}/messages";
        const ANSWERS: &str =
            "/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages";
        const STATUS: &str =
            "/api/v1/accounts/{account_id}/conversations/{conversation_id}/toggle_status";
        let (inbox, token) = (self.desk.inbox.as_str(), self.desk.token.as_str());
        let account = self.desk.account.to_string();
        let contact = self.expect(200, "", ("POST", CONTACTS), &[inbox], json!({"name": name}))?;
        let source = contact["source_id"].as_str().context("a source id")?;
        let mut contents = Vec::new();
        for number in 0..CONVERSATIONS {
            let opened = self.expect(200, "", ("POST", OPENED), &[inbox, source], json!({}))?;
            self.ledger.note("chatwoot_conversations_total", &[("channel", "Channel::Api")]);
            let id = opened["id"].to_string();
            for message in 0..MESSAGES {
                let content = format!("{name}: {number}.{message}");
                let said = json!({"content": content});
                self.expect(200, "", ("POST", WRITTEN), &[inbox, source, &id], said)?;
                self.ledger.message("incoming");
                contents.push(content);
            }
            self.expect(200, token, ("GET", ANSWERS), &[&account, &id], Value::Null)?;
            self.expect(
                200,
                token,
                ("POST", ANSWERS),
                &[&account, &id],
                json!({"content": "Hello"}),
            )?;
            self.ledger.message("outgoing");
            self.expect(
                200,
                token,
                ("POST", STATUS),
                &[&account, &id],
                json!({"status": "resolved"}),
            )?;
            self.ledger.note("chatwoot_conversations_resolved_total", &[]);
            // "Conversation was marked resolved by Ada"
            self.ledger.message("activity");

            // What is refused is a request, and nothing else.
            let flood = json!({"content": "x".repeat(160_000)});
            self.expect(422, token, ("POST", ANSWERS), &[&account, &id], flood)?;
            self.expect(401, "", ("POST", ANSWERS), &[&account, &id], json!({"content": "Hello"}))?;
            self.expect(404, token, ("GET", ANSWERS), &[&account, "987654"], Value::Null)?;
            let nowhere = self.server.call("GET", &format!("/no/such/route/{id}"), &[], "")?;
            self.ledger.request("GET", "NOT_FOUND", nowhere.status);
        }
        let guess = json!({"email": "ada@example.com", "password": "guessed"});
        self.expect(401, "", ("POST", "/auth/sign_in"), &[], guess)?;
        self.ledger.note("chatwoot_auth_attempts_total", &[("method", "password")]);
        self.ledger.note("chatwoot_auth_failures_total", &[("reason", "bad_secret")]);
        Ok(contents)
    }

    fn listen(&mut self) -> Result<Socket> {
        let socket = Socket::open(self.server.port(), self.desk, None)?;
        self.ledger.request("GET", "/cable", 101);
        let labels = [("kind", "agent"), ("outcome", "accepted")];
        self.ledger.note("chatwoot_websocket_connections_total", &labels);
        self.ledger.note("chatwoot_websocket_connections_active", &[("kind", "agent")]);
        Ok(socket)
    }
}

/// The page that a scrape gets.
fn page(server: &Server) -> Result<String> {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str()), ("accept", "text/plain")];
    let answer = server.call("GET", "/actuator/prometheus", &headers, "")?;
    ensure!(answer.status == 200, "the scrape is answered {} {}", answer.status, answer.body);
    Ok(answer.body)
}

/// The one number that a query gives.
fn number(prometheus: &Prometheus, query: &str) -> Result<f64> {
    let answer: Value = serde_json::from_str(&prometheus.query(query)?)?;
    let value = &answer["data"]["result"];
    let value = value[0]["value"][1].as_str().or(value[1].as_str());
    value.and_then(|text| text.parse().ok()).with_context(|| format!("{query}: {answer}"))
}

/// Waits until nothing differs.
fn agree(ledger: &Ledger, counted: impl Fn(&Series) -> Result<f64>) -> Result<()> {
    let mut differences = Vec::new();
    let end = wait_until(PATIENCE, || {
        differences = ledger.differences(&counted)?;
        Ok(differences.is_empty())
    });
    end.with_context(|| differences.join("\n"))
}

#[test]
fn what_prometheus_stores_is_what_the_load_did() -> Result<()> {
    let mut settings = SETTINGS.to_vec();
    settings.extend([
        ("ACTUATOR_TOKEN", TOKEN),
        ("ACTUATOR_USERNAME", "prometheus"),
        ("ACTUATOR_PASSWORD", PASSWORD),
    ]);
    let mut server = Server::new(program(), &settings)?;
    server.start()?;
    let desk = Desk::make(&server, 0)?;
    let prometheus = Prometheus::start(&format!(
        "global: {{scrape_interval: 500ms}}\n\
         scrape_configs:\n\
         - job_name: chatwarden\n  \
           metrics_path: /actuator/prometheus\n  \
           basic_auth: {{username: prometheus, password: {PASSWORD}}}\n  \
           static_configs: [{{targets: ['127.0.0.1:{}']}}]\n",
        server.port()
    ))?;
    let before = page(&server)?;
    wait_until(PATIENCE, || {
        let stored = number(&prometheus, &format!("sum({}) or vector(-1)", Series::requests()))?;
        Ok(stored == Series::requests().on(&before))
    })
    .context("Prometheus does not store what there was before")?;
    let begun = number(&prometheus, "time()")?;

    let (mut ledger, mut sockets) = (Ledger::default(), Vec::new());
    std::thread::scope(|scope| -> Result<()> {
        let visits: Vec<_> = (0..VISITORS)
            .map(|number| {
                let (server, desk) = (&server, &desk);
                scope.spawn(move || -> Result<_> {
                    let mut visit = Visit { server, desk, ledger: Ledger::default() };
                    let mut socket = visit.listen()?;
                    let contents = visit.converse(&format!("Vera {number}"))?;
                    let missing = socket.hear(&contents, PATIENCE)?;
                    ensure!(missing.is_empty(), "the socket did not hear {missing:?}");
                    Ok((visit.ledger, socket))
                })
            })
            .collect();
        prometheus.check_metrics(&page(&server)?).context("under load")?;
        for visit in visits {
            let (counted, socket) = visit.join().expect("a visit ends")?;
            ledger.add(counted);
            sockets.push(socket);
        }
        Ok(())
    })?;

    let stored = |series: &Series| {
        let (now, then) = (format!("sum({series})"), format!("sum({series} @ {begun})"));
        number(&prometheus, &format!("({now} or vector(0)) - ({then} or vector(0))"))
    };
    let shown = |series: &Series| Ok(series.on(&page(&server)?) - series.on(&before));
    agree(&ledger, shown).context("the page is not what the load did")?;
    agree(&ledger, stored).context("what Prometheus stored is not what the load did")?;

    for socket in sockets {
        socket.close()?;
        ledger.note("chatwoot_websocket_closed_total", &[("code", "1000")]);
    }
    ledger.0.insert(Series::new("chatwoot_websocket_connections_active", &[("kind", "agent")]), 0);
    agree(&ledger, shown)
        .context("the page is not what the load did once the sockets are closed")?;
    agree(&ledger, stored).context("Prometheus does not see the sockets closed")?;
    prometheus.check_metrics(&page(&server)?)?;
    let requests = ledger.0.get(&Series::requests()).copied().unwrap_or_default();
    eprintln!("{} sums agree, of {requests} requests", ledger.0.len());
    server.stop()
}
