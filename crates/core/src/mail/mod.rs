//! Mails to be sent: which template, to whom, and what it says. Sending is a job's matter.

use chatwarden_db::WriteTx;
use chatwarden_jobs::{NewJob, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Result;
use crate::ids::AccountId;

/// The kind of the job that sends a [`Mail`], its payload.
pub const DELIVER: &str = "mail.deliver";
/// The queue of mails: a slow mail server holds up nothing else.
pub const QUEUE: &str = "mail";

/// Which mail it is (`mail.md §1.2`). Arguments are the keys of [`Mail::args`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Somebody signed up, or changed the address: `name`, `email`, `link`.
    Confirmation,
    /// Somebody was invited into an account: `name`, `inviter`, `account`, `link`.
    Invitation,
    /// A confirmed person asked for a confirmation again: `name`, `link`.
    AlreadyConfirmed,
    /// A password was forgotten: `email`, `link`.
    ResetPassword,
}

/// A mail to one person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mail {
    /// Which one.
    pub template: Template,
    /// The address.
    pub to: String,
    /// The language of the subject.
    pub locale: String,
    /// What the template is filled with.
    pub args: Value,
}

/// Has a mail sent once the transaction is committed.
///
/// # Errors
/// What the database says.
pub async fn send(tx: &mut WriteTx<'_>, account: Option<AccountId>, mail: &Mail) -> Result<()> {
    let payload = json!(mail);
    let job = NewJob::new(account.map_or(0, |account| account.0), DELIVER, payload).on(QUEUE);
    enqueue(tx, &job).await?;
    Ok(())
}
