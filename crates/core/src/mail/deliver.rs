//! The job that sends a mail.

use std::sync::Arc;

use chatwarden_jobs::{Job, JobError, Registry};

use super::{DELIVER, Queued, compose};
use crate::Store;
use crate::error::Error;
use crate::ids::AccountId;
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
    let letter = store.read(async move |tx| compose(tx, account, &queued).await).await.map_err(
        |error: Error| match error {
            Error::Db(error) => JobError::Retry(error.to_string()),
            other => JobError::Fail(other.to_string()),
        },
    )?;
    let Some(letter) = letter else { return Ok(()) };
    post.send(letter).await.map_err(|failure| match failure {
        Failure::Refused(text) | Failure::TooLarge(text) => JobError::Fail(text),
        Failure::Unreachable(text) => JobError::Retry(text),
    })
}
