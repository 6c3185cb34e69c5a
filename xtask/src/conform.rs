//! `conform`: a server of this build against the recordings of Chatwoot.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use chatwarden_testkit::services::{
    Durability, Postgres, Redis, Service, Signal, free_port, wait_until,
};
use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::process::{announce, build, cargo, root};

/// How long the server may take until it's ready; it migrates an empty database first.
const STARTING: Duration = Duration::from_secs(60);

/// Lines of the server's log shown where it doesn't start.
const SHOWN: usize = 30;

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
        let server = Server::start(&program, self.engine)?;
        let mut check = Command::new("python3");
        check
            .arg(&script)
            .args(["check", "--target", &server.url, "--platform-token", &server.token()?])
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
        eprintln!("the server's log: {}", server.log.display());
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
    }
}

/// A running server on a database of its own.
struct Server {
    url: String,
    log: PathBuf,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    // Fields are dropped in this order: the server ends before what it stands on.
    _service: Service,
    directory: TempDir,
    _postgres: Option<Postgres>,
    _redis: Option<Redis>,
}

impl Server {
    fn start(program: &Path, engine: Engine) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("chatwarden-conform-").tempdir()?;
        let data = directory.path().join("data");
        fs::create_dir(&data)?;
        let (postgres, redis) = match engine {
            Engine::Sqlite => (None, None),
            Engine::Postgres => (Some(Postgres::start(Durability::Full)?), Some(Redis::start()?)),
        };
        let database = match &postgres {
            Some(postgres) => postgres.url().to_owned(),
            None => format!("sqlite://{}", data.join("chatwarden.db").display()),
        };
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let mut environment = vec![
            ("DATABASE_URL", database),
            ("LISTEN", format!("127.0.0.1:{port}")),
            ("FRONTEND_URL", url.clone()),
            ("DATA_DIR", data.display().to_string()),
            // What the kit asks for (its README): webhooks to itself, no signing up, no rate limit.
            ("SAFE_FETCH_ALLOW_PRIVATE_NETWORK", "true".to_owned()),
            ("ENABLE_ACCOUNT_SIGNUP", "false".to_owned()),
            ("RACK_ATTACK_ALLOWED_IPS", "127.0.0.1".to_owned()),
        ];
        if let Some(redis) = &redis {
            environment.push(("REDIS_URL", redis.url().to_owned()));
        }

        let log = root().join("target/conform");
        fs::create_dir_all(&log)?;
        let log = log.join(format!("{engine:?}.log").to_lowercase());
        let output = File::create(&log)?;
        let mut serve = command(program, &environment, directory.path());
        serve.arg("serve").stdout(output.try_clone()?).stderr(output);
        announce(&serve);
        let mut service = Service::spawn(&mut serve, Signal::TERM, directory.path())?;
        wait_until(STARTING, || match service.ended()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(is_ready(port)),
        })
        .with_context(|| {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let last = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default();
            format!("the server did not start ({}):\n{}\n", log.display(), last.join("\n"))
        })?;
        Ok(Self {
            url,
            log,
            program: program.to_owned(),
            environment,
            _service: service,
            directory,
            _postgres: postgres,
            _redis: redis,
        })
    }

    /// Registers a platform app; returns its token.
    fn token(&self) -> Result<String> {
        let mut register = command(&self.program, &self.environment, self.directory.path());
        register.args(["admin", "platform-app", "create", "conform"]);
        announce(&register);
        let output = register.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "no platform app could be registered");
        let text = String::from_utf8(output.stdout)?;
        let token = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        Ok(token.context("no token was printed")?.to_owned())
    }
}

/// The server's program in an environment of its own: nothing the caller has set changes what is
/// compared, except what is logged.
fn command(program: &Path, environment: &[(&str, String)], directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir(directory);
    for name in ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LOG_LEVEL"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command
}

/// Whether the server answers 200 to `/readyz`.
fn is_ready(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(
            stream,
            "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        )?;
        let mut status = String::new();
        BufReader::new(stream).read_line(&mut status)?;
        Ok(status.split(' ').nth(1) == Some("200"))
    };
    ask().unwrap_or(false)
}
