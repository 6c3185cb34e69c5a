//! SQLite's bare loop with the very statements that the server runs, so that only the server is the difference.
//!
//! A server in process is told each statement that a message takes, with its values; the loop repeats them on
//! the database that this server leaves behind.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use chatwarden_testkit::App;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a statement that a server in process begins.
pub fn told(text: &str) {
    if let Ok(mut told) = TOLD.lock() {
        told.push(text.to_owned());
    }
}

/// Whether a statement is of a transaction's frame, which the loop has its own of.
pub fn frames(text: &str) -> bool {
    let frames = ["begin", "commit", "rollback", "savepoint", "release", "pragma", "--"];
    frames.iter().any(|frame| text.trim_start().starts_with(frame))
}

/// What stands at a place of an answer.
fn at(answer: &Value, place: &str) -> Result<Value> {
    answer.pointer(place).cloned().with_context(|| format!("no {place} in {answer}"))
}

/// The statements of a message in each of so many conversations; the database is left at `path`.
async fn capture(path: &Path, conversations: usize) -> Result<Vec<Vec<String>>> {
    let (app, admin) = App::told(path, told).await?;
    let channel = json!({"name": "Desk", "channel": {"type": "api", "webhook_url": ""}});
    let inbox = at(&admin.post("/inboxes", channel).await.ok(), "/id")?;
    let mut scripts = Vec::new();
    for index in 0..conversations {
        let contact = json!({"inbox_id": inbox, "name": format!("Visitor {index}")});
        let made = admin.post("/contacts", contact).await.ok();
        let opened = json!({
            "inbox_id": inbox,
            "contact_id": at(&made, "/payload/contact/id")?,
            "source_id": at(&made, "/payload/contact_inbox/source_id")?,
        });
        let number = at(&admin.post("/conversations", opened).await.ok(), "/id")?;
        let path = format!("/conversations/{number}/messages");
        let message = json!({"content": "It left today, sorry for the delay."});
        // The first answer of a conversation changes more than those after it.
        admin.post(&path, message.clone()).await.ok();
        take()?;
        admin.post(&path, message).await.ok();
        scripts.push(take()?.into_iter().filter(|text| !frames(text)).collect());
    }
    app.db().close().await;
    Ok(scripts)
}

/// The statements since the last call.
pub fn take() -> Result<Vec<String>> {
    let mut told = TOLD.lock().map_err(|_| anyhow::anyhow!("a statement's hook panicked"))?;
    Ok(std::mem::take(&mut *told))
}

/// Runs the loop; transactions a second.
pub fn run(
    runtime: &Runtime,
    program: &Path,
    conversations: usize,
    lasting: Duration,
) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let (database, script) = (folder.path().join("loop.sqlite3"), folder.path().join("loop.json"));
    let scripts = runtime.block_on(capture(&database, conversations))?;
    let first = scripts.first().context("no conversation")?;
    println!("\nthe statements of a message, as the loop runs them:\n{};", first.join(";\n"));
    ensure!(
        first.iter().any(|text| text.starts_with("insert into messages")),
        "the server did not tell its statements"
    );
    std::fs::write(&script, serde_json::to_vec(&scripts)?)?;
    let output = Command::new(program)
        .args([&database, &script])
        .arg(lasting.as_secs().to_string())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(output.status.success(), "the loop failed");
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
