//! What there is, as gauges: counted by the node that leads, for all nodes (operations.md §2.3).

use std::sync::Arc;
use std::time::{Duration, Instant};

use chatwarden_core::installation::census::{self, Census};
use chatwarden_core::{accounts, conversations, users};
use chatwarden_db::{Db, DbError, Load};
use chatwarden_telemetry::meters::Tenants;
use metrics::{counter, gauge};

use crate::node::Node;

/// How often it is counted, at most.
const EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether this node leads by now.
const ASK: Duration = Duration::from_secs(5);
/// Counting takes no more than one part in so many of the time.
const RARELY: u32 = 100;
/// How often it is looked which accounts are the largest.
const SORT: Duration = Duration::from_secs(3600);
/// So many accounts have series of their own where accounts have.
const LARGEST: i64 = 50;

/// Counts until it is dropped, whenever this node leads; what it does not count (any more) is withdrawn.
pub async fn count(node: Arc<Node>) {
    let db = node.app.db().clone();
    let mut shown = false;
    loop {
        let mut pause = EVERY;
        if node.worker.leads() {
            let began = Instant::now();
            match counted(&db).await {
                Ok((census, load)) => {
                    show(&census, load);
                    shown = true;
                }
                Err(error) => tracing::warn!(%error, "what there is can't be counted"),
            }
            let (people, contacts) = node.board.present_everywhere(db.ambient().now());
            set("chatwoot.users.online", "kind", "agent", Some(exact(people)));
            set("chatwoot.users.online", "kind", "contact", Some(exact(contacts)));
            pause = pause.max(began.elapsed() * RARELY);
        } else {
            pause = ASK;
            if std::mem::take(&mut shown) {
                withdraw();
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Looks which accounts have series of their own, until it is dropped.
pub async fn sort(db: Db, tenants: Tenants) {
    loop {
        match db.read(async |tx| census::largest(tx, LARGEST).await).await {
            Ok(largest) => tenants.name(largest.into_iter().map(|account| account.0.to_string())),
            Err(error) => tracing::warn!(%error, "the largest accounts can't be found"),
        }
        tokio::time::sleep(SORT).await;
    }
}

async fn counted(db: &Db) -> Result<(Census, Load), DbError> {
    Ok((db.read(async |tx| census::take(tx).await).await?, db.load().await?))
}

fn exact(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Sets a gauge, or withdraws it when there is nothing to set it to.
#[expect(clippy::cast_precision_loss, reason = "gauges are doubles")]
fn set(name: &'static str, label: &'static str, value: &'static str, n: Option<i64>) {
    let n = n.map_or(f64::NAN, |n| n as f64);
    if label.is_empty() { gauge!(name).set(n) } else { gauge!(name, label => value).set(n) }
}

fn show(census: &Census, load: Load) {
    if let Some(deadlocks) = load.deadlocks {
        counter!("db.deadlocks").absolute(deadlocks);
    }
    gauge!("db.oldest.transaction")
        .set(load.oldest_transaction.map_or(f64::NAN, |age| age.as_secs_f64()));
    set_all(|name, label, value| {
        let of_status =
            |wanted: &str| census.conversations.iter().find(|(status, ..)| status.name() == wanted);
        let many = |n: Option<i64>| Some(n.unwrap_or(0));
        match (name, label) {
            ("chatwoot.tenants.current", _) => {
                let mut found = census.accounts.iter();
                many(found.find(|(status, _)| status.name() == value).map(|(_, n)| *n))
            }
            ("chatwoot.users.current", _) => {
                let mut found = census.people.iter();
                many(found.find(|(role, _)| role.name() == value).map(|(_, n)| *n))
            }
            ("chatwoot.conversations.current", _) => many(of_status(value).map(|(_, n, _)| *n)),
            ("chatwoot.conversations.active", _) => {
                let waiting = ["open", "pending"].map(|name| of_status(name).map_or(0, |it| it.1));
                Some(waiting.iter().sum())
            }
            ("chatwoot.conversations.unassigned", _) => many(of_status("open").map(|it| it.2)),
            ("chatwoot.contacts.current", _) => census.contacts,
            ("chatwoot.messages.current", _) => census.messages,
            ("chatwoot.sessions.active", _) => Some(census.sessions),
            ("chatwoot.storage.bytes", _) => census.files.as_ref().map(|files| {
                let of_kind = files.iter().filter(|it| it.0.is_avatar() == (value == "avatar"));
                of_kind.map(|(_, bytes)| bytes).sum()
            }),
            ("db.size", _) => Some(load.bytes),
            ("db.locks.waiting", _) => load.locks_waiting,
            _ => None,
        }
    });
}

fn withdraw() {
    set_all(|_, _, _| None);
    set("chatwoot.users.online", "kind", "agent", None);
    set("chatwoot.users.online", "kind", "contact", None);
    gauge!("db.oldest.transaction").set(f64::NAN);
}

/// Sets each gauge of the census to what `of` says of its name, its label and that label's value.
fn set_all(of: impl Fn(&'static str, &'static str, &'static str) -> Option<i64>) {
    let gauge = |name, label, value| set(name, label, value, of(name, label, value));
    for status in accounts::Status::ALL {
        gauge("chatwoot.tenants.current", "status", status.name());
    }
    for role in users::Role::ALL {
        gauge("chatwoot.users.current", "role", role.name());
    }
    for status in conversations::Status::ALL {
        gauge("chatwoot.conversations.current", "status", status.name());
    }
    for kind in ["attachment", "avatar"] {
        gauge("chatwoot.storage.bytes", "kind", kind);
    }
    for name in [
        "chatwoot.conversations.active",
        "chatwoot.conversations.unassigned",
        "chatwoot.contacts.current",
        "chatwoot.messages.current",
        "chatwoot.sessions.active",
        "db.size",
        "db.locks.waiting",
    ] {
        gauge(name, "", "");
    }
}
