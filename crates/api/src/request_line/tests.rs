use std::io::Write;
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get, post};
use chatwarden_guard::rate_limit::RateLimitConfig;
use chatwarden_guard::{Ambient, Edge, EdgeConfig, RateLimiter};
use chatwarden_telemetry::clock::SystemClock;
use chatwarden_telemetry::logs::{self, Logs, Options};
use chatwarden_telemetry::meters::{self, Registry};
use futures::stream;
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt as _;
use tracing::subscriber::DefaultGuard;

use super::*;

#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Routes behind the edge, with logs and meters of the test's own.
struct Stage {
    router: Router,
    registry: Registry,
    page: Page,
    logs: Logs,
    _subscriber: DefaultGuard,
}

impl Stage {
    fn new(routes: Router) -> Self {
        let page = Page::default();
        let clock = SystemClock::shared();
        let (subscriber, logs) =
            logs::subscriber(Options::default(), Box::new(page.clone()), clock.clone()).unwrap();
        let registry = Registry::new(meters::Settings::default(), clock);
        let ambient = Ambient::system();
        let limiter = RateLimiter::local(RateLimitConfig::default(), ambient.clone());
        let router = Edge::new(EdgeConfig::default(), limiter, ambient).wrap_with(
            routes.route_layer(route_layer(registry.clone())),
            layer(Settings::default()),
        );
        let _subscriber = tracing::subscriber::set_default(subscriber);
        Self { router, registry, page, logs, _subscriber }
    }

    async fn send(&self, request: http::request::Builder, body: Body) -> Response {
        self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap()
    }

