//! Files on their way in: uploaded at once, or to a place that was asked for (`behaviours.md §14`).

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chatwarden_core::conversations;
use chatwarden_core::error::Error;
use chatwarden_core::ids::{AccountId, BlobId};
use chatwarden_core::storage::{self, Blob, NewBlob, Purpose, Unfetched, Writing};
use chatwarden_db::{Timestamp, Tx};
use chatwarden_files::{Facts, tidy};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Map, Value, json};

use crate::actors::{Actor, Agent};
use crate::app::App;
use crate::conversations::display_id;
use crate::credentials::{self, Shown};
use crate::error::{Answer, ApiError};
use crate::params::{Params, Upload};
use crate::routes::Routes;
use crate::widget::Guest;

pub(crate) fn routes() -> Routes {
    Routes::new("/api/v1")
        .post("/accounts/{account_id}/upload", upload)
        .post("/accounts/{account_id}/conversations/{conversation_id}/direct_uploads", of_agent)
        .post("/widget/direct_uploads", of_visitor)
}

impl App {
    /// Gives received files rows, and then their places on the disk. Nothing refers to them yet:
    /// [`storage::refer`] does, or they are given up.
    pub(crate) async fn keep(
        &self,
        account: AccountId,
        purpose: Purpose,
        owner: Option<i64>,
        uploads: &[Upload],
    ) -> Answer<Vec<Blob>> {
        let mut files = Vec::new();
        for upload in uploads {
            let said = upload.content_type.as_deref();
            let Facts { content_type, size } = upload.incoming.facts(&upload.filename, said).await;
            files.push(NewBlob {
                filename: upload.filename.clone(),
                content_type,
                byte_size: i64::try_from(upload.incoming.size()).unwrap_or(i64::MAX),
                checksum: upload.incoming.md5().to_owned(),
                size,
            });
        }
        if files.is_empty() {
            return Ok(Vec::new());
        }
        let made = self
            .write(async move |tx| storage::announce(tx, account, purpose, owner, files).await)
            .await?;
        for (blob, upload) in made.iter().zip(uploads) {
            self.outside().disk.place(&upload.incoming, &blob.key).await?;
        }
        Ok(made)
    }
}

/// The files of a request, which have rows by now.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    account: AccountId,
    blobs: Vec<BlobId>,
}

impl Received {
    pub(crate) fn new<'a>(account: AccountId, blobs: impl IntoIterator<Item = &'a Blob>) -> Self {
        Self { account, blobs: blobs.into_iter().map(|blob| blob.id).collect() }
    }

    /// Awaits what the files came with; they are given up where it is refused.
    pub(crate) async fn kept_if<T>(
        self,
        app: &App,
        written: impl Future<Output = Answer<T>>,
    ) -> Answer<T> {
        let answer = written.await;
        if answer.is_err() && !self.blobs.is_empty() {
            self.give_up(app).await;
        }
        answer
    }

    async fn give_up(self, app: &App) {
        let Self { account, blobs } = self;
        // An answer that was lost on its way is a refusal here, and none to the rows.
        let never = Timestamp::from_unix(0);
        let given =
            app.write(async move |tx| storage::give_up_unused(tx, account, &blobs, never).await);
        if let Err(error) = given.await {
            tracing::warn!(%error, "files of a refused request stay until nothing refers to them for a day");
        }
    }
}

/// Stores a file, or what is at an address, for a text that links to it.
async fn upload(
    Agent(scope, _): Agent,
    State(app): State<App>,
    params: Params,
) -> Answer<Json<Value>> {
    let upload = match (params.files("attachment").first(), params.present("external_url")) {
        (Some(upload), _) => upload.clone(),
        (None, Some(url)) => fetch(&app, &url).await?,
        (None, None) => return Err(ApiError::unprocessable("No file or URL provided")),
    };
    let account = scope.account_id();
    let blobs = app.keep(account, Purpose::Linked, None, &[upload]).await?;
    let received = Received::new(account, &blobs);
    let stored = app.write(async move |tx| {
        let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
        storage::refer(tx, account, &ids).await?;
        let blob = blobs.first().ok_or(Error::NotFound)?;
        Ok(Json(json!({
            "file_url": storage::blob_url(tx, account, blob.id, &blob.filename),
            "blob_id": storage::signed_id(tx, account, blob.id),
        })))
    });
    received.kept_if(&app, stored).await
}

fn picture_or_film(content_type: &str) -> bool {
    content_type.starts_with("image/") || content_type.starts_with("video/")
}

async fn fetch(app: &App, url: &str) -> Answer<Upload> {
    let limit = app.outside().disk.limit();
    let fetched = storage::fetch(app.outside(), url, limit, picture_or_film).await;
    let fetched = fetched.map_err(|unfetched| match unfetched {
        Unfetched::Disk(fault) => fault.into(),
        other => ApiError::unprocessable(other.to_string()),
    })?;
    Ok(Upload {
        filename: fetched.filename,
        content_type: Some(fetched.content_type),
        incoming: Arc::new(fetched.incoming),
        listed: false,
    })
}

