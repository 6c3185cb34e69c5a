//! Rate limits, as the server uses them: who is counted, what the answers say, who shares them.

use chatwarden::nodes;
use chatwarden_testkit::App;
use chatwarden_testkit::services::Redis;
use serde_json::json;

#[tokio::test]
async fn answers_tell_the_limits_of_account_and_token() {
    let (_, admin) = App::start().await;
    let far = admin.with_header("x-forwarded-for", "203.0.113.9");
    let body = json!({"name": "Grace", "email": "grace@example.com", "role": "agent"});
    let reply = far.post("/agents", body).await;
    reply.status(200);
    let policy = reply.header("ratelimit-policy");
    // The two tightest of all: those of the address are among the widest.
    assert!(policy.starts_with("\"agent-create\";q=100;w=86400, "), "{policy}");
    assert!(reply.header("ratelimit").starts_with("\"agent-create\";r=99;"), "{reply:?}");
}

#[tokio::test]
async fn a_visitor_has_a_limit_of_their_own() {
    let (app, admin) = App::start().await;
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    let query = format!("website_token={}", site["website_token"].as_str().expect("a token"));
    let config = app.anyone().post(&format!("/api/v1/widget/config?{query}"), json!({})).await.ok();
    let token =
        config["website_channel_config"]["auth_token"].as_str().expect("a token").to_owned();
    let visitor = app.anyone().with_header("x-auth-token", &token);
    let visitor = visitor.with_header("x-forwarded-for", "203.0.113.9");
    let path = format!("/api/v1/widget/messages?{query}");
    for _ in 0..30 {
        visitor.post(&path, json!({"message": {"content": "Hello"}})).await.ok();
    }
    visitor.post(&path, json!({"message": {"content": "Hello"}})).await.status(429);
    // Reading goes on, and so do others.
    visitor.get(&path).await.ok();
}

/// Signs in from an address; the answer's status.
async fn guess(app: &App, from: &str, email: &str, ticket: Option<&str>) -> u16 {
    let mut body = json!({"email": email, "password": "Wr0ng!word"});
    if let Some(ticket) = ticket {
        body["mfa_token"] = json!(ticket);
    }
    let far = app.anyone().with_header("x-forwarded-for", from);
    far.post("/auth/sign_in", body).await.status.as_u16()
}

#[tokio::test]
async fn a_blank_ticket_is_none_to_the_limits_of_guessing() {
    let (app, admin) = App::start().await;
    let email = admin.email.clone().unwrap();
    let mut expected = vec![401; 10];
    expected.push(429);
    for (from, ticket) in [("203.0.113.1", None), ("203.0.113.2", Some(" "))] {
        let mut answers = Vec::new();
        for n in 0..11 {
            answers.push(guess(&app, from, &format!("{n}{from}@example.com"), ticket).await);
        }
        assert_eq!(answers, expected, "by address, {ticket:?}");
    }
    let mut answers = Vec::new();
    for n in 0..11 {
        let blank = " ".repeat(n);
        answers.push(guess(&app, &format!("198.51.100.{n}"), &email, Some(&blank)).await);
    }
    assert_eq!(answers, expected, "by identity");
}

#[tokio::test]
async fn who_signs_up_is_counted_by_either_route() {
    let (app, _) = App::open_to_all().await;
    let sign_up = async |path: &str, from: &str, email: &str| {
        let body = json!({
            "account_name": "New", "user_full_name": "New", "email": email, "password": "Passw0rd!23",
        });
        let far = app.anyone().with_header("x-forwarded-for", from);
        far.post(path, body).await.status.as_u16()
    };
    for (path, from) in [("/api/v1/accounts", "203.0.113.1"), ("/api/v2/accounts", "203.0.113.2")] {
        for n in 0..5 {
            assert_eq!(
                sign_up(path, from, &format!("{n}@{from}.example.com")).await,
                200,
                "{path}"
            );
        }
        assert_eq!(sign_up(path, from, "late@example.com").await, 429, "{path}");
    }
    let mut answers = Vec::new();
    for (n, version) in [1, 2, 1, 2, 1, 2].into_iter().enumerate() {
        let (path, from) = (format!("/api/v{version}/accounts"), format!("198.51.100.{n}"));
        answers.push(sign_up(&path, &from, "grace@example.com").await);
    }
    assert_eq!(answers, [200, 403, 403, 403, 403, 429]);
}

#[tokio::test]
async fn a_changed_address_is_counted_and_the_rest_of_a_profile_is_not() {
    let (_, admin) = App::start().await;
    let far = admin.clone().with_header("x-forwarded-for", "203.0.113.9");
    let changed = async |email: &str| {
        let profile = json!({"profile": {"name": "Ada", "email": email}});
        far.patch("/api/v1/profile", profile).await.status.as_u16()
    };
    let own = admin.email.clone().unwrap();
    for n in 0..5 {
        assert_eq!(changed(&format!("stranger{n}@example.com")).await, 200);
        assert_eq!(changed(&own).await, 200);
    }
    assert_eq!(changed("stranger5@example.com").await, 429);
    assert_eq!(changed(&own.to_uppercase()).await, 200);
}

#[tokio::test]
async fn operators_guessing_are_turned_away() {
    let app = App::empty().await;
    let far = app.anyone().with_header("x-forwarded-for", "203.0.113.9");
    let guesser = far.clone().with_header("authorization", "Bearer guess");
    for _ in 0..10 {
        guesser.get("/actuator/metrics").await.status(401);
    }
    guesser.get("/actuator/metrics").await.status(429);
    // Who shows nothing is counted apart: 60 a minute.
    for _ in 0..60 {
        far.get("/actuator/health").await.ok();
    }
    far.get("/actuator/health").await.status(429);
    app.operator().get("/actuator/metrics").await.ok();
}

#[tokio::test]
async fn nodes_count_each_other() {
    let redis = Redis::start().expect("a Redis");
    let client = redis::Client::open(redis.url()).expect("its address");
    let mut connection = client.get_multiplexed_async_connection().await.expect("a connection");
    for (house, name, expected) in
        [("ours", "one", 1), ("ours", "one", 1), ("ours", "two", 2), ("theirs", "one", 1)]
    {
        let alive = nodes::announce(&mut connection, house, name).await.expect("an answer");
        assert_eq!(alive, expected, "{house} {name}");
    }
}
