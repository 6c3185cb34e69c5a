//! What messages carry: taken in with them, and listed (`resources.md §6.2`, §7.3).

use axum::Json;
use axum::extract::State;
use chatwarden_core::ids::{AccountId, ContactId};
use chatwarden_core::messages::Sent;
use chatwarden_core::scope::Scope;
use chatwarden_core::storage::{self, Attachment, Blob, Listed, NewAttachment, Purpose};
use chatwarden_core::{Error, Result, contacts, conversations};
use chatwarden_db::Tx;
use serde_json::{Map, Value, json};

use crate::actors::Agent;
use crate::app::App;
use crate::conversations::display_id;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;
use crate::uploads::Received;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1/accounts/{account_id}")
        .get("/conversations/{conversation_id}/attachments", of_conversation)
        .get("/contacts/{contact_id}/attachments", of_contact)
}

/// The files of a message on their way: those that came with the request, which have rows by now, and
/// the signed ids of others.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    account: AccountId,
    received: Vec<Blob>,
    names: Vec<String>,
    voice: bool,
}

impl Carried {
    /// Keeps the files of a request.
    pub(crate) async fn of(app: &App, account: AccountId, params: &Params) -> Answer<Self> {
        let uploads = params.files("attachments");
        Ok(Self {
            account,
            received: app.keep(account, Purpose::Attachment, None, uploads).await?,
            names: params.one_or_more("attachments").unwrap_or_default(),
            voice: params.flag("is_voice_message").unwrap_or(false),
        })
    }

    /// Keeps the files of a visitor's request; whose account it is about is only asked where there are any. They
    /// come as a list.
    pub(crate) async fn of_visitor<F>(app: &App, params: &Params, account: F) -> Answer<Self>
    where
        F: AsyncFnOnce(&mut Tx<'_>) -> Answer<AccountId> + Send + 'static,
    {
        let single = params.files("attachments").iter().any(|upload| !upload.listed);
        if single || params.present("attachments").is_some() {
            return Err(ApiError::unprocessable("attachments must be a list of files"));
        }
        let account = if params.files("attachments").is_empty() {
            AccountId(0)
        } else {
            app.read(account).await?
        };
        Self::of(app, account, params).await
    }

    /// What the message is to carry.
    pub(crate) async fn attachments(
        &self,
        tx: &mut Tx<'_>,
        scope: &Scope,
    ) -> Result<Vec<NewAttachment>> {
        let named = storage::find_signed(tx, scope, &self.names).await?;
        let blobs = self.received.iter().chain(&named);
        Ok(blobs.map(|blob| NewAttachment::of(blob, self.voice)).collect())
    }

    /// Its files, which go where the message is refused.
    pub(crate) fn received(&self) -> Received {
        Received::new(self.account, &self.received)
    }
}

/// A refusal of a message's rules as agents are told it.
pub(crate) fn validation_failed(error: Error) -> Error {
    match error {
        Error::Invalid(invalid) => Error::Unprocessable(format!("Validation failed: {invalid}")),
        other => other,
    }
}

fn row(
    tx: &Tx<'_>,
    account: AccountId,
    attachment: &Attachment,
    sent: &Sent,
) -> Map<String, Value> {
    let mut out = attachment.listed(tx, account, sent.message.id);
    out.insert("created_at".to_owned(), json!(sent.message.created_at.unix()));
    if let Some(sender) = sent.sender_push(tx) {
        out.insert("sender".to_owned(), json!(sender));
    }
    out
}

/// What a conversation's messages carry.
async fn of_conversation(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, page) = (display_id(&params)?, params.page());
    app.read(async move |tx| {
        let c = conversations::find(tx, &scope, id).await?;
        let Listed { total, found } = storage::of_conversation(tx, &scope, c.row.id, page).await?;
        let account = scope.account_id();
        let payload: Vec<_> =
            found.iter().map(|listed| row(tx, account, &listed.attachment, &listed.sent)).collect();
        Ok(Json(json!({"meta": {"total_count": total}, "payload": payload})))
    })
    .await
}

/// What the messages of a contact's conversations carry, as far as the member may see them.
async fn of_contact(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let (id, page) = (ContactId(params.id("contact_id")?), params.page());
    app.read(async move |tx| {
        contacts::sql::get(tx, &scope, id).await?.ok_or(Error::NotFound)?;
        let Listed { total, found } = storage::of_contact(tx, &scope, id, page).await?;
        let account = scope.account_id();
        let payload: Vec<_> = found
            .iter()
            .map(|listed| {
                let mut out = row(tx, account, &listed.attachment, &listed.sent);
                out.insert("conversation_id".to_owned(), json!(listed.conversation));
                out
            })
            .collect();
        Ok(Json(json!({"meta": {"total_count": total}, "payload": payload})))
    })
    .await
}
