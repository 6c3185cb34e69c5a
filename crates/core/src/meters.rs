//! What the product counts (operations.md §2.3): told once the transaction is committed, so that
//! the counters say what happened and nothing else.

use chatwarden_db::WriteTx;
use metrics::counter;

use crate::conversations::Conversation;
use crate::messages::MessageType;

/// Counts a message.
pub(crate) fn message(tx: &mut WriteTx<'_>, c: &Conversation, kind: MessageType) {
    let direction = match kind {
        MessageType::Incoming => "incoming",
        MessageType::Outgoing => "outgoing",
        MessageType::Activity => "activity",
        MessageType::Template => "template",
    };
    let channel = c.inbox.channel_type.clone();
    tx.after_commit(move || {
        counter!("chatwoot.messages.total", "direction" => direction, "channel" => channel)
            .increment(1);
    });
}

/// Counts a new conversation.
pub(crate) fn conversation(tx: &mut WriteTx<'_>, c: &Conversation) {
    let channel = c.inbox.channel_type.clone();
    tx.after_commit(move || {
        counter!("chatwoot.conversations.total", "channel" => channel).increment(1);
    });
}

/// Counts a conversation that was resolved.
pub(crate) fn resolved(tx: &mut WriteTx<'_>, c: &Conversation) {
    let channel = c.inbox.channel_type.clone();
    tx.after_commit(move || {
        counter!("chatwoot.conversations.resolved", "channel" => channel).increment(1);
    });
}

/// Counts a person who is known from now on.
pub(crate) fn user(tx: &mut WriteTx<'_>) {
    tx.after_commit(|| counter!("chatwoot.users.total").increment(1));
}

/// Counts a new account.
pub(crate) fn account(tx: &mut WriteTx<'_>) {
    tx.after_commit(|| counter!("chatwoot.tenants.total").increment(1));
}
