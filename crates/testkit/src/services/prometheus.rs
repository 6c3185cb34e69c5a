//! A throw-away Prometheus.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Service, free_port, wait_until};
use super::{call, install};

const STARTING: Duration = Duration::from_secs(60);

/// A Prometheus that scrapes what its configuration says.
#[derive(Debug)]
pub struct Prometheus {
    // Fields are dropped in this order: the server ends before its directory goes.
    _service: Service,
    promtool: PathBuf,
    port: u16,
    _directory: TempDir,
}

/// `prometheus` and `promtool`, installed where they are missing.
pub(super) fn programs() -> Result<(PathBuf, PathBuf)> {
    install::find_or_install("prometheus", || {
        Some((install::program("prometheus")?, install::program("promtool")?))
    })
}

impl Prometheus {
    /// Starts one on a free port of 127.0.0.1 with this configuration. Installs it where it's missing,
    /// this is Debian and the caller is root.
    ///
    /// # Errors
    ///
    /// It isn't there, or doesn't start; then with what it wrote to its log.
    pub fn start(configuration: &str) -> Result<Self> {
        let (program, promtool) = programs()?;
        let directory = tempfile::Builder::new().prefix("chatwarden-prometheus-").tempdir()?;
        let port = free_port()?;
        let (settings, log) =
            (directory.path().join("prometheus.yml"), directory.path().join("log"));
        fs::write(&settings, configuration)?;
        let output = fs::File::create(&log)?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", settings.display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(directory.path())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut service = Service::spawn(&mut command, Signal::TERM, directory.path())?;
        wait_until(STARTING, || match service.ended()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(call(port, "GET", "/-/ready", &[], "").is_ok_and(|a| a.status == 200)),
        })
        .with_context(|| {
            format!("Prometheus did not start:\n{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        Ok(Self { _service: service, promtool, port, _directory: directory })
    }

    /// What its HTTP API answers to a query of this moment, as JSON.
    ///
    /// # Errors
    ///
    /// It does not answer, or does not understand the query.
    pub fn query(&self, expression: &str) -> Result<String> {
        let mut path = String::from("/api/v1/query?query=");
        for byte in expression.bytes() {
            if byte.is_ascii_alphanumeric() {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
        let answer = call(self.port, "GET", &path, &[], "")?;
        ensure!(answer.status == 200, "{expression}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Has `promtool check metrics` read a page of metrics.
    ///
    /// # Errors
    ///
    /// What it finds fault with.
    pub fn check_metrics(&self, page: &str) -> Result<()> {
        let mut promtool = Command::new(&self.promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        promtool.stdin.take().context("no input")?.write_all(page.as_bytes())?;
        let output = promtool.wait_with_output()?;
        ensure!(
            output.status.success(),
            "promtool finds fault:\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
