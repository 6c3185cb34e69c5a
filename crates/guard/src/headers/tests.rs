use super::*;
use crate::ambient::fixed;
use crate::testing::{Recorded, body_text};
use axum::Router;
use axum::body::Body;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use std::net::IpAddr;
use tower::ServiceExt;

fn client(https: bool, host: &str) -> ClientIp {
    let ip: IpAddr = "203.0.113.5".parse().unwrap();
    ClientIp {
        ip,
        peer: Some(ip),
        peer_trusted: false,
        forwarded: false,
        https,
        host: Some(host.into()),
    }
}

fn only(domain: &str) -> FrameAncestors {
    FrameAncestors::from_allowed_domains(domain, true)
}

fn app(config: HeadersConfig) -> Router {
    Router::new()
        .route("/api/v1/profile", get(|| async { "{}" }).post(|| async { "{}" }))
        .route("/api/cached", get(|| async { ([(CACHE_CONTROL, "max-age=10, private")], "{}") }))
        .route(
            "/api/proxied",
            get(|| async { ([("server", "Other"), ("x-powered-by", "Other")], "{}") }),
        )
        .route("/app/{*rest}", get(|nonce: CspNonce| async move { Html(nonce.value().to_owned()) }))
        .route("/super_admin", get(|| async { Html("") }))
        .route("/widget", get(|| async { Html("") }))
        .route("/bound", get(|| async { (PageKind::Widget, only("shop.example"), Html("")) }))
        .route("/open", get(|| async { (PageKind::Widget, FrameAncestors::Anyone, Html("")) }))
        .route("/hc/{slug}", get(|| async { Html("") }))
        .route("/plain", get(|| async { (PageKind::Portal, FrameAncestors::Anyone, Html("")) }))
        .route("/vite/a.js", get(|| async { "1" }))
        .route("/vite/gone.js", get(|| async { StatusCode::NOT_FOUND }))
        .route("/packs/js/sdk.js", get(|| async { "1" }))
        .route("/rails/active_storage/blobs/1", get(|| async { "1" }))
        .route("/swagger", get(|| async { Html("") }))
        .route("/mail", get(|| async { (PageKind::MailBody, Html("")) }))
        .route("/health", get(|| async { "{}" }))
        .route("/auth/sign_in", post(|| async { "{}".into_response() }))
        .layer(layer(config, fixed::ambient().0))
}

async fn ask(app: Router, method: Method, path: &str, client: ClientIp) -> Response {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    request.extensions_mut().insert(client);
    app.oneshot(request).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// path, frame options, part of the policy, referrer policy, cache control, opener, resource
type Row = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
);

#[tokio::test]
async fn every_kind_has_its_column() {
    const SAME: Option<&str> = Some("same-origin");
    const CROSS: Option<&str> = Some("cross-origin");
    let strict = Some("strict-origin-when-cross-origin");
    let none = Some("no-referrer");
    let rows: &[Row] = &[
        (
            "/api/v1/profile",
            Some("DENY"),
            Some("frame-ancestors 'none'"),
            none,
            "no-store",
            None,
            SAME,
        ),
        ("/nowhere", Some("DENY"), Some("default-src 'none'"), none, "no-store", None, SAME),
        (
            "/api/cached",
            Some("DENY"),
            Some("default-src 'none'"),
            none,
            "max-age=10, private",
            None,
            SAME,
        ),
        (
            "/app/login",
            Some("DENY"),
            Some("frame-ancestors 'none'"),
            SAME,
            "no-store",
            Some("same-origin-allow-popups"),
            SAME,
        ),
        ("/super_admin", Some("DENY"), Some("frame-src 'self';"), SAME, "no-store", SAME, SAME),
        (
            "/widget",
            None,
            Some("script-src 'self' 'unsafe-eval';"),
            strict,
            "no-store",
            Some("unsafe-none"),
            CROSS,
        ),
        (
            "/bound",
            None,
            Some("frame-ancestors https://shop.example"),
            strict,
            "no-store",
            Some("unsafe-none"),
            CROSS,
        ),
        (
            "/hc/x",
            Some("SAMEORIGIN"),
            Some("frame-ancestors 'self'"),
            strict,
            "public, max-age=60, stale-while-revalidate=300",
            SAME,
            SAME,
        ),
        (
            "/plain",
            None,
            Some("default-src 'none'"),
            strict,
            "public, max-age=60, stale-while-revalidate=300",
            SAME,
            SAME,
        ),
        (
            "/vite/a.js",
            None,
            Some("default-src 'none'"),
            None,
            "public, max-age=31536000, immutable",
            None,
            CROSS,
        ),
        ("/vite/gone.js", Some("DENY"), Some("default-src 'none'"), none, "no-store", None, SAME),
        (
            "/packs/js/sdk.js",
            None,
            Some("default-src 'none'"),
            None,
            "public, max-age=900",
            None,
            CROSS,
        ),
        (
            "/rails/active_storage/blobs/1",
            Some("DENY"),
            Some("sandbox"),
            none,
            "private, max-age=300",
            SAME,
            Some("same-site"),
        ),
        ("/swagger", Some("DENY"), Some("connect-src 'self'"), none, "no-store", SAME, SAME),
        (
            "/mail",
            Some("SAMEORIGIN"),
            Some("sandbox; default-src 'none'"),
            none,
            "private, max-age=300",
            None,
            SAME,
        ),
    ];
    for (path, frame, policy, referrer, cache, opener, resource) in rows {
        let response =
            ask(app(HeadersConfig::default()), Method::GET, path, client(false, "chat.example"))
                .await;
        assert_eq!(header(&response, "x-frame-options"), *frame, "{path}");
        assert_eq!(header(&response, "referrer-policy"), *referrer, "{path}");
        assert_eq!(header(&response, "cache-control"), Some(*cache), "{path}");
        assert_eq!(header(&response, "cross-origin-opener-policy"), *opener, "{path}");
        assert_eq!(header(&response, "cross-origin-resource-policy"), *resource, "{path}");
        let sent = header(&response, "content-security-policy");
        match policy {
            Some(part) => assert!(sent.unwrap().contains(part), "{path}: {sent:?}"),
            None => assert_eq!(sent, None, "{path}"),
        }
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-xss-protection", "0"),
            ("x-permitted-cross-domain-policies", "none"),
        ] {
            assert_eq!(header(&response, name), Some(value), "{path}");
        }
        assert_eq!(header(&response, "strict-transport-security"), None, "{path}");
    }
}

