//! A Chatwarden server as its operators run it: a process with an environment.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

use super::{Service, Signal, free_port, wait_until};

/// How long a server may take to be ready.
const STARTING: Duration = Duration::from_secs(60);
/// Last lines of the log that are shown when it does not start.
const SHOWN: usize = 20;

/// A server: its program, its environment and, while it runs, its process. It can be killed and
/// started again on the same data.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    environment: Vec<(String, String)>,
    port: u16,
    log: PathBuf,
    // The process ends before its folder goes.
    running: Option<Service>,
    directory: TempDir,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// Whether the connection ends with it.
    pub last: bool,
}

impl Server {
    /// A server of `program` on SQLite in a folder of its own, not yet started. `settings` are environment
    /// variables and come last, so that they may name another database.
    ///
    /// # Errors
    /// No folder or port is to be had.
    pub fn new(program: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("chatwarden-server-").tempdir()?;
        let data = directory.path().join("data");
        let port = free_port()?;
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut environment = vec![
            pair("DATABASE_URL", format!("sqlite://{}", data.join("chatwarden.sqlite3").display())),
            pair("LISTEN", format!("127.0.0.1:{port}")),
            pair("FRONTEND_URL", format!("http://127.0.0.1:{port}")),
            pair("DATA_DIR", data.display().to_string()),
            pair("DRAIN_DELAY", "0s".to_owned()),
        ];
        environment.extend(settings.iter().map(|(name, value)| pair(name, (*value).to_owned())));
        let log = directory.path().join("log");
        Ok(Self { program: program.to_owned(), environment, port, log, running: None, directory })
    }

    /// Starts it and waits until it is ready; gives back how long that took.
    ///
    /// # Errors
    /// It ends or is not ready in time: with the end of its log.
    pub fn start(&mut self) -> Result<Duration> {
        ensure!(self.running.is_none(), "the server runs already");
        let output = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut serve = self.command();
        serve.arg("serve").stdout(output.try_clone()?).stderr(output);
        let began = std::time::Instant::now();
        let mut service = Service::spawn(&mut serve, Signal::TERM, self.directory.path())?;
        let port = self.port;
        wait_until(STARTING, || match service.ended()? {
            Some(status) => bail!("it ended: {status}"),
            None => {
                Ok(call(port, "GET", "/readyz", &[], "").is_ok_and(|answer| answer.status == 200))
            }
        })
        .with_context(|| format!("the server did not start:\n{}\n", self.log_end()))?;
        self.running = Some(service);
        Ok(began.elapsed())
    }

    /// Kills it, as a lost machine would.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the server does not run")?.kill()
    }

    /// Asks it to end and waits until it has drained.
    ///
    /// # Errors
    /// It does not run; it ends with a failure.
    pub fn stop(&mut self) -> Result<()> {
        let status = self.running.take().context("the server does not run")?.stop(Signal::TERM)?;
        ensure!(status.success(), "the server ended with {status}:\n{}", self.log_end());
        Ok(())
    }

    /// Asks it to end, and asks again once it refuses to be given more: how it ended.
    ///
    /// # Errors
    /// It does not run; it does not drain.
    pub fn stop_at_once(&mut self) -> Result<ExitStatus> {
        let service = self.running.take().context("the server does not run")?;
        service.signal(Signal::TERM)?;
        let ready = || call(self.port, "GET", "/readyz", &[], "");
        wait_until(STARTING, || Ok(ready().is_ok_and(|answer| answer.status == 503)))?;
        service.stop(Signal::TERM)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(Service::id)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with all that it wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default().join("\n")
    }

    /// Keeps the log where the folder's end does not take it.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn keep_log(&self, to: &Path) -> Result<()> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        std::io::copy(&mut File::open(&self.log)?, &mut File::create(to)?)?;
        Ok(())
    }

    /// Registers a platform app; its token.
    ///
    /// # Errors
    /// The command fails or prints nothing.
    pub fn platform_token(&self) -> Result<String> {
        let output = self
            .command()
            .args(["admin", "platform-app", "create", "tests"])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "no platform app could be registered");
        let text = String::from_utf8(output.stdout)?;
        let token = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        Ok(token.context("no token was printed")?.to_owned())
    }

    /// The program in an environment of its own: nothing the caller has set changes what it does.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir(self.directory.path());
        for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LOG_LEVEL"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Calls it; `headers` are pairs, `body` is JSON or nothing.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        call(self.port, method, path, headers, body)
    }
}

/// One request on a connection of its own to a server on this machine.
///
/// # Errors
/// No whole answer came.
pub fn call(
    port: u16,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer> {
    let headers = [&[("Connection", "close")], headers].concat();
    Connection::open(port)?.call(method, path, &headers, body)
}

/// A connection to a server on this machine, kept between requests as browsers and proxies do.
#[derive(Debug)]
pub struct Connection {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(port: u16) -> Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { port, stream: BufReader::new(stream) })
    }

    /// One request; `headers` are pairs, `body` is JSON or nothing.
    ///
    /// # Errors
    /// No whole answer came.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n", self.port);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            ));
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let reader = &mut self.stream;
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status =
            line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no answer")?;
        let (mut length, mut chunked, mut last) = (None, false, false);
        loop {
            line.clear();
            ensure!(reader.read_line(&mut line)? > 0, "the answer ended in its head");
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':') {
                if name.eq_ignore_ascii_case("content-length") {
                    length = Some(value.trim().parse::<usize>()?);
                }
                chunked |= name.eq_ignore_ascii_case("transfer-encoding");
                last |= name.eq_ignore_ascii_case("connection") && value.trim() == "close";
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                reader.read_exact(&mut body)?;
            }
            None if chunked => loop {
                line.clear();
                reader.read_line(&mut line)?;
                let length = usize::from_str_radix(line.trim_end(), 16).context("no chunk")?;
                let begun = body.len();
                body.resize(begun + length, 0);
                if let Some(chunk) = body.get_mut(begun..) {
                    reader.read_exact(chunk)?;
                }
                reader.read_exact(&mut [0; 2])?;
                if length == 0 {
                    break;
                }
            },
            None => {
                reader.read_to_end(&mut body)?;
                last = true;
            }
        }
        Ok(Answer { status, body: String::from_utf8(body)?, last })
    }
}
