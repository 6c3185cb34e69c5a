//! Whatever is sent, it is answered: no route fails with 5xx, and none panics. The calls are made from the route
//! table and from the names that the handlers read, so that a new route is among them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use chatwarden_api::routes::Route;
use chatwarden_api::table;
use chatwarden_testkit::{Actor, App, Reply};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use regex::Regex;
use serde_json::{Map, Value, json};

use crate::tenant::{NOWHERE, Tenant, parameters, path};

/// Random bodies for each route (`CHATWARDEN_BAD_INPUT_ROUNDS`).
const ROUNDS: usize = 6;

fn rounds() -> usize {
    std::env::var("CHATWARDEN_BAD_INPUT_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS)
}

/// The texts of the handlers' source that may be names of parameters, by module.
fn names() -> BTreeMap<String, Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/src");
    let name = Regex::new(r#""([a-z][a-z0-9_]{1,40})(?:\[\])?""#).expect("a pattern");
    let mut out = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&folder).into_iter().flatten() {
        let Ok(relative) = entry.path().strip_prefix(&folder) else { continue };
        if entry.path().extension().is_none_or(|e| e != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(entry.path()).expect("a source");
        let found: BTreeSet<String> =
            name.captures_iter(&source).map(|c| c[1].to_owned()).collect();
        let module = relative.with_extension("").to_string_lossy().replace('/', "::");
        out.insert(module.trim_end_matches("::mod").to_owned(), found.into_iter().collect());
    }
    out
}

/// The names that a route's handler, or the module around it, reads.
fn names_of<'a>(names: &'a BTreeMap<String, Vec<String>>, route: &Route) -> &'a [String] {
    let mut module = route.handler;
    while let Some((outer, _)) = module.rsplit_once("::") {
        module = outer;
        if let Some(found) = names.get(module) {
            return found;
        }
    }
    panic!("no source has {}", route.handler)
}

/// Values that are seldom what a handler hopes for.
fn odd(chance: &mut StdRng) -> Value {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{202e}\u{200b}",
        "e\u{301}\u{1f469}\u{200d}\u{1f680}",
        "\u{feff}",
        "\u{fffd}",
        "-1",
        "0",
        "9223372036854775807",
        "9223372036854775808",
        "1e400",
        "NaN",
        "true",
        "null",
        "[]",
        "{}",
        "2026-02-30T25:61:61Z",
        "2026-01-05T09:00:00+99:99",
        "-271821-04-20",
        "' or 1=1 --",
        "%00",
        "\\u0000",
        "../../etc/passwd",
        "http://[::1",
        "a@b",
        "@",
        "{{ contact.name }}",
        "{% for %}",
        "\r\nX: y",
    ];
    let numbers = [
        json!(0),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1.5),
        json!(-0.0),
        json!(1e308),
        json!(2_147_483_648_i64),
        json!(253_402_300_800_i64),
    ];
    match chance.random_range(0..9) {
        0 => Value::Null,
        1 => json!(chance.random_bool(0.5)),
        2 | 3 => numbers.choose(chance).cloned().unwrap_or_default(),
        4 => json!("x".repeat(*[300, 70_000].choose(chance).unwrap_or(&300))),
        5 => match chance.random_range(0..4) {
            0 => json!([]),
            1 => json!({}),
            2 => json!([[{"a": [null]}]]),
            _ => json!({"0": {"": "\0"}}),
        },
        6 => json!([odd(chance), odd(chance)]),
        7 => json!({"id": odd(chance), "name": odd(chance), "a\0": 1}),
        _ => json!(texts.choose(chance).unwrap_or(&"")),
    }
}

fn object(names: &[String], share: f64, chance: &mut StdRng) -> Map<String, Value> {
    let chosen = names.iter().filter(|_| chance.random_bool(share)).cloned().collect::<Vec<_>>();
    chosen.into_iter().map(|name| (name, odd(chance))).collect()
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
    tenant: Tenant,
    faults: Vec<String>,
}

impl Sweep {
    /// Everybody whom a route may let in.
    fn callers(&self, route: &Route) -> Vec<Actor> {
        let of = |name: &str| self.tenant.callers[name].clone();
        match route.actor {
            "platform app" => vec![of("platform")],
            "anyone" => vec![of("visitor"), of("admin")],
            "agent or bot" => vec![of("bot"), of("admin")],
            _ => vec![of("admin")],
        }
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
}

#[tokio::test]
async fn whatever_is_sent_is_answered() {
    let app = App::empty().await;
    let names = names();
    let mut sweep = Sweep { tenant: Tenant::with(&app, "zebra", 2).await, faults: Vec::new() };
    let mut chance = StdRng::seed_from_u64(11);
    for route in table() {
        let names = names_of(&names, &route).to_vec();
        if sweep.tenant.admin().get("/api/v1/profile").await.status != 200 {
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
            for (content_type, body) in broken() {
                let sent = format!("{content_type} {body:?}");
                let reply = caller.send_raw(route.method.clone(), &whole, content_type, body).await;
                sweep.look(&route, &sent, &reply);
            }
            for place in 0..own.len() {
                for segment in SEGMENTS {
                    let odd = path(&route, |at| {
                        let value = own[at].clone().unwrap_or_default();
                        if at == place { segment.to_owned() } else { value }
                    });
                    let odd = sweep.tenant.asked(&route, odd);
                    let body = if route.method == Method::GET { Value::Null } else { json!({}) };
                    let reply = caller.send(route.method.clone(), &odd, body).await;
                    sweep.look(&route, &odd, &reply);
                }
            }
            for round in 0..rounds() {
                let share = [1.0, 0.5, 0.2, 0.1][round % 4];
                let object = object(&names, share, &mut chance);
                let mark = if whole.contains('?') { '&' } else { '?' };
                if round % 3 == 0 || route.method == Method::GET {
                    let asked = format!("{whole}{mark}{}", query(&object));
                    let reply = caller.send(route.method.clone(), &asked, Value::Null).await;
                    sweep.look(&route, &asked, &reply);
                }
                if route.method != Method::GET {
                    let body = Value::Object(object);
                    let reply = caller.send(route.method.clone(), &whole, body.clone()).await;
                    sweep.look(&route, &body.to_string(), &reply);
                }
            }
        }
    }
    assert!(sweep.faults.is_empty(), "{} faults:\n{}", sweep.faults.len(), sweep.faults.join("\n"));
}
