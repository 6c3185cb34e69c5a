//! What the product counts (operations.md §2.3): told once the transaction is committed, so that
//! the counters say what happened and nothing else. And what its caches tell.

use std::time::Duration;

use chatwarden_db::WriteTx;
use metrics::{Label, counter, gauge, histogram};
use moka::notification::RemovalCause;

use crate::conversations::Conversation;
use crate::messages::MessageType;
use crate::notifications::Kind;

/// Where a conversation is, and whose.
fn labels(c: &Conversation) -> Vec<Label> {
    vec![
        Label::new("channel", c.inbox.channel_type.clone()),
        // Whether it is told is an operator's choice (`METRICS_TENANT_LABEL`).
        Label::new("tenant", c.row.account_id.0.to_string()),
    ]
}

/// Counts a message.
pub(crate) fn message(tx: &mut WriteTx<'_>, c: &Conversation, kind: MessageType) {
    let direction = match kind {
        MessageType::Incoming => "incoming",
        MessageType::Outgoing => "outgoing",
        MessageType::Activity => "activity",
        MessageType::Template => "template",
    };
    let mut labels = labels(c);
    labels.push(Label::from_static_parts("direction", direction));
    tx.after_commit(move || counter!("chatwoot.messages.total", labels).increment(1));
}

/// Counts a new conversation.
pub(crate) fn conversation(tx: &mut WriteTx<'_>, c: &Conversation) {
    let labels = labels(c);
    tx.after_commit(move || counter!("chatwoot.conversations.total", labels).increment(1));
}

/// Counts a conversation that was resolved.
pub(crate) fn resolved(tx: &mut WriteTx<'_>, c: &Conversation) {
    let labels = labels(c);
    tx.after_commit(move || counter!("chatwoot.conversations.resolved", labels).increment(1));
}

/// Counts a person who is known from now on.
pub(crate) fn user(tx: &mut WriteTx<'_>) {
    tx.after_commit(|| counter!("chatwoot.users.total").increment(1));
}

/// Counts a new account.
pub(crate) fn account(tx: &mut WriteTx<'_>) {
    tx.after_commit(|| counter!("chatwoot.tenants.total").increment(1));
}

/// Counts what a member's sockets are told of.
pub(crate) fn notified(tx: &mut WriteTx<'_>, kind: Kind) {
    tx.after_commit(move || sent(kind, "ws", "success"));
}

/// Counts what the mail server answered to a notification's letter, so long after the notification.
pub(crate) fn notified_by_mail(kind: Kind, status: &'static str, took: Duration) {
    sent(kind, "email", status);
    histogram!("chatwoot.notifications.delivery.time", "channel" => "email", "status" => status)
        .record(took);
}

fn sent(kind: Kind, channel: &'static str, status: &'static str) {
    counter!("chatwoot.notifications.sent",
        "type" => kind.name(), "channel" => channel, "status" => status)
    .increment(1);
}

/// What a cache tells of itself, by its name.
#[derive(Debug, Clone, Copy)]
pub struct CacheMeters(pub &'static str);

impl CacheMeters {
    /// Somebody looked, and found what they wanted or not.
    pub fn looked(self, found: bool) {
        if found {
            counter!("chatwoot.cache.hits", "cache" => self.0).increment(1);
            counter!("cache.gets", "cache" => self.0, "result" => "hit").increment(1);
        } else {
            counter!("chatwoot.cache.misses", "cache" => self.0).increment(1);
            counter!("cache.gets", "cache" => self.0, "result" => "miss").increment(1);
        }
    }

    /// An entry was put in.
    pub fn entered(self) {
        gauge!("chatwoot.cache.size", "cache" => self.0).increment(1);
    }

    /// An entry went; one that another took the place of goes as well.
    pub fn left(self, cause: RemovalCause) {
        gauge!("chatwoot.cache.size", "cache" => self.0).decrement(1);
        if cause.was_evicted() {
            counter!("cache.evictions", "cache" => self.0).increment(1);
        }
    }
}
