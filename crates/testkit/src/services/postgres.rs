//! A throw-away PostgreSQL.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;
use tempfile::TempDir;

use super::process::{Service, free_port, wait_until};
use super::{POSTGRES_URL, install};

/// Long enough for the recovery of a crashed one.
const STARTING: Duration = Duration::from_secs(60);

/// From this version on `initdb` can set an order of text that is a language's.
const ICU_AS_DEFAULT: u32 = 15;

/// Whether what is committed survives a crash of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` is off: for tests, which want it fast and throw it away.
    None,
    /// As shipped: for benchmarks, and for tests that kill it.
    Full,
}

/// A PostgreSQL with the superuser `postgres`, reached without a password from this machine.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    psql: PathBuf,
    /// Held while a template is made, so that a process makes it once.
    making: Mutex<()>,
    own: Option<Own>,
}

/// What there is of a server that this value started.
#[derive(Debug)]
struct Own {
    // Fields are dropped in this order: the server ends before its directory goes.
    service: Mutex<Option<Service>>,
    programs: PathBuf,
    user: Option<User>,
    durability: Durability,
    port: u16,
    directory: TempDir,
}

/// Whom PostgreSQL runs as where the caller is root: it refuses to be.
#[derive(Clone, Copy, Debug)]
struct User {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// The PostgreSQL named in [`POSTGRES_URL`], or else one without durability that this process
    /// starts once and keeps.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<std::result::Result<Postgres, String>> = OnceLock::new();
        SHARED
            .get_or_init(|| {
                match std::env::var(POSTGRES_URL) {
                    Ok(url) => programs().map(|programs| Self {
                        url,
                        psql: programs.join("psql"),
                        making: Mutex::new(()),
                        own: None,
                    }),
                    Err(_) => Self::start(Durability::None),
                }
                .map_err(|error| format!("{error:#}"))
            })
            .as_ref()
            .map_err(|error| anyhow::anyhow!(error.clone()))
    }

    /// Starts a PostgreSQL on a free port of 127.0.0.1 with a socket in its own directory. Takes the
    /// newest version on this machine; installs it where it's missing, this is Debian and the caller
    /// is root.
    ///
    /// Text is ordered as in English where the version can (from 15 on), as on most servers in use:
    /// a statement that leaves the order of text to the database is to show it here.
    ///
    /// # Errors
    ///
    /// It isn't there, or doesn't start; then with what it wrote to its log.
    pub fn start(durability: Durability) -> Result<Self> {
        let programs = programs()?;
        let user = if install::is_root() { Some(User::unprivileged()?) } else { None };
        let directory = tempfile::Builder::new().prefix("chatwarden-postgres-").tempdir()?;
        if let Some(User { uid, gid }) = user {
            chown(directory.path(), Some(uid), Some(gid))?;
        }
        let (psql, port) = (programs.join("psql"), free_port()?);
        let own = Own { service: Mutex::new(None), programs, user, durability, port, directory };
        own.initialise()?;
        own.run()?;
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        Ok(Self { url, psql, making: Mutex::new(()), own: Some(own) })
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`: the database that each server has.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with what it logs; `None` for a server that another process started.
    pub fn log(&self) -> Option<PathBuf> {
        Some(self.own.as_ref()?.directory.path().join("log"))
    }

    /// The URL of the database `name` of this server.
    pub fn url_of(&self, name: &str) -> String {
        with_database(&self.url, name)
    }

    /// Makes an empty database, which is dropped with the value.
    ///
    /// # Errors
    ///
    /// The server's.
    pub fn database(&self) -> Result<Database<'_>> {
        self.create("template0")
    }

    /// Makes a database that is a copy of one that `fill` filled, given its URL; on this server `fill`
    /// runs once for each `template`, whichever process or thread comes first. `template` names what's
    /// in it, with a version or hash of that: it's made of lower-case letters, digits and `_`.
    ///
    /// # Errors
    ///
    /// Those of `fill`, and the server's.
    pub fn database_from(
        &self,
        template: &str,
        fill: impl FnOnce(&str) -> Result<()>,
    ) -> Result<Database<'_>> {
        ensure!(
            template.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "{template:?} is no name of a template"
        );
        {
            let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.has(template)? {
                self.make(template, fill)?;
            }
        }
        self.create(template)
    }

    /// Runs SQL on the database `postgres`, as the superuser; several statements are one transaction.
    /// Returns the rows, a line each, columns parted by `|`.
    ///
    /// # Errors
    ///
    /// The server's.
    pub fn sql(&self, statements: &str) -> Result<String> {
        self.sql_on("postgres", statements)
    }

    /// Ends it as its operator would (`fast`: sessions are ended, what is committed is kept).
    ///
    /// # Errors
    ///
    /// It isn't this value's to stop, or isn't running.
    pub fn stop(&self) -> Result<()> {
        self.own()?.take()?.stop(Signal::INT)?;
        Ok(())
    }

    /// `kill -9` of all its processes.
    ///
    /// # Errors
    ///
    /// It isn't this value's to kill, or isn't running.
    pub fn kill(&self) -> Result<()> {
        self.own()?.take()?.kill()
    }

    /// Starts it again on the same files and port, after recovery where it was killed.
    ///
    /// # Errors
    ///
    /// It isn't this value's, is running, or doesn't start.
    pub fn start_again(&self) -> Result<()> {
        self.own()?.run()
    }

    /// Has it take TLS besides, with this certificate and its key, both PEM.
    ///
    /// # Errors
    ///
    /// It isn't this value's; the server's.
    pub fn encrypt(&self, certificate: &str, key: &str) -> Result<()> {
        let own = self.own()?;
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = own.data().join(name);
            fs::write(&path, text)?;
            // It refuses a key that others may read.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
            if let Some(User { uid, gid }) = own.user {
                chown(&path, Some(uid), Some(gid))?;
            }
        }
        self.sql("alter system set ssl = on")?;
        self.stop()?;
        self.start_again()
    }

    fn own(&self) -> Result<&Own> {
        self.own.as_ref().context("this PostgreSQL is shared: start one with Postgres::start()")
    }

    fn create(&self, template: &str) -> Result<Database<'_>> {
        let name = random_name("test");
        self.sql(&format!("create database {name} template {template}"))?;
        Ok(Database { url: self.url_of(&name), name, server: self })
    }

    fn has(&self, template: &str) -> Result<bool> {
        let found = self.sql(&format!("select 1 from pg_database where datname = '{template}'"))?;
        Ok(!found.is_empty())
    }

    /// Makes a template under another name and renames it when it's whole: of several processes at it,
    /// one wins, and none ever copies a half-filled one.
    fn make(&self, template: &str, fill: impl FnOnce(&str) -> Result<()>) -> Result<()> {
        let name = random_name("making");
        self.sql(&format!("create database {name} template template0"))?;
        fill(&self.url_of(&name)).with_context(|| format!("can't fill the template {template}"))?;
        // A session on a template would keep others from copying it.
        self.sql(&format!("alter database {name} allow_connections false"))?;
        self.sql(&format!(
            "select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = '{name}'"
        ))?;
        if let Err(error) = self.sql(&format!("alter database {name} rename to {template}")) {
            self.sql(&format!("drop database {name}"))?;
            if !self.has(template)? {
                return Err(error);
            }
        }
        Ok(())
    }

    fn sql_on(&self, database: &str, statements: &str) -> Result<String> {
        let output = self
            .psql(database)
            .args(["-v", "ON_ERROR_STOP=1", "-c", statements])
            .output()
            .context("can't run psql")?;
        ensure!(
            output.status.success(),
            "{statements}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    fn psql(&self, database: &str) -> Command {
        psql(&self.psql, &self.url_of(database))
    }
}

/// A database of its own for a test; dropped with the value.
#[derive(Debug)]
pub struct Database<'a> {
    url: String,
    name: String,
    server: &'a Postgres,
}

impl Database<'_> {
    /// `postgres://…/NAME`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As [`Postgres::sql`], on this database.
    ///
    /// # Errors
    ///
    /// The server's.
    pub fn sql(&self, statements: &str) -> Result<String> {
        self.server.sql_on(&self.name, statements)
    }
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        // The server may be stopped, or gone with the test: then so is the database.
        let _ = self.server.sql(&format!("drop database if exists {} with (force)", self.name));
    }
}