/// A member; whoever shows nothing is answered as upstream's forms answer (`direct_uploads` 002).
#[derive(Debug, Clone)]
pub(crate) struct Uploader(Agent);

impl Actor for Uploader {
    const NAME: &'static str = Agent::NAME;
}

impl FromRequestParts<App> for Uploader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        if matches!(credentials::of(parts), Shown::Nothing) {
            return Err(unprovable());
        }
        Agent::from_request_parts(parts, app).await.map(Self)
    }
}

fn unprovable() -> ApiError {
    let body = json!({"status": 422, "error": "Unprocessable Content"});
    ApiError::with_body(StatusCode::UNPROCESSABLE_ENTITY, body)
}

/// What a client says of the file that it is going to send.
struct Announced {
    file: NewBlob,
    metadata: Map<String, Value>,
}

fn announced(app: &App, params: &Params) -> Answer<Announced> {
    let blob = params.require("blob")?;
    let missing = |field: &str| ApiError::unprocessable(format!("blob[{field}] can't be blank"));
    let filename = blob.present("filename").ok_or_else(|| missing("filename"))?;
    let byte_size = blob.integer("byte_size").ok_or_else(|| missing("byte_size"))?;
    let checksum = blob.present("checksum").ok_or_else(|| missing("checksum"))?;
    let limit = app.outside().disk.limit();
    if u64::try_from(byte_size).is_ok_and(|size| size > limit) {
        return Err(ApiError::unprocessable(format!(
            "blob[byte_size] is too big (maximum is {limit} bytes)"
        )));
    }
    if byte_size < 0 {
        return Err(ApiError::unprocessable("blob[byte_size] is invalid"));
    }
    if STANDARD.decode(&checksum).ok().is_none_or(|digest| digest.len() != 16) {
        return Err(ApiError::unprocessable("blob[checksum] is no MD5 in base64"));
    }
    let mut metadata = blob.object("metadata").unwrap_or_default();
    // What the server finds out is not for clients to say (`behaviours.md §14`).
    for ours in ["identified", "analyzed", "composed"] {
        metadata.remove(ours);
    }
    let content_type = blob
        .present("content_type")
        .filter(|it| it.len() <= 127 && it.is_ascii() && it.contains('/'))
        .unwrap_or_else(|| "application/octet-stream".to_owned());
    let filename = tidy(&filename);
    Ok(Announced {
        file: NewBlob { filename, content_type, byte_size, checksum, size: None },
        metadata,
    })
}

/// The file and where it is to be put, as Active Storage says it.
fn place_json(tx: &Tx<'_>, blob: &Blob, metadata: &Map<String, Value>) -> Value {
    let writing = Writing { account_id: blob.account_id, blob_id: blob.id };
    let signed_id = storage::signed_id(tx, blob.account_id, blob.id);
    json!({
        "id": blob.id,
        "key": blob.key,
        "filename": blob.filename,
        "content_type": blob.content_type,
        "metadata": metadata,
        "service_name": "local",
        "byte_size": blob.byte_size,
        "checksum": blob.checksum,
        "created_at": blob.created_at.iso(),
        "attachable_sgid": signed_id,
        "signed_id": signed_id,
        "direct_upload": {
            "url": storage::writing_url(tx, writing),
            "headers": {"Content-Type": blob.content_type},
        },
    })
}

async fn make_place(
    app: &App,
    account: AccountId,
    Announced { file, metadata }: Announced,
) -> Answer<Response> {
    app.write(async move |tx| {
        let made = storage::announce(tx, account, Purpose::Attachment, None, vec![file]).await?;
        let blob = made.first().ok_or(Error::NotFound)?;
        Ok(Json(place_json(tx, blob, &metadata)).into_response())
    })
    .await
}

/// A place for a file that a member is going to send in a conversation.
async fn of_agent(
    Uploader(Agent(scope, _)): Uploader,
    State(app): State<App>,
    params: Params,
) -> Answer<Response> {
    let (account, id) = (scope.account_id(), display_id(&params)?);
    let found = app.read(async move |tx| conversations::find(tx, &scope, id).await).await;
    match found {
        Ok(_) => make_place(&app, account, announced(&app, &params)?).await,
        // Nothing is said of conversations that there are not (`direct_uploads` 003).
        Err(Error::NotFound) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(error.into()),
    }
}

/// A place for a file that a visitor is going to send.
async fn of_visitor(guest: Guest, State(app): State<App>, params: Params) -> Answer<Response> {
    let found = app.read(async move |tx| guest.visitor(tx).await).await;
    let visitor = found.map_err(|error| match error {
        Error::NotFound | Error::Unauthorized(_) => unprovable(),
        other => other.into(),
    })?;
    let account = visitor.door.scope.account_id();
    make_place(&app, account, announced(&app, &params)?).await
}
