use super::*;
use crate::ambient::fixed;
use crate::client_ip::ClientIp;
use crate::filter::{Admission, Filter, FilterLayer};
use crate::rate_limit::{Quota, RateLimitConfig};
use crate::request_id::RequestId;
use crate::testing::body_text;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tower::ServiceExt;

/// The status of every response, with the id and address known when its request came.
type Lines = Arc<Mutex<Vec<(u16, bool)>>>;

/// A request line as the api writes it.
#[derive(Clone)]
struct Noted(Lines);

impl Filter for Noted {
    type Ticket = bool;

    fn admit(&self, request: &mut Request) -> Admission<bool> {
        let extensions = request.extensions();
        Admission::Pass(
            extensions.get::<RequestId>().is_some() && extensions.get::<ClientIp>().is_some(),
        )
    }

    fn seal(&self, known: bool, response: &mut Response) {
        self.0.lock().push((response.status().as_u16(), known));
    }
}

fn app(lines: &Lines) -> Router {
    let ambient = fixed::ambient().0;
    let mut config = EdgeConfig::default();
    config.client_ip.trusted_proxies = "private".parse().unwrap();
    config.cors.enable_api_cors = true;
    config.limits.body = 4 << 20;
    let limits = RateLimitConfig {
        overrides: [("signup", vec!["1/h".parse::<Quota>().unwrap()])].into(),
        ..RateLimitConfig::default()
    };
    let router = Router::new()
        .route("/api/v1/ip", get(|client: ClientIp| async move { client.ip.to_string() }))
        .route(
            "/api/v1/panic",
            get(|| async {
                if true {
                    panic!("boom")
                }
            }),
        )
        .route("/api/v1/accounts", post(|body: bytes::Bytes| async move { body.len().to_string() }))
        .route("/api/v1/text", post(|body: String| async move { body.len().to_string() }))
        .route("/bad/{*rest}", get(|| async { "reached" }));
    Edge::new(config, RateLimiter::local(limits, ambient.clone()), ambient)
        .wrap_with(router, FilterLayer(Noted(Arc::clone(lines))))
}

async fn ask(app: &Router, method: &str, path: &str, size: usize) -> Response {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("origin", "https://any.example")
        .header("x-forwarded-for", "203.0.113.5")
        .body(Body::from(vec![b'x'; size]))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo("10.0.0.1:9".parse::<SocketAddr>().unwrap()));
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn whoever_answers_the_outer_layers_see_it() {
    let lines = Lines::default();
    let app = app(&lines);
    for (method, path, size, expected) in [
        ("GET", "/api/v1/ip", 0, 200),
        ("GET", "/api/v1/panic", 0, 500),
        ("GET", "/api/v1/nowhere", 0, 404),
        ("PUT", "/api/v1/ip", 0, 405),
        ("POST", "/api/v1/accounts", 3 << 20, 200),
        ("POST", "/api/v1/accounts", 0, 429),
        ("POST", "/api/v1/text", 5 << 20, 413),
        ("GET", "/api/v1/%00", 0, 400),
    ] {
        lines.lock().clear();
        let response = ask(&app, method, path, size).await;
        assert_eq!(response.status().as_u16(), expected, "{method} {path}");
        assert_eq!(*lines.lock(), [(expected, true)], "{method} {path}: the request line");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("access-control-allow-origin", "*"),
        ] {
            assert_eq!(response.headers().get(name).unwrap(), value, "{method} {path}: {name}");
        }
        assert!(response.headers().contains_key("x-request-id"), "{method} {path}");
    }
}

#[tokio::test]
async fn the_router_sees_the_derived_client() {
    let response = ask(&app(&Lines::default()), "GET", "/api/v1/ip", 0).await;
    assert_eq!(body_text(response).await, "203.0.113.5");
}

#[tokio::test]
async fn a_preflight_is_answered_before_the_limits() {
    let app = app(&Lines::default());
    for _ in 0..3 {
        let mut request = Request::options("/api/v1/accounts")
            .header("origin", "https://any.example")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo("203.0.113.5:9".parse::<SocketAddr>().unwrap()));
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), 204);
        assert!(!response.headers().contains_key("ratelimit"));
    }
}

#[tokio::test]
async fn the_edge_works_without_a_request_line() {
    let ambient = fixed::ambient().0;
    let limiter = RateLimiter::local(RateLimitConfig::default(), ambient.clone());
    let router: Router = Router::new().route("/", get(|| async { "here" }));
    let app = Edge::new(EdgeConfig::default(), limiter, ambient).wrap(router);
    assert_eq!(ask(&app, "GET", "/", 0).await.status(), 200);
}
