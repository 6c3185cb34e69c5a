//! What a page costs: every route that reads takes as many statements with one row to show as with many. The calls
//! are made from the route table, so that a new route is among them; a list that has no more rows the second
//! time than the first fails, until [`more`] is taught to make them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::Bytes;
use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_db::{UsageScope, usage_scope};
use chatwarden_testkit::{Actor, App, Reply};
use http::Method;
use serde_json::{Value, json};

use crate::tenant::Tenant;

/// How many more there are of everything, the second time.
const MORE: usize = 26;
/// The shortest page that was filled by them.
const PAGE: usize = 15;
/// As many statements as any page may take.
const STATEMENTS: u64 = 12;

/// Routes that let nobody in with a token alone: they want a signature, a session, a build of the front ends, a
/// second factor, an inbox of another channel, a bot of the platform's.
const CLOSED: [&str; 8] = [
    "/rails/active_storage/",
    "/setup/",
    "/app",
    "/auth/validate_token",
    "/api/v1/profile/mfa",
    "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/health",
    "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/csat_template",
    "/platform/api/v1/agent_bots/{id}",
];

/// Lists in answers that are no rows: parts of one record, or of what this server has none of.
const NO_ROWS: [(&str, &str); 25] = [
    // Who is online is in no table.
    ("/contacts/active", "/payload"),
    ("/automation_rules", "/payload"),
    ("/campaigns", ""),
    ("/conversations/{conversation_id}", "/last_non_activity_message/attachments"),
    ("/conversations/{conversation_id}", "/messages"),
    ("/csat_survey_responses", ""),
    ("/custom_attribute_definitions/{id}", "/attribute_values"),
    ("/custom_filters/{id}", "/query/payload"),
    ("/dashboard_apps/{id}", "/content"),
    ("/inboxes/{inbox_id}", "/working_hours"),
    ("/inboxes/{inbox_id}/campaigns", ""),
    ("/integrations/apps", "/payload"),
    ("/macros", "/payload"),
    ("/notification_settings", "/all_email_flags"),
    ("/notification_settings", "/all_push_flags"),
    ("/notification_settings", "/selected_email_flags"),
    ("/notification_settings", "/selected_push_flags"),
    ("/portals", "/payload"),
    ("/search", "/payload/articles"),
    ("/search/articles", "/payload/articles"),
    ("/webhooks", "/payload/webhooks"),
    // Sums by team, of teams that have conversations.
    ("/api/v2/accounts/{account_id}/live_reports/grouped_conversation_metrics", ""),
    ("/api/v2/accounts/{account_id}/reports", ""),
    ("/api/v1/widget/campaigns", ""),
    ("/public/api/v1/inboxes/{inbox_identifier}", "/working_hours"),
];

/// With what a route wants in its query to find much.
fn queried(tenant: &Tenant, route: &Route) -> String {
    let path = tenant.path(route);
    let query = match route.path.as_str() {
        path if path.contains("/search") => format!("q={}", tenant.mark),
        path if path.ends_with("/{account_id}/assignable_agents") => {
            format!("inbox_ids[]={}", tenant.name("inboxes"))
        }
        path if path.ends_with("/grouped_conversation_metrics") => "group_by=team_id".to_owned(),
        _ => return path,
    };
    format!("{path}{}{query}", if path.contains('?') { '&' } else { '?' })
}

/// What a route answers the first who is let in, and the statements that it took.
async fn read(tenant: &Tenant, route: &Route) -> Option<(Reply, u64)> {
    let path = queried(tenant, route);
    for caller in ["admin", "visitor", "platform", "nobody"] {
        let caller = &tenant.callers[caller];
        let first = caller.get(&path).await;
        if first.status.is_success() || first.status.is_redirection() {
            // What is kept in memory is there by now.
            let scope = UsageScope::default();
            let reply = usage_scope(scope.clone(), caller.get(&path)).await;
            return Some((reply, scope.usage().statements));
        }
    }
    None
}

/// The lists in an answer that are in no other list, by where they stand.
fn lists(value: &Value, place: &str, into: &mut BTreeMap<String, usize>) {
    match value {
        Value::Array(rows) => {
            into.insert(place.to_owned(), rows.len());
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                lists(value, &format!("{place}/{name}"), into);
            }
        }
        _ => {}
    }
}

