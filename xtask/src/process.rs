//! Running other programs from the repository's root.

use std::io::{BufRead, BufReader, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The repository's root.
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// `cargo` with these arguments, in the repository's root.
pub fn cargo<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()).stdin(Stdio::null());
    // What cargo told this program, it would tell the one it runs: `cargo test` sets its own.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    command
}

/// Whether cargo has this subcommand.
pub fn has_cargo(subcommand: &str) -> bool {
    succeeds(&mut cargo([subcommand, "--version"]))
}

/// Whether a program of this name can be run.
pub fn has(program: &str) -> bool {
    succeeds(Command::new(program).arg("--version").stdin(Stdio::null()))
}

fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Says what is run, runs it, and fails where it does.
pub fn run(command: &mut Command) -> Result<()> {
    announce(command);
    let status = command.status().with_context(|| format!("can't run {}", shown(command)))?;
    ensure!(status.success(), "{} failed", shown(command));
    Ok(())
}

/// Says what is run, runs it and passes on what it writes while `see` looks at each line.
/// Returns whether it succeeded.
pub fn watch(command: &mut Command, see: impl Fn(&str) + Sync) -> Result<bool> {
    announce(command);
    let colour = std::io::stdout().is_terminal() && std::io::stderr().is_terminal();
    if colour && std::env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't run {}", shown(command)))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        let errors =
            scope.spawn(|| stderr.map_or(Ok(()), |from| pass(from, std::io::stderr(), &see)));
        let output = stdout.map_or(Ok(()), |from| pass(from, std::io::stdout(), &see));
        output.and(errors.join().unwrap_or(Ok(())))
    })?;
    Ok(child.wait()?.success())
}

/// Builds with `command` and returns the program that `wanted` recognises by cargo's message about it.
pub fn build(command: &mut Command, wanted: impl Fn(&Value) -> bool) -> Result<PathBuf> {
    command.args(["--message-format", "json-render-diagnostics"]);
    announce(command);
    let output = command.stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{} failed", shown(command));
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(wanted)
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .with_context(|| format!("{} made no program", shown(command)))
}

/// Copies line by line: a program's last words may lack the end of their line.
fn pass(from: impl Read, mut to: impl Write, see: &(impl Fn(&str) + Sync)) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(&line)?;
        to.flush()?;
        see(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}

/// Says what is run, the way a shell would be told.
pub fn announce(command: &Command) {
    eprintln!("\n$ {}", shown(command));
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy()];
    words.extend(command.get_args().map(|argument| argument.to_string_lossy()));
    words.join(" ")
}
