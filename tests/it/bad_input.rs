//! Whatever is sent, it is answered: no route fails with 5xx, and none panics. The calls are made from the route
//! table and from the names that the handlers read, so that a new route is among them.

use std::collections::BTreeMap;

use bytes::Bytes;
use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_testkit::{Actor, App, Reply};
use http::{Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::openapi::{Modules, behaviour, modules};
use crate::sweep::body_with;
use crate::tenant::{NOWHERE, Tenant, parameters, path};

/// Calls for each kind of value and each name, at least: a route with more names gets more.
const ROUNDS: usize = 1;

fn rounds() -> usize {
    std::env::var("CHATWARDEN_BAD_INPUT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

/// Values that are seldom what a handler hopes for, by what is wrong with them.
fn kinds() -> Vec<Vec<Value>> {
    let texts = |texts: &[&str]| texts.iter().map(|text| json!(text)).collect();
    vec![
        // Nothing.
        vec![Value::Null, json!(""), json!(" ")],
        // What no text may have in it.
        texts(&["\0", "a\0b"]),
        // Unusual, but text.
        texts(&["\u{202e}\u{200b}", "e\u{301}\u{1f469}\u{200d}\u{1f680}", "\u{feff}", "\u{fffd}"]),
        // Below everything.
        vec![json!(-1), json!(i64::MIN), json!("-1"), json!("-9223372036854775809")],
        // Beyond everything.
        vec![
            json!(i64::MAX),
            json!(u64::MAX),
            json!(1e308),
            json!(2_147_483_648_i64),
            json!(253_402_300_800_i64),
            json!("9223372036854775808"),
        ],
        // Numbers that are no integers.
        vec![json!(1.5), json!(-0.0), json!("1e400"), json!("NaN")],
        vec![json!(0), json!("0")],
        vec![json!(true), json!(false), json!("true")],
        // Too much of it.
        vec![json!("x".repeat(300)), json!("\u{1f680}".repeat(20_000)), json!(vec![7; 3000])],
        // Lists and objects, where a value was meant, and of what was not.
        vec![json!([]), json!([1, "two", null]), json!([[{"a": [null]}]])],
        vec![json!({}), json!({"0": {"": "\0"}}), json!({"id": -1, "name": [], "a\0": 1})],
        // What is written elsewhere in another way.
        texts(&["null", "[]", "{}", "nonsense"]),
        texts(&["2026-02-30T25:61:61Z", "2026-01-05T09:00:00+99:99", "-271821-04-20"]),
        texts(&["' or 1=1 --", "%00", "\\u0000", "../../etc/passwd", "\r\nX: y"]),
        texts(&["http://[::1", "a@b", "@", "javascript:alert(1)"]),
        texts(&["{{ contact.name }}", "{% for %}", "{{"]),
    ]
}

/// What a handler reads: each name with a value that makes sense, but `odd`, on top and in every object.
fn object(
    reads: &BTreeMap<String, &str>,
    sense: &Value,
    odd: (&str, &Value),
) -> Map<String, Value> {
    let plain = |name: &str, kind: &str| match sense.get(name) {
        Some(value) => value.clone(),
        None => match kind {
            "integer" => json!(1),
            "boolean" => json!(true),
            "array" => json!([1]),
            _ => json!("open"),
        },
    };
    let mut flat = Map::new();
    for (name, kind) in reads {
        if *kind != "object" {
            let value = if name == odd.0 { odd.1.clone() } else { plain(name, kind) };
            flat.insert(name.clone(), value);
        }
    }
    let mut whole = flat.clone();
    for (name, kind) in reads {
        if *kind == "object" {
            let value = if name == odd.0 { odd.1.clone() } else { Value::Object(flat.clone()) };
            whole.insert(name.clone(), value);
        }
    }
    whole
}

fn query(object: &Map<String, Value>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pair = |(key, value): (&String, &Value)| {
        let (suffix, value) = match value {
            Value::String(text) => ("", text.clone()),
            Value::Array(list) => ("[]", list.first().map(Value::to_string).unwrap_or_default()),
            Value::Object(_) => ("[a][b]", "c".to_owned()),
            other => ("", other.to_string()),
        };
        format!("{}{suffix}={}", encode(key), encode(value.get(..200).unwrap_or(&value)))
    };
    object.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Bodies that are nothing at all.
fn broken() -> Vec<(&'static str, Bytes)> {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    let nested = format!("a{}=1", "[b]".repeat(100));
    let form = "--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"\0\"\r\n\r\nb";
    let json = "application/json";
    let urlencoded = "application/x-www-form-urlencoded";
    vec![
        (json, Bytes::from_static(b"{")),
        (json, Bytes::from_static(b"{\"a\": \"\xff\xfe\"}")),
        (json, Bytes::from_static(b"{\"a\": \"\\ud800\"}")),
        (json, Bytes::from_static(b"[1, \"two\", null]")),
        (json, Bytes::from_static(b"\"text\"")),
        (json, Bytes::from_static(b"null")),
        (json, Bytes::from_static(b"1e999")),
        (json, Bytes::from(deep)),
        (urlencoded, Bytes::from_static(b"a=%ff&b=%00&[]=1&=&%=%zz&c[=1&d[][e]=1&d[]=2")),
        (urlencoded, Bytes::from(nested)),
        ("multipart/form-data; boundary=x", Bytes::from_static(form.as_bytes())),
        ("multipart/form-data", Bytes::from_static(b"--x--")),
        ("text/xml", Bytes::from_static(b"<a/>")),
        ("\u{b5}/\u{b5}", Bytes::from_static(b"?")),
    ]
}

/// Segments of a path that name nothing.
const SEGMENTS: [&str; 9] = [
    "0",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "one",
    "%00",
    "%ff%fe",
    "%F0%9F%92%A9",
    "1%2F2",
];

/// Routes that would take what later calls stand on.
fn disturbs(route: &Route) -> bool {
    let own = ["reset_access_token", "reset_secret", "sign_out", "auth/password", "profile"];
    route.method == Method::DELETE || own.iter().any(|end| route.path.ends_with(end))
}

struct Sweep {
    modules: Modules,
    tenant: Tenant,
    faults: Vec<String>,
}

impl Sweep {
    /// Everybody whom a route may let in.
    fn callers(&self, route: &Route) -> Vec<Actor> {
        let of = |name: &str| self.tenant.callers[name].clone();
        match route.actor {
            "platform app" => vec![of("platform")],
            "visitor" => vec![of("visitor")],
            "anyone" => vec![of("visitor"), of("admin")],
            "agent or bot" => vec![of("bot"), of("admin")],
            name if name.starts_with("operator") => vec![self.tenant.app.operator_in_charge()],
            _ => vec![of("admin")],
        }
    }

    /// Whether those who are let in still are: some routes change who somebody is.
    async fn stands(&self) -> bool {
        let contact =
            format!("/api/v1/widget/contact?website_token={}", self.tenant.name("website_token"));
        let bot = format!(
            "/api/v1/accounts/{}/conversations/{}",
            self.tenant.account,
            self.tenant.name("conversations")
        );
        for (caller, path) in [
            ("admin", "/api/v1/profile"),
            ("visitor", &contact),
            ("bot", &bot),
            ("platform", "/platform/api/v1/agent_bots"),
        ] {
            if self.tenant.callers[caller].get(path).await.status != StatusCode::OK {
                return false;
            }
        }
        true
    }

    fn look(&mut self, route: &Route, sent: &str, reply: &Reply) {
        // A server in process never listens, so it is never ready.
        let failed = reply.status.as_u16() >= 500 && route.path != "/readyz";
        if failed && self.faults.len() < 60 {
            let sent: String = sent.chars().take(600).collect();
            self.faults.push(format!(
                "{} {} {sent:?}: {} {}",
                route.method,
                route.path,
                reply.status,
                reply.text()
            ));
        }
    }

    /// Bodies that are nothing, and segments that name nothing.
    async fn nothing(&mut self, route: &Route, caller: &Actor, whole: &str) {
        for (content_type, body) in broken() {
            let sent = format!("{content_type} {body:?}");
            let reply = caller.send_raw(route.method.clone(), whole, content_type, body).await;
            self.look(route, &sent, &reply);
        }
        let own = self.tenant.fillings(route);
        for place in 0..own.len() {
            for segment in SEGMENTS {
                let odd = path(route, |at| {
                    let value = own[at].clone().unwrap_or_default();
                    if at == place { segment.to_owned() } else { value }
                });
                let odd = self.tenant.asked(route, odd);
                let body = if route.method == Method::GET { Value::Null } else { json!({}) };
                let reply = caller.send(route.method.clone(), &odd, body).await;
                self.look(route, &odd, &reply);
            }
        }
    }

    /// Every kind of value, and every name with several; as JSON, as a form, in the query.
    async fn values(&mut self, route: &Route, caller: &Actor, whole: &str) {
        let reads = behaviour(&self.modules, route.handler).unwrap_or_default().reads;
        let names: Vec<&String> = reads.keys().collect();
        let (sense, kinds) = (body_with(&self.tenant), kinds());
        let mark = if whole.contains('?') { '&' } else { '?' };
        for round in 0..rounds() * names.len().max(kinds.len() / rounds() + 1) {
            let kind = &kinds[round % kinds.len()];
            let odd = &kind[(round / kinds.len()) % kind.len()];
            // Another name each time, and another kind each time a name comes again.
            let name = names.get((round + round / kinds.len()) % names.len().max(1));
            let name = name.map_or("anything", |name| name.as_str());
            let object = object(&reads, &sense, (name, odd));
            let method = route.method.clone();
            if route.method == Method::GET {
                let asked = format!("{whole}{mark}{}", query(&object));
                let reply = caller.send(method, &asked, Value::Null).await;
                self.look(route, &asked, &reply);
            } else if round % 4 == 3 {
                let form = query(&object);
                let body = Bytes::from(form.clone());
                let kind = "application/x-www-form-urlencoded";
                let reply = caller.send_raw(method, whole, kind, body).await;
                self.look(route, &form, &reply);
            } else {
                let body = Value::Object(object);
                let reply = caller.send(method, whole, body.clone()).await;
                self.look(route, &body.to_string(), &reply);
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_sent_is_answered() {
    let app = App::empty().await;
    let mut sweep = Sweep {
        modules: modules(),
        tenant: Tenant::with(&app, "zebra", 2).await,
        faults: Vec::new(),
    };
    for route in table() {
        if !sweep.stands().await {
            sweep.tenant = Tenant::with(&app, "zebra", 2).await;
        }
        for caller in sweep.callers(&route) {
            // Where a call with the account's own records would take them, they are somebody's who is not there.
            let own = sweep.tenant.fillings(&route);
            let named = parameters(&route);
            let whole = path(&route, |at| {
                let keep = !disturbs(&route) || named[at].0 == "account_id" && own.len() > 1;
                own[at].clone().ok().filter(|_| keep).unwrap_or_else(|| NOWHERE.to_owned())
            });
            let whole = sweep.tenant.asked(&route, whole);
            sweep.nothing(&route, &caller, &whole).await;
            sweep.values(&route, &caller, &whole).await;
        }
    }
    assert!(sweep.faults.is_empty(), "{} faults:\n{}", sweep.faults.len(), sweep.faults.join("\n"));
}