impl Own {
    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn service(&self) -> MutexGuard<'_, Option<Service>> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Service> {
        self.service().take().context("PostgreSQL is not running")
    }

    /// A program of PostgreSQL, run as the user that may.
    fn command(&self, program: &str) -> Command {
        let mut command = clean(&self.programs.join(program));
        command.current_dir(self.directory.path());
        if let Some(User { uid, gid }) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn initialise(&self) -> Result<()> {
        let mut command = self.command("initdb");
        command.arg("-D").arg(self.data()).args(["-U", "postgres", "-A", "trust", "--no-sync"]);
        command.args(["--encoding", "UTF8", "--no-locale"]);
        if version(&self.programs)? >= ICU_AS_DEFAULT {
            command.args(["--locale-provider", "icu", "--icu-locale", "en-US"]);
        }
        let output = command.stdin(Stdio::null()).output()?;
        ensure!(
            output.status.success(),
            "initdb failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    fn run(&self) -> Result<()> {
        let mut running = self.service();
        if running.is_some() {
            bail!("PostgreSQL is running");
        }
        let log = self.directory.path().join("log");
        let output = fs::File::create(&log)?;
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.directory.path().display()))
            .args(["-c", "max_connections=200"])
            .stdout(output.try_clone()?)
            .stderr(output);
        if self.durability == Durability::None {
            for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off"] {
                command.args(["-c", setting]);
            }
        }
        // `immediate` shutdown: what is thrown away needs no last checkpoint.
        let mut service = Service::spawn(&mut command, Signal::QUIT, self.directory.path())?;
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        wait_until(STARTING, || match service.ended()? {
            Some(status) => bail!("it ended: {status}"),
            None => Ok(psql(&self.programs.join("psql"), &url)
                .args(["-c", "select 1"])
                .output()?
                .status
                .success()),
        })
        .with_context(|| {
            format!("PostgreSQL did not start:\n{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        *running = Some(service);
        Ok(())
    }
}

impl User {
    /// `postgres`, whom the package makes, or else `nobody`.
    fn unprivileged() -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd")?;
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| Self::named(&passwd, name))
            .context("PostgreSQL won't run as root, and there is no user `postgres` or `nobody`")
    }

    fn named(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (found && uid != 0).then_some(Self { uid, gid })
        })
    }
}

