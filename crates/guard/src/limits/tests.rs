use super::*;
use crate::testing::{Recorded, body_text};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, post};
use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use std::convert::Infallible;
use tokio::sync::Notify;
use tower::{ServiceBuilder, ServiceExt};

fn small() -> LimitsConfig {
    LimitsConfig {
        body: 100,
        file: 10 * MIB,
        upload: 20 * MIB,
        header_bytes: 500,
        header_count: 5,
        target_bytes: 50,
        ..LimitsConfig::default()
    }
}

fn app(config: LimitsConfig) -> Router {
    Router::new()
        .fallback(any(|body: Body| async move {
            match body.collect().await {
                Ok(body) => (StatusCode::OK, body.to_bytes().len().to_string()),
                Err(_) => (StatusCode::BAD_REQUEST, "the body is gone".to_owned()),
            }
        }))
        .route("/bytes", post(|body: Bytes| async move { body.len().to_string() }))
        .layer(
            ServiceBuilder::new()
                .layer(layer(config.clone()))
                .layer(time_layer(&config))
                .layer(DefaultBodyLimit::disable()),
        )
}

fn chunks(size: usize, count: usize) -> Body {
    let chunk = Bytes::from(vec![b'x'; size]);
    Body::from_stream(stream::iter((0..count).map(move |_| Ok::<_, Infallible>(chunk.clone()))))
}

#[tokio::test]
async fn bodies_are_limited_by_what_they_carry() {
    const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=x");
    let mib = usize::try_from(MIB).unwrap();
    let message = "/api/v1/accounts/1/conversations/2/messages";
    for (method, path, content_type, size, expected) in [
        ("POST", "/x", None, 100, 200),
        ("POST", "/x", None, 101, 413),
        ("POST", "/bytes", None, 101, 413),
        ("POST", "/x", MULTIPART, 11 * mib, 200),
        ("POST", "/x", Some("Multipart/form-data"), 11 * mib, 200),
        ("POST", "/x", MULTIPART, 11 * mib + 1, 413),
        ("POST", message, MULTIPART, 21 * mib, 200),
        ("POST", message, MULTIPART, 21 * mib + 1, 413),
        ("POST", message, None, 101, 413),
        ("PUT", "/rails/active_storage/disk/abc", None, 11 * mib, 200),
        ("PUT", "/rails/active_storage/disk/abc", None, 11 * mib + 1, 413),
    ] {
        for stated in [true, false] {
            let recorded = Recorded::start();
            let body = if stated { Body::from(vec![b'x'; size]) } else { chunks(size, 1) };
            let mut request = Request::builder().method(method).uri(path);
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            if stated {
                request = request.header("content-length", size.to_string());
            }
            let response = app(small()).oneshot(request.body(body).unwrap()).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{method} {path} {size} {stated}");
            let refused = recorded.count("http.limits.refused", &[("reason", "body")]);
            assert_eq!(refused, u64::from(expected == 413), "{method} {path} {size} {stated}");
            let text = body_text(response).await;
            assert_eq!(
                text,
                if expected == 200 {
                    size.to_string()
                } else {
                    format!("{{\"error\":\"{TOO_LARGE}\"}}")
                }
            );
        }
    }
}

#[tokio::test]
async fn several_small_frames_add_up() {
    for (count, expected) in [(10, 200), (11, 413)] {
        let request = Request::post("/x").body(chunks(10, count)).unwrap();
        assert_eq!(app(small()).oneshot(request).await.unwrap().status(), expected, "{count}");
    }
}

#[tokio::test]
async fn heads_are_limited() {
    let request = || Request::get("/x");
    for (reason, request, expected) in [
        ("target", Request::get(format!("/{}", "x".repeat(50))), 414),
        ("headers", request().header("a", "x".repeat(500)), 431),
        ("headers", (0..6).fold(request(), |it, n| it.header(format!("h{n}"), "x")), 431),
        ("", (0..5).fold(request(), |it, n| it.header(format!("h{n}"), "x")), 200),
    ] {
        let recorded = Recorded::start();
        let response = app(small()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected);
        assert_eq!(
            recorded.count("http.limits.refused", &[("reason", reason)]),
            u64::from(expected != 200)
        );
    }
}

