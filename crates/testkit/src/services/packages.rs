//! Node and Python with packages of theirs, at pinned versions: clients that others wrote.
//!
//! The packages are installed once for each folder that they go to, and again when other versions
//! are pinned.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::install;

/// Node with npm's packages.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    packages: PathBuf,
}

/// Python with packages of its index.
#[derive(Debug)]
pub struct Python {
    program: PathBuf,
}

/// `node` and `npm`, installed where they are missing.
pub(super) fn node() -> Result<(PathBuf, PathBuf)> {
    let node = install::find_or_install("nodejs", || install::program("node"))?;
    Ok((node, install::find_or_install("npm", || install::program("npm"))?))
}

/// A Python that can make environments, installed where there is none.
pub(super) fn python() -> Result<PathBuf> {
    install::find_or_install("python3-venv", || {
        let found = install::path().into_iter().map(|folder| folder.join("python3"));
        found.filter(|python| python.is_file()).find(|python| {
            let mut asked = Command::new(python);
            run(asked.args(["-c", "import ensurepip, venv"])).is_ok()
        })
    })
}

impl Node {
    /// With the packages of the `package.json` and `package-lock.json` in `pinned`, below `folder`.
    ///
    /// # Errors
    ///
    /// Node or npm are not there; npm's.
    pub fn with(pinned: &Path, folder: &Path) -> Result<Self> {
        let (program, npm) = node()?;
        let lock = fs::read_to_string(pinned.join("package-lock.json"))?;
        let folder = folder.join("node");
        installed(&folder, &lock, || {
            for name in ["package.json", "package-lock.json"] {
                fs::copy(pinned.join(name), folder.join(name))?;
            }
            let mut ci = Command::new(npm);
            run(ci.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder))
        })?;
        Ok(Self { program, packages: folder.join("node_modules") })
    }

    /// Runs a script, which finds the packages by `require`.
    pub fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(script).env("NODE_PATH", &self.packages);
        command
    }
}

impl Python {
    /// With the packages of the file `requirements`, below `folder`.
    ///
    /// # Errors
    ///
    /// Python is not there; its own.
    pub fn with(requirements: &Path, folder: &Path) -> Result<Self> {
        let python = python()?;
        let pinned = fs::read_to_string(requirements)?;
        let folder = folder.join("python");
        let environment = folder.join("environment");
        let program = environment.join("bin/python");
        installed(&folder, &pinned, || {
            run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&environment))?;
            let mut pip = Command::new(&program);
            run(pip.args(["-m", "pip", "install", "--no-deps", "--requirement"]).arg(requirements))
        })?;
        Ok(Self { program })
    }

    /// Runs a script, which can import the packages.
    pub fn command(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(script);
        command
    }
}

/// Has `install` fill `folder` unless it holds already what is `pinned`. One at a time.
fn installed(folder: &Path, pinned: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    fs::create_dir_all(folder)?;
    let turn = File::create(folder.join("lock"))?;
    turn.lock()?;
    let done = folder.join("pinned");
    if fs::read_to_string(&done).is_ok_and(|done| done == pinned) {
        return Ok(());
    }
    if done.exists() {
        fs::remove_file(&done)?;
    }
    install()?;
    Ok(fs::write(done, pinned)?)
}

/// Runs a command to its end; what it said is told where it fails.
fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("can't run {}", name.display()))?;
    ensure!(
        output.status.success(),
        "{} failed:\n{}{}",
        name.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_installed_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut times = 0;
        for (pinned, expected) in [("a==1", 1), ("a==1", 1), ("a==2", 2), ("a==2", 2)] {
            let count = || {
                times += 1;
                Ok(())
            };
            installed(folder.path(), pinned, count).unwrap();
            assert_eq!(times, expected, "{pinned}");
        }
        assert!(installed(folder.path(), "b==1", || anyhow::bail!("no network")).is_err());
        assert!(installed(folder.path(), "a==2", || anyhow::bail!("half of b is there")).is_err());
    }
}
