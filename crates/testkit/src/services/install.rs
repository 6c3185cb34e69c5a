//! Finding the programs of a service, and installing them where that's possible.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Whether this process is root, who may install packages and may not run PostgreSQL.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folders of `PATH`.
pub(super) fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

/// Whether a program of this name can be run from `folder`.
pub(super) fn has_program(folder: &Path, name: &str) -> bool {
    folder.join(name).metadata().is_ok_and(|file| file.is_file() && file.mode() & 0o111 != 0)
}

/// The program of this name that `PATH` has first.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let folder = path().into_iter().find(|folder| has_program(folder, name))?;
    Some(folder.join(name))
}

/// What `find` finds, after installing the Debian package where it finds nothing.
pub(super) fn find_or_install<T>(package: &str, find: impl Fn() -> Option<T>) -> Result<T> {
    if let Some(found) = find() {
        return Ok(found);
    }
    let missing = || format!("{package} is not installed; on Debian: apt-get install {package}");
    ensure!(is_root() && path().iter().any(|folder| has_program(folder, "apt-get")), missing());
    // Tests of several processes may miss it at once: the lists of packages know no waiting.
    let turn = File::create(std::env::temp_dir().join("chatwarden-apt-get.lock"))?;
    turn.lock()?;
    if let Some(found) = find() {
        return Ok(found);
    }
    apt_get(&["update"]).with_context(missing)?;
    apt_get(&["install", "-y", "--no-install-recommends", package]).with_context(missing)?;
    find().with_context(missing)
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(["-q", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // The package's own service is not wanted: in run level 1, Debian's scripts start none.
        .env("RUNLEVEL", "1")
        .stdin(Stdio::null())
        .output()?;
    ensure!(
        output.status.success(),
        "apt-get {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
