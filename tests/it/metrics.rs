//! Meters: what the server counts is what it did (operations.md §11.1, I7).

use std::process::Command;
use std::time::Duration;

use chatwarden_testkit::Actor;
use serde_json::{Value, json};

/// A number of a meter; zero while it has no series that fits.
async fn read(operator: &Actor, name: &str, tags: &[&str], statistic: &str) -> f64 {
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reply = operator.get(&format!("/actuator/metrics/{name}?{}", query.join("&"))).await;
    let view = reply.json();
    let measured = view["measurements"].as_array().into_iter().flatten();
    let found = measured.filter(|measurement| measurement["statistic"] == statistic);
    found.filter_map(|measurement| measurement["value"].as_f64()).sum()
}

/// The meters belong to the process, and the other tests of this one count into them too: so the ledger is
/// kept in a process of its own.
#[test]
fn counters_equal_the_ledger() {
    let this = std::env::current_exe().expect("this program");
    let ledger = ["--exact", "metrics::ledger", "--ignored", "--nocapture"];
    let output = Command::new(this).args(ledger).output().expect("it runs again");
    let [said, complained] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{complained}");
}

#[tokio::test]
#[ignore = "run by counters_equal_the_ledger, in a process of its own"]
async fn ledger() {
    let (app, admin, server) = crate::mail::start().await;
    let operator = app.operator();
    let inbox = admin.post("/inboxes", json!({"name": "Desk", "channel": {"type": "api"}})).await;
    let inbox = inbox.ok();
    let door =
        format!("/public/api/v1/inboxes/{}", inbox["inbox_identifier"].as_str().expect("it"));
    let inbox = inbox["id"].clone();
    let new = json!({"name": "Vera", "inbox_id": inbox});
    let contact = admin.post("/contacts", new).await.ok()["payload"].clone();

    let (mut opened, mut said, mut noted, mut resolved) = (0_u32, 0_u32, 0_u32, 0_u32);
    for round in 0..4 {
        let conversation = admin
            .post(
                "/conversations",
                json!({
                    "inbox_id": inbox, "contact_id": contact["contact"]["id"],
                    "source_id": contact["contact_inbox"]["source_id"],
                }),
            )
            .await
            .ok();
        opened += 1;
        let path = format!("/conversations/{}", conversation["id"]);
        for _ in 0..=round {
            let body = json!({"content": "Hello", "message_type": "outgoing"});
            admin.post(&format!("{path}/messages"), body).await.ok();
            said += 1;
        }
        // Refused: nothing of it is counted.
        let flood = json!({"content": "x".repeat(160_000)});
        admin.post(&format!("{path}/messages"), flood).await.status(422);
        if round % 2 == 0 {
            admin.post(&format!("{path}/toggle_status"), json!({"status": "resolved"})).await.ok();
            resolved += 1;
            // "Conversation was marked resolved by Ada"
            noted += 1;
        }
    }
    app.settle().await;
    // The letter of it is taken on the second try.
    let agent = app.member(admin.account.expect("an account"), "Grace", "agent").await;
    let members = json!({"inbox_id": inbox, "user_ids": [agent.id]});
    admin.post("/inbox_members", members).await.ok();
    server.refuse("RCPT", "451 come again");
    admin.post("/conversations/2/assignments", json!({"assignee_id": agent.id})).await.ok();
    // "Assigned to Grace by Ada"
    noted += 1;
    app.settle().await;
    app.advance(Duration::from_secs(600));
    app.settle().await;
    assert_eq!(server.received().len(), 1);
    app.anyone().get("/health").await.ok();
    // Looked for once, and found again.
    for _ in 0..2 {
        app.anyone().get(&door).await.ok();
    }
    app.anyone().get("/no/such/route").await.status(404);
    app.anyone()
        .with_header("api_access_token", "guessed")
        .get("/api/v1/profile")
        .await
        .status(401);
    for password in ["Passw0rd!23", "wrong"] {
        let body = json!({"email": admin.email, "password": password});
        app.anyone().post("/auth/sign_in", body).await;
    }

    let sent = "uri:/api/v1/accounts/{account_id}/conversations/{conversation_id}/messages";
    for (name, tags, statistic, expected) in [
        ("chatwoot.tenants.total", &[][..], "COUNT", 1),
        ("chatwoot.users.total", &[], "COUNT", 2),
        (
            "chatwoot.notifications.sent",
            &["type:conversation_assignment", "channel:ws"],
            "COUNT",
            1,
        ),
        ("chatwoot.notifications.sent", &["channel:email", "status:failure"], "COUNT", 1),
        ("chatwoot.notifications.sent", &["channel:email", "status:success"], "COUNT", 1),
        ("chatwoot.notifications.delivery.time", &["channel:email"], "MAX", 600),
        ("chatwoot.conversations.total", &["channel:Channel::Api"], "COUNT", opened),
        ("chatwoot.conversations.resolved", &[], "COUNT", resolved),
        ("chatwoot.messages.total", &["direction:outgoing"], "COUNT", said),
        ("chatwoot.messages.total", &["direction:activity"], "COUNT", noted),
        ("chatwoot.messages.total", &["direction:incoming"], "COUNT", 0),
        ("http.server.requests", &[sent, "method:POST", "status:200"], "COUNT", said),
        ("http.server.requests", &[sent, "outcome:CLIENT_ERROR"], "COUNT", opened),
        ("http.server.requests", &["uri:/health"], "COUNT", 1),
        ("http.server.requests", &["uri:NOT_FOUND"], "COUNT", 1),
        ("chatwoot.auth.attempts", &["method:password"], "COUNT", 2),
        ("chatwoot.auth.failures", &["method:password", "reason:bad_secret"], "COUNT", 1),
        ("chatwoot.auth.failures", &["method:token", "reason:bad_secret"], "COUNT", 1),
        ("chatwoot.cache.misses", &["cache:inboxes"], "COUNT", 1),
        ("chatwoot.cache.hits", &["cache:inboxes"], "COUNT", 1),
        ("chatwoot.cache.size", &["cache:inboxes"], "VALUE", 1),
        ("db.query", &["query:messages.insert"], "COUNT", said + noted),
    ] {
        let found = read(&operator, name, tags, statistic).await;
        assert_eq!(found, f64::from(expected), "{name} {tags:?}");
    }

    // Each transaction had a connection or a thread.
    for name in ["db.pool.acquire", "db.pool.usage"] {
        assert!(read(&operator, name, &["pool:rw"], "COUNT").await > 10.0, "{name}");
    }

    // The formats are fed by the same registry: they don't disagree.
    let text = app
        .operator()
        .with_header("accept", "text/plain")
        .get("/actuator/prometheus?includedNames=chatwoot.messages.total")
        .await
        .text();
    let outgoing: Vec<&str> = text
        .lines()
        .filter(|line| {
            line.starts_with("chatwoot_messages_total{") && line.contains("\"outgoing\"")
        })
        .filter_map(|line| line.rsplit(' ').next())
        .collect();
    assert_eq!(outgoing, [said.to_string()], "{text}");

    let requests = read(&operator, "chatwoot.api.requests", &[], "COUNT").await;
    let timed = read(&operator, "http.server.requests", &[], "COUNT").await;
    // The question after the first was itself a request.
    assert_eq!(timed, requests + 1.0);
    let misuses = app.node().app.meters().misuses();
    assert_eq!(misuses, Vec::<String>::new(), "emitted against the catalogue");
    let names: Value = operator.get("/actuator/metrics").await.ok();
    let names: Vec<&str> =
        names["names"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert!(names.contains(&"jobs.execution") && names.contains(&"db.transaction"), "{names:?}");
}
