//! An account with one of everything, and the people around it: what sweeps over the route table call with.
//!
//! Where a route names a record by a parameter, the account has one: made through the API by [`RECORDS`], or
//! found in the table that is called as the path calls it. A new kind of record wants a line there.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_db::{FromRow, Sql, Statement, Value as Bound, args, schema};
use chatwarden_testkit::{Actor, App};
use http::Method;
use serde_json::{Value, json};

/// A path with parameters that belongs to no record of the account.
pub const NOWHERE: &str = "987654321";

/// An account with one of everything. Its texts contain its mark.
pub struct Tenant {
    pub app: App,
    pub account: i64,
    pub mark: &'static str,
    /// nobody, visitor, outsider, agent, bot, platform, admin
    pub callers: BTreeMap<&'static str, Actor>,
    /// What a parameter is filled with, by its name or by what it names.
    known: BTreeMap<String, String>,
}

/// What is no account's: parts of the server, and what only a signature opens.
const NAMES: &[(&str, &str)] = &[
    ("link", "nolink"),
    ("uuid", "00000000-0000-4000-8000-000000000001"),
    ("path", "readiness"),
    ("prefix", "rate_limit"),
    ("property", "rate_limit.profile"),
    ("name", "chatwoot.api.requests"),
    ("signed_id", "nosignature"),
    ("variation_key", "novariation"),
    ("filename", "nofile.png"),
    ("title", "vip"),
    ("token", "notoken"),
];

/// A kind of record that one call makes: what it is called in paths, where it is made, and from what.
type Record = (&'static str, &'static str, fn(&Tenant) -> Value);

/// What is made, in this order.
const RECORDS: [Record; 9] = [
    ("labels", "/labels", |t| json!({"title": t.mark, "color": "#111111"})),
    ("canned_responses", "/canned_responses", |t| json!({"short_code": t.mark, "content": t.mark})),
    ("teams", "/teams", |t| json!({"name": t.mark})),
    (
        "dashboard_apps",
        "/dashboard_apps",
        |t| json!({"title": t.mark, "content": [{"type": "frame", "url": "https://example.com"}]}),
    ),
    ("custom_attribute_definitions", "/custom_attribute_definitions", |t| {
        json!({
            "attribute_display_name": t.mark, "attribute_key": t.mark, "attribute_display_type": "text",
            "attribute_model": "conversation_attribute",
        })
    }),
    (
        "custom_filters",
        "/custom_filters",
        |t| json!({"name": t.mark, "filter_type": "conversation", "query": {"payload": []}}),
    ),
    ("assignment_policies", "/assignment_policies", |t| json!({"name": t.mark})),
    ("notes", "/contacts/{contact_id}/notes", |t| json!({"content": t.mark})),
    (
        "participants",
        "/conversations/{conversation_id}/participants",
        |t| json!({"user_ids": [t.number("agents")]}),
    ),
];

/// A statement of a test.
pub fn sql<R: FromRow>(text: String) -> &'static Statement<R> {
    Box::leak(Box::new(Statement::new("test.sql", Sql::Both(text.leak()), file!())))
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("{other} names nothing"),
    }
}

/// What a parameter names: `{id}` what stands before it, `{label_id}` labels, anything else itself.
fn noun(parameter: &str, before: &str) -> String {
    match parameter.strip_suffix("_id") {
        _ if parameter == "id" => before.to_owned(),
        Some(one) if one.ends_with('x') => format!("{one}es"),
        Some(one) if one.ends_with('y') => format!("{}ies", one.trim_end_matches('y')),
        Some(one) => format!("{one}s"),
        None => parameter.to_owned(),
    }
}

/// The parameters of a route, in order: name, and what stands before it.
pub fn parameters(route: &Route) -> Vec<(String, String)> {
    let segments: Vec<&str> = route.path.split('/').collect();
    let named = |segment: &str| {
        segment
            .strip_prefix('{')
            .map(|rest| rest.trim_end_matches('}').trim_start_matches('*').to_owned())
    };
    segments
        .iter()
        .zip(segments.iter().skip(1))
        .filter_map(|(before, segment)| Some((named(segment)?, (*before).to_owned())))
        .collect()
}

/// The path of a route with its parameters filled by `fill`, which is told their places.
pub fn path(route: &Route, mut fill: impl FnMut(usize) -> String) -> String {
    let (mut out, mut place) = (String::new(), 0);
    for segment in route.path.split('/').skip(1) {
        if segment.starts_with('{') {
            let _ = write!(out, "/{}", fill(place));
            place += 1;
        } else {
            let _ = write!(out, "/{segment}");
        }
    }
    out
}

