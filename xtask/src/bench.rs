//! `bench`: load runs against a release server of this build.

use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use clap::Args;

use crate::process::{build, cargo, root, run};

#[derive(Args)]
pub struct Bench {
    /// Seconds a rate is measured over
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Only the runs whose name contains this: postgres, sqlite, lists, telemetry, fanout, idle, start
    #[arg(default_value = "")]
    only: String,
}

impl Bench {
    pub fn run(&self) -> Result<ExitCode> {
        let program = |package: &str, kind: &str, name: &str| {
            let mut release = cargo(["build", "--release"]);
            build(release.args(["--package", package, kind, name]), |_| true)
        };
        let server = program("chatwarden", "--bin", "chatwarden")?;
        let bare = program("chatwarden-bench", "--bin", "sqlite_loop")?;
        run(Command::new(program("chatwarden-bench", "--bin", "chatwarden-bench")?)
            .arg("--server")
            .arg(server)
            .arg("--sqlite-loop")
            .arg(bare)
            .args(["--seconds", &self.seconds.to_string(), &self.only])
            .current_dir(root())
            .stdin(Stdio::null()))?;
        Ok(ExitCode::SUCCESS)
    }
}
