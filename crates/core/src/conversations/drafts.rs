//! What the agents of a conversation began to write: one text, shared by them.

use chatwarden_db::{Tx, WriteTx, args, statements};

use super::Conversation;
use crate::error::{Error, Result};
use crate::scope::Scope;

/// The longest draft, in characters: that of a message (`behaviours.md §18`).
const LIMIT: usize = 150_000;

statements! {
    /// $1 account, $2 conversation
    GET: (String,) = "conversations.draft",
        "select content from conversation_drafts where account_id = $1 and conversation_id = $2";
    /// $1 account, $2 conversation, $3 content, $4 now
    PUT: () = "conversations.put_draft",
        "insert into conversation_drafts (account_id, conversation_id, content, updated_at) values ($1, $2, $3, $4)
         on conflict (account_id, conversation_id) do update set content = excluded.content, updated_at = excluded.updated_at";
    /// $1 account, $2 conversation
    DELETE: () = "conversations.delete_draft",
        "delete from conversation_drafts where account_id = $1 and conversation_id = $2";
}

/// The draft, where there is one.
///
/// # Errors
/// What the database says.
pub async fn get(tx: &mut Tx<'_>, scope: &Scope, c: &Conversation) -> Result<Option<String>> {
    let found = tx.opt(&GET, args![scope.account_id(), c.row.id]).await?;
    Ok(found.map(|(content,)| content))
}

/// Keeps a draft in the place of the one before.
///
/// # Errors
/// [`Error::Invalid`] for one that no message could be.
pub async fn put(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    content: &str,
) -> Result<()> {
    if content.chars().nth(LIMIT).is_some() {
        let fault = format!("is too long (maximum is {LIMIT} characters)");
        return Err(Error::invalid("message", fault));
    }
    let now = tx.now();
    tx.run(&PUT, args![scope.account_id(), c.row.id, content, now]).await?;
    Ok(())
}

/// Throws the draft away.
///
/// # Errors
/// What the database says.
pub async fn delete(tx: &mut WriteTx<'_>, scope: &Scope, c: &Conversation) -> Result<()> {
    tx.run(&DELETE, args![scope.account_id(), c.row.id]).await?;
    Ok(())
}