impl Tenant {
    /// An account called `mark` with that many conversations.
    pub async fn with(app: &App, mark: &'static str, conversations: usize) -> Self {
        let account = app.account(mark).await;
        let admin = app.member(account, mark, "administrator").await;
        let agent = app.member(account, mark, "agent").await;
        let outsider = app.member(account, mark, "agent").await;
        let mut this = Self {
            app: app.clone(),
            account,
            mark,
            callers: BTreeMap::new(),
            known: BTreeMap::new(),
        };
        let know = |this: &mut Self, what: &str, value: &Value| {
            this.known.insert(what.to_owned(), text(value));
        };
        know(&mut this, "accounts", &json!(account));
        know(&mut this, "agents", &json!(agent.id));
        know(&mut this, "users", &json!(agent.id));
        for (what, name) in NAMES {
            know(&mut this, what, &json!(name));
        }

        let channel = json!({"name": mark, "channel": {"type": "api"}});
        let inbox = admin.post("/inboxes", channel).await.ok();
        know(&mut this, "inboxes", &inbox["id"]);
        know(&mut this, "inbox_identifier", &inbox["inbox_identifier"]);
        let members = json!({"inbox_id": inbox["id"], "user_ids": [agent.id]});
        admin.post("/inbox_members", members).await.ok();
        let site = json!({"name": mark, "channel": {"type": "web_widget", "website_url": "https://example.com"}});
        let site = admin.post("/inboxes", site).await.ok();
        know(&mut this, "website_token", &site["website_token"]);

        let contact =
            json!({"name": mark, "inbox_id": inbox["id"], "email": format!("{mark}@example.com")});
        let contact = admin.post("/contacts", contact).await.ok();
        let (contact, place) =
            (&contact["payload"]["contact"], &contact["payload"]["contact_inbox"]);
        know(&mut this, "contacts", &contact["id"]);
        know(&mut this, "source_id", &place["source_id"]);
        for _ in 0..conversations {
            let opened = json!({
                "inbox_id": inbox["id"], "contact_id": contact["id"], "source_id": place["source_id"],
            });
            let opened = admin.post("/conversations", opened).await.ok();
            know(&mut this, "conversations", &opened["id"]);
            know(&mut this, "csat_survey", &opened["uuid"]);
        }
        let sent = format!("/conversations/{}/messages", this.known["conversations"]);
        let sent = admin.post(&sent, json!({"content": mark})).await.ok();
        know(&mut this, "messages", &sent["id"]);

        let assigned = format!("/conversations/{}/assignments", this.known["conversations"]);
        admin.post(&assigned, json!({"assignee_id": agent.id})).await.ok();
        // The agent is told of it: a notification.
        app.settle().await;

        let bot = json!({"name": mark, "outgoing_url": ""});
        let bot = admin.post("/agent_bots", bot).await.ok();
        know(&mut this, "agent_bots", &bot["id"]);
        let password = json!({"email": admin.email, "password": "Passw0rd!23"});
        app.anyone().post("/auth/sign_in", password).await.ok();
        let sessions = admin.get("/api/v1/profile/sessions").await.ok();
        know(&mut this, "sessions", &sessions[0]["id"]);

        let by_site = format!("website_token={}", this.known["website_token"]);
        let config = format!("/api/v1/widget/config?{by_site}");
        let config = app.anyone().post(&config, json!({})).await.ok();
        let token = text(&config["website_channel_config"]["auth_token"]);
        let visitor = app.anyone().with_header("x-auth-token", &token);
        let said = json!({"message": {"content": mark}, "contact": {"name": mark}});
        visitor.post(&format!("/api/v1/widget/conversations?{by_site}"), said).await.ok();
        let heard = visitor.get(&format!("/api/v1/widget/messages?{by_site}")).await.ok();
        know(&mut this, "widget messages", &heard["payload"][0]["id"]);

        let bot = app.anyone().with_header("api_access_token", &text(&bot["access_token"]));
        this.callers = BTreeMap::from([
            ("nobody", app.anyone()),
            ("visitor", visitor),
            ("outsider", outsider),
            ("agent", agent),
            ("bot", bot),
            ("platform", app.platform()),
            ("admin", admin.clone()),
        ]);
        this.make_records(&admin).await;
        this.find_rows().await;
        this
    }

    async fn make_records(&mut self, admin: &Actor) {
        let routes = table();
        for (what, place, body) in RECORDS {
            let whole = format!("/api/v1/accounts/{{account_id}}{place}");
            let is_it = |r: &&Route| r.method == Method::POST && r.path == whole;
            let route = routes.iter().find(is_it).unwrap_or_else(|| panic!("no POST {whole}"));
            // One that is refused leaves its parameter unknown, which the sweeps tell.
            let made = admin.post(&self.path(route), body(self)).await.json();
            let made = if made["payload"].is_object() { &made["payload"] } else { &made };
            if let Some(id) = made["id"].as_i64() {
                self.known.insert(what.to_owned(), id.to_string());
            }
        }
    }

