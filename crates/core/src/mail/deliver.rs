//! The job that sends a mail.

use std::sync::Arc;
use std::time::Duration;

use chatwarden_db::Timestamp;
use chatwarden_jobs::{Job, JobError, Registry};
use serde_json::Value;

use super::{DELIVER, Queued, Template, compose};
use crate::Store;
use crate::error::Error;
use crate::ids::AccountId;
use crate::meters;
use crate::notifications::Kind;
use crate::outside::{Failure, Outside, Post};

/// With the sending of mails, where there is a mail server.
pub fn delivery(registry: Registry, store: &Store, outside: &Outside) -> Registry {
    let Some(post) = outside.post.clone() else { return registry };
    let store = store.clone();
    registry.on(DELIVER, move |job| deliver(store.clone(), post.clone(), job))
}

/// Composes a mail and hands it over. Tried again, it is the same letter: its id comes from what was queued.
async fn deliver(store: Store, post: Arc<dyn Post>, job: Job) -> Result<(), JobError> {
    let mut queued: Queued =
        serde_json::from_value(job.payload).map_err(|error| JobError::Fail(error.to_string()))?;
    if queued.id.is_empty() {
        queued.id = format!("job-{}", job.id.0);
    }
    let account = AccountId(job.account_id);
    let (template, args) = (queued.mail.template, queued.mail.args.clone());
    let ambient = store.db().ambient().clone();
    let letter = store.read(async move |tx| compose(tx, account, &queued).await).await.map_err(
        |error: Error| match error {
            Error::Db(error) => JobError::Retry(error.to_string()),
            other => JobError::Fail(other.to_string()),
        },
    )?;
    let Some(letter) = letter else { return Ok(()) };
    let answer = post.send(letter).await;
    if template == Template::Notification {
        measure(&args, &answer, ambient.now());
    }
    answer.map_err(|failure| match failure {
        Failure::Refused(text) | Failure::TooLarge(text) => JobError::Fail(text),
        Failure::Unreachable(text) => JobError::Retry(text),
    })
}

/// Tells the meters what became of a notification's letter.
fn measure(args: &Value, answer: &Result<(), Failure>, now: Timestamp) {
    let kind = args.get("kind").and_then(Value::as_str).and_then(Kind::named);
    let at = args.get("at").and_then(Value::as_i64);
    let (Some(kind), Some(at)) = (kind, at) else { return };
    let status = match answer {
        Ok(()) => "success",
        Err(Failure::Unreachable(_)) => "failure",
        Err(Failure::Refused(_) | Failure::TooLarge(_)) => "refused",
    };
    let micros = u64::try_from(now.micros().saturating_sub(at)).unwrap_or(0);
    meters::notified_by_mail(kind, status, Duration::from_micros(micros));
}
