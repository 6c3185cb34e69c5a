//! What must not be written down is not, whatever level an operator asks for (operations.md §8.3).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Durability, Postgres, Server};
use serde_json::json;

use crate::desk::{Desk, SETTINGS, program};
use crate::socket::Socket;

const MESSAGE: &str = "canary-of-a-message";
const GUESS: &str = "canary-of-a-guess";

#[test]
fn the_loudest_log_holds_no_secret() -> Result<()> {
    let postgres = Postgres::start(Durability::None)?;
    for database in [None, Some(postgres.url())] {
        let mut settings = SETTINGS.to_vec();
        settings.retain(|(name, _)| *name != "LOG_LEVEL");
        settings.extend([("LOG_LEVEL", "trace,tokio_postgres=trace,tungstenite=trace")]);
        settings.extend(database.map(|url| ("DATABASE_URL", url)));
        let mut server = Server::new(program(), &settings)?;
        server.start()?;
        let desk = Desk::make(&server, 1)?;
        ensure!(desk.write(server.port(), 0, MESSAGE), "the message was refused");
        let mut socket = Socket::open(server.port(), &desk, None)?;
        ensure!(desk.write(server.port(), 0, MESSAGE), "the message was refused");
        let told = socket.until(Duration::from_secs(10), |frame| {
            frame["message"]["data"]["content"] == MESSAGE
        })?;
        ensure!(told, "the socket heard nothing");

        let path = format!("/api/v1/accounts/{}/conversations?q={GUESS}", desk.account);
        for headers in [
            [("api_access_token", desk.token.as_str()), ("cookie", GUESS)],
            [("api_access_token", GUESS), ("authorization", GUESS)],
        ] {
            server.call("GET", &path, &headers, "")?;
        }
        for password in ["Passw0rd!23", GUESS] {
            let body = json!({"email": "ada@example.com", "password": password}).to_string();
            server.call("POST", "/auth/sign_in", &[], &body)?;
        }
        let log = server.log().to_owned();
        server.stop()?;
        let log = std::fs::read_to_string(log).context("the log")?;
        ensure!(log.contains("chatwarden.access"), "nothing was written at all");
        let known = [&desk.token, &desk.pubsub_token, "Passw0rd!23", MESSAGE, GUESS];
        for secret in known {
            let found = log.lines().find(|line| line.contains(secret));
            ensure!(found.is_none(), "{secret} stands in the log: {found:?}");
        }
    }
    Ok(())
}
