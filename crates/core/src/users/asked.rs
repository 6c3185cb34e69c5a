//! Links that anybody may ask for by an address. Whether it is anybody's is found out by a job: neither the answer
//! nor the time it takes tells who is there.

use chatwarden_db::WriteTx;
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{address, by_email, links};
use crate::Store;
use crate::error::{Error, Result};

/// The kind of the job that sends a link to whoever has an address.
pub const JOB: &str = "users.send_link";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Link {
    /// A link to a new password.
    NewPassword,
    /// A link that confirms the address, where that is still to be done.
    Confirmation,
}

/// The payload of the job.
#[derive(Serialize, Deserialize)]
struct Asked {
    email: String,
    link: Link,
}

/// Has a link sent to a [normalised](address::normalised) address, where it is somebody's.
///
/// # Errors
/// What the database says.
pub async fn ask(tx: &mut WriteTx<'_>, email: String, link: Link) -> Result<()> {
    if address::is_address(&email) {
        enqueue(tx, &NewJob::new(0, JOB, json!(Asked { email, link }))).await?;
    }
    Ok(())
}

/// Sends what was asked for, once: a second link would void the first.
///
/// # Errors
/// [`JobError::Retry`] where the database is away.
pub async fn send(store: Store, job: Job) -> Result<(), JobError> {
    let Asked { email, link } = serde_json::from_value(job.payload.clone())
        .map_err(|error| JobError::Fail(error.to_string()))?;
    store
        .write(async move |tx| {
            if let Some(user) = by_email(tx, &email).await? {
                match link {
                    Link::NewPassword => links::send_reset(tx, &user).await?,
                    Link::Confirmation if user.confirmed_at.is_none() => {
                        links::send_confirmation(tx, &user).await?;
                    }
                    Link::Confirmation => {}
                }
            }
            if job.finish(tx).await? { Ok(()) } else { Err(Error::NotFound) }
        })
        .await
        .map_err(|error: Error| JobError::Retry(error.to_string()))
}
