//! A panic of a handler becomes a `500` of the usual shape instead of a torn connection.
//!
//! Fails closed. Counter: `http.server.panics`.

use std::any::Any;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use serde_json::json;
use tower_http::catch_panic::{CatchPanicLayer, ResponseForPanic};

use crate::answer;

/// The layer; the answer is `{"status":500,"error":"Internal Server Error"}` (behaviours.md §4).
#[must_use]
pub fn layer() -> CatchPanicLayer<AnswerPanic> {
    CatchPanicLayer::custom(AnswerPanic)
}

/// Marks the response to a request whose handler panicked, for the request line.
#[derive(Debug, Clone, Copy)]
pub struct Panicked;

/// Counts, logs and answers a panic.
#[derive(Debug, Clone, Copy)]
pub struct AnswerPanic;

impl ResponseForPanic for AnswerPanic {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, payload: Box<dyn Any + Send + 'static>) -> Response {
        metrics::counter!("http.server.panics").increment(1);
        let message = payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a value without text");
        tracing::error!(panic = message, "a handler panicked");
        let mut response = answer::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({"status": 500, "error": "Internal Server Error"}),
        );
        response.extensions_mut().insert(Panicked);
        *response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Recorded, body_text};
    use axum::Router;
    use axum::extract::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_panic_is_answered_and_counted() {
        let app = Router::new()
            .route(
                "/text",
                get(|| async {
                    if true {
                        panic!("boom")
                    }
                }),
            )
            .route(
                "/owned",
                get(|| async {
                    if true {
                        panic!("boom {}", 1)
                    }
                }),
            )
            .route(
                "/value",
                get(|| async {
                    if true {
                        std::panic::panic_any(7_u8)
                    }
                }),
            )
            .layer(layer());
        for path in ["/text", "/owned", "/value"] {
            let recorded = Recorded::start();
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), 500, "{path}");
            assert_eq!(
                body_text(response).await,
                r#"{"error":"Internal Server Error","status":500}"#
            );
            assert_eq!(recorded.count("http.server.panics", &[]), 1, "{path}");
        }
    }
}