/// A program without the caller's environment, whose `PG…` variables would change what it does.
fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

fn psql(program: &Path, url: &str) -> Command {
    let mut command = clean(program);
    command.args(["-X", "-q", "-A", "-t", "-w", "-d", url]).stdin(Stdio::null());
    command
}

/// The folder with the newest PostgreSQL's programs.
fn programs() -> Result<PathBuf> {
    install::find_or_install("postgresql", || {
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
        folders.extend(install::path());
        folders
            .into_iter()
            .filter(|folder| {
                ["initdb", "postgres", "psql"].iter().all(|name| install::has_program(folder, name))
            })
            .max_by_key(|folder| version(folder).unwrap_or(0))
    })
}

/// The major version of the PostgreSQL in `folder`.
fn version(folder: &Path) -> Result<u32> {
    let output = clean(&folder.join("postgres")).arg("--version").output()?;
    major(&String::from_utf8_lossy(&output.stdout)).context("no version of PostgreSQL")
}

/// 15 of `postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)`; 18 of `… 18beta1`.
fn major(text: &str) -> Option<u32> {
    let number = text.split_whitespace().nth(2)?;
    let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number.get(..end)?.parse().ok()
}

fn random_name(prefix: &str) -> String {
    format!("{prefix}_{:016x}", rand::random::<u64>())
}

