//! Muting: the contact is blocked, and what it writes reopens nothing.

use chatwarden_db::WriteTx;
use serde_json::json;

use super::{Conversation, Status, set_status, sql};
use crate::error::Result;
use crate::events::Performer;
use crate::scope::Scope;
use crate::{contacts, messages};

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
    // As it is now: it may have been changed since the conversation was read.
    let before = contacts::lock(tx, scope, c.contact.id).await?;
    c.contact = before.clone();
    c.contact.blocked = blocked;
    contacts::save(tx, scope, &before, &mut c.contact).await?;
    if let Some(name) = by.name() {
        let done = if blocked { "muted" } else { "unmuted" };
        let text = format!("{name} has {done} the conversation");
        messages::activity(tx, scope, c, &text, json!({})).await?;
        c.row.updated_at = tx.now();
        sql::update(tx, scope, &c.row).await?;
    }
    Ok(())
}
