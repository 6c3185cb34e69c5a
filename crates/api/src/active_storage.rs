//! Stored files at the addresses that Active Storage gives them (`behaviours.md §14`).
//!
//! Whoever has an address may read: its names are signed, and what leads to the content ends after some
//! minutes. Only what browsers show without running anything is shown within a page; all else is saved.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use chatwarden_core::Error;
use chatwarden_core::ids::{AccountId, BlobId};
use chatwarden_core::storage::{self, Blob, Reading};
use chatwarden_files::{Stored, Unfit, tidy};
use futures::StreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, LOCATION, RANGE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use crate::actors::Anyone;
use crate::app::App;
use crate::error::{Answer, ApiError};
use crate::params::Params;
use crate::routes::Routes;

pub(crate) fn routes() -> Routes {
    Routes::new("/rails/active_storage")
        .get("/blobs/redirect/{signed_id}/{*filename}", redirect)
        .get("/blobs/proxy/{signed_id}/{*filename}", proxy)
        .get("/blobs/{signed_id}/{*filename}", redirect)
        .get("/representations/redirect/{signed_id}/{variation_key}/{*filename}", redirect_form)
        .get("/representations/proxy/{signed_id}/{variation_key}/{*filename}", proxy_form)
        .get("/representations/{signed_id}/{variation_key}/{*filename}", redirect_form)
        .get("/disk/{token}/{*filename}", show)
        .put("/disk/{token}", put)
}

/// What links are good for, so may answers be.
const LINKED: &str = "max-age=300, private";
/// What is under a signed id never changes.
const FOREVER: &str = "public, max-age=31556952, immutable";
/// More of a file is not served at once (`behaviours.md §14`).
const LARGEST_RANGE: u64 = 100 << 20;

/// Whether browsers may show a type within a page: none that runs anything.
fn shown_inline(content_type: &str) -> bool {
    matches!(
        content_type,
        "image/png"
            | "image/jpeg"
            | "image/jpg"
            | "image/gif"
            | "image/webp"
            | "image/avif"
            | "image/bmp"
            | "audio/mpeg"
            | "audio/mp3"
            | "audio/ogg"
            | "audio/opus"
            | "audio/wav"
            | "audio/x-wav"
            | "audio/mp4"
            | "audio/m4a"
            | "audio/x-m4a"
            | "audio/aac"
            | "audio/webm"
            | "audio/amr"
            | "video/mp4"
            | "video/webm"
            | "video/ogg"
            | "video/quicktime"
    )
}

/// The type a file is served as: what browsers might run is bytes.
fn served_as(content_type: &str) -> HeaderValue {
    let runs = ["html", "xml", "svg", "javascript", "ecmascript", "postscript", "flash"];
    let bytes = HeaderValue::from_static("application/octet-stream");
    if runs.iter().any(|it| content_type.contains(it)) {
        return bytes;
    }
    HeaderValue::from_str(content_type).unwrap_or(bytes)
}

