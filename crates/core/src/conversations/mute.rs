//! Muting: the contact is blocked, and what it writes reopens nothing.

use chatwarden_db::{WriteTx, args, statements};
use serde_json::json;

use super::{Conversation, Status, set_status, sql};
use crate::error::Result;
use crate::events::Performer;
use crate::scope::Scope;
use crate::{contacts, messages};

statements! {
    /// $1 account, $2 contact, $3 blocked, $4 now
    BLOCK: () = "conversations.block_contact",
        "update contacts set blocked = $3, updated_at = $4 where account_id = $1 and id = $2";
}

/// Resolves a conversation and blocks its contact.
///
/// # Errors
/// What the database says.
pub async fn mute(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    by: &Performer,
) -> Result<()> {
    if c.row.status != Status::Resolved {
        set_status(tx, scope, c, Status::Resolved, None, by).await?;
    }
    block(tx, scope, c, true, by).await
}

/// Lets the contact of a conversation be heard again; the conversation stays as it is.
///
/// # Errors
/// What the database says.
pub async fn unmute(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    by: &Performer,
) -> Result<()> {
    block(tx, scope, c, false, by).await
}

async fn block(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    blocked: bool,
    by: &Performer,
) -> Result<()> {
    let now = tx.now();
    if c.contact.blocked != blocked {
        tx.run(&BLOCK, args![scope.account_id(), c.contact.id, blocked, now]).await?;
        c.contact.blocked = blocked;
        c.contact.updated_at = now;
        contacts::announce(tx, scope, "contact.updated", &c.contact);
    }
    if let Some(name) = by.name() {
        let done = if blocked { "muted" } else { "unmuted" };
        let text = format!("{name} has {done} the conversation");
        messages::activity(tx, scope, c, &text, json!({})).await?;
        c.row.updated_at = now;
        sql::update(tx, scope, &c.row).await?;
    }
    Ok(())
}
