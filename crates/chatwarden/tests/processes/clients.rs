//! Clients that others wrote, against real servers: Rails' Action Cable client and SDKs for Python and Node.
//! What they do is in `tests/clients`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, ensure};
use chatwarden_testkit::services::{Node, Python, Server, Service, Signal, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::desk::{Desk, SETTINGS, program};
use crate::pair::Pair;

const PATIENCE: Duration = Duration::from_secs(60);
/// Messages that are written while nobody can be told of them.
const WHILE_AWAY: usize = 60;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients")
}

/// Where packages are installed: below `target`.
fn packages() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients")
}

/// An agent's page with the client of a package.
struct Page {
    _running: Service,
    told: PathBuf,
    library: &'static str,
    _directory: TempDir,
}

impl Page {
    fn open(node: &Node, library: &'static str, server: &Server, desk: &Desk) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("chatwarden-page-").tempdir()?;
        let told = directory.path().join("told");
        let given = json!({
            "address": format!("http://127.0.0.1:{}", server.port()),
            "account": desk.account, "user": desk.user,
            "token": desk.token, "pubsub_token": desk.pubsub_token,
            "open": desk.conversations[0].1,
        });
        let mut command = node.command(&folder().join("actioncable.js"));
        command.args([library, &given.to_string()]).stdout(File::create(&told)?);
        let running = Service::spawn(&mut command, Signal::TERM, directory.path())?;
        Ok(Self { _running: running, told, library, _directory: directory })
    }

    /// All that happened on it.
    fn told(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.told)?;
        // The last line may not be whole yet.
        let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
        whole.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    fn count(&self, what: impl Fn(&Value) -> bool) -> Result<usize> {
        Ok(self.told()?.iter().filter(|told| what(told)).count())
    }

    /// How often this happened.
    fn times(&self, happened: &str) -> Result<usize> {
        self.count(|told| told["happened"] == happened)
    }

    /// What visitors wrote in a conversation, in the order of its messages.
    fn knows(&self, conversation: i64) -> Result<Vec<String>> {
        let mut messages: Vec<_> = self
            .told()?
            .into_iter()
            .filter(|told| told["conversation"] == conversation && told["type"] == 0)
            .collect();
        messages.sort_by_key(|told| told["id"].as_i64());
        let content = |told: &Value| told["content"].as_str().unwrap_or_default().to_owned();
        Ok(messages.iter().map(content).collect())
    }
}

/// Visitors who go on writing, in two conversations, through one server.
struct Visitors<'a> {
    desk: &'a Desk,
    port: u16,
    written: [Vec<String>; 2],
}

impl Visitors<'_> {
    fn write(&mut self) -> Result<()> {
        for (conversation, written) in self.written.iter_mut().enumerate() {
            let content = format!("{conversation}.{}", written.len());
            ensure!(self.desk.write(self.port, conversation, &content), "{content} was refused");
            written.push(content);
        }
        Ok(())
    }

    /// Writes until all pages have come to something.
    fn write_until(
        &mut self,
        pages: &[Page],
        what: &str,
        come: impl Fn(&Page) -> Result<bool>,
    ) -> Result<()> {
        let end = wait_until(PATIENCE, || {
            self.write()?;
            for page in pages {
                if !come(page)? {
                    return Ok(false);
                }
            }
            Ok(true)
        });
        end.map_err(|error| {
            let last =
                pages.iter().map(|page| (page.library, page.told().unwrap_or_default().pop()));
            error.context(format!("{what}: {:?}", last.collect::<Vec<_>>()))
        })
    }
}

#[test]
fn the_action_cable_client_comes_back_and_misses_nothing() -> Result<()> {
    let node = Node::with(&folder(), &packages())?;
    let mut pair = Pair::start(&[])?;
    let [first, second] = &mut pair.nodes;
    let desk = Desk::make(first, 2)?;
    // The version that Chatwoot's front ends are built with, and the newest.
    let pages = ["@rails/actioncable", "actioncable-latest"]
        .into_iter()
        .map(|library| Page::open(&node, library, first, &desk))
        .collect::<Result<Vec<_>>>()?;
    wait_until(PATIENCE, || {
        Ok(pages.iter().all(|page| page.times("connected").is_ok_and(|n| n > 0)))
    })?;
    let mut visitors =
        Visitors { desk: &desk, port: second.port(), written: [Vec::new(), Vec::new()] };
    let heard = |told: &Value| told["happened"] == "message" && told["from"] == "the socket";

    for (round, end) in [Server::kill, Server::stop].into_iter().enumerate() {
        let before: Vec<usize> =
            pages.iter().map(|page| page.count(heard)).collect::<Result<_>>()?;
        let least = before.iter().max().copied().unwrap_or_default() + 20;
        visitors.write_until(&pages, "heard nothing", |page| Ok(page.count(heard)? >= least))?;
        end(first)?;
        for _ in 0..WHILE_AWAY {
            visitors.write()?;
        }
        first.start()?;
        visitors
            .write_until(&pages, "not caught up", |page| Ok(page.times("caught up")? > round))?;
    }

    for page in &pages {
        let whole = |page: &Page| -> Result<bool> {
            let known = [0, 1].map(|index: usize| page.knows(desk.conversations[index].1));
            let [open, other] = known;
            Ok([open?, other?] == visitors.written)
        };
        let end = wait_until(PATIENCE, || whole(page));
        end.map_err(|error| {
            error.context(format!("{} has not heard all, once, in order", page.library))
        })?;
        ensure!(page.times("told twice")? == 0, "{} was told twice", page.library);
        let missed = page.count(|told| told["from"] == "catching up" && told["type"] == 0)?;
        ensure!(missed >= WHILE_AWAY, "{} missed nothing: {missed}", page.library);
    }
    for (conversation, written) in visitors.written.iter().enumerate() {
        ensure!(desk.written(second, conversation)? == *written, "other messages stand");
    }
    pair.stop()
}

/// Runs a program to its end, which says what was wrong.
fn succeed(program: &mut Command) -> Result<()> {
    let output = program.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    eprint!("{said}");
    Ok(())
}

#[test]
fn every_method_of_the_python_sdk_gives_what_it_promises() -> Result<()> {
    let python = Python::with(&folder().join("requirements.txt"), &packages())?;
    let mut server = Server::new(program(), &SETTINGS)?;
    server.start()?;
    let desk = Desk::make(&server, 0)?;
    let address = format!("http://127.0.0.1:{}", server.port());
    succeed(python.command(&folder().join("chatwoot_sdk.py")).args([
        &address,
        &desk.token,
        &desk.account.to_string(),
    ]))?;
    server.stop()
}

#[test]
fn every_method_of_the_node_sdk_gives_what_it_promises() -> Result<()> {
    let node = Node::with(&folder(), &packages())?;
    let mut server = Server::new(program(), &SETTINGS)?;
    server.start()?;
    let desk = Desk::make(&server, 0)?;
    let address = format!("http://127.0.0.1:{}", server.port());
    succeed(node.command(&folder().join("figuro_sdk.js")).args([
        &address,
        &desk.token,
        &desk.account.to_string(),
        &server.platform_token()?,
    ]))?;
    server.stop()
}
