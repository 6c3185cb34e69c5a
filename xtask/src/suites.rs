//! `test` and `generate`: the tests of the workspace, with the services they need.

use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use chatwarden_testkit::services::{
    Durability, POSTGRES_URL, Postgres, REDIS_URL, Redis, install_clients,
};
use chatwarden_testkit::{REFERENCE_TESTS, REWRITE};
use clap::{Args, ValueEnum};

use crate::counts::Counts;
use crate::process::{build, cargo, has_cargo, root, run, watch};

/// Tells the binary `it` which database a test's application stands on.
const ENGINE: &str = "CHATWARDEN_TEST_DB";

#[derive(Args, Default)]
pub struct Test {
    /// The database under the application in the binary `it` (tests/it)
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// What a test's path is to contain, or other arguments for the test binaries
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Engine {
    Sqlite,
    Postgres,
    #[default]
    Both,
}

#[derive(Args)]
pub struct Generate {
    /// Compare only: fail where a committed reference is out of date
    #[arg(long)]
    pub check: bool,
}

impl Test {
    pub fn run(&self) -> Result<ExitCode> {
        let suites = Suites::start()?;
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut passed = match self.engine {
            Engine::Sqlite => suites.run(&arguments, "sqlite")?,
            Engine::Postgres => suites.run(&arguments, "postgres")?,
            Engine::Both => {
                suites.run(&arguments, "sqlite")? & suites.run_it(&arguments, "postgres")?
            }
        };
        if suites.nextest {
            passed &= suites.run_examples(&arguments)?;
        }
        suites.close(passed)
    }
}

impl Generate {
    pub fn run(&self) -> Result<ExitCode> {
        let suites = Suites { rewrite: !self.check, ..Suites::start()? };
        let passed = suites.run(&[REFERENCE_TESTS], "sqlite")?;
        suites.close(passed)
    }
}

/// What test runs share: the services, the runner, the sum.
struct Suites {
    postgres: Postgres,
    redis: Redis,
    nextest: bool,
    rewrite: bool,
    counts: Mutex<Counts>,
}

impl Suites {
    fn start() -> Result<Self> {
        run(&mut cargo(["test", "--workspace", "--no-run"]))?;
        // Here, where it counts against no test's time; those that need it say what is missing.
        if let Err(error) = install_clients() {
            eprintln!("warning: {error:#}");
        }
        Ok(Self {
            postgres: Postgres::start(Durability::None)?,
            redis: Redis::start()?,
            nextest: has_cargo("nextest"),
            rewrite: false,
            counts: Mutex::default(),
        })
    }

    /// Runs all tests, the application in tests/it on `engine`; says whether all passed.
    fn run(&self, arguments: &[&str], engine: &str) -> Result<bool> {
        let mut command = if self.nextest {
            cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "pass"])
        } else {
            cargo(["test", "--workspace", "--no-fail-fast"])
        };
        self.count(command.env(ENGINE, engine).arg("--"), arguments)
    }

    /// Runs the tests of tests/it only. Cargo is told of all packages all the same: if it saw but one,
    /// it would build what they share once more, with that one's features.
    fn run_it(&self, arguments: &[&str], engine: &str) -> Result<bool> {
        let mut command = if self.nextest {
            let mut it =
                cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "pass"]);
            it.args(["--test", "it", "-E", "package(chatwarden-testkit)", "--"]);
            it
        } else {
            let mut it = cargo(["test", "--workspace", "--test", "it", "--no-run"]);
            let mut it = Command::new(build(&mut it, |message| {
                let manifest = message.get("manifest_path").and_then(|path| path.as_str());
                manifest.is_some_and(|path| path.ends_with("crates/testkit/Cargo.toml"))
            })?);
            it.current_dir(root().join("crates/testkit")).stdin(Stdio::null());
            it
        };
        self.count(command.env(ENGINE, engine), arguments)
    }

    /// Runs the examples in the documentation, which nextest leaves out.
    fn run_examples(&self, arguments: &[&str]) -> Result<bool> {
        self.count(&mut cargo(["test", "--workspace", "--no-fail-fast", "--doc", "--"]), arguments)
    }

    fn count(&self, command: &mut Command, arguments: &[&str]) -> Result<bool> {
        command
            .args(arguments)
            .env(POSTGRES_URL, self.postgres.url())
            .env(REDIS_URL, self.redis.url())
            .env(REWRITE, if self.rewrite { "1" } else { "0" });
        watch(command, |line| {
            if let Some(counts) = Counts::of_line(line) {
                *self.counts.lock().unwrap_or_else(PoisonError::into_inner) += counts;
            }
        })
    }

    /// The last line: what all runs together passed and failed.
    fn close(self, passed: bool) -> Result<ExitCode> {
        let counts = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !passed && counts.failed == 0 {
            eprintln!("error: a run failed besides its tests, see above");
        }
        println!("\n{counts}");
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
