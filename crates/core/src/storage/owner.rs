//! Whose picture a file is: given, changed and taken away with its file.

use std::sync::Arc;

use chatwarden_db::{WriteTx, args};
use chatwarden_files::{Facts, Incoming};
use chatwarden_jobs::{Job, JobError, NewJob, enqueue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Avatar, Blob, NewBlob, Purpose, Unfetched, announce, fetch, purge::give_up, sql};
use crate::Store;
use crate::contacts::{self, Contact};
use crate::error::{Error, Result};
use crate::ids::{AccountId, AgentBotId, ContactId, InboxId, UserId};
use crate::outside::Outside;
use crate::scope::Scope;

/// The kind of the job that fetches a picture from its address.
pub const FETCH: &str = "storage.fetch_avatar";

/// The largest picture (`behaviours.md §14`).
const LARGEST: u64 = 15 << 20;
/// The longest address.
const ADDRESS: usize = 2048;
/// Whose files belong to no account.
const NOBODYS: AccountId = AccountId(0);

/// Whose picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// A person's, in all accounts.
    User(UserId),
    /// A contact's.
    Contact(AccountId, ContactId),
    /// An inbox's.
    Inbox(AccountId, InboxId),
    /// A bot's: of an account, or of the installation.
    Bot(Option<AccountId>, AgentBotId),
}

impl Owner {
    /// The account that the file belongs to; 0 for those of people and of the installation.
    pub fn account(self) -> AccountId {
        match self {
            Self::User(_) => NOBODYS,
            Self::Contact(account, _) | Self::Inbox(account, _) => account,
            Self::Bot(account, _) => account.unwrap_or(NOBODYS),
        }
    }

    /// What the file is for.
    pub fn purpose(self) -> Purpose {
        match self {
            Self::User(_) => Purpose::UserAvatar,
            Self::Contact(..) => Purpose::ContactAvatar,
            Self::Inbox(..) => Purpose::InboxAvatar,
            Self::Bot(..) => Purpose::BotAvatar,
        }
    }

    /// Whose it is, by number.
    pub fn id(self) -> i64 {
        match self {
            Self::User(id) => id.0,
            Self::Contact(_, id) => id.0,
            Self::Inbox(_, id) => id.0,
            Self::Bot(_, id) => id.0,
        }
    }
}

/// Refuses what can't be a picture of somebody.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_avatar(facts: &Facts, size: u64) -> Result<()> {
    // What can't be read as a picture is none, whatever it is called.
    if !is_avatar(&facts.content_type) || facts.size.is_none() {
        return Err(Error::invalid("avatar", "filetype not supported"));
    }
    if size > LARGEST {
        return Err(Error::invalid("avatar", "is too big"));
    }
    Ok(())
}

fn is_avatar(content_type: &str) -> bool {
    matches!(content_type, "image/jpeg" | "image/jpg" | "image/png" | "image/gif" | "image/webp")
}

/// Somebody's picture; it stays what it is until the transaction ends.
async fn lock_avatar(tx: &mut WriteTx<'_>, owner: Owner) -> Result<Option<Avatar>> {
    let (account, id) = (owner.account(), owner.id());
    let found = match owner {
        Owner::User(_) => tx.opt(&sql::AVATAR_OF_USER, args![id]).await?,
        Owner::Contact(..) => tx.opt(&sql::AVATAR_OF_CONTACT, args![account, id]).await?,
        Owner::Inbox(..) => tx.opt(&sql::AVATAR_OF_INBOX, args![account, id]).await?,
        Owner::Bot(..) => tx.opt(&sql::AVATAR_OF_BOT, args![id]).await?,
    };
    Ok(found.ok_or(Error::NotFound)?.0)
}

/// Gives somebody a picture, or takes it away; the one they had is given up.
///
/// # Errors
/// [`Error::NotFound`] where the owner or the file is gone.
pub async fn set_avatar(
    tx: &mut WriteTx<'_>,
    owner: Owner,
    blob: Option<&Blob>,
) -> Result<Option<Avatar>> {
    let (account, id) = (owner.account(), owner.id());
    let old = lock_avatar(tx, owner).await?;
    let new = blob.map(|blob| Avatar {
        account_id: blob.account_id,
        blob_id: blob.id,
        filename: blob.filename.clone(),
    });
    let now = tx.now();
    if let Some(blob) = blob {
        if tx.run(&sql::OWN, args![account, blob.id, id, now]).await? == 0 {
            return Err(Error::NotFound);
        }
    } else if old.is_none() {
        return Ok(None);
    }
    match owner {
        Owner::User(_) => tx.run(&sql::SET_AVATAR_OF_USER, args![id, new, now]).await?,
        Owner::Contact(..) => {
            tx.run(&sql::SET_AVATAR_OF_CONTACT, args![account, id, new, now]).await?
        }
        Owner::Inbox(..) => tx.run(&sql::SET_AVATAR_OF_INBOX, args![account, id, new, now]).await?,
        Owner::Bot(..) => tx.run(&sql::SET_AVATAR_OF_BOT, args![id, new, now]).await?,
    };
    if let Some(old) = old {
        give_up(tx, old.account_id, &[old.blob_id]).await?;
    }
    Ok(new)
}

