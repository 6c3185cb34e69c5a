//! Pictures of people, contacts, inboxes and bots, as they come with the owner's other values
//! (`behaviours.md §14`).

use chatwarden_core::Result;
use chatwarden_core::ids::AccountId;
use chatwarden_core::storage::{self, Avatar, Blob, Owner, Purpose};
use chatwarden_db::WriteTx;

use crate::app::App;
use crate::error::Answer;
use crate::params::Params;
use crate::uploads::Received;

/// A picture that came with a request: as a file, which has its row by now, or as an address.
#[derive(Debug, Clone)]
pub(crate) struct Picture {
    received: Option<Blob>,
    url: Option<String>,
    account: AccountId,
}

impl Picture {
    /// Keeps the picture of a request, where there is one: `account` is the owner's, 0 for people.
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
            return Ok(Self { received: None, url, account });
        };
        let said = upload.content_type.as_deref();
        let facts = upload.incoming.facts(&upload.filename, said).await;
        storage::check_avatar(&facts, upload.incoming.size())?;
        let kept = app.keep(account, purpose, None, std::slice::from_ref(upload)).await?;
        Ok(Self { received: kept.into_iter().next(), url: None, account })
    }

    /// Gives the picture to its owner; one that is at an address comes later. `None` where the owner's picture
    /// stays what it was.
    pub(crate) async fn give(&self, tx: &mut WriteTx<'_>, owner: Owner) -> Result<Option<Avatar>> {
        if let Some(blob) = &self.received {
            return storage::set_avatar(tx, owner, Some(blob)).await;
        }
        if let Some(url) = &self.url {
            storage::fetch_avatar(tx, owner, url).await?;
        }
        Ok(None)
    }

    /// Its file, which goes where the other values are refused.
    pub(crate) fn received(&self) -> Received {
        Received::new(self.account, &self.received)
    }
}