/// `url` with another database.
fn with_database(url: &str, name: &str) -> String {
    let (url, query) = match url.split_once('?') {
        Some((url, query)) => (url, format!("?{query}")),
        None => (url, String::new()),
    };
    let start = url.find("://").map_or(0, |at| at + 3);
    let server = match url.get(start..).and_then(|rest| rest.find('/')) {
        Some(at) => url.get(..start + at).unwrap_or(url),
        None => url,
    };
    format!("{server}/{name}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn another_database_of_a_server() {
        #[track_caller]
        fn check(url: &str, expected: &str) {
            assert_eq!(with_database(url, "new"), expected);
        }
        check("postgres://u@h:1/old", "postgres://u@h:1/new");
        check("postgres://u@h:1", "postgres://u@h:1/new");
        check("postgres://u@h:1/", "postgres://u@h:1/new");
        check("postgres://h/old?sslmode=disable", "postgres://h/new?sslmode=disable");
        check("postgres://h?sslmode=disable", "postgres://h/new?sslmode=disable");
    }

    #[test]
    fn major_versions() {
        #[track_caller]
        fn check(text: &str, expected: Option<u32>) {
            assert_eq!(major(text), expected);
        }
        check("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15));
        check("postgres (PostgreSQL) 18beta1", Some(18));
        check("postgres (PostgreSQL) 17", Some(17));
        check("postgres", None);
    }

    #[test]
    fn users_of_the_system() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbad\npostgres:x:101:104:,,,:/:/bin/sh\n";
        let user = User::named(passwd, "postgres").unwrap();
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(User::named(passwd, "root").is_none());
        assert!(User::named(passwd, "nobody").is_none());
    }

    #[test]
    fn databases_from_a_template() {
        let server = Postgres::shared().unwrap();
        let template = random_name("template");
        let filled = Cell::new(0);
        let fill = |url: &str| {
            filled.set(filled.get() + 1);
            let output = psql(&server.psql, url)
                .args(["-c", "create table t (n int); insert into t values (7)"])
                .output()?;
            ensure!(output.status.success());
            Ok(())
        };
        let first = server.database_from(&template, fill).unwrap();
        let second = server.database_from(&template, fill).unwrap();
        assert_eq!(filled.get(), 1);
        first.sql("update t set n = 8").unwrap();
        assert_eq!(first.sql("select n from t").unwrap(), "8");
        assert_eq!(second.sql("select n from t").unwrap(), "7");
        assert_eq!(second.sql("select current_database()").unwrap(), second.name());

        let name = first.name().to_owned();
        drop(first);
        assert!(!server.has(&name).unwrap());
        assert!(server.database_from("no; name", |_| Ok(())).is_err());
        assert!(server.database_from(&random_name("bad"), |_| bail!("empty")).is_err());
        drop(second);
        server.sql(&format!("drop database {template}")).unwrap();
    }

    #[test]
    fn one_of_several_makers_of_a_template_wins() {
        let server = Postgres::shared().unwrap();
        let template = random_name("template");
        // Another process, which has no part in this one's lock, makes it meanwhile.
        let database =
            server.database_from(&template, |_| server.make(&template, |_| Ok(()))).unwrap();
        assert_eq!(database.sql("select 1").unwrap(), "1");
        drop(database);
        server.sql(&format!("drop database {template}")).unwrap();
    }

    #[test]
    fn what_is_committed_survives_a_kill() {
        let server = Postgres::start(Durability::Full).unwrap();
        let directory = server.own().unwrap().directory.path().to_owned();
        assert_eq!(server.sql("show fsync").unwrap(), "on");
        server.sql("create table t (n int); insert into t values (7)").unwrap();
        server.kill().unwrap();
        assert!(server.sql("select 1").is_err());
        server.start_again().unwrap();
        assert_eq!(server.sql("select n from t").unwrap(), "7");
        server.stop().unwrap();
        assert!(server.stop().is_err(), "there is nothing to stop");
        server.start_again().unwrap();
        assert_eq!(server.sql("select n from t").unwrap(), "7");
        drop(server);
        assert!(!directory.exists());
    }

    #[test]
    fn settings_of_a_test_server() {
        let server = Postgres::start(Durability::None).unwrap();
        assert_eq!(server.sql("show fsync").unwrap(), "off");
        assert_eq!(server.sql("show max_connections").unwrap(), "200");
        assert_eq!(server.sql("show server_encoding").unwrap(), "UTF8");
    }
}