    /// Makes all of [`RECORDS`] again for each of these numbers, with marks of their own: those marks.
    pub async fn make_more(&mut self, numbers: Range<usize>) -> Vec<String> {
        let (admin, mark, known) = (self.callers["admin"].clone(), self.mark, self.known.clone());
        let mut marks = Vec::new();
        for n in numbers {
            self.mark = format!("{mark}{n}").leak();
            marks.push(self.mark.to_owned());
            self.make_records(&admin).await;
            self.known.clone_from(&known);
        }
        self.mark = mark;
        marks
    }

    /// What has a table of its name.
    async fn find_rows(&mut self) {
        let columns = schema(self.app.db()).await.expect("a schema");
        let has = |table: &str, column: &str| {
            columns.iter().any(|c| c.table == table && c.column == column)
        };
        let tables: Vec<String> = columns
            .iter()
            .filter(|c| c.column == "id" && has(&c.table, "account_id"))
            .map(|c| c.table.clone())
            .collect();
        for table in tables {
            if self.known.contains_key(&table) {
                continue;
            }
            let first =
                sql::<(Option<i64>,)>(format!("select min(id) from {table} where account_id = $1"));
            let account = self.account;
            let found = self.app.db().read(async move |tx| tx.one(first, args![account]).await);
            if let (Some(id),) = found.await.expect("an id") {
                self.known.insert(table, id.to_string());
            }
        }
    }

    /// What paths call what is `what`.
    pub fn name(&self, what: &str) -> &str {
        &self.known[what]
    }

    /// The number by which paths call what is `what`.
    pub fn number(&self, what: &str) -> i64 {
        self.known[what].parse().unwrap_or_else(|_| panic!("{what} have no numbers"))
    }

    /// What fills the parameters of a route; where nothing does, the parameter.
    pub fn fillings(&self, route: &Route) -> Vec<Result<String, String>> {
        let public = route.path.starts_with("/public/api/v1/inboxes");
        let widget = route.path.starts_with("/api/v1/widget");
        let find = |(parameter, before): (String, String)| {
            let what = match noun(&parameter, &before).as_str() {
                "inboxes" if public => "inbox_identifier".to_owned(),
                "contacts" if public => "source_id".to_owned(),
                "messages" if widget => "widget messages".to_owned(),
                "inbox_members" => "inboxes".to_owned(),
                other => other.to_owned(),
            };
            let named = self.known.get(&parameter).or_else(|| self.known.get(&what));
            named.cloned().ok_or(parameter)
        };
        parameters(route).into_iter().map(find).collect()
    }

    /// The path of a route with the account's own records in it.
    pub fn path(&self, route: &Route) -> String {
        let fillings = self.fillings(route);
        let filled = path(route, |place| match &fillings[place] {
            Ok(value) => value.clone(),
            Err(parameter) => {
                panic!("teach tests/it/tenant.rs what {{{parameter}}} of {} is", route.path)
            }
        });
        self.asked(route, filled)
    }

    /// With what a route wants besides its path.
    pub fn asked(&self, route: &Route, path: String) -> String {
        if route.path.starts_with("/api/v1/widget") || route.path == "/widget" {
            format!("{path}?website_token={}", self.known["website_token"])
        } else {
            path
        }
    }

    /// All that the database holds of the account and its people, a text a row.
    pub async fn rows(&self) -> BTreeMap<String, Vec<String>> {
        let columns = schema(self.app.db()).await.expect("a schema");
        let mut tables: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for column in &columns {
            tables.entry(&column.table).or_default().push(&column.column);
        }
        let mut out = BTreeMap::new();
        for (table, columns) in tables {
            const PEOPLE: &str = "(select user_id from account_users where account_id = $1)";
            let of = match table {
                "accounts" => "id = $1".to_owned(),
                "users" => format!("id in {PEOPLE}"),
                "access_tokens" => format!("owner_type = 'User' and owner_id in {PEOPLE}"),
                _ if columns.contains(&"account_id") => "account_id = $1".to_owned(),
                _ if columns.contains(&"user_id") => format!("user_id in {PEOPLE}"),
                _ => continue,
            };
            let whole: Vec<String> = columns
                .iter()
                .map(|column| format!("'{column}=' || coalesce(cast(\"{column}\" as text), '-')"))
                .collect();
            let select =
                format!("select {} from {table} where {of} order by 1", whole.join(" || ' ' || "));
            let (select, account) = (sql::<(String,)>(select), self.account);
            let rows =
                self.app.db().read(async move |tx| tx.all(select, [Bound::Int(account)]).await);
            let rows: Vec<(String,)> =
                rows.await.unwrap_or_else(|error| panic!("{table}: {error}"));
            out.insert(table.to_owned(), rows.into_iter().map(|(row,)| row).collect());
        }
        out
    }
}