    /// The lines written so far.
    fn lines(&self) -> Vec<Value> {
        assert!(self.logs.flush(std::time::Duration::from_secs(5)));
        let page = self.page.0.lock();
        let lines = std::str::from_utf8(&page).unwrap().lines();
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn line(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

async fn later() -> &'static str {
    std::future::pending().await
}

fn routes() -> Router {
    let endless = || async {
        let first = stream::once(async { Ok::<_, std::io::Error>("first") });
        Body::from_stream(futures::StreamExt::chain(first, stream::pending()))
    };
    let broken = || async {
        Body::from_stream(stream::iter([Ok("ok"), Err(std::io::Error::other("torn"))]))
    };
    Router::new()
        .route("/things/{id}", get(|| async { "four" }))
        .route("/echo", post(|body: bytes::Bytes| async move { body }))
        .route("/endless", get(endless))
        .route("/broken", get(broken))
        .route("/later", get(later))
        .route("/nothing", any(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/quiet",
            get(|axum::Extension(context): axum::Extension<RequestContext>| async move {
                context.account(chatwarden_core::ids::AccountId(7));
                tracing::warn!("inside");
            }),
        )
}

#[tokio::test]
async fn a_line_says_what_was_asked_and_what_was_answered() {
    let stage = Stage::new(routes());
    let request = http::Request::get("/things/7?secret=1")
        .header("user-agent", "test/1")
        .header("x-request-id", "caller-1");
    let response = stage.send(request, Body::empty()).await;
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(stage.lines(), Vec::<Value>::new(), "the body is not out yet");
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "four");
    let line = stage.line();
    for (field, expected) in [
        ("event.name", Value::from("http.server.request")),
        ("severity_text", "INFO".into()),
        ("http.request.method", "GET".into()),
        ("http.route", "/things/{id}".into()),
        ("url.path", "/things/7".into()),
        ("http.response.status_code", 200.into()),
        ("http.response.body.size", 4.into()),
        ("http.request.body.size", 0.into()),
        ("user_agent.original", "test/1".into()),
        ("request.id", id.into()),
        ("correlation.id", "caller-1".into()),
        ("rate.class", "general".into()),
        ("error.type", Value::Null),
    ] {
        assert_eq!(line.get(field).cloned().unwrap_or_default(), expected, "{field} of {line}");
    }
    assert_eq!(line["trace_id"].as_str().unwrap().len(), 32);
}

/// Every way a request can end is one line.
#[tokio::test]
async fn a_line_is_written_however_the_request_ends() {
    let check =
        async |method: Method, path: &str, read: bool, expected: (u16, Option<&str>, u64)| {
            let stage = Stage::new(routes());
            let request = http::Request::builder().method(method.clone()).uri(path);
            let mut response = stage.send(request, Body::empty()).await;
            if read {
                while let Some(Ok(_)) = response.body_mut().frame().await {}
            }
            drop(response);
            let line = stage.line();
            let found = (
                u16::try_from(line["http.response.status_code"].as_u64().unwrap()).unwrap(),
                line.get("error.type").and_then(Value::as_str),
                line["http.response.body.size"].as_u64().unwrap(),
            );
            assert_eq!(found, expected, "{method} {path} {read}");
        };
    check(Method::GET, "/things/1", true, (200, None, 4)).await;
    check(Method::GET, "/things/1", false, (200, Some("client_gone"), 0)).await;
    check(Method::HEAD, "/things/1", false, (200, None, 0)).await;
    check(Method::GET, "/nothing", false, (204, None, 0)).await;
    check(Method::GET, "/endless", false, (200, Some("client_gone"), 0)).await;
    check(Method::GET, "/broken", true, (200, Some("body_failed"), 2)).await;
    check(Method::GET, "/nowhere", true, (404, Some("not_found"), 0)).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_seen() {
    let stage = Stage::new(routes());
    let request = http::Request::get("/later").body(Body::empty()).unwrap();
    let mut pending = Box::pin(stage.router.clone().oneshot(request));
    assert!(futures::poll!(&mut pending).is_pending());
    let active = |tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let view = stage.registry.view("http.server.requests.active", &tags).unwrap();
        view.measurements[0].value
    };
    assert!((active(&["method:GET", "uri:/later"]) - 1.0).abs() < f64::EPSILON);
    drop(pending);
    assert!(active(&["uri:/later"]).abs() < f64::EPSILON);
    let line = stage.line();
    assert_eq!(line["http.response.status_code"], 499);
    assert_eq!(line["error.type"], "client_gone");
    assert_eq!(line["http.route"], "/later");
}

#[tokio::test]
async fn bodies_are_counted_whether_their_length_is_told_or_not() {
    for told in [true, false] {
        let stage = Stage::new(routes());
        let body = if told {
            Body::from("12345")
        } else {
            Body::from_stream(stream::iter(["12", "345"].map(Ok::<_, std::io::Error>)))
        };
        let mut request = http::Request::post("/echo");
        if told {
            request = request.header(CONTENT_LENGTH, 5);
        }
        let response = stage.send(request, body).await;
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "12345");
        let line = stage.line();
        assert_eq!(line["http.request.body.size"], 5, "{told}");
        assert_eq!(line["http.response.body.size"], 5, "{told}");
    }
}

#[tokio::test]
async fn what_is_logged_meanwhile_has_the_request() {
    let stage = Stage::new(routes());
    stage.send(http::Request::get("/quiet"), Body::empty()).await;
    let lines = stage.lines();
    let [inside, line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!(inside["body"], "inside");
    assert_eq!(inside["request.id"], line["request.id"]);
    assert_eq!(inside["trace_id"], line["trace_id"]);
    assert_eq!(inside["tenant.id"], 7);
}

#[tokio::test]
async fn the_meters_agree_with_the_line() {
    let stage = Stage::new(routes());
    let _recorder = metrics::set_default_local_recorder(&stage.registry);
    for path in ["/things/1", "/things/2", "/nowhere"] {
        let response = stage.send(http::Request::get(path), Body::empty()).await;
        response.into_body().collect().await.unwrap();
    }
    let measured = |name: &str, tags: &[&str]| {
        let tags: Vec<_> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
        let view = stage.registry.view(name, &tags).unwrap_or_else(|| panic!("no {name}"));
        (view.measurements[0].value, view.measurements.get(1).map_or(0.0, |it| it.value))
    };
    let exact = |found: f64, expected: f64| (found - expected).abs() < f64::EPSILON;
    let tags = ["method:GET", "uri:/things/{id}", "status:200", "outcome:SUCCESS", "error:none"];
    assert!(exact(measured("http.server.requests", &tags).0, 2.0));
    let tags = ["uri:NOT_FOUND", "status:404", "error:not_found", "exception:none"];
    assert!(exact(measured("http.server.requests", &tags).0, 1.0));
    assert!(exact(measured("chatwoot.api.requests", &[]).0, 3.0));
    assert!(exact(measured("chatwoot.api.errors", &["class:4xx"]).0, 1.0));
    let size = measured("http.server.response.size", &["uri:/things/{id}"]);
    assert!(exact(size.0, 2.0) && exact(size.1, 8.0), "{size:?}");
    assert_eq!(stage.registry.misuses(), Vec::<String>::new());
}

#[test]
fn a_path_that_opens_something_is_not_written_down() {
    for (route, path, shown) in [
        (Some("/things/{id}"), "/things/7", "/things/7"),
        (Some("/setup/{link}"), "/setup/s3cret", "/setup/…"),
        (Some("/disk/{token}/{*filename}"), "//disk/s3cret/a/b.png", "/disk/…/a/b.png"),
        (None, "/nowhere", "/nowhere"),
    ] {
        assert_eq!(shown_path(route, path), shown);
    }
}
