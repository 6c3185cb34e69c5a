use super::*;
use crate::ambient::fixed;
use crate::rate_limit::RateLimitConfig;
use crate::testing::Recorded;
use axum::Router;
use axum::body::Body;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt;

struct Listed;

impl OriginLookup for Listed {
    fn known(&self, _: &str, _: &str) -> Option<bool> {
        None
    }

    fn allows(&self, website: String, origin: String) -> BoxFuture<'static, bool> {
        Box::pin(async move { website == "tok" && origin == "https://shop.example" })
    }
}

fn config(open_api: bool, open_all: bool) -> CorsConfig {
    CorsConfig {
        own_origins: vec!["https://chat.example".into()],
        allowed_origins: vec![
            "https://desk.example".parse().unwrap(),
            "https://*.parts.example".parse().unwrap(),
        ],
        cable_origins: Vec::new(),
        enable_api_cors: open_api,
        api_only_server: open_all,
        lookup: Some(Arc::new(Listed)),
        routes: None,
    }
}

fn limiter() -> RateLimiter {
    RateLimiter::local(RateLimitConfig::default(), fixed::ambient().0)
}

async fn ask(config: CorsConfig, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
    let app = Router::new().fallback(|| async { "answer" }).layer(layer(config, limiter()));
    let mut request = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// target, origin, allowed origin, credentials, varies, denials
type Row = (&'static str, &'static str, Option<&'static str>, bool, bool, u64);

async fn check(config: CorsConfig, rows: &[Row]) {
    for (target, origin, allowed, credentials, varies, denials) in rows {
        let recorded = Recorded::start();
        let headers = [("origin", *origin)];
        let headers = if origin.is_empty() { &[][..] } else { &headers[..] };
        let response = ask(config.clone(), "GET", target, headers).await;
        assert_eq!(response.status(), 200, "{target} {origin}");
        assert_eq!(header(&response, "access-control-allow-origin"), *allowed, "{target} {origin}");
        assert_eq!(
            header(&response, "access-control-allow-credentials").is_some(),
            *credentials,
            "{target} {origin}"
        );
        assert_eq!(
            header(&response, "access-control-expose-headers").is_some(),
            allowed.is_some(),
            "{target} {origin}"
        );
        assert_eq!(header(&response, "vary").is_some(), *varies, "{target} {origin}");
        assert_eq!(recorded.count("cors.denied", &[]), *denials, "{target} {origin}");
    }
}

#[tokio::test]
async fn each_class_has_its_origins() {
    const ACCOUNT: &str = "/api/v1/accounts/7/labels";
    check(
        config(false, false),
        &[
            ("/packs/js/sdk.js", "https://any.example", Some("*"), false, true, 0),
            ("/packs/js/sdk.js", "", Some("*"), false, true, 0),
            ("/audio/ding.mp3", "null", Some("*"), false, true, 0),
            ("/public/api/v1/inboxes/x", "https://any.example", Some("*"), false, true, 0),
            (ACCOUNT, "", None, false, true, 0),
            (ACCOUNT, "https://chat.example", Some("https://chat.example"), true, true, 0),
            (ACCOUNT, "https://desk.example", Some("https://desk.example"), true, true, 0),
            (ACCOUNT, "https://a.parts.example", Some("https://a.parts.example"), false, true, 0),
            (ACCOUNT, "https://any.example", None, false, true, 1),
            (ACCOUNT, "null", None, false, true, 1),
            ("/auth/sign_in", "https://any.example", None, false, true, 1),
            (
                "/api/v1/widget/config?website_token=tok",
                "https://shop.example",
                Some("https://shop.example"),
                false,
                true,
                0,
            ),
            (
                "/api/v1/widget/config?website_token=no",
                "https://shop.example",
                None,
                false,
                true,
                1,
            ),
            ("/api/v1/widget/config", "https://desk.example", None, false, true, 1),
            (
                "/api/v1/widget/config?website_token=tok&website_token=no",
                "https://shop.example",
                None,
                false,
                true,
                1,
            ),
            ("/vite/a.js", "", None, false, false, 0),
            ("/vite/a.js", "https://chat.example", None, false, false, 0),
            ("/cable", "https://any.example", None, false, false, 0),
            (
                "/api/v1/widget/config?website_token=no",
                "https://chat.example",
                Some("https://chat.example"),
                false,
                true,
                0,
            ),
            ("/actuator/health", "https://any.example", None, false, true, 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn switches_open_without_credentials() {
    check(
        config(true, false),
        &[
            ("/api/v1/profile", "https://any.example", Some("*"), false, true, 0),
            ("/api/v1/widget/config", "https://any.example", Some("*"), false, true, 0),
            (
                "/api/v1/profile",
                "https://desk.example",
                Some("https://desk.example"),
                true,
                true,
                0,
            ),
            ("/auth/sign_in", "https://any.example", None, false, true, 1),
            ("/vite/a.js", "https://any.example", None, false, true, 1),
        ],
    )
    .await;
    check(
        config(false, true),
        &[
            ("/auth/sign_in", "https://any.example", Some("*"), false, true, 0),
            ("/api/v1/profile", "null", Some("*"), false, true, 0),
            ("/vite/a.js", "https://any.example", Some("*"), false, true, 0),
            ("/super_admin", "https://any.example", None, false, true, 1),
            ("/actuator/env", "https://any.example", None, false, true, 1),
        ],
    )
    .await;
}

#[tokio::test]
async fn preflights_are_answered_here() {
    let wide = "x".repeat(2000);
    for (target, origin, method, asked, status, methods) in [
        (
            "/public/api/v1/x",
            "https://any.example",
            "PATCH",
            Some("content-type, x-a"),
            204,
            Some(ALL),
        ),
        ("/packs/a.js", "https://any.example", "GET", None, 204, Some(READS)),
        ("/packs/a.js", "https://any.example", "DELETE", None, 403, None),
        ("/api/v1/profile", "https://any.example", "PUT", None, 403, None),
        (
            "/api/v1/profile",
            "https://desk.example",
            "PUT",
            Some("api_access_token"),
            204,
            Some(ALL),
        ),
        ("/api/v1/profile", "https://desk.example", "TRACE", None, 403, None),
        ("/api/v1/profile", "https://desk.example", "PUT", Some("a\"b"), 403, None),
        ("/api/v1/profile", "https://desk.example", "PUT", Some(wide.as_str()), 403, None),
        ("/actuator/env", "https://any.example", "GET", None, 403, None),
    ] {
        let mut headers = vec![("origin", origin), ("access-control-request-method", method)];
        headers.extend(asked.map(|asked| ("access-control-request-headers", asked)));
        let response = ask(config(false, false), "OPTIONS", target, &headers).await;
        assert_eq!(response.status().as_u16(), status, "{target} {origin} {method}");
        assert_eq!(
            header(&response, "access-control-allow-methods"),
            methods,
            "{target} {origin} {method}"
        );
        assert_eq!(
            header(&response, "access-control-allow-origin").is_some(),
            status == 204,
            "{target} {origin}"
        );
        let echoed = header(&response, "access-control-allow-headers");
        assert_eq!(echoed, asked.filter(|_| status == 204), "{target}");
        assert!(header(&response, "vary").is_some(), "{target}");
        assert_eq!(header(&response, "access-control-max-age"), (status == 204).then_some("7200"));
    }
}

#[tokio::test]
async fn an_options_request_that_asks_nothing_goes_through() {
    let response = ask(config(false, false), "OPTIONS", "/api/v1/profile", &[]).await;
    assert_eq!(crate::testing::body_text(response).await, "answer");
}

#[tokio::test]
async fn named_pages_alone_may_open_sockets() {
    let listed = vec!["https://*.shop.example".parse().unwrap()];
    let config = CorsConfig { cable_origins: listed, ..config(false, true) };
    for (origin, status) in [
        (Some("https://a.shop.example"), 200),
        (Some("https://chat.example"), 200),
        (None, 200),
        (Some("https://any.example"), 403),
        (Some("null"), 403),
    ] {
        let recorded = Recorded::start();
        let headers: Vec<_> = origin.map(|origin| ("origin", origin)).into_iter().collect();
        let response = ask(config.clone(), "GET", "/cable", &headers).await;
        assert_eq!(response.status().as_u16(), status, "{origin:?}");
        assert_eq!(recorded.count("cors.denied", &[]), u64::from(status == 403), "{origin:?}");
    }
}

/// Counts what is looked up.
#[derive(Clone, Default)]
struct Asked(Arc<AtomicUsize>);

impl OriginLookup for Asked {
    fn known(&self, website: &str, _: &str) -> Option<bool> {
        (website == "known").then_some(true)
    }

    fn allows(&self, _: String, _: String) -> BoxFuture<'static, bool> {
        let asked = Arc::clone(&self.0);
        Box::pin(async move {
            asked.fetch_add(1, Ordering::Relaxed);
            false
        })
    }
}

#[tokio::test]
async fn looking_up_is_limited_and_only_for_what_may_be_a_token() {
    let Asked(asked) = Asked::default();
    let lookup: Arc<dyn OriginLookup> = Arc::new(Asked(Arc::clone(&asked)));
    let config = CorsConfig { lookup: Some(lookup), ..config(false, false) };
    let app = Router::new().fallback(|| async { "answer" }).layer(layer(config, limiter()));
    let call = async |method: &str, token: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/widget/messages?website_token={token}"))
            .header("origin", "https://any.example")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let ip = "203.0.113.5".parse().unwrap();
        let (peer_trusted, forwarded, https) = (false, false, true);
        let client = ClientIp { ip, peer: Some(ip), peer_trusted, forwarded, https, host: None };
        request.extensions_mut().insert(client);
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    for token in ["x".repeat(65), "x".repeat(60_000), "a%2Fb".to_owned(), String::new()] {
        assert_eq!(call("OPTIONS", &token).await, 403);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    for n in 0..298 {
        assert_eq!(call("OPTIONS", &format!("a{n}")).await, 403);
        assert_eq!(call("GET", &format!("b{n}")).await, 200);
    }
    for method in ["OPTIONS", "GET"] {
        assert_eq!(call(method, "late").await, 429);
    }
    // A request of which the answer is known is no preflight.
    assert_eq!(call("GET", "known").await, 200);
    assert_eq!(asked.load(Ordering::Relaxed), 596);
}
