//! pgbench with the very statements that the server ran, so that only the server is the difference.
//!
//! A request is sent while PostgreSQL logs its statements; what it logged, with the values, is the
//! script.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::services::Postgres;

/// The statements that were run while `doing`, as a pgbench script.
pub fn capture(postgres: &Postgres, doing: impl FnOnce() -> Result<()>) -> Result<String> {
    let log = postgres.log().context("a PostgreSQL of its own")?;
    let from = std::fs::metadata(&log)?.len();
    set(postgres, "0")?;
    doing()?;
    set(postgres, "-1")?;
    let text = std::fs::read_to_string(&log)?;
    let text = text.get(usize::try_from(from)?..).unwrap_or_default();
    Ok(script(text))
}

/// Switches the log of statements.
fn set(postgres: &Postgres, milliseconds: &str) -> Result<()> {
    postgres.sql(&format!("alter system set log_min_duration_statement = {milliseconds}"))?;
    postgres.sql("select pg_reload_conf()")?;
    // The signal takes a moment to reach the server's connections.
    std::thread::park_timeout(Duration::from_millis(300));
    Ok(())
}

/// Turns a log into a script: the statements between `begin` and `commit`, and those right before,
/// with their values in place.
fn script(log: &str) -> String {
    // Lines that go on begin with a tab.
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match line.strip_prefix('\t') {
            Some(more) => {
                if let Some(last) = entries.last_mut() {
                    let _ = write!(last, " {}", more.trim());
                }
            }
            None => entries.push(line.to_owned()),
        }
    }
    let mut statements: Vec<String> = Vec::new();
    for entry in &entries {
        if let Some((_, values)) = entry.split_once("DETAIL:  parameters: ") {
            if let Some(last) = statements.last_mut() {
                *last = bind(last, values);
            }
        } else if let Some((_, rest)) = entry.split_once("LOG:  duration: ") {
            let Some((_, what)) = rest.split_once(" ms  ") else { continue };
            if let Some(text) = what.strip_prefix("statement: ") {
                statements.push(text.trim().to_owned());
            } else if what.starts_with("execute ")
                && let Some((_, text)) = what.split_once(": ")
            {
                statements.push(text.trim().to_owned());
            }
        }
    }
    // The workers' own transactions go on meanwhile; they look at other tables.
    let ours = |text: &&String| {
        ![
            "alter system",
            "pg_reload_conf",
            "jobs",
            "job_schedules",
            "dispatched_at",
            "pg_snapshot",
            "server_version",
        ]
        .iter()
        .any(|theirs| text.contains(theirs))
    };
    let mut lines: Vec<&String> = Vec::new();
    let mut inserted = false;
    for text in statements.iter().filter(ours) {
        match text.as_str() {
            "commit" | "rollback" if lines.last().is_some_and(|last| *last == "begin") => {
                lines.pop();
                continue;
            }
            _ => lines.push(text),
        }
        inserted |= text.starts_with("insert into messages");
        if inserted && text == "commit" {
            break;
        }
    }
    lines.iter().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{line};");
        out
    })
}

/// Puts `$1 = '1', $2 = NULL` into a text.
fn bind(text: &str, values: &str) -> String {
    let mut pairs: Vec<(usize, String)> = Vec::new();
    let mut rest = values;
    while let Some(at) = rest.find('$') {
        let after = rest.get(at + 1..).unwrap_or_default();
        let Some((number, value)) = after.split_once(" = ") else { break };
        let Ok(number) = number.parse() else { break };
        let end = if value.starts_with('\'') {
            let mut chars = value.char_indices().skip(1).peekable();
            loop {
                match chars.next() {
                    Some((_, '\'')) if chars.peek().is_some_and(|(_, c)| *c == '\'') => {
                        chars.next();
                    }
                    Some((i, '\'')) => break i + 1,
                    Some(_) => {}
                    None => break value.len(),
                }
            }
        } else {
            value.find(',').unwrap_or(value.len())
        };
        pairs.push((number, value.get(..end).unwrap_or_default().to_owned()));
        rest = value.get(end..).unwrap_or_default();
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let digits = from.bytes().skip(1).take_while(u8::is_ascii_digit).count();
        let (name, after) = from.split_at(1 + digits);
        let value = name.get(1..).and_then(|n| n.parse::<usize>().ok());
        match pairs.iter().find(|(number, _)| Some(*number) == value) {
            Some((_, value)) => out.push_str(&quoted(value)),
            None => out.push_str(name),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A literal without a colon, which would be a variable of pgbench's.
fn quoted(literal: &str) -> String {
    if literal.contains(':') {
        format!("E{}", literal.replace('\\', "\\\\").replace(':', "\\x3a"))
    } else {
        literal.to_owned()
    }
}

/// Runs each script with a client of its own, all at once; transactions a second of all together.
pub fn run(postgres: &Postgres, scripts: &[String], lasting: Duration) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let program = program()?;
    let mut clients = Vec::new();
    for (index, script) in scripts.iter().enumerate() {
        let path = folder.path().join(format!("{index}.sql"));
        std::fs::write(&path, script)?;
        clients.push(
            Command::new(&program)
                .args([
                    "-n",
                    "-M",
                    "prepared",
                    "-c",
                    "1",
                    "-T",
                    &lasting.as_secs().to_string(),
                    "-f",
                ])
                .arg(&path)
                .arg(postgres.url())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?,
        );
    }
    let mut rate = 0.0;
    for client in clients {
        let output = client.wait_with_output()?;
        ensure!(
            output.status.success(),
            "pgbench failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout)?;
        let tps = text
            .lines()
            .find_map(|line| line.strip_prefix("tps = "))
            .context("pgbench said no rate")?;
        rate += tps.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    Ok(rate)
}

fn program() -> Result<PathBuf> {
    let near = |folder: &Path| folder.join("pgbench");
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| near(&folder))
        .chain(
            std::fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| near(&e.path().join("bin"))),
        )
        .find(|path| path.is_file())
        .context("pgbench is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_values_in_place() {
        assert_eq!(
            bind("select $1, $12, $2", "$1 = '7', $2 = NULL, $12 = 'it''s $1'"),
            "select '7', 'it''s $1', NULL"
        );
    }
}
