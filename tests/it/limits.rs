//! Rate limits, as the server uses them: who is counted, what the answers say, who shares them.

use chatwarden::nodes;
use chatwarden_testkit::services::Redis;
use chatwarden_testkit::{Actor, App};
use http::Method;
use serde_json::{Value, json};

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
    // Tokens that we never signed have no bucket: there is no end of them.
    let nobody = app.anyone().with_header("x-forwarded-for", "203.0.113.9");
    let nobody = nobody.with_header("x-auth-token", "made.up.token");
    let reply = nobody.post(&path, json!({"message": {"content": "Hello"}})).await;
    assert_eq!(reply.status, 404);
    assert!(reply.header("ratelimit-policy").contains("\"widget-message\""), "{reply:?}");
    assert!(!reply.header("ratelimit-policy").contains("widget-message-contact"), "{reply:?}");
}

/// The page of a website, and its token.
async fn website(admin: &Actor) -> String {
    let site = json!({"name": "Site", "channel": {"type": "web_widget", "website_url": "https://example.com"}});
    let site = admin.post("/inboxes", site).await.ok();
    site["website_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn an_address_makes_so_many_visitors_by_whatever_request() {
    type Path<'a> = Box<dyn Fn(usize) -> String + 'a>;
    let (app, admin) = App::start().await;
    let token = website(&admin).await;
    let page = format!("/widget?website_token={token}");
    let config = format!("/api/v1/widget/config?website_token={token}");
    let known = app.anyone().post(&config, Value::Null).await.ok();
    let known = known["website_channel_config"]["auth_token"].as_str().expect("a token").to_owned();
    let requests: [(&str, Method, Path<'_>, Value); 6] = [
        ("203.0.113.1", Method::GET, Box::new(|_| page.clone()), Value::Null),
        ("203.0.113.2", Method::HEAD, Box::new(|_| page.clone()), Value::Null),
        (
            "203.0.113.3",
            Method::GET,
            Box::new(|n| format!("{page}&cw_conversation=x{n}")),
            Value::Null,
        ),
        (
            "203.0.113.4",
            Method::GET,
            Box::new(|n| format!("/widget?website_token=x{n}&website_token={token}")),
            Value::Null,
        ),
        ("203.0.113.5", Method::POST, Box::new(|_| config.clone()), Value::Null),
        (
            "203.0.113.7",
            Method::POST,
            Box::new(|_| "/api/v1/widget/config".to_owned()),
            json!({"website_token": token}),
        ),
    ];
    for (from, method, path, body) in requests {
        let far = app.anyone().with_header("x-forwarded-for", from);
        for n in 0..60 {
            let reply = far.send(method.clone(), &path(n), body.clone()).await;
            assert_eq!(reply.status, 200, "{method} {}", path(n));
        }
        let refused = far.send(method.clone(), &path(60), body).await;
        assert_eq!(refused.status, 429, "{method} {}", path(60));
        // Who is known already comes back, and others come.
        let back = format!("{page}&cw_conversation={known}");
        assert_eq!(far.get(&back).await.status, 200);
    }
    // A token of another website stands for nobody here.
    let other = format!("/widget?website_token={}&cw_conversation={known}", website(&admin).await);
    let far = app.anyone().with_header("x-forwarded-for", "203.0.113.6");
    for _ in 0..60 {
        assert_eq!(far.get(&other).await.status, 200);
    }
    assert_eq!(far.get(&other).await.status, 429);
}

#[tokio::test]
async fn a_website_named_twice_or_in_the_body_is_the_one_that_is_counted() {
    let (app, admin) = App::start().await;
    let token = website(&admin).await;
    let far = app.anyone().with_header("x-forwarded-for", "203.0.113.9");
    let config = format!("/api/v1/widget/config?website_token={token}");
    let visitor = app.anyone().post(&config, Value::Null).await.ok();
    let known = visitor["website_channel_config"]["auth_token"].as_str().expect("a token");
    let visitor = far.clone().with_header("x-auth-token", known);
    for n in 0..7 {
        let path = format!("/api/v1/widget/messages?website_token=x{n}&website_token={token}");
        let reply = visitor.post(&path, json!({"message": {"content": "Hello"}})).await;
        assert_eq!(reply.status, 200);
        let left = reply.header("ratelimit");
        assert!(left.contains(&format!("\"widget-message\";r={};", 299 - n)), "{left}");
    }
    let body = json!({"website_token": token});
    assert_eq!(far.send(Method::GET, "/widget", body).await.status, 404);
}

#[tokio::test]
async fn guesses_at_a_password_of_who_is_signed_in_are_counted() {
    let (app, admin) = App::start().await;
    let far = admin.clone().with_header("x-forwarded-for", "203.0.113.9");
    let change = async |caller: &Actor, current: &str| {
        let sent = json!({"password": "An0ther!word", "password_confirmation": "An0ther!word",
            "current_password": current});
        caller.patch("/api/v1/profile", json!({"profile": sent})).await.status.as_u16()
    };
    for n in 0..10 {
        assert_eq!(change(&far, &format!("Wr0ng!word{n}")).await, 422);
    }
    assert_eq!(change(&far, "Wr0ng!word").await, 429);
    // From elsewhere it is the same person; what asks for no password goes on.
    let elsewhere = admin.clone().with_header("x-forwarded-for", "198.51.100.1");
    assert_eq!(change(&elsewhere, "Wr0ng!word").await, 429);
    far.patch("/api/v1/profile", json!({"profile": {"name": "Ada"}})).await.ok();
    let other = app.member(admin.account.expect("one"), "Grace", "agent").await;
    let other = other.with_header("x-forwarded-for", "203.0.113.9");
    assert_eq!(change(&other, "Wr0ng!word").await, 422);
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
    let refused = guesser.get("/actuator/metrics").await;
    assert_eq!(refused.status(429)["violated-policies"], json!(["actuator-auth"]));
    assert_eq!(refused.header("content-type"), "application/problem+json");
    // Who shows nothing is counted apart: 60 a minute.
    for left in (0..60).rev() {
        let reply = far.get("/actuator/health").await;
        reply.status(200);
        let told = reply.header("ratelimit").to_owned();
        assert!(told.contains(&format!("\"actuator\";r={left};")), "{told}");
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
