//! What browsers report of pages that broke their Content Security Policy (operations.md §4.3). Anybody can send
//! anything here: what is told is bounded, and nothing is kept but a count and a line of the log.

use axum::body::to_bytes;
use axum::extract::Request;
use axum::response::IntoResponse as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use url::Url;

use crate::actors::Anyone;
use crate::error::{Answer, ApiError};
use crate::routes::Routes;

/// The largest body, in bytes.
const AT_MOST: usize = 8 << 10;
/// So many violations of one body are told.
const TOLD: usize = 16;
/// So long a text is told at most, in characters.
const LONG: usize = 200;

/// What a violation can be of; others are counted together, so that nobody makes series up.
const DIRECTIVES: [&str; 18] = [
    "base-uri",
    "child-src",
    "connect-src",
    "default-src",
    "font-src",
    "form-action",
    "frame-ancestors",
    "frame-src",
    "img-src",
    "manifest-src",
    "media-src",
    "object-src",
    "script-src",
    "script-src-attr",
    "script-src-elem",
    "style-src",
    "style-src-attr",
    "style-src-elem",
];

pub(crate) fn routes() -> Routes {
    Routes::new("").post("/csp-reports", receive)
}

/// A violation, as far as it is told.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    directive: &'static str,
    blocked: String,
    document: String,
}

async fn receive(_: Anyone, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let listed = match kind.to_ascii_lowercase().as_str() {
        "application/reports+json" => true,
        "application/csp-report" => false,
        _ => {
            let text = "Reports are application/reports+json or application/csp-report";
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
    };
    let bytes = to_bytes(body, AT_MOST)
        .await
        .map_err(|_| ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "A report has at most 8 KiB"))?;
    let report: Value = serde_json::from_slice(&bytes)
        .map_err(|_| ApiError::bad_request("The report is no JSON".to_owned()))?;
    let violations = if listed { of_list(&report) } else { of_old_form(&report) };
    let Some(violations) = violations else {
        return Err(ApiError::bad_request("It is not in the form of a report".to_owned()));
    };
    for violation in violations.iter().take(TOLD) {
        let Violation { directive, blocked, document } = violation;
        metrics::counter!("csp.reports", "directive" => *directive).increment(1);
        tracing::info!(
            event.name = "malicious_csp_violation",
            directive,
            blocked,
            document,
            "a browser reports that a page broke its policy",
        );
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The violations in a list of reports, which may be of other things too.
fn of_list(reports: &Value) -> Option<Vec<Violation>> {
    let bodies = reports
        .as_array()?
        .iter()
        .filter(|report| report.get("type").is_some_and(|it| it == "csp-violation"))
        .filter_map(|report| report.get("body"));
    let names = ["effectiveDirective", "blockedURL", "documentURL"];
    Some(bodies.map(|body| violation(body, names)).collect())
}

/// The one violation of the form that came before.
fn of_old_form(report: &Value) -> Option<Vec<Violation>> {
    let body = report.get("csp-report").filter(|body| body.is_object())?;
    let effective = body.get("effective-directive").is_some();
    let directive = if effective { "effective-directive" } else { "violated-directive" };
    Some(vec![violation(body, [directive, "blocked-uri", "document-uri"])])
}

fn violation(body: &Value, [directive, blocked, document]: [&str; 3]) -> Violation {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    // Older browsers tell the directive with its sources.
    let directive = text(directive).split_whitespace().next().unwrap_or_default();
    Violation {
        directive: DIRECTIVES.iter().find(|known| **known == directive).copied().unwrap_or("other"),
        blocked: bare(text(blocked)),
        document: bare(text(document)),
    }
}

/// Where something is, without what may be somebody's: query, fragment, user and password. What is no address
/// is a word: `inline`, `eval`, `data`.
fn bare(text: &str) -> String {
    let told = match Url::parse(text) {
        Ok(url) if url.has_host() => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let host = url.host_str().unwrap_or_default();
            format!("{}://{host}{port}{}", url.scheme(), url.path())
        }
        // `data:…` and the like have no place but their content.
        Ok(url) => url.scheme().to_owned(),
        Err(_) if text.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') => text.to_owned(),
        Err(_) => String::new(),
    };
    told.chars().take(LONG).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_tell_the_same() {
        let expected = || Violation {
            directive: "script-src",
            blocked: "https://evil.example/x.js".to_owned(),
            document: "https://desk.example/app".to_owned(),
        };
        let list = json!([
            {"type": "deprecation", "body": {}},
            {"type": "csp-violation", "body": {
                "effectiveDirective": "script-src",
                "blockedURL": "https://me:secret@evil.example/x.js?token=secret#here",
                "documentURL": "https://desk.example/app?email=secret",
            }},
        ]);
        assert_eq!(of_list(&list), Some(vec![expected()]));
        let old = json!({"csp-report": {
            "violated-directive": "script-src 'self'",
            "blocked-uri": "https://evil.example/x.js", "document-uri": "https://desk.example/app",
        }});
        assert_eq!(of_old_form(&old), Some(vec![expected()]));
    }

    #[test]
    fn nobody_writes_what_they_like() {
        for (text, told) in [
            ("inline", "inline"),
            ("data:text/html,secret", "data"),
            ("blob", "blob"),
            ("somebody's secret", ""),
            ("", ""),
        ] {
            assert_eq!(bare(text), told, "{text:?}");
        }
        assert_eq!(bare(&format!("https://a.example/{}", "x".repeat(1000))).len(), LONG);
        let made_up = json!({"csp-report": {"effective-directive": "made-up", "blocked-uri": 7}});
        let found = of_old_form(&made_up).unwrap();
        assert_eq!(found.first().map(|found| found.directive), Some("other"));
        for report in [json!({}), json!([]), json!({"csp-report": "x"}), json!(null)] {
            assert_eq!(of_old_form(&report), None, "{report}");
        }
    }
}
