//! Child processes that can't outlive their owner.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a service may take to end before it is killed.
const ENDING: Duration = Duration::from_secs(30);

/// What the watchdog runs: it waits for a line or for the end of its input. The input ends when its
/// owner is gone, for whatever reason; then the service is stopped and its directory removed.
///
/// (`PR_SET_PDEATHSIG` would do neither: it fires when the *thread* that started the service ends,
/// which for a test is at once, and is forgotten when the service changes its user.)
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" = done ] && exit 0
kill -s "$2" "$1" 2>/dev/null
n=0
while kill -0 "$1" 2>/dev/null && [ "$n" -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
kill -s KILL "$1" 2>/dev/null
rm -rf -- "$3"
"#;

/// A running child process with a watchdog: it ends when this value is dropped, or when the process
/// that holds it dies, even by `kill -9`.
#[derive(Debug)]
pub struct Service {
    child: Child,
    ending: Signal,
    watchdog: Child,
    leash: Option<ChildStdin>,
}

impl Service {
    /// Starts `command` in a process group of its own, so that Ctrl-C in the terminal ends its owner
    /// first. `ending` is the signal that asks it to end; `directory` is removed after it where its
    /// owner no longer can.
    ///
    /// # Errors
    ///
    /// The program or `sh` can't be run.
    pub fn spawn(command: &mut Command, ending: Signal, directory: &Path) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't run {}", command.get_program().display()))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(child.id().to_string())
            .arg(ending.as_raw().to_string())
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(mut watchdog) => {
                let leash = watchdog.stdin.take();
                Ok(Self { child, ending, watchdog, leash })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error).context("can't run sh, the watchdog of a service")
            }
        }
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    ///
    /// The system's, when asked.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal (`STOP` and `CONT` hold a process still).
    ///
    /// # Errors
    ///
    /// The process has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(pid(self.child.id())?, signal)?)
    }

    /// Asks the process to end by `signal` and waits until it has; kills it after 30 seconds.
    ///
    /// # Errors
    ///
    /// The system's, when asked.
    pub fn stop(mut self, signal: Signal) -> Result<ExitStatus> {
        self.end(signal)
    }

    /// Kills the process and the children it has, as `kill -9` or a lost machine would, and waits.
    ///
    /// # Errors
    ///
    /// The system's, when asked.
    pub fn kill(mut self) -> Result<()> {
        let parent = self.child.id();
        // They may be in groups of their own (PostgreSQL's are): the group of the parent won't do.
        let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        self.child.kill()?;
        for child in children.unwrap_or_default().split_whitespace() {
            // One that ended by itself meanwhile is as well.
            let _ = kill_process(pid(child.parse()?)?, Signal::KILL);
        }
        self.end(Signal::KILL)?;
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        let status = match self.child.try_wait()? {
            Some(status) => status,
            None => {
                // Fails only for a process that has just ended, which the next line sees.
                let _ = self.signal(signal);
                if wait_until(ENDING, || Ok(self.child.try_wait()?.is_some())).is_err() {
                    self.child.kill()?;
                }
                self.child.wait()?
            }
        };
        if let Some(mut leash) = self.leash.take() {
            leash.write_all(b"done\n")?;
        }
        self.watchdog.wait()?;
        Ok(status)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Nobody to report to; what is left of it, the watchdog ends.
        let _ = self.end(self.ending);
    }
}

fn pid(id: u32) -> Result<Pid> {
    Pid::from_raw(id.try_into()?).context("no process has the id 0")
}

/// A TCP port of the loopback interface that nobody listens on at the moment.
///
/// # Errors
///
/// None is left.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Asks `ready` until it says so.
///
/// # Errors
///
/// An error of `ready` at once, and one after `limit`.
pub fn wait_until(limit: Duration, mut ready: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(2);
    while !ready()? {
        if began.elapsed() >= limit {
            bail!("not after {} s", limit.as_secs());
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "another program's state can only be asked for again and again"
        )]
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(id: u32) -> bool {
        // A zombie is dead: nobody may reap an orphan in a container.
        fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    fn sleeper(directory: &Path) -> Service {
        Service::spawn(Command::new("sleep").arg("600"), Signal::TERM, directory).unwrap()
    }

    #[test]
    fn ends_with_the_value() {
        let directory = tempfile::tempdir().unwrap();
        let service = sleeper(directory.path());
        let id = service.id();
        assert!(alive(id));
        drop(service);
        assert!(!alive(id));
        assert!(directory.path().exists(), "the directory is its owner's while there is one");
    }

    #[test]
    fn ends_with_its_owner() {
        let directory = tempfile::tempdir().unwrap().keep();
        let mut service = sleeper(&directory);
        // What the death of this process does: the pipe closes, nothing else runs.
        drop(service.leash.take());
        let gone = || Ok(service.ended()?.is_some() && !directory.exists());
        wait_until(Duration::from_secs(10), gone).unwrap();
    }

    #[test]
    fn kills_children_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut parent = Command::new("sh");
        parent.args(["-c", "setsid sleep 600 & wait"]);
        let service = Service::spawn(&mut parent, Signal::TERM, directory.path()).unwrap();
        let id = service.id();
        let mut child = 0;
        wait_until(Duration::from_secs(10), || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
            child = children.trim().parse().unwrap_or(0);
            Ok(child != 0)
        })
        .unwrap();
        service.kill().unwrap();
        wait_until(Duration::from_secs(10), || Ok(!alive(id) && !alive(child))).unwrap();
    }

    #[test]
    fn waiting_has_a_limit() {
        assert!(wait_until(Duration::ZERO, || Ok(false)).is_err());
        assert!(wait_until(Duration::from_secs(600), || bail!("broken")).is_err());
        let mut asked = 0;
        wait_until(Duration::from_secs(600), || {
            asked += 1;
            Ok(asked == 3)
        })
        .unwrap();
        assert_eq!(asked, 3);
    }
}
