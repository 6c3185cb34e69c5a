//! `fmt` and `ci`.

use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::process::{cargo, has, has_cargo, root, run};
use crate::suites::{Generate, Test};

pub fn fmt() -> Result<ExitCode> {
    run(&mut cargo(["fmt", "--all"]))?;
    Ok(ExitCode::SUCCESS)
}

pub fn ci() -> Result<ExitCode> {
    run(&mut cargo(["fmt", "--all", "--check"]))?;
    run(&mut cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    if has_cargo("deny") {
        run(&mut cargo(["deny", "--workspace", "check"]))?;
    } else {
        eprintln!("\ncargo-deny: not installed, skipped");
    }
    if has("typos") {
        run(Command::new("typos").current_dir(root()))?;
    } else {
        eprintln!("\ntypos: not installed, skipped");
    }
    let references = Generate { check: true }.run()?;
    if references != ExitCode::SUCCESS {
        return Ok(references);
    }
    Test::default().run()
}
