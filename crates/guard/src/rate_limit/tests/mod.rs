mod shared_store;

use super::rules::RULES;
use super::*;
use crate::ambient::fixed;
use crate::testing::{Recorded, body_text};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tower::ServiceExt;

fn client(ip: &str) -> ClientIp {
    let ip: IpAddr = ip.parse().unwrap();
    ClientIp { ip, peer: Some(ip), peer_trusted: false, forwarded: false, https: true, host: None }
}

fn config(profile: Profile) -> RateLimitConfig {
    RateLimitConfig { profile, ..RateLimitConfig::default() }
}

fn quotas(overrides: &[(&'static str, &str)]) -> RateLimitConfig {
    let overrides = overrides.iter().map(|(class, list)| (*class, Quota::list(list).unwrap()));
    RateLimitConfig { overrides: overrides.collect(), ..RateLimitConfig::default() }
}

fn app(limiter: &RateLimiter) -> Router {
    Router::new().fallback(|| async { "answer" }).layer(layer(limiter.clone()))
}

async fn ask(app: &Router, method: &str, target: &str, client: ClientIp) -> Response {
    let mut request = Request::builder().method(method).uri(target).body(Body::empty()).unwrap();
    request.extensions_mut().insert(client);
    app.clone().oneshot(request).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// How many of the same request go through before the first refusal, at most `most`.
async fn admitted(app: &Router, method: &str, target: &str, most: usize) -> usize {
    for count in 0..most {
        if ask(app, method, target, client("203.0.113.5")).await.status() != 200 {
            return count;
        }
    }
    most
}

#[tokio::test]
async fn the_upstreams_limits_by_address() {
    for (method, target, expected) in [
        ("GET", "/anything", 3000),
        ("GET", "/api/v1/profile", 3000),
        ("POST", "/webhooks/telegram/1", 3000),
        ("POST", "/api/v1/profile/resend_confirmation", 5),
        ("POST", "/api/v1/profile/resend_confirmation.json/", 5),
        ("POST", "/resend_confirmation", 5),
        ("POST", "/api/v1/accounts", 5),
        ("POST", "/api//v1/accounts.json//", 5),
        ("POST", "/api/v2/accounts", 3000),
        ("GET", "/api/v1/accounts/1", 3000),
        ("POST", "/api/v1/widget/conversations?website_token=a", 6),
        ("PATCH", "/api/v1/widget/contact", 3000),
        ("PATCH", "/api/v1/widget/contacts", 60),
        ("PUT", "/api/v1/widget/contacts", 60),
        ("GET", "/widget?website_token=a", 5),
        ("HEAD", "/widget?website_token=a", 5),
        ("GET", "/widget?website_token=a&cw_conversation=jwt", 3000),
        ("POST", "/api/v1/widget/conversations/transcript", 5),
        ("GET", "/health", 3001),
        ("GET", "/livez", 3001),
        ("GET", "/readyz/", 3001),
        ("GET", "/packs/js/sdk.js", 3001),
    ] {
        let limiter = RateLimiter::local(config(Profile::Chatwoot), fixed::ambient().0);
        assert_eq!(
            admitted(&app(&limiter), method, target, 3001).await,
            expected,
            "{method} {target}"
        );
    }
}

#[tokio::test]
async fn the_default_limits_by_address() {
    for (profile, method, target, expected) in [
        (Profile::Balanced, "GET", "/hc/x", 900),
        (Profile::Balanced, "GET", "/api/v1/profile", 1200),
        (Profile::Balanced, "GET", "/public/api/v1/x", 1200),
        (Profile::Balanced, "GET", "/cable", 60),
        (Profile::Balanced, "HEAD", "/cable", 60),
        (Profile::Balanced, "POST", "/api/v1/widget/messages", 300),
        (Profile::Balanced, "POST", "/api/v1/widget/messages?website_token=a&website_token=b", 300),
        (Profile::Balanced, "POST", "/csp-reports", 60),
        (Profile::Balanced, "POST", "/webhooks/telegram/1", 1300),
        (Profile::Balanced, "POST", "/api/v1/accounts", 5),
        (Profile::Balanced, "POST", "/api/v2/accounts", 5),
        (Profile::Strict, "POST", "/api//v2/accounts.json/", 5),
        (Profile::Strict, "GET", "/hc/x", 100),
        (Profile::Strict, "GET", "/api/v1/profile", 200),
    ] {
        let limiter = RateLimiter::local(config(profile), fixed::ambient().0);
        assert_eq!(
            admitted(&app(&limiter), method, target, 1300).await,
            expected,
            "{profile:?} {target}"
        );
    }
}

#[tokio::test]
async fn each_client_has_a_bucket_of_its_own() {
    let limiter = RateLimiter::local(quotas(&[("general", "1/min")]), fixed::ambient().0);
    let app = app(&limiter);
    for (ip, expected) in [
        ("203.0.113.5", 200),
        ("203.0.113.5", 429),
        ("203.0.113.6", 200),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
        ("2001:db8:0:1::1", 200),
    ] {
        assert_eq!(ask(&app, "GET", "/hc", client(ip)).await.status(), expected, "{ip}");
    }
}

#[tokio::test]
async fn a_refusal_says_what_the_upstream_says_and_when_to_return() {
    let limiter = RateLimiter::local(quotas(&[("general", "2/min,60/h")]), fixed::ambient().0);
    let app = app(&limiter);
    let recorded = Recorded::start();
    let response = ask(&app, "GET", "/hc", client("203.0.113.5")).await;
    assert_eq!(
        header(&response, "ratelimit-policy"),
        Some("\"general\";q=2;w=60, \"general-3600\";q=60;w=3600")
    );
    assert_eq!(
        header(&response, "ratelimit"),
        Some("\"general\";r=1;t=60, \"general-3600\";r=59;t=60")
    );
    assert_eq!(header(&response, "retry-after"), None);
    assert_eq!(header(&response, "x-ratelimit-limit"), None);
    assert_eq!(
        recorded.count("ratelimit.decisions", &[("class", "general"), ("decision", "allow")]),
        1
    );
    ask(&app, "GET", "/hc", client("203.0.113.5")).await;

    let recorded = Recorded::start();
    let response = ask(&app, "GET", "/hc", client("203.0.113.5")).await;
    assert_eq!(response.status(), 429);
    let wait: u64 = header(&response, "retry-after").unwrap().parse().unwrap();
    assert!((60..=66).contains(&wait), "{wait}");
    assert!(header(&response, "ratelimit").unwrap().starts_with("\"general\";r=0;t=60"));
    assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(body_text(response).await, "Retry later\n");
    assert_eq!(
        recorded.count("ratelimit.decisions", &[("class", "general"), ("decision", "deny")]),
        1
    );

    let mut request = Request::get("/hc")
        .header("accept", "application/problem+json")
        .body(Body::empty())
        .unwrap();
    request.extensions_mut().insert(client("203.0.113.5"));
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
    let body: serde_json::Value = serde_json::from_str(&body_text(response).await).unwrap();
    assert_eq!(body["violated-policies"], serde_json::json!(["general"]));
}

#[tokio::test]
async fn headers_follow_the_settings_and_spare_redirects() {
    let config = RateLimitConfig { legacy_headers: true, ..quotas(&[("general", "2/min")]) };
    let limiter = RateLimiter::local(config.clone(), fixed::ambient().0);
    let response = ask(&app(&limiter), "GET", "/hc", client("203.0.113.5")).await;
    assert_eq!(header(&response, "x-ratelimit-remaining"), Some("1"));

    let silent = RateLimitConfig { headers: false, ..config.clone() };
    let response = ask(
        &app(&RateLimiter::local(silent, fixed::ambient().0)),
        "GET",
        "/hc",
        client("203.0.113.5"),
    )
    .await;
    assert_eq!(header(&response, "ratelimit"), None);

    let away = Router::new()
        .fallback(|| async { axum::response::Redirect::to("/") })
        .layer(layer(RateLimiter::local(config, fixed::ambient().0)));
    assert_eq!(header(&ask(&away, "GET", "/hc", client("203.0.113.5")).await, "ratelimit"), None);
}

#[tokio::test]
async fn the_handlers_check_is_part_of_the_headers() {
    let limiter = RateLimiter::local(
        quotas(&[("general", "100/min"), ("contact-search", "3/min")]),
        fixed::ambient().0,
    );
    let inner = limiter.clone();
    let app = Router::new()
        .fallback(move || async move {
            let subject = Subject { account: Some(1), ..Subject::default() };
            axum::Extension(inner.check("contact-search", &subject).await)
        })
        .layer(layer(limiter));
    let response = ask(&app, "GET", "/hc", client("203.0.113.5")).await;
    assert_eq!(
        header(&response, "ratelimit"),
        Some("\"contact-search\";r=2;t=60, \"general\";r=99;t=1")
    );
}

#[tokio::test]
async fn exemptions_are_counted() {
    let allowed = RateLimitConfig {
        allow: vec!["198.51.100.0/24".parse().unwrap()],
        ..quotas(&[("general", "1/h")])
    };
    let strict = RateLimitConfig { allow_loopback: false, ..allowed.clone() };
    let off = RateLimitConfig { enabled: false, ..allowed.clone() };
    let proxied = ClientIp { forwarded: true, ..client("127.0.0.1") };
    for (name, config, client, expected, exempt) in [
        ("stranger", &allowed, client("203.0.113.5"), 429, 0),
        ("allow list", &allowed, client("198.51.100.9"), 200, 2),
        ("loopback", &allowed, client("127.0.0.1"), 200, 2),
        ("loopback, IPv6", &allowed, client("::1"), 200, 2),
        ("behind a local proxy", &allowed, proxied, 429, 0),
        ("loopback limited", &strict, client("127.0.0.1"), 429, 0),
        ("switched off", &off, client("203.0.113.5"), 200, 0),
    ] {
        let app = app(&RateLimiter::local(config.clone(), fixed::ambient().0));
        let recorded = Recorded::start();
        ask(&app, "GET", "/hc", client.clone()).await;
        let response = ask(&app, "GET", "/hc", client).await;
        assert_eq!(response.status(), expected, "{name}");
        assert_eq!(
            recorded.count("ratelimit.decisions", &[("decision", "exempt")]),
            exempt,
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_widgets_limits_can_be_off() {
    let config = RateLimitConfig { widget: false, ..config(Profile::Chatwoot) };
    let app = app(&RateLimiter::local(config, fixed::ambient().0));
    assert_eq!(admitted(&app, "GET", "/widget?website_token=a", 10).await, 10);
    assert_eq!(admitted(&app, "POST", "/api/v1/accounts", 10).await, 5);
}

#[tokio::test]
async fn providers_are_asked_to_deliver_again() {
    let app = app(&RateLimiter::local(quotas(&[("webhook-in", "1/min")]), fixed::ambient().0));
    for (path, expected) in [
        ("/webhooks/telegram/1", 200),
        ("/webhooks/telegram/1", 503),
        ("/webhooks/telegram/2", 200),
    ] {
        let response = ask(&app, "POST", path, client("203.0.113.5")).await;
        assert_eq!(response.status(), expected, "{path}");
        assert_eq!(header(&response, "retry-after").is_some(), expected == 503);
    }
}

/// Checks `most` times; how often it was allowed.
async fn checked(
    limiter: &RateLimiter,
    method: Method,
    path: &str,
    subject: &Subject<'_>,
    most: usize,
) -> usize {
    for count in 0..most {
        if !limiter.check_request(&method, path, None, subject).await.is_allowed() {
            return count;
        }
    }
    most
}

#[tokio::test]
async fn the_handlers_limits() {
    let stranger = client("203.0.113.5");
    let agent =
        Subject { client: Some(&stranger), account: Some(1), user: Some(2), ..Subject::default() };
    let email = Subject {
        client: Some(&stranger),
        email: Some("Agent@Example.com "),
        ..Subject::default()
    };
    let second = Subject { mfa_token: Some("jwt"), ..email };
    for (method, path, subject, expected) in [
        (Method::POST, "/auth/sign_in", email, 5),
        (Method::POST, "/auth/sign_in", second, 10),
        (Method::POST, "/super_admin/sign_in", email, 5),
        (Method::DELETE, "/api/v1/profile/mfa", agent, 5),
        (Method::POST, "/api/v1/profile/mfa/verify", agent, 5),
        (Method::POST, "/api/v1/profile/mfa/backup_codes", agent, 5),
        (Method::GET, "/api/v1/profile/mfa", agent, 2000),
        (Method::POST, "/auth/password", email, 5),
        (Method::PUT, "/auth/password", email, 2000),
        (Method::POST, "/resend_confirmation", email, 5),
        (Method::POST, "/api/v1/accounts/1/conversations/3/transcript", agent, 1000),
        (Method::DELETE, "/api/v1/accounts/1/conversations/3", agent, 60),
        (Method::GET, "/api/v1/accounts/1/conversations/3", agent, 2000),
        (Method::GET, "/api/v1/accounts/1/conversations/meta", agent, 30),
        (Method::POST, "/api/v1/accounts/1/agents", agent, 100),
        (Method::POST, "/api/v1/accounts/1/agents/bulk_create", agent, 100),
        (Method::DELETE, "/api/v1/accounts/1/agents/9", agent, 50),
        (Method::GET, "/api/v2/accounts/1/reports/drilldown", agent, 10),
        (Method::GET, "/api/v2/accounts/1/reports/summary.json", agent, 100),
        (Method::POST, "/api/v1/accounts/1/upload", agent, 60),
        (Method::GET, "/api/v1/accounts/1/contacts/search/", agent, 100),
    ] {
        let limiter = RateLimiter::local(config(Profile::Chatwoot), fixed::ambient().0);
        assert_eq!(
            checked(&limiter, method.clone(), path, &subject, 2000).await,
            expected,
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn an_identity_is_the_same_however_it_is_written_and_wherever_from() {
    let limiter =
        RateLimiter::local(quotas(&[("password-reset-identity", "2/h")]), fixed::ambient().0);
    for (ip, email, expected) in [
        ("203.0.113.1", "agent@example.com", true),
        ("203.0.113.2", " Agent@EXAMPLE.com", true),
        ("203.0.113.3", "agent@example.com", false),
        ("203.0.113.3", "other@example.com", true),
    ] {
        let client = client(ip);
        let subject = Subject { client: Some(&client), email: Some(email), ..Subject::default() };
        let decision = limiter.check_request(&Method::POST, "/auth/password", None, &subject).await;
        assert_eq!(decision.is_allowed(), expected, "{ip} {email}");
    }
}

#[tokio::test]
async fn accounts_and_users_do_not_share() {
    let limiter = RateLimiter::local(
        quotas(&[("reports-user", "1/min"), ("reports-account", "2/min")]),
        fixed::ambient().0,
    );
    for (account, user, violated) in [
        (1, 1, None),
        (1, 1, Some("reports-user")),
        (2, 1, None),
        (1, 2, None),
        (1, 3, Some("reports-account")),
    ] {
        let subject = Subject { account: Some(account), user: Some(user), ..Subject::default() };
        let decision =
            limiter.check_request(&Method::GET, "/api/v2/accounts/1/reports", None, &subject).await;
        assert_eq!(decision.violated().next(), violated, "{account} {user}");
    }
}

#[tokio::test]
async fn a_refused_request_takes_nothing_but_an_attempt_always_counts() {
    let (ambient, clock) = fixed::ambient();
    let limiter = RateLimiter::local(
        quotas(&[
            ("signup", "2/min,3/h"),
            ("admin-login-ip", "2/min"),
            ("admin-login-identity", "9/min"),
        ]),
        ambient,
    );
    let stranger = client("203.0.113.5");
    let subject =
        Subject { client: Some(&stranger), email: Some("a@b.example"), ..Subject::default() };
    // The refused ones leave the hour's bucket alone: one is left after the minute.
    for (expected, after) in [(true, 0), (true, 0), (false, 30), (false, 31), (true, 0), (false, 0)]
    {
        assert_eq!(limiter.check("signup", &subject).await.is_allowed(), expected);
        clock.advance(Duration::from_secs(after));
    }
    // Who keeps guessing stays out.
    let login =
        async || limiter.check_request(&Method::POST, "/super_admin/sign_in", None, &subject).await;
    for (expected, after) in
        [(true, 0), (true, 0), (false, 20), (false, 20), (false, 20), (false, 61), (true, 0)]
    {
        assert_eq!(login().await.is_allowed(), expected);
        clock.advance(Duration::from_secs(after));
    }
}

#[tokio::test]
async fn attempts_are_not_forgotten_for_whatever_else_is_asked() {
    let config = RateLimitConfig { capacity: 320, ..quotas(&[("admin-login-identity", "2/min")]) };
    let limiter = RateLimiter::local(config, fixed::ambient().0);
    let stranger = client("203.0.113.5");
    let guess = Subject { email: Some("a@b.example"), ..Subject::default() };
    assert_eq!(checked(&limiter, Method::POST, "/super_admin/sign_in", &guess, 9).await, 2);
    for number in 0..1_000 {
        let website = number.to_string();
        let visitor =
            Subject { client: Some(&stranger), website: Some(&website), ..Subject::default() };
        assert!(limiter.check("widget-page-inbox", &visitor).await.is_allowed());
    }
    assert_eq!(checked(&limiter, Method::POST, "/super_admin/sign_in", &guess, 9).await, 0);
}

#[tokio::test]
async fn a_success_gives_back_and_so_does_a_later_refusal() {
    let limiter = RateLimiter::local(
        quotas(&[
            ("auth-ip", "1/h"),
            ("auth-identity", "1/h"),
            ("reports-account", "1/h"),
            ("reports-user", "2/h"),
        ]),
        fixed::ambient().0,
    );
    let stranger = client("203.0.113.5");
    let guest =
        Subject { client: Some(&stranger), email: Some("a@b.example"), ..Subject::default() };
    for _ in 0..5 {
        let decision = limiter.check_request(&Method::POST, "/auth/sign_in", None, &guest).await;
        assert!(decision.is_allowed());
        limiter.refund(&decision).await;
    }
    let agent = Subject { account: Some(1), user: Some(2), ..Subject::default() };
    assert_eq!(checked(&limiter, Method::GET, "/api/v2/accounts/1/reports", &agent, 5).await, 1);
    assert_eq!(checked(&limiter, Method::GET, "/api/v2/accounts/1/reports", &agent, 5).await, 0);
    for expected in [true, false] {
        let user = limiter.check("reports-user", &agent).await;
        assert_eq!(user.is_allowed(), expected, "the user got back what the account refused");
    }
}

#[tokio::test]
async fn bytes_are_counted_by_size() {
    let limiter = RateLimiter::local(quotas(&[("upload-bytes", "1000/h")]), fixed::ambient().0);
    for (bytes, expected) in
        [(Some(600), true), (Some(600), false), (Some(400), true), (Some(1), false), (None, true)]
    {
        let subject = Subject { account: Some(1), bytes, ..Subject::default() };
        assert_eq!(
            limiter.check("upload-bytes", &subject).await.is_allowed(),
            expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn the_environment_is_read() {
    let read = |pairs: &[(&str, &str)]| {
        let mut config = RateLimitConfig::default();
        let lookup = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        config.apply_env(lookup).map(|()| config)
    };
    let config = read(&[
        ("ENABLE_RACK_ATTACK", "false"),
        ("ENABLE_RACK_ATTACK_WIDGET_API", "0"),
        ("RATE_LIMIT_PROFILE", "strict"),
        ("RACK_ATTACK_ALLOWED_IPS", "10.0.0.1, 2001:db8::/32"),
        ("RACK_ATTACK_LIMIT", "42"),
        ("RATE_LIMIT_REPORTS_API_USER_LEVEL", "500"),
        ("RATELIMIT_AUTH_IP", "3/min,9/h"),
        ("RATELIMIT_WS_CONNECT", "off"),
        ("RATE_LIMIT_REDIS_TIMEOUT_MS", "25"),
        ("RATE_LIMIT_CONTACT_SEARCH", " "),
    ])
    .unwrap();
    assert!(!config.enabled && !config.widget);
    assert_eq!(
        (config.profile, config.allow.len(), config.timeout),
        (Profile::Strict, 2, Duration::from_millis(25))
    );
    let expected = BTreeMap::from([
        ("general", vec![Quota::new(42, 60)]),
        ("api-ip", vec![]),
        ("reports-user", vec![Quota::new(500, 60)]),
        ("reports-drilldown", vec![Quota::new(50, 60)]),
        ("auth-ip", vec![Quota::new(3, 60), Quota::new(9, 3600)]),
        ("ws-connect", vec![]),
    ]);
    assert_eq!(config.overrides, expected);

    for (name, value) in [
        ("ENABLE_RACK_ATTACK", "maybe"),
        ("RATE_LIMIT_PROFILE", "loose"),
        ("RACK_ATTACK_ALLOWED_IPS", "office"),
        ("RACK_ATTACK_LIMIT", "0"),
        ("RACK_ATTACK_LIMIT", "many"),
        ("RATELIMIT_GENERAL", "5"),
    ] {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn the_upstreams_one_number_is_for_all_requests() {
    let mut config = RateLimitConfig::default();
    config.apply_env(|name| (name == "RACK_ATTACK_LIMIT").then(|| "7".to_owned())).unwrap();
    let app = app(&RateLimiter::local(config, fixed::ambient().0));
    let mut admitted = 0;
    for path in
        ["/api/v1/profile", "/hc", "/webhooks/x", "/auth/validate_token"].iter().cycle().take(20)
    {
        admitted +=
            usize::from(ask(&app, "GET", path, client("203.0.113.5")).await.status() == 200);
    }
    assert_eq!(admitted, 7);
}

#[test]
fn classes_are_named_once() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.class).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}
