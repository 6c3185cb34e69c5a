//! A throw-away Redis.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Service, free_port, wait_until};
use super::{REDIS_URL, install};

const STARTING: Duration = Duration::from_secs(30);

/// A Redis without persistence: what it held is gone when it stops.
#[derive(Debug)]
pub struct Redis {
    url: String,
    own: Option<Own>,
}

/// What there is of a server that this value started.
#[derive(Debug)]
struct Own {
    // Fields are dropped in this order: the server ends before its directory goes.
    service: Mutex<Option<Service>>,
    program: PathBuf,
    port: u16,
    directory: TempDir,
}

impl Redis {
    /// The Redis named in [`REDIS_URL`], or else one that this process starts once and keeps.
    ///
    /// # Errors
    ///
    /// As [`Redis::start`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<std::result::Result<Redis, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| match std::env::var(REDIS_URL) {
                Ok(url) => Ok(Self { url, own: None }),
                Err(_) => Self::start().map_err(|error| format!("{error:#}")),
            })
            .as_ref()
            .map_err(|error| anyhow::anyhow!(error.clone()))
    }

    /// Starts a Redis on a free port of 127.0.0.1. Installs it where it's missing, this is Debian and
    /// the caller is root.
    ///
    /// # Errors
    ///
    /// It isn't there, or doesn't start; then with what it wrote to its log.
    pub fn start() -> Result<Self> {
        let program =
            install::find_or_install("redis-server", || install::program("redis-server"))?;
        let directory = tempfile::Builder::new().prefix("chatwarden-redis-").tempdir()?;
        let port = free_port()?;
        let own = Own { service: Mutex::new(None), program, port, directory };
        own.run()?;
        Ok(Self { url: format!("redis://127.0.0.1:{port}"), own: Some(own) })
    }

    /// `redis://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends it as its operator would.
    ///
    /// # Errors
    ///
    /// It isn't this value's to stop, or isn't running.
    pub fn stop(&self) -> Result<()> {
        self.own()?.take()?.stop(Signal::TERM)?;
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    ///
    /// It isn't this value's to kill, or isn't running.
    pub fn kill(&self) -> Result<()> {
        self.own()?.take()?.kill()
    }

    /// Sends it a signal: `STOP` makes it hang, `CONT` go on.
    ///
    /// # Errors
    ///
    /// It isn't this value's, or isn't running.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        self.own()?.service().as_ref().context("Redis is not running")?.signal(signal)
    }

    /// Starts it again, empty, on the same port.
    ///
    /// # Errors
    ///
    /// It isn't this value's, is running, or doesn't start.
    pub fn start_again(&self) -> Result<()> {
        self.own()?.run()
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("this Redis is shared: start one with Redis::start()")
    }
}

impl Own {
    fn service(&self) -> MutexGuard<'_, Option<Service>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Service> {
        self.service().take().context("Redis is not running")
    }

    fn run(&self) -> Result<()> {
        let mut running = self.service();
        if running.is_some() {
            bail!("Redis is running");
        }
        let log = self.directory.path().join("log");
        let output = fs::File::create(&log)?;
        let mut command = Command::new(&self.program);
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--dir"])
            .arg(self.directory.path())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut service = Service::spawn(&mut command, Signal::TERM, self.directory.path())?;
        wait_until(STARTING, || match service.ended()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(answers(self.port)),
        })
        .with_context(|| {
            format!("Redis did not start:\n{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        *running = Some(service);
        Ok(())
    }
}

/// Whether a Redis there answers a `PING`.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"+PONG\r\n")
    };
    ask().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(port: u16, commands: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.write_all(format!("{commands}QUIT\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn starts_dies_and_comes_back_empty_on_its_port() {
        let redis = Redis::start().unwrap();
        let own = redis.own().unwrap();
        let (port, directory) = (own.port, own.directory.path().to_owned());
        assert_eq!(redis.url(), format!("redis://127.0.0.1:{port}"));
        assert_eq!(ask(port, "SET k v\r\nGET k\r\n"), "+OK\r\n$1\r\nv\r\n+OK\r\n");

        redis.kill().unwrap();
        assert!(!answers(port));
        assert!(redis.stop().is_err(), "there is nothing to stop");
        redis.start_again().unwrap();
        assert!(redis.start_again().is_err(), "one is running");
        assert_eq!(ask(port, "GET k\r\n"), "$-1\r\n+OK\r\n");

        redis.stop().unwrap();
        redis.start_again().unwrap();
        assert!(answers(port));
        drop(redis);
        assert!(!answers(port));
        assert!(!directory.exists());
    }

    #[test]
    fn a_shared_one_is_not_stopped() {
        let shared = Redis { url: "redis://127.0.0.1:1".into(), own: None };
        assert!(shared.stop().is_err());
        assert!(shared.kill().is_err());
    }
}