/// Has a picture fetched from its address once the transaction is committed. An address that is none fetches
/// nothing.
///
/// # Errors
/// What the database says.
pub async fn fetch_avatar(tx: &mut WriteTx<'_>, owner: Owner, url: &str) -> Result<()> {
    if let Some(job) = fetching(owner, url, false) {
        enqueue(tx, &job).await?;
    }
    Ok(())
}

/// The same by an address that a visitor gives for who they are. Nobody vouches for it: it never takes the place of
/// a picture, is asked once, and no other is until then.
///
/// # Errors
/// What the database says.
pub async fn offer_avatar(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    contact: &Contact,
    url: &str,
) -> Result<()> {
    if contact.avatar.is_some() {
        return Ok(());
    }
    let (account, id) = (scope.account_id(), contact.id);
    if let Some(job) = fetching(Owner::Contact(account, id), url, true) {
        enqueue(tx, &job.unique(format!("{FETCH} {account} {id}"))).await?;
    }
    Ok(())
}

/// The job that fetches a picture; none for an address that is none.
fn fetching(owner: Owner, url: &str, offered: bool) -> Option<NewJob> {
    if url.len() > ADDRESS || url::Url::parse(url).is_err() {
        return None;
    }
    let payload = json!({"owner": owner, "url": url, "offered": offered});
    Some(NewJob::new(owner.account().0, FETCH, payload))
}

#[derive(Deserialize)]
struct Wanted {
    owner: Owner,
    url: String,
    /// Whether a visitor gave the address.
    #[serde(default)]
    offered: bool,
}

/// Fetches a picture and gives it to its owner.
///
/// # Errors
/// To be tried again where the other server, the disk or the database fails.
pub async fn run_fetch(store: Store, outside: Outside, job: Job) -> Result<(), JobError> {
    let Wanted { owner, url, offered } =
        serde_json::from_value(job.payload).map_err(|error| JobError::Fail(error.to_string()))?;
    let fetched = match fetch(&outside, &url, LARGEST, is_avatar).await {
        Ok(fetched) => fetched,
        Err(fault @ Unfetched::Disk(_)) => return Err(JobError::Retry(fault.to_string())),
        // Visitors may not fill the list of what failed.
        Err(_) if offered => return Ok(()),
        Err(fault @ Unfetched::Server(_)) => return Err(JobError::Retry(fault.to_string())),
        Err(fault) => return Err(JobError::Fail(fault.to_string())),
    };
    let incoming = Arc::new(fetched.incoming);
    let facts = incoming.facts(&fetched.filename, Some(&fetched.content_type)).await;
    match check_avatar(&facts, incoming.size()) {
        Ok(()) => {}
        Err(_) if offered => return Ok(()),
        Err(fault) => return Err(JobError::Fail(fault.to_string())),
    }
    let new = new_blob(fetched.filename, facts, &incoming);
    let again = |error: Error| JobError::Retry(error.to_string());
    let made = store
        .write(async move |tx| {
            announce(tx, owner.account(), owner.purpose(), Some(owner.id()), vec![new]).await
        })
        .await
        .map_err(again)?;
    let Some(blob) = made.into_iter().next() else { return Ok(()) };
    let placed = outside.disk.place(&incoming, &blob.key).await;
    placed.map_err(|fault| JobError::Retry(fault.to_string()))?;
    let given = store
        .write(async move |tx| {
            // Somebody may have given a picture meanwhile.
            if offered && lock_avatar(tx, owner).await?.is_some() {
                return give_up(tx, blob.account_id, &[blob.id]).await;
            }
            set_avatar(tx, owner, Some(&blob)).await?;
            tell(tx, owner).await
        })
        .await;
    match given {
        // The owner is gone: the file goes with the orphans.
        Ok(()) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(again(error)),
    }
}

/// Tells of a picture that came by itself.
async fn tell(tx: &mut WriteTx<'_>, owner: Owner) -> Result<()> {
    match owner {
        Owner::Inbox(account, _) => {
            crate::inboxes::doors::forget(tx);
            crate::accounts::touch_cache(tx, &Scope::of_job(account), "inbox").await?;
        }
        Owner::Contact(account, id) => {
            let scope = Scope::of_job(account);
            if let Some(contact) = contacts::sql::get(tx, &scope, id).await? {
                contacts::announce(tx, &scope, "contact.updated", &contact);
            }
        }
        Owner::User(_) | Owner::Bot(..) => {}
    }
    Ok(())
}

/// What is known of a received file.
pub fn new_blob(filename: String, facts: Facts, incoming: &Incoming) -> NewBlob {
    NewBlob {
        filename,
        content_type: facts.content_type,
        byte_size: i64::try_from(incoming.size()).unwrap_or(i64::MAX),
        checksum: incoming.md5().to_owned(),
        size: facts.size,
    }
}
