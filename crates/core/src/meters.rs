//! What the product counts (operations.md §2.3): told once the transaction is committed, so that
//! the counters say what happened and nothing else.

use chatwarden_db::WriteTx;
use metrics::{Label, counter};

use crate::conversations::Conversation;
use crate::messages::MessageType;

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
