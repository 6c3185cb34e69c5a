//! How urgent a conversation is.

use chatwarden_db::WriteTx;
use serde_json::json;

use super::{Conversation, Priority, save};
use crate::error::Result;
use crate::events::Performer;
use crate::messages;
use crate::scope::Scope;

/// Gives a conversation, held locked, a priority or none, and says so among its messages.
///
/// # Errors
/// What the database says.
pub async fn set_priority(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    priority: Option<Priority>,
    by: &Performer,
) -> Result<()> {
    let before = c.row.clone();
    c.row.priority = priority;
    if before.priority == priority {
        return Ok(());
    }
    if let Some(name) = by.name() {
        let text = match (before.priority, priority) {
            (_, None) => format!("{name} removed the priority"),
            (None, Some(new)) => format!("{name} set the priority to {}", new.name()),
            (Some(old), Some(new)) => {
                format!("{name} changed the priority from {} to {}", old.name(), new.name())
            }
        };
        messages::activity(tx, scope, c, &text, json!({})).await?;
    }
    save(tx, scope, c, &before, by).await
}