/// Sends a chunk whenever the given time has passed.
fn dripping(size: usize, every: Duration, count: usize) -> Body {
    Body::from_stream(stream::unfold(0, move |sent| async move {
        if sent == count {
            return None;
        }
        tokio::time::sleep(every).await;
        Some((Ok::<_, Infallible>(Bytes::from(vec![b'x'; size])), sent + 1))
    }))
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_given_up_whether_it_stops_or_drips() {
    let config = LimitsConfig { timeout: Duration::from_secs(3600), ..LimitsConfig::default() };
    let seconds = Duration::from_secs;
    for (name, body, expected) in [
        ("steady", dripping(2048, seconds(1), 100), 200),
        ("one pause", dripping(1, seconds(9), 1), 200),
        ("stops", dripping(1, seconds(11), 1), 408),
        ("drips", dripping(1, seconds(1), 20), 408),
        ("drips under the rate", dripping(512, seconds(1), 100), 408),
    ] {
        let recorded = Recorded::start();
        let response =
            app(config.clone()).oneshot(Request::post("/x").body(body).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{name}");
        let refused = recorded.count("http.limits.refused", &[("reason", "slow_body")]);
        assert_eq!(refused, u64::from(expected == 408), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_a_handler_takes_is_not_the_clients() {
    let config = LimitsConfig { timeout: Duration::from_secs(3600), ..LimitsConfig::default() };
    let app = Router::new()
        .fallback(|body: Body| async move {
            let mut body = body;
            while let Some(frame) = body.frame().await {
                frame.map_err(|_| StatusCode::BAD_REQUEST)?;
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            Ok::<_, StatusCode>("read")
        })
        .layer(layer(config));
    let request = Request::post("/x").body(dripping(1, Duration::from_secs(1), 5)).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn an_answer_comes_in_time_or_not_at_all() {
    let app = |takes: u64| {
        let config = LimitsConfig::default();
        Router::new()
            .fallback(move || async move { tokio::time::sleep(Duration::from_secs(takes)).await })
            .layer(time_layer(&config))
    };
    for (content_type, takes, expected) in [
        ("application/json", 29, 200),
        ("application/json", 31, 503),
        ("multipart/form-data", 299, 200),
        ("multipart/form-data", 301, 503),
    ] {
        let recorded = Recorded::start();
        let request =
            Request::post("/x").header("content-type", content_type).body(Body::empty()).unwrap();
        let response = app(takes).oneshot(request).await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{content_type} {takes}");
        assert_eq!(response.headers().contains_key("retry-after"), expected == 503);
        let refused = recorded.count("http.limits.refused", &[("reason", "timeout")]);
        assert_eq!(refused, u64::from(expected == 503));
    }
}

#[tokio::test]
async fn what_is_too_much_is_shed_at_once() {
    let config = LimitsConfig { in_flight: 1, ..LimitsConfig::default() };
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (Arc::clone(&entered), Arc::clone(&leave));
    let app = Router::new()
        .route(
            "/busy",
            any(move || {
                let (entered, leave) = signals.clone();
                async move {
                    entered.notify_one();
                    leave.notified().await;
                }
            }),
        )
        .fallback(|| async { "free" })
        .layer(layer(config));
    let ask = |path: &str| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
    let ((), busy) = tokio::join!(
        async {
            entered.notified().await;
            let recorded = Recorded::start();
            let response = ask("/x").await.unwrap();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["retry-after"], "1");
            assert!(body_text(response).await.contains("#temporary-reduced-capacity"));
            assert_eq!(recorded.count("http.limits.refused", &[("reason", "overload")]), 1);
            for path in ["/health", "/livez", "/readyz", "/actuator/health"] {
                assert_eq!(ask(path).await.unwrap().status(), 200, "{path}");
            }
            leave.notify_one();
        },
        ask("/busy"),
    );
    assert_eq!(busy.unwrap().status(), 200);
    assert_eq!(ask("/x").await.unwrap().status(), 200, "the place is free again");
}
