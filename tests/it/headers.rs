//! What browsers report of pages that broke their policy (operations.md §4.3).

use bytes::Bytes;
use chatwarden_testkit::{Actor, App, Reply};
use http::Method;
use serde_json::json;

const OLD: &str = "application/csp-report";
const LIST: &str = "application/reports+json";

async fn report(browser: &Actor, kind: &str, body: impl ToString) -> Reply {
    let body = Bytes::from(body.to_string());
    browser.send_raw(Method::POST, "/csp-reports", kind, body).await
}

/// How many violations of a directive were counted.
async fn counted(app: &App, directive: &str) -> f64 {
    let path = format!("/actuator/metrics/csp.reports?tag=directive:{directive}");
    app.operator().get(&path).await.json()["measurements"][0]["value"].as_f64().unwrap_or_default()
}

#[tokio::test]
async fn browsers_report_what_pages_broke() {
    let app = App::empty().await;
    let browser = app.anyone();
    let old = json!({"csp-report": {
        "violated-directive": "object-src 'none'", "blocked-uri": "https://evil.example/x?token=1",
    }});
    let body = json!({"effectiveDirective": "manifest-src", "blockedURL": "inline"});
    let violation = json!({"type": "csp-violation", "body": body});
    let list = json!([violation, {"type": "deprecation"}, violation]);
    for (kind, body, directive, more) in
        [(OLD, &old, "object-src", 1.0), (LIST, &list, "manifest-src", 2.0)]
    {
        let before = counted(&app, directive).await;
        let reply = report(&browser, kind, body).await;
        reply.status(204);
        assert!(reply.bytes.is_empty(), "{reply:?}");
        assert_eq!(counted(&app, directive).await, before + more, "{directive}");
    }
    browser.get("/csp-reports").await.status(404);
}

#[tokio::test]
async fn what_is_no_report_is_refused() {
    let app = App::empty().await;
    let browser = app.anyone();
    let large = json!({"csp-report": {"violated-directive": "x".repeat(9000)}}).to_string();
    for (kind, body, status) in [
        (OLD, "{".to_owned(), 400),
        (OLD, "[]".to_owned(), 400),
        (OLD, json!({"csp-report": 1}).to_string(), 400),
        (LIST, json!({"csp-report": {}}).to_string(), 400),
        ("application/json", json!({"csp-report": {}}).to_string(), 415),
        (OLD, large, 413),
    ] {
        report(&browser, kind, &body).await.status(status);
    }
}

#[tokio::test]
async fn nobody_floods_us_with_reports() {
    let app = App::empty().await;
    let far = app.anyone().with_header("x-forwarded-for", "203.0.113.9");
    let body = json!({"csp-report": {"violated-directive": "img-src"}});
    for _ in 0..60 {
        report(&far, OLD, &body).await.status(204);
    }
    let refused = report(&far, OLD, &body).await;
    refused.status(429);
    assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
}
