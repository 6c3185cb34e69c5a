//! `conform`: a server of this build against the recordings of Chatwoot.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::{Durability, Postgres, Redis, Server};
use clap::{Args, ValueEnum};

use crate::process::{announce, build, cargo, root};

#[derive(Args)]
pub struct Conform {
    /// The database under the server
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// The folder of the conformance kit (conform.py) [default: ../shared/conformance]
    #[arg(long, env = "CHATWARDEN_CONFORMANCE_DIR")]
    kit: Option<PathBuf>,
    /// A folder of scenarios in place of the kit's
    #[arg(long, requires = "golden")]
    scenarios: Option<PathBuf>,
    /// A folder of recordings in place of the kit's
    #[arg(long, requires = "scenarios")]
    golden: Option<PathBuf>,
    /// Areas played at a time
    #[arg(long, default_value_t = 4)]
    jobs: u32,
    /// Show the differences
    #[arg(short, long)]
    verbose: bool,
    /// Areas to play; all where none is named
    areas: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Engine {
    #[default]
    Sqlite,
    Postgres,
}

impl Conform {
    pub fn run(&self) -> Result<ExitCode> {
        let kit = self.kit.clone().unwrap_or_else(|| root().join("../shared/conformance"));
        let script = kit.join("conform.py");
        ensure!(script.is_file(), "{} is not there: name the kit with --kit", script.display());

        // As it's shipped.
        let mut release = cargo(["build", "--release", "--package", "chatwarden"]);
        let program = build(release.args(["--bin", "chatwarden"]), |_| true)?;
        let postgres = match self.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some((Postgres::start(Durability::Full)?, Redis::start()?)),
        };
        // What the kit asks for (its README): webhooks to itself, no signing up, no rate limit.
        let mut settings = vec![
            ("SAFE_FETCH_ALLOW_PRIVATE_NETWORK", "true"),
            ("ENABLE_ACCOUNT_SIGNUP", "false"),
            ("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1"),
        ];
        if let Some((postgres, redis)) = &postgres {
            settings.push(("DATABASE_URL", postgres.url()));
            settings.push(("REDIS_URL", redis.url()));
        }
        let mut server = Server::new(&program, &settings)?;
        server.start()?;
        let url = format!("http://127.0.0.1:{}", server.port());
        let mut check = Command::new("python3");
        check
            .arg(&script)
            .args(["check", "--target", &url, "--platform-token", &server.platform_token()?])
            .args(["--jobs", &self.jobs.to_string()])
            // The kit may lie where nothing can be written.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null());
        for (option, folder) in [("--scenarios", &self.scenarios), ("--golden", &self.golden)] {
            if let Some(folder) = folder {
                check.arg(option).arg(folder);
            }
        }
        if self.verbose {
            check.arg("--verbose");
        }
        check.args(&self.areas);
        announce(&check);
        let status = check.status().context("can't run python3")?;
        if status.success() {
            return Ok(ExitCode::SUCCESS);
        }
        let log = root().join(format!("target/conform/{:?}.log", self.engine).to_lowercase());
        server.keep_log(&log)?;
        eprintln!("the server's log: {}", log.display());
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}
