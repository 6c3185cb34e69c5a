//! Mails to be sent: which one, to whom, and what it says (`mail.md`). An operation has one sent by a job of
//! its transaction; what it says is composed when the job is done, and handing it over is another
//! crate's matter.

mod compose;
mod deliver;
mod said;
mod transcript;

pub(crate) use compose::Filled;
pub use compose::{Letter, compose};
pub use deliver::delivery;
pub use said::said_in;
pub use transcript::send_transcript;

use chatwarden_db::{Tx, WriteTx};
use chatwarden_jobs::{NewJob, enqueue_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::desk::desk;
use crate::error::Result;
use crate::ids::{AccountId, UserId};
use crate::sealed;

/// The kind of the job that sends a [`Queued`] mail, its payload.
pub const DELIVER: &str = "mail.deliver";
/// The queue of mails: a slow mail server holds up nothing else.
pub const QUEUE: &str = "mail";
/// What links are sealed for.
const LINK: &str = "mail: link";

/// Which mail it is (`mail.md §1.2`). Arguments are the keys of [`Mail::args`]; a `link` is [sealed](sealed_link),
/// for the person `user_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Somebody signed up, or changed the address: `name`, `email`, `user_id`, `link`.
    Confirmation,
    /// Somebody was invited into an account: `name`, `inviter`, `account`, `user_id`, `link`.
    Invitation,
    /// A confirmed person asked for a confirmation again: `name`, `email`, `user_id`, `link`.
    AlreadyConfirmed,
    /// A password was forgotten: `email`, `user_id`, `link`.
    ResetPassword,
    /// A member was told of something: `notification_id`, `user_id`, `kind`, `at`, the conversation and the message.
    Notification,
    /// What was said in a conversation: `conversation_id`.
    Transcript,
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

/// A mail that waits to be sent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Queued {
    /// Tells it from all others, however often it is tried.
    #[serde(default)]
    pub id: String,
    /// The mail.
    #[serde(flatten)]
    pub mail: Mail,
}

/// A link as it waits to be sent: it lets somebody in, and a mail that can't be handed over stays in the queue for long.
pub fn sealed_link(tx: &Tx<'_>, user: UserId, link: &str) -> String {
    sealed::seal(tx, LINK, user.0, link)
}

/// Arguments with their [sealed](sealed_link) link opened; none where it was sealed with another key.
fn opened(tx: &Tx<'_>, args: &Value) -> Option<Value> {
    let mut args = args.clone();
    let user = args.get("user_id")?.as_i64()?;
    let link = sealed::open(tx, LINK, user, args.get("link")?.as_str()?)?;
    args.as_object_mut()?.insert("link".to_owned(), json!(link));
    Some(args)
}

/// Has a mail sent once the transaction is committed.
///
/// # Errors
/// What the database says.
pub async fn send(tx: &mut WriteTx<'_>, account: Option<AccountId>, mail: &Mail) -> Result<()> {
    send_all(tx, account, std::slice::from_ref(mail)).await
}

/// Has mails sent once the transaction is committed; none where the installation has no mail server.
///
/// # Errors
/// What the database says.
pub async fn send_all(
    tx: &mut WriteTx<'_>,
    account: Option<AccountId>,
    mails: &[Mail],
) -> Result<()> {
    if mails.is_empty() || !desk(tx).sends_mail {
        return Ok(());
    }
    let account = account.map_or(0, |account| account.0);
    let jobs: Vec<NewJob> = mails
        .iter()
        .map(|mail| {
            let queued = Queued { id: tx.ambient().uuid(), mail: mail.clone() };
            NewJob::new(account, DELIVER, json!(queued)).on(QUEUE)
        })
        .collect();
    enqueue_all(tx, &jobs).await?;
    Ok(())
}
