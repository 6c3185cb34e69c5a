//! The project's own commands: `cargo xtask …`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks on both")]

mod bench;
mod checks;
mod conform;
mod counts;
mod process;
mod suites;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run all tests, with a throw-away PostgreSQL and Redis
    Test(suites::Test),
    /// Run what CI runs: format, lints, dependencies, spelling, references, tests
    Ci,
    /// Format the code
    Fmt,
    /// Rewrite the committed references (docs/reference) from the code
    Generate(suites::Generate),
    /// Measure a release build under load
    Bench(bench::Bench),
    /// Compare a running server with the recordings of Chatwoot, step by step
    Conform(conform::Conform),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Task::Test(test) => test.run(),
        Task::Ci => checks::ci(),
        Task::Fmt => checks::fmt(),
        Task::Generate(generate) => generate.run(),
        Task::Bench(bench) => bench.run(),
        Task::Conform(conform) => conform.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