/// Makes one more of everything for each of these numbers.
async fn more(tenant: &mut Tenant, numbers: Range<usize>) {
    let app = tenant.app.clone();
    let admin = tenant.callers["admin"].clone();
    let agent = tenant.callers["agent"].clone();
    let visitor = tenant.callers["visitor"].clone();
    let name = |what: &str| tenant.name(what).to_owned();
    let (inbox, contact, source) = (name("inboxes"), name("contacts"), name("source_id"));
    let (team, policy) = (name("teams"), name("assignment_policies"));
    let conversation = format!("/conversations/{}", name("conversations"));
    let said = format!("/api/v1/widget/messages?website_token={}", name("website_token"));
    let password = json!({"email": admin.email, "password": "Passw0rd!23"});
    let tied = format!("/inboxes/{inbox}/assignment_policy");
    admin.post(&tied, json!({"assignment_policy_id": policy})).await.ok();
    let mut people = vec![json!(admin.id), json!(agent.id)];
    for n in numbers.clone() {
        let named = format!("{}{n}", tenant.mark);
        people.push(json!(app.member(tenant.account, &named, "agent").await.id));
        let another = app.account(&named).await;
        for person in &people[..2] {
            let joins = format!("/platform/api/v1/accounts/{another}/account_users");
            app.platform().post(&joins, json!({"user_id": person, "role": "agent"})).await.ok();
        }
        let bot = json!({"name": named, "outgoing_url": ""});
        tenant.callers["platform"].post("/platform/api/v1/agent_bots", bot.clone()).await.ok();
        admin.post("/agent_bots", bot).await.ok();
        app.anyone().post("/auth/sign_in", password.clone()).await.ok();

        let desk = json!({"name": named, "channel": {"type": "api"}});
        let desk = admin.post("/inboxes", desk).await.ok()["id"].clone();
        let tied = format!("/inboxes/{desk}/assignment_policy");
        admin.post(&tied, json!({"assignment_policy_id": policy})).await.ok();
        let place = json!({"inbox_id": desk, "source_id": named});
        admin.post(&format!("/contacts/{contact}/contact_inboxes"), place).await.ok();
        let email = format!("{named}@example.com");
        let known = json!({"name": named, "email": email, "inbox_id": inbox});
        admin.post("/contacts", known).await.ok();

        let opened = json!({"inbox_id": inbox, "contact_id": contact, "source_id": source});
        let opened = admin.post("/conversations", opened).await.ok();
        let opened = format!("/conversations/{}", opened["id"]);
        admin.post(&format!("{opened}/messages"), json!({"content": named})).await.ok();
        let assignee = json!({"assignee_id": admin.id});
        agent.post(&format!("{opened}/assignments"), assignee).await.ok();
        attach(&admin, &format!("{conversation}/messages")).await;
        visitor.post(&said, json!({"message": {"content": named}})).await.ok();
    }
    let labels = tenant.make_more(numbers).await;
    admin.post(&format!("{conversation}/labels"), json!({"labels": labels})).await.ok();
    admin.post(&format!("/contacts/{contact}/labels"), json!({"labels": labels})).await.ok();
    for inbox in [inbox, website(&admin).await] {
        let members = json!({"inbox_id": inbox, "user_ids": people});
        admin.patch("/inbox_members", members).await.ok();
    }
    let people = json!({"user_ids": people});
    admin.patch(&format!("/teams/{team}/team_members"), people.clone()).await.ok();
    admin.patch(&format!("{conversation}/participants"), people).await.ok();
    app.settle().await;
}

/// Sends a file in a conversation.
async fn attach(admin: &Actor, messages: &str) {
    let form = "--x\r\nContent-Disposition: form-data; name=\"attachments[]\"; filename=\"note.txt\"\r\n\
                Content-Type: text/plain\r\n\r\nLeft at the door.\r\n--x--\r\n";
    let form = Bytes::from_static(form.as_bytes());
    admin.send_raw(Method::POST, messages, "multipart/form-data; boundary=x", form).await.ok();
}

/// The website among the inboxes.
async fn website(admin: &Actor) -> String {
    let inboxes = admin.get("/inboxes").await.ok()["payload"].clone();
    let mut inboxes = inboxes.as_array().expect("inboxes").iter();
    let website = inboxes.find(|inbox| inbox["channel_type"] == "Channel::WebWidget");
    website.expect("a website")["id"].to_string()
}

#[tokio::test]
async fn no_page_costs_more_with_more_on_it() {
    let app = App::empty().await;
    let mut tenant = Tenant::with(&app, "zebra", 1).await;
    let reads = |route: &Route| {
        let of_the_server = ["/actuator", "/swagger", "/.well-known/"];
        route.method == Method::GET
            && !of_the_server.iter().any(|start| route.path.starts_with(start))
    };
    let routes: Vec<Route> = table().into_iter().filter(reads).collect();
    let feature = json!({"features": {"conversation_unread_counts": true}});
    let account = format!("/platform/api/v1/accounts/{}", tenant.account);
    app.platform().patch(&account, feature).await.ok();
    more(&mut tenant, 0..1).await;
    let mut before = Vec::new();
    for route in &routes {
        before.push(read(&tenant, route).await.map(|(_, statements)| statements));
    }
    more(&mut tenant, 1..MORE).await;
    let (mut faults, mut short) = (Vec::new(), BTreeSet::new());
    for (route, before) in routes.iter().zip(before) {
        let path = route.path.as_str();
        let after = read(&tenant, route).await;
        let (Some(before), Some((reply, after))) = (before, after) else {
            if path != "/" && !CLOSED.iter().any(|start| path.starts_with(start)) {
                faults.push(format!("{path}: nobody is let in"));
            }
            continue;
        };
        if before != after {
            faults.push(format!("{path}: {after} statements with more rows, {before} with one"));
        }
        if after > STATEMENTS {
            faults.push(format!("{path} takes {after} statements"));
        }
        let mut found = BTreeMap::new();
        lists(&reply.json(), "", &mut found);
        for (place, _) in found.into_iter().filter(|(_, rows)| *rows < PAGE) {
            let path = path.strip_prefix("/api/v1/accounts/{account_id}").unwrap_or(path);
            short.insert((path.to_owned(), place));
        }
    }
    let known: BTreeSet<(String, String)> =
        NO_ROWS.into_iter().map(|(path, place)| (path.to_owned(), place.to_owned())).collect();
    for (path, place) in short.difference(&known) {
        faults.push(format!("{path}: no more rows at `{place}`; make some in `more`"));
    }
    for (path, place) in known.difference(&short) {
        faults.push(format!("{path}: there are rows at `{place}`, which is listed as none"));
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
