//! What the messages of a conversation carry (`resources.md §6.2`, attachments).

use chatwarden_db::{Tx, args, statements};

use super::Conversation;
use crate::error::Result;
use crate::ids::{AttachmentId, MessageId};
use crate::messages::{self, Sent};
use crate::scope::Scope;
use crate::storage::Attachment;

/// Attachments on a page (`behaviours.md §5`).
const PAGE: i64 = 100;

statements! {
    /// $1 account, $2 conversation, $3 limit, $4 offset; newest first
    LIST: (AttachmentId, MessageId) = "conversations.attachments",
        "select a.id, a.message_id from attachments a where a.account_id = $1 and a.conversation_id = $2
         order by a.id desc limit $3 offset $4";
    /// $1 account, $2 conversation
    COUNT: (i64,) = "conversations.count_attachments",
        "select count(*) from attachments a where a.account_id = $1 and a.conversation_id = $2";
}

/// A page of a conversation's attachments with their messages, newest first, and how many there are.
///
/// # Errors
/// What the database says.
pub async fn list(
    tx: &mut Tx<'_>,
    scope: &Scope,
    c: &Conversation,
    page: i64,
) -> Result<(Vec<(Attachment, Sent)>, i64)> {
    let offset = page.max(1).saturating_sub(1).saturating_mul(PAGE);
    let found = tx.all(&LIST, args![scope.account_id(), c.row.id, PAGE, offset]).await?;
    let (total,) = tx.one(&COUNT, args![scope.account_id(), c.row.id]).await?;
    let mut ids: Vec<i64> = found.iter().map(|(_, message)| message.0).collect();
    ids.dedup();
    let sent = if ids.is_empty() { Vec::new() } else { messages::by_ids(tx, scope, &ids).await? };
    let of = |(attachment, message): &(AttachmentId, MessageId)| {
        let sent = sent.iter().find(|sent| sent.message.id == *message)?;
        let held = sent.message.attachments.0.iter().find(|held| held.id == *attachment)?;
        Some((held.clone(), sent.clone()))
    };
    Ok((found.iter().filter_map(of).collect(), total))
}
