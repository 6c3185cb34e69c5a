//! `test` and `generate`: the tests of the workspace, with the services they need.

use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use chatwarden_testkit::services::{Durability, POSTGRES_URL, Postgres, REDIS_URL, Redis};
use clap::{Args, ValueEnum};

use crate::counts::Counts;
use crate::process::{cargo, has_cargo, watch};

/// Tells the binary `it` which database a test's application stands on.
const ENGINE: &str = "CHATWARDEN_TEST_DB";

/// Tells `chatwarden_testkit::golden` to rewrite what it would compare.
const REWRITE: &str = "CHATWARDEN_GENERATE";

/// The word that tests of committed references have in their path.
const REFERENCES: &str = "reference";

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
        // The same packages are selected each time: with others, cargo would build what they share
        // with other features, once more.
        let all = |engine| suites.run(&[], &arguments, &[(ENGINE, engine)]);
        let it = |engine| suites.run(&["--test", "it"], &arguments, &[(ENGINE, engine)]);
        let mut passed = match self.engine {
            Engine::Sqlite => all("sqlite")?,
            Engine::Postgres => all("postgres")?,
            Engine::Both => all("sqlite")? & it("postgres")?,
        };
        if suites.nextest {
            passed &= suites.documentation(&arguments)?;
        }
        suites.close(passed)
    }
}

impl Generate {
    pub fn run(&self) -> Result<ExitCode> {
        let suites = Suites::start()?;
        let rewrite = if self.check { "0" } else { "1" };
        let set = [(ENGINE, "sqlite"), (REWRITE, rewrite)];
        // Not the documentation's examples: none of them writes a reference.
        let passed = suites.run(&["--lib", "--bins", "--tests"], &[REFERENCES], &set)?;
        suites.close(passed)
    }
}

/// What test runs share: the services, the runner, the sum.
struct Suites {
    postgres: Postgres,
    redis: Redis,
    nextest: bool,
    counts: Mutex<Counts>,
}

impl Suites {
    fn start() -> Result<Self> {
        Ok(Self {
            postgres: Postgres::start(Durability::None)?,
            redis: Redis::start()?,
            nextest: has_cargo("nextest"),
            counts: Mutex::default(),
        })
    }

    /// Runs the tests of these targets; says whether all passed.
    fn run(&self, targets: &[&str], arguments: &[&str], set: &[(&str, &str)]) -> Result<bool> {
        let mut command = if self.nextest {
            cargo(["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests", "pass"])
        } else {
            cargo(["test", "--workspace", "--no-fail-fast"])
        };
        command.args(targets).envs(set.iter().copied());
        self.count(&mut command, arguments)
    }

    /// Runs the examples in the documentation, which nextest leaves out.
    fn documentation(&self, arguments: &[&str]) -> Result<bool> {
        self.count(&mut cargo(["test", "--workspace", "--no-fail-fast", "--doc"]), arguments)
    }

    fn count(&self, command: &mut Command, arguments: &[&str]) -> Result<bool> {
        if !arguments.is_empty() {
            command.arg("--").args(arguments);
        }
        command.env(POSTGRES_URL, self.postgres.url()).env(REDIS_URL, self.redis.url());
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