#[tokio::test]
async fn a_page_anyone_may_frame_says_nothing_about_frames() {
    for path in ["/widget", "/open", "/plain"] {
        let response =
            ask(app(HeadersConfig::default()), Method::GET, path, client(true, "chat.example"))
                .await;
        assert_eq!(header(&response, "x-frame-options"), None, "{path}");
        assert!(
            !header(&response, "content-security-policy").unwrap().contains("frame-ancestors"),
            "{path}"
        );
    }
    let closed = HeadersConfig { widget_require_allowed_domains: true, ..HeadersConfig::default() };
    for path in ["/widget", "/open"] {
        let response =
            ask(app(closed.clone()), Method::GET, path, client(true, "chat.example")).await;
        assert!(
            header(&response, "content-security-policy")
                .unwrap()
                .ends_with("frame-ancestors 'none'"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_nonce_of_the_page_is_the_one_of_the_policy_and_fresh() {
    let app = app(HeadersConfig::default());
    let mut seen = Vec::new();
    for _ in 0..2 {
        let response =
            ask(app.clone(), Method::GET, "/app/login", client(true, "chat.example")).await;
        let policy = header(&response, "content-security-policy").unwrap().to_owned();
        let nonce = body_text(response).await;
        assert_eq!(nonce.len(), 24);
        assert!(
            policy.contains(&format!("script-src 'self' 'nonce-{nonce}' 'unsafe-eval';")),
            "{policy}"
        );
        assert!(policy.contains("style-src 'self' 'unsafe-inline';"), "{policy}");
        assert!(policy.contains("connect-src 'self' wss://chat.example;"), "{policy}");
        assert!(policy.contains("upgrade-insecure-requests"), "{policy}");
        seen.push(nonce);
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn the_mode_of_the_policy_spares_framing_and_other_kinds() {
    let config = |mode| HeadersConfig {
        csp: CspConfig { mode, ..CspConfig::default() },
        ..HeadersConfig::default()
    };
    let (enforced, reported) = ("content-security-policy", "content-security-policy-report-only");
    let response =
        ask(app(config(CspMode::ReportOnly)), Method::GET, "/app/x", client(true, "h")).await;
    assert!(header(&response, enforced).is_none() && header(&response, reported).is_some());
    let response = ask(app(config(CspMode::Off)), Method::GET, "/bound", client(true, "h")).await;
    assert_eq!(header(&response, enforced), Some("frame-ancestors https://shop.example"));
    for mode in [CspMode::ReportOnly, CspMode::Off] {
        let response =
            ask(app(config(mode)), Method::GET, "/api/v1/profile", client(true, "h")).await;
        assert!(header(&response, enforced).unwrap().starts_with("default-src 'none'"));
    }
}

#[tokio::test]
async fn hsts_binds_subdomains_only_where_they_are_ours() {
    for (preload, host, expected) in [
        (false, "chat.example", "max-age=63072000; includeSubDomains"),
        (true, "chat.example:443", "max-age=63072000; includeSubDomains; preload"),
        (true, "eu.chat.example", "max-age=63072000; includeSubDomains; preload"),
        (true, "help.customer.example", "max-age=63072000"),
        (true, "notchat.example", "max-age=63072000"),
    ] {
        let config = HeadersConfig {
            own_hosts: vec!["chat.example".into()],
            hsts_preload: preload,
            ..HeadersConfig::default()
        };
        let response = ask(app(config), Method::GET, "/app/x", client(true, host)).await;
        assert_eq!(header(&response, "strict-transport-security"), Some(expected), "{host}");
    }
}

#[tokio::test]
async fn force_ssl_redirects_reads_and_refuses_writes() {
    let config = HeadersConfig { force_ssl: true, ..HeadersConfig::default() };
    for (method, path, https, status, location) in [
        (
            Method::GET,
            "/api/v1/profile?a=1",
            false,
            308,
            Some("https://chat.example/api/v1/profile?a=1"),
        ),
        (Method::HEAD, "/app/x", false, 308, Some("https://chat.example/app/x")),
        (Method::POST, "/auth/sign_in", false, 403, None),
        (Method::POST, "/auth/sign_in", true, 200, None),
        (Method::GET, "/health", false, 200, None),
    ] {
        let recorded = Recorded::start();
        let response =
            ask(app(config.clone()), method, path, client(https, "chat.example:80")).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        assert_eq!(header(&response, "location"), location, "{path}");
        assert!(response.headers().contains_key("x-content-type-options"), "{path}");
        assert_eq!(
            recorded.count("http.insecure.refused", &[]),
            u64::from(status != 200),
            "{path}"
        );
    }
}

#[tokio::test]
async fn software_is_not_named() {
    let response =
        ask(app(HeadersConfig::default()), Method::GET, "/api/proxied", client(false, "h")).await;
    assert_eq!((header(&response, "server"), header(&response, "x-powered-by")), (None, None));
}
