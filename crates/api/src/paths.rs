//! Paths as clients write them: with strokes doubled or at the end, or with the format as a suffix
//! (`behaviours.md §1`).

use axum::extract::Request;
use http::Uri;
use http::uri::PathAndQuery;

/// The routes that take `.json` at the end; elsewhere it may be the name of a file.
const FORMATTED: [&str; 5] = ["/api/", "/auth/", "/platform/", "/public/api/", "/hc/"];

/// And whole paths that do.
const FORMATTED_WHOLE: [&str; 2] = ["/api.json", "/health.json"];

/// Brings a request's path into the form that routes have.
pub(crate) fn tolerate(mut request: Request) -> Request {
    if let Some(path) = plain(request.uri().path()) {
        let mut parts = request.uri().clone().into_parts();
        let path = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        // What was part of an address is one without some of its letters, too.
        if let Ok(path) = PathAndQuery::try_from(path) {
            parts.path_and_query = Some(path);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
    }
    request
}

/// The path in the form that routes have, where it is not.
pub(crate) fn plain(path: &str) -> Option<String> {
    let suffixed = path.ends_with(".json") || path.ends_with(".json/");
    if !suffixed && !path.contains("//") && (path == "/" || !path.ends_with('/')) {
        return None;
    }
    let mut out = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    let formatted = FORMATTED.iter().any(|prefix| out.starts_with(prefix));
    if suffixed && (formatted || FORMATTED_WHOLE.contains(&out.as_str())) {
        out.truncate(out.len() - ".json".len());
    }
    if out.is_empty() {
        out.push('/');
    }
    (out != path).then_some(out)
}

/// The path without the name of a format, where one ends it that such routes don't have.
pub(crate) fn without_format(path: &str) -> Option<&str> {
    let (whole, format) = path.rsplit_once('.')?;
    let formatted = FORMATTED.iter().any(|prefix| path.starts_with(prefix)) || whole == "/app";
    (formatted && !format.contains('/') && !whole.ends_with('/')).then_some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_as_clients_write_them() {
        let check = |path: &str, expected: Option<&str>| {
            assert_eq!(plain(path).as_deref(), expected, "{path}");
        };
        check("/", None);
        check("/api/v1/profile", None);
        check("/api/v1/profile/", Some("/api/v1/profile"));
        check("/api/v1/accounts/1//", Some("/api/v1/accounts/1"));
        check("//api//v1/profile", Some("/api/v1/profile"));
        check("/api/v1/accounts.json", Some("/api/v1/accounts"));
        check("/api/v1/accounts.json/", Some("/api/v1/accounts"));
        check("/hc/x/en/articles.json", Some("/hc/x/en/articles"));
        check("/api.json", Some("/api"));
        check("/health.json/", Some("/health"));
        check("/app.json", None);
        check("/manifest.json", None);
        check("/rails/active_storage/blobs/x/data.json", None);
        check("///", Some("/"));
    }

    #[test]
    fn knows_a_format_from_a_name() {
        assert_eq!(without_format("/api/v1/profile.html"), Some("/api/v1/profile"));
        assert_eq!(without_format("/app.json"), Some("/app"));
        for none in ["/api/v1/profile", "/api/v1.5/profile", "/api/v1/.xml", "/robots.txt"] {
            assert_eq!(without_format(none), None, "{none}");
        }
    }

    #[test]
    fn keeps_the_query() {
        let request =
            Request::get("/api/v1/labels.json?a=%2F%2F&b=1/").body(axum::body::Body::empty());
        let request = tolerate(request.unwrap());
        assert_eq!(request.uri(), "/api/v1/labels?a=%2F%2F&b=1/");
    }
}
