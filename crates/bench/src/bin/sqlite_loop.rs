//! What SQLite does without a server around it: given statements in one loop on one connection, 32 transactions to
//! a commit. `cargo xtask bench sqlite` runs it with the statements of a message.
//!
//! Arguments: the database; a JSON file with a list of lists of statements, each of which is a transaction; for
//! how many seconds. Prints the transactions a second.

#![expect(clippy::print_stdout, reason = "a command line speaks on it")]

use std::error::Error;
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// As many as the server's writer commits together.
const GROUP: usize = 32;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [database, scripts, seconds] = arguments.as_slice() else {
        return Err("sqlite_loop DATABASE SCRIPTS SECONDS".into());
    };
    let scripts: Vec<Vec<String>> = serde_json::from_slice(&std::fs::read(scripts)?)?;
    let lasting = Duration::from_secs(seconds.parse()?);
    let conn = Connection::open(database)?;
    conn.set_prepared_statement_cache_capacity(scripts.iter().map(Vec::len).sum());
    // As the server has it; the log is written back as SQLite does by itself.
    conn.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on;
         pragma temp_store = memory; pragma cache_size = -8192; pragma mmap_size = 268435456;",
    )?;
    let mut turns = scripts.iter().cycle();
    let mut group = || -> Result<(), rusqlite::Error> {
        conn.execute_batch("begin immediate")?;
        for script in turns.by_ref().take(GROUP) {
            for text in script {
                let mut statement = conn.prepare_cached(text)?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
            }
        }
        conn.execute_batch("commit")
    };
    let warm = Instant::now() + lasting / 5;
    while Instant::now() < warm {
        group()?;
    }
    let (began, mut transactions) = (Instant::now(), 0_u32);
    while began.elapsed() < lasting {
        group()?;
        transactions += u32::try_from(GROUP)?;
    }
    println!("{:.1}", f64::from(transactions) / began.elapsed().as_secs_f64());
    Ok(())
}
