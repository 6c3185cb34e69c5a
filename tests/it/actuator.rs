//! The endpoints for operators (operations.md §1): who sees what, in which type.

use std::io::Read as _;

use chatwarden_core::accounts;
use chatwarden_core::conversations;
use chatwarden_core::ids::AccountId;
use chatwarden_core::installation::census;
use chatwarden_core::users::Role;
use chatwarden_db::DbError;
use chatwarden_testkit::App;
use flate2::read::GzDecoder;
use http::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn everybody_sees_the_status_and_operators_the_rest() {
    let app = App::empty().await;
    let (anyone, operator) = (app.anyone(), app.operator());
    let health = anyone.get("/actuator/health").await.ok();
    assert_eq!(
        health,
        json!({"status": "UP", "groups": ["deploy", "liveness", "readiness", "startup"]})
    );
    let shown = operator.get("/actuator/health").await.ok();
    assert_eq!(shown["components"]["readinessState"]["details"]["state"], "ACCEPTING_TRAFFIC");
    assert_eq!(operator.get("/actuator/health/ping").await.ok(), json!({"status": "UP"}));
    anyone.get("/actuator/health/ping").await.status(404);
    assert_eq!(anyone.get("/actuator/health/readiness").await.ok()["status"], "UP");

    let (anyone, operator) =
        (anyone.with_header("accept", "*/*"), operator.with_header("accept", "*/*"));
    for path in ["/actuator/metrics", "/actuator/metrics/db.query", "/actuator/prometheus"] {
        let reply = anyone.get(path).await;
        reply.status(401);
        assert_eq!(reply.header("www-authenticate"), "Basic realm=\"actuator\"");
        operator.get(path).await.status(200);
    }
    let wrong = anyone.with_header("authorization", "Bearer guessed");
    wrong.get("/actuator/health").await.status(401);
}

#[tokio::test]
async fn the_index_lists_what_the_caller_may_reach() {
    let app = App::empty().await;
    let keys = |index: &Value| {
        let links = index["_links"].as_object().expect("links");
        links.keys().cloned().collect::<Vec<_>>()
    };
    let index = app.anyone().with_header("host", "cw.example").get("/actuator").await.ok();
    assert_eq!(keys(&index), ["health", "health-path", "info", "self"]);
    assert_eq!(
        index["_links"]["health-path"],
        json!({"href": "http://cw.example/actuator/health/{*path}", "templated": true})
    );
    let index = app.operator().get("/actuator").await.ok();
    assert_eq!(
        keys(&index),
        [
            "configprops",
            "configprops-prefix",
            "env",
            "env-toMatch",
            "health",
            "health-path",
            "info",
            "loggers",
            "loggers-name",
            "mappings",
            "metrics",
            "metrics-requiredMetricName",
            "prometheus",
            "scheduledtasks",
            "self"
        ]
    );
}

#[tokio::test]
async fn answers_have_the_type_that_tools_look_for() {
    let app = App::empty().await;
    for (accept, expected) in [
        ("*/*", "application/vnd.spring-boot.actuator.v3+json"),
        ("application/json", "application/json"),
        (
            "application/vnd.spring-boot.actuator.v2+json",
            "application/vnd.spring-boot.actuator.v2+json",
        ),
    ] {
        let reply = app.anyone().with_header("accept", accept).get("/actuator/info").await;
        reply.status(200);
        assert_eq!(
            (reply.header("content-type"), reply.header("cache-control")),
            (expected, "no-store")
        );
    }
    app.anyone().with_header("accept", "text/plain").get("/actuator/info").await.status(406);
    for (accept, expected, end) in [
        ("*/*", "text/plain;version=0.0.4;charset=utf-8", "\n"),
        (
            "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3",
            "application/openmetrics-text;version=1.0.0;charset=utf-8",
            "# EOF\n",
        ),
    ] {
        let reply = app.operator().with_header("accept", accept).get("/actuator/prometheus").await;
        reply.status(200);
        assert_eq!(reply.header("content-type"), expected);
        assert!(reply.text().ends_with(end));
    }
}

