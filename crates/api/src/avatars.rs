//! Pictures of people, contacts, inboxes and bots, as they come with the owner's other values
//! (`behaviours.md §14`).

use chatwarden_core::ids::AccountId;
use chatwarden_core::storage::{self, Avatar, Blob, Owner, Purpose};
use chatwarden_core::{Error, Result};
use chatwarden_db::WriteTx;

use crate::app::App;
use crate::error::Answer;
use crate::params::Params;
use crate::uploads::Received;

/// A picture that came with a request: as a file, which has its row by now, or as an address; or that there is to be
/// none any more.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    received: Option<Blob>,
    taken: bool,
    url: Option<String>,
    account: AccountId,
}

impl Picture {
    /// Keeps the picture of a request, where there is one: `account` is the owner's, 0 for people. None under its name
    /// takes the picture away, as does the word `null` for inboxes.
    ///
    /// # Errors
    /// 422 for what is no picture, or too large.
    pub(crate) async fn of(
        app: &App,
        account: AccountId,
        purpose: Purpose,
        params: &Params,
    ) -> Answer<Self> {
        let url = params.present("avatar_url");
        let Some(upload) = params.files("avatar").first() else {
            let taken = match params.text("avatar").as_deref() {
                None => params.has("avatar"),
                Some("") => true,
                Some("null") if purpose == Purpose::InboxAvatar => true,
                Some(_) => return Err(Error::invalid("avatar", "must be a file").into()),
            };
            return Ok(Self { received: None, taken, url, account });
        };
        let said = upload.content_type.as_deref();
        let facts = upload.incoming.facts(&upload.filename, said).await;
        storage::check_avatar(&facts, upload.incoming.size())?;
        let kept = app.keep(account, purpose, None, std::slice::from_ref(upload)).await?;
        Ok(Self { received: kept.into_iter().next(), taken: false, url: None, account })
    }

    /// Gives the picture to its owner, who has `avatar` until then; one that is at an address comes later. Whether
    /// the owner's picture is another now.
    pub(crate) async fn give(
        &self,
        tx: &mut WriteTx<'_>,
        owner: Owner,
        avatar: &mut Option<Avatar>,
    ) -> Result<bool> {
        let mut changed = false;
        if self.received.is_some() || self.taken {
            let given = storage::set_avatar(tx, owner, self.received.as_ref()).await?;
            changed = *avatar != given;
            *avatar = given;
        }
        if let Some(url) = &self.url {
            storage::fetch_avatar(tx, owner, url).await?;
        }
        Ok(changed)
    }

    /// Its file, which goes where the other values are refused.
    pub(crate) fn received(&self) -> Received {
        Received::new(self.account, &self.received)
    }
}
