//! Two servers on one PostgreSQL and one Redis.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Server, wait_until};

use crate::desk::{Desk, SETTINGS, program};
use crate::pair::Pair;
use crate::socket::Socket;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_message_through_one_node_reaches_a_socket_on_the_other() -> Result<()> {
    let pair = Pair::start(&[])?;
    let ([first, second], redis) = (&pair.nodes, &pair.redis);
    let desk = Desk::make(first, 1)?;
    let mut socket = Socket::open(second.port(), &desk, None)?;

    // Through Redis. The nodes hear each other once both are connected to it.
    let mut number = 0;
    wait_until(PATIENCE, || {
        number += 1;
        let content = format!("hello {number}");
        ensure!(desk.write(first.port(), 0, &content), "{content} was refused");
        Ok(socket.hear(&[content], Duration::from_secs(1))?.is_empty())
    })?;

    // Without Redis: the database tells.
    redis.kill()?;
    let away: Vec<String> = (0..5).map(|n| format!("while redis is away {n}")).collect();
    for content in &away {
        ensure!(desk.write(first.port(), 0, content), "{content} was refused while Redis is away");
    }
    let missing = socket.hear(&away, PATIENCE)?;
    ensure!(missing.is_empty(), "not told while Redis is away: {missing:?}");

    // Redis comes back, empty: nothing is lost, and the sockets go on.
    redis.start_again()?;
    let back: Vec<String> = (0..5).map(|n| format!("redis is back {n}")).collect();
    for content in &back {
        ensure!(
            desk.write(first.port(), 0, content),
            "{content} was refused after Redis came back"
        );
    }
    let missing = socket.hear(&back, PATIENCE)?;
    ensure!(missing.is_empty(), "not told after Redis came back: {missing:?}");

    let found = desk.written(second, 0)?;
    for content in away.iter().chain(&back) {
        ensure!(
            found.iter().filter(|f| *f == content).count() == 1,
            "{content} does not stand once"
        );
    }
    pair.stop()
}

#[test]
fn a_node_that_is_told_twice_to_stop_stops() -> Result<()> {
    let mut settings = SETTINGS.to_vec();
    settings.extend([("DRAIN_DELAY", "300s"), ("DRAIN_TIMEOUT", "600s")]);
    let mut server = Server::new(program(), &settings)?;
    server.start()?;
    let status = server.stop_at_once()?;
    ensure!(status.code() == Some(1), "it ended with {status}");
    Ok(())
}

#[test]
fn a_node_that_is_told_to_stop_finishes_what_it_began() -> Result<()> {
    let mut server = Server::new(program(), &SETTINGS)?;
    server.start()?;
    let desk = Desk::make(&server, 2)?;
    let port = server.port();
    let mut socket = Socket::open(port, &desk, None)?;
    let written = std::thread::scope(|scope| -> Result<Vec<String>> {
        let writer = scope.spawn(|| {
            let mut written = Vec::new();
            for number in 0.. {
                let content = format!("drained {number}");
                if !desk.write(port, 0, &content) {
                    return written;
                }
                written.push(content);
            }
            written
        });
        while desk.written(&server, 0)?.len() < 20 {
            std::thread::yield_now();
        }
        server.stop()?;
        Ok(writer.join().expect("the writer ends"))
    })?;
    let told = socket.until(Duration::from_secs(1), |frame| {
        frame["type"] == "disconnect"
            && frame["reason"] == "server_restart"
            && frame["reconnect"] == true
    });
    ensure!(told?, "the socket was not told to come again");
    server.start()?;
    ensure!(
        desk.written(&server, 0)? == written,
        "what was acknowledged while draining is not what stands"
    );
    server.stop()
}

#[test]
fn a_schema_that_is_behind_is_left_alone_where_it_must_be() -> Result<()> {
    let mut settings = SETTINGS.to_vec();
    settings.push(("AUTO_MIGRATE", "false"));
    let mut server = Server::new(program(), &settings)?;
    let refusal = format!("{:#}", server.start().err().context("it must not start")?);
    ensure!(refusal.contains("chatwarden migrate"), "{refusal}");
    ensure!(
        server.command().arg("migrate").status()?.success(),
        "the schema is brought up to date"
    );
    server.start()?;
    server.stop()
}