/// How a file is handed out, and under which name (RFC 6266).
fn disposition(inline: bool, filename: &str) -> HeaderValue {
    let kind = if inline { "inline" } else { "attachment" };
    let plain: String = filename
        .chars()
        .map(|c| {
            if (c.is_ascii_graphic() || c == ' ') && !matches!(c, '"' | '\\' | '%') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let encoded = utf8_percent_encode(filename, NON_ALPHANUMERIC);
    HeaderValue::from_str(&format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{encoded}"))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

fn text(params: &Params, key: &str) -> Answer<String> {
    params.text(key).ok_or_else(ApiError::not_found)
}

fn filename(params: &Params) -> Answer<String> {
    text(params, "filename").map(|name| tidy(&name))
}

/// The file of a signed id, where its content is there.
async fn blob(app: &App, name: String) -> Answer<Blob> {
    app.read(async move |tx| {
        let (account, id): (AccountId, BlobId) =
            storage::of_signed_id(tx, &name).ok_or(Error::NotFound)?;
        let blob = storage::find(tx, account, id).await?;
        if blob.stored_at.is_none() { Err(Error::NotFound) } else { Ok(blob) }
    })
    .await
    .map_err(ApiError::from)
}

/// The content of a file itself.
fn whole(blob: Blob, params: &Params) -> Reading {
    let inline = shown_inline(&blob.content_type)
        && params.text("disposition").as_deref() != Some("attachment");
    Reading { key: blob.key, width: None, content_type: blob.content_type, inline }
}

/// The content of a form of a picture; of the picture itself where it can't be scaled.
async fn form(app: &App, params: &Params) -> Answer<Reading> {
    let (name, variation) = (text(params, "signed_id")?, text(params, "variation_key")?);
    let variation = app
        .read(async move |tx| storage::of_signed_variation(tx, &variation).ok_or(Error::NotFound))
        .await?;
    let blob = blob(app, name).await?;
    match app.outside().disk.form(&blob.key, variation.width).await {
        Ok(Some(stored)) => {
            let content_type = stored.content_type.unwrap_or("image/png").to_owned();
            Ok(Reading { key: blob.key, width: Some(variation.width), content_type, inline: true })
        }
        Ok(None) => Err(ApiError::not_found()),
        Err(Unfit::NoPicture) => Ok(whole(blob, params)),
        Err(Unfit::Io(error)) => Err(unreadable(&error)),
    }
}

fn unreadable(error: &std::io::Error) -> ApiError {
    tracing::error!(%error, "a stored file can't be read");
    ApiError::unavailable("Files can't be read now; try again", 10)
}

/// Sends on to the content, by a link that ends.
async fn send_on(app: &App, reading: Reading, filename: String) -> Answer<Response> {
    let to = app
        .read(async move |tx| Ok::<_, Error>(storage::reading_url(tx, &reading, &filename)))
        .await?;
    let to = HeaderValue::from_str(&to).map_err(|_| ApiError::not_found())?;
    let cache = HeaderValue::from_static(LINKED);
    Ok((StatusCode::FOUND, [(LOCATION, to), (CACHE_CONTROL, cache)]).into_response())
}

async fn redirect(_: Anyone, State(app): State<App>, params: Params) -> Answer<Response> {
    let blob = blob(&app, text(&params, "signed_id")?).await?;
    send_on(&app, whole(blob, &params), filename(&params)?).await
}

async fn redirect_form(_: Anyone, State(app): State<App>, params: Params) -> Answer<Response> {
    let reading = form(&app, &params).await?;
    send_on(&app, reading, filename(&params)?).await
}

async fn proxy(
    _: Anyone,
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    params: Params,
) -> Answer<Response> {
    let blob = blob(&app, text(&params, "signed_id")?).await?;
    let reading = whole(blob, &params);
    serve(&app, method, &headers, &reading, &filename(&params)?, FOREVER).await
}

async fn proxy_form(
    _: Anyone,
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    params: Params,
) -> Answer<Response> {
    let reading = form(&app, &params).await?;
    serve(&app, method, &headers, &reading, &filename(&params)?, FOREVER).await
}

/// The content that a link leads to.
async fn show(
    _: Anyone,
    State(app): State<App>,
    method: Method,
    headers: HeaderMap,
    params: Params,
) -> Answer<Response> {
    let now = app.db().ambient().now();
    let reading = storage::of_reading(app.desk(), &text(&params, "token")?, now)
        .ok_or_else(ApiError::not_found)?;
    serve(&app, method, &headers, &reading, &filename(&params)?, LINKED).await
}

/// Whether a list of entity tags, as clients send it, names this one.
fn names(list: Option<&HeaderValue>, etag: &str) -> bool {
    let list = list.and_then(|value| value.to_str().ok()).unwrap_or_default();
    list.split(',').map(str::trim).any(|it| it == "*" || it.trim_start_matches("W/") == etag)
}

/// Serves a content, or the range of it that is asked for.
async fn serve(
    app: &App,
    method: Method,
    asked: &HeaderMap,
    reading: &Reading,
    filename: &str,
    cache: &'static str,
) -> Answer<Response> {
    let disk = &app.outside().disk;
    let found = match reading.width {
        None => disk.find(&reading.key).await,
        Some(width) => match disk.form(&reading.key, width).await {
            Ok(found) => found,
            Err(Unfit::NoPicture) => None,
            Err(Unfit::Io(error)) => return Err(unreadable(&error)),
        },
    };
    let Stored { path, .. } = found.ok_or_else(ApiError::not_found)?;
    let form = reading.width.map(|width| format!("-{width}")).unwrap_or_default();
    let etag = format!("\"{}{form}\"", reading.key);
    let mut response = if names(asked.get(IF_NONE_MATCH), &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = method;
        let same = asked.get(IF_RANGE).is_none_or(|it| it.as_bytes() == etag.as_bytes());
        if let (Some(range), true) = (asked.get(RANGE), same) {
            request.headers_mut().insert(RANGE, range.clone());
        }
        let served = ServeFile::new(path).oneshot(request).await;
        served.unwrap_or_else(|never| match never {}).map(Body::new)
    };
    if response.status() == StatusCode::NOT_FOUND {
        return Err(ApiError::not_found());
    }
    let length = response.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    if response.status() == StatusCode::PARTIAL_CONTENT
        && length.is_some_and(|length: u64| length >= LARGEST_RANGE)
    {
        return Err(ApiError::empty(StatusCode::RANGE_NOT_SATISFIABLE));
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(CONTENT_TYPE, served_as(&reading.content_type));
    headers.insert(CONTENT_DISPOSITION, disposition(reading.inline, filename));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// Takes the content of a file that a place was made for: the very content that was announced.
async fn put(_: Anyone, State(app): State<App>, request: Request) -> Answer<Response> {
    let refused = || ApiError::empty(StatusCode::UNPROCESSABLE_ENTITY);
    let (parts, body) = request.into_parts();
    let now = app.db().ambient().now();
    let token = parts.uri.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let writing = storage::of_writing(app.desk(), token, now).ok_or_else(ApiError::not_found)?;
    let blob = app
        .read(async move |tx| storage::find(tx, writing.account_id, writing.blob_id).await)
        .await?;
    let header = |name| parts.headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let size = header(CONTENT_LENGTH).and_then(|length| length.parse::<i64>().ok());
    if header(CONTENT_TYPE) != Some(blob.content_type.as_str())
        || (size.is_some() && size != Some(blob.byte_size))
    {
        return Err(refused());
    }
    let pieces = body.into_data_stream().map(|piece| piece.map_err(|error| error.to_string()));
    let incoming = app.outside().disk.receive(pieces).await?;
    if incoming.md5() != blob.checksum || i64::try_from(incoming.size()) != Ok(blob.byte_size) {
        return Err(refused());
    }
    let facts = incoming.facts(&blob.filename, Some(&blob.content_type)).await;
    app.outside().disk.place(&incoming, &blob.key).await?;
    app.write(async move |tx| storage::stored(tx, &blob, &facts.content_type, facts.size).await)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_runs_is_shown_within_a_page() {
        for content_type in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/javascript",
        ] {
            assert!(!shown_inline(content_type), "{content_type}");
            assert_eq!(served_as(content_type), "application/octet-stream");
        }
        for content_type in ["text/plain", "application/pdf", "application/zip"] {
            assert!(!shown_inline(content_type), "{content_type}");
            assert_eq!(served_as(content_type), content_type);
        }
        assert!(shown_inline("image/png"));
    }

    #[test]
    fn names_of_files_stay_within_their_header() {
        let check = |name: &str, expected: &str| assert_eq!(disposition(false, name), expected);
        check("note.txt", "attachment; filename=\"note.txt\"; filename*=UTF-8''note%2Etxt");
        check(
            "a\"; x=\"b",
            "attachment; filename=\"a_; x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b",
        );
        check("Ü\r\n.txt", "attachment; filename=\"___.txt\"; filename*=UTF-8''%C3%9C%0D%0A%2Etxt");
    }

    #[test]
    fn entity_tags_are_found_in_lists() {
        let value = HeaderValue::from_static("W/\"a\", \"b\"");
        assert!(names(Some(&value), "\"a\"") && names(Some(&value), "\"b\""));
        assert!(!names(Some(&value), "\"c\"") && !names(None, "\"a\""));
        assert!(names(Some(&HeaderValue::from_static("*")), "\"c\""));
    }
}