#[tokio::test]
async fn a_scrape_is_compressed_for_who_takes_it_so_and_narrowed_by_name() {
    let app = App::empty().await;
    let operator = app.operator().with_header("accept", "*/*");
    operator.get("/health").await.ok();
    let path = "/actuator/prometheus?includedNames=db.query&includedNames=chatwoot.api.requests";
    let plain = operator.get(path).await;
    let text = plain.text();
    for name in ["db_query_seconds_count", "chatwoot_api_requests_total"] {
        assert!(text.contains(name), "{name}");
    }
    assert!(!text.contains("db_transaction"));
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "Accept-Encoding"));
    let small = operator.with_header("accept-encoding", "gzip").get(path).await;
    assert_eq!(small.header("content-encoding"), "gzip");
    let mut read = String::new();
    GzDecoder::new(&*small.bytes).read_to_string(&mut read).expect("gzip");
    assert!(read.contains("db_query_seconds_count") && small.bytes.len() < read.len() / 2);
}

#[tokio::test]
async fn what_is_not_there_says_so_as_spring_does() {
    let app = App::empty().await;
    for path in ["/actuator/nope", "/actuator/heapdump", "/actuator/metrics/no.such.meter"] {
        let body = app.operator().get(path).await.status(404);
        assert_eq!((&body["status"], &body["error"]), (&json!(404), &json!("Not Found")), "{path}");
        assert_eq!(body["path"], path);
    }
    let reply = app.operator().send(Method::POST, "/actuator/health", json!({})).await;
    assert_eq!(reply.status(405)["error"], "Method Not Allowed");
    assert!(reply.header("allow").contains("GET"), "{reply:?}");
    app.operator().get("/actuator/metrics/db.query?tag=nocolon").await.status(400);
    // What is for operators alone is not there for others, whatever they show and however they ask.
    let guesser = app.anyone().with_header("authorization", "Bearer guessed");
    for path in ["/actuator/env", "/actuator/nope"] {
        for caller in [&app.anyone(), &guesser] {
            caller.get(path).await.status(404);
            let reply = caller.send(Method::DELETE, path, json!({})).await;
            reply.status(404);
            assert!(!reply.headers.contains_key("allow"), "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn basic_credentials_are_compared_whole() {
    let app = App::empty().await;
    for credential in ["Basic", "Basic !!", "Basic b3BlcmF0b3I6", "Digest x", ""] {
        let caller = app.anyone().with_header("authorization", credential);
        caller.get("/actuator/metrics").await.status(401);
    }
}

#[tokio::test]
async fn operators_in_charge_change_levels() {
    let app = App::empty().await;
    let (operator, chief) = (app.operator(), app.operator_in_charge());
    let all = operator.get("/actuator/loggers").await.ok();
    assert_eq!(all["levels"], json!(["OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]));
    assert_eq!(all["loggers"]["ROOT"]["configuredLevel"], "INFO");
    assert!(all["groups"]["sql"]["members"].is_array(), "{all}");
    operator.get("/actuator/loggers/no.such.logger").await.status(404);

    let debug = json!({"configuredLevel": "DEBUG"});
    let path = "/actuator/loggers/chatwarden.db";
    let changed = chief.post(path, debug.clone()).await;
    assert_eq!((changed.status(204), changed.bytes.len()), (Value::Null, 0));
    let shown = operator.get(path).await.ok();
    assert_eq!(shown, json!({"configuredLevel": "DEBUG", "effectiveLevel": "DEBUG"}));
    assert_eq!(
        operator.get("/actuator/loggers/chatwarden.db.sqlite").await.status(404)["status"],
        404
    );
    chief
        .post("/actuator/loggers/web", json!({"configuredLevel": "TRACE", "ttl": "PT10M"}))
        .await
        .status(204);
    let group = operator.get("/actuator/loggers/web").await.ok();
    assert_eq!(group["configuredLevel"], "TRACE");
    // Back to what it was at the start.
    chief.post(path, json!({"configuredLevel": null})).await.status(204);
    operator.get(path).await.status(404);

    for (path, body) in [
        (path, json!({"configuredLevel": "LOUD"})),
        (path, json!({"configuredLevel": "DEBUG", "ttl": "soon"})),
        (path, json!({"configuredLevel": "DEBUG", "scope": "cluster"})),
        (path, json!("DEBUG")),
        ("/actuator/loggers/a%20b", debug.clone()),
    ] {
        assert_eq!(chief.post(path, body).await.status(400)["status"], 400);
    }
    operator.post(path, debug.clone()).await.status(403);
    // Who is no operator is not told that it is there.
    app.anyone().post(path, debug).await.status(404);
}

#[tokio::test]
async fn operators_may_ask_for_a_fresh_look() {
    let app = App::empty().await;
    for path in ["/actuator/health?fresh=true", "/actuator/health/readiness?fresh=true"] {
        assert_eq!(app.operator().get(path).await.ok()["status"], "UP", "{path}");
        assert_eq!(app.anyone().get(path).await.ok()["status"], "UP", "{path}");
    }
}

#[tokio::test]
async fn operators_see_where_settings_come_from() {
    let app = App::empty().await;
    let operator = app.operator();
    let given = json!({
        "value": "systemEnvironment's", "origin": "systemEnvironment, RATE_LIMIT_PROFILE",
    });
    let all = operator.get("/actuator/env").await.ok();
    assert_eq!(all["activeProfiles"], json!(["test"]));
    assert_eq!(
        all["propertySources"][0],
        json!({"name": "systemEnvironment", "properties": {"RATE_LIMIT_PROFILE": given}})
    );
    for name in ["RATE_LIMIT_PROFILE", "rate_limit.profile"] {
        let one = operator.get(&format!("/actuator/env/{name}")).await.ok();
        assert_eq!(
            one["property"],
            json!({"source": "systemEnvironment", "value": "systemEnvironment's"})
        );
        assert_eq!(
            one["propertySources"],
            json!([
                {"name": "systemEnvironment", "property": given},
                {"name": "defaults", "property": {"value": "defaults's"}},
            ])
        );
    }
    let parts = operator.get("/actuator/configprops/rate").await.ok();
    assert_eq!(
        parts["contexts"]["application"]["beans"]["rate_limit-RateLimitConfig"],
        json!({
            "prefix": "rate_limit",
            "properties": {"enabled": "defaults's", "profile": "systemEnvironment's"},
            "inputs": {"profile": given},
        })
    );
    assert_eq!(operator.get("/actuator/configprops").await.ok(), parts);
    for path in ["/actuator/env/rate_limit", "/actuator/env/x", "/actuator/configprops/mail"] {
        operator.get(path).await.status(404);
    }
}

#[tokio::test]
async fn operators_see_every_route_with_who_may_call_it() {
    let app = App::empty().await;
    let all = app.operator().get("/actuator/mappings").await.ok();
    let routes = &all["contexts"]["chatwarden"]["mappings"]["dispatcherHandlers"]["webHandler"];
    let routes = routes.as_array().expect("routes");
    assert_eq!(routes.len(), chatwarden_api::table().len());
    let predicate = "{GET [/api/v1/accounts/{account_id}/conversations]}";
    let found = routes.iter().find(|it| it["predicate"] == predicate).expect("the list");
    assert_eq!(found["handler"], "conversations::lists::index");
    assert_eq!(found["auth"], "agent");
    assert_eq!(found["details"]["requestMappingConditions"]["methods"], json!(["GET"]));
}

#[tokio::test]
async fn operators_see_what_comes_by_itself() {
    let app = App::empty().await;
    app.settle().await;
    let tasks = app.operator().get("/actuator/scheduledtasks").await.ok();
    let of = |kind: &str| tasks[kind].as_array().expect("tasks").clone();
    let all = [of("cron"), of("fixedRate")].concat();
    assert_eq!(all.len(), chatwarden_core::jobs::SCHEDULES.len());
    for task in &all {
        assert!(
            task["runnable"]["target"].is_string() && task["nextExecution"]["time"].is_string()
        );
    }
    for task in of("fixedRate") {
        assert!(task["interval"].as_i64().is_some_and(|it| it >= 1000), "{task}");
    }
    for task in of("cron") {
        assert!(task["expression"].is_string(), "{task}");
    }
}

#[tokio::test]
async fn only_operators_see_how_the_server_is_set_up() {
    let app = App::empty().await;
    for endpoint in ["configprops", "env", "env/LISTEN", "mappings", "scheduledtasks"] {
        app.anyone().get(&format!("/actuator/{endpoint}")).await.status(404);
    }
}

#[tokio::test]
async fn what_there_is_is_counted() {
    let (app, admin) = App::start().await;
    let account = AccountId(admin.account.expect("an account"));
    app.member(account.0, "Grace", "agent").await;
    let empty = AccountId(app.account("Empty").await);
    let inbox = json!({"name": "Desk", "channel": {"type": "api"}});
    let inbox = admin.post("/inboxes", inbox).await.ok()["id"].clone();
    let contact = json!({"name": "Vera", "inbox_id": inbox});
    let contact = admin.post("/contacts", contact).await.ok()["payload"].clone();
    let open = json!({
        "inbox_id": inbox, "contact_id": contact["contact"]["id"],
        "source_id": contact["contact_inbox"]["source_id"], "message": {"content": "Hello"},
    });
    let conversation = admin.post("/conversations", open.clone()).await.ok();
    admin.post("/conversations", open).await.ok();
    let path = format!("/conversations/{}/toggle_status", conversation["id"]);
    admin.post(&path, json!({"status": "resolved"})).await.ok();

    let counting = async move |tx: &mut chatwarden_db::Tx<'_>| {
        Ok::<_, DbError>((census::take(tx).await?, census::largest(tx, 5).await?))
    };
    let (census, largest) = app.db().read(counting).await.expect("a census");
    assert_eq!(census.accounts, [(accounts::Status::Active, 2)]);
    let mut people = census.people.clone();
    people.sort_by_key(|(role, _)| role.integer());
    assert_eq!(people, [(Role::Agent, 1), (Role::Administrator, 1)]);
    let of = |wanted: conversations::Status| {
        census.conversations.iter().find(|(status, ..)| *status == wanted).copied()
    };
    assert_eq!(of(conversations::Status::Open).map(|it| it.1), Some(1));
    assert_eq!(of(conversations::Status::Resolved).map(|it| it.1), Some(1));
    assert_eq!(census.contacts, Some(1));
    // Two messages, and what is said of the one that was resolved.
    assert!(census.messages >= Some(2), "{census:?}");
    assert_eq!((largest.first(), largest.contains(&empty)), (Some(&account), false));
}

#[tokio::test]
async fn the_database_tells_how_it_stands() {
    let app = App::empty().await;
    let standing = app.db().standing().await.expect("it answers");
    assert!(!standing.version.is_empty() && !standing.read_only && !standing.replica);
    let load = app.db().load().await.expect("what it carries");
    assert!(load.bytes > 100_000, "{load:?}");
    let of_postgres = app.db().engine() == chatwarden_db::Engine::Postgres;
    assert_eq!(load.deadlocks.is_some() && load.locks_waiting.is_some(), of_postgres, "{load:?}");
    assert_eq!(load.oldest_transaction.is_some(), of_postgres, "{load:?}");
    // The test's own clock stands still, long ago.
    let real = chatwarden_telemetry::clock::SystemClock::shared().wall();
    let real = real.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros();
    let (ahead, doubt) = app.db().clock_ahead().await.expect("it tells the time");
    let expected = i64::try_from(real).expect("micros") - app.now().micros();
    let off = (expected - ahead).unsigned_abs();
    assert!(off < 60_000_000, "{ahead} and not {expected}, give or take {doubt:?}");
}
