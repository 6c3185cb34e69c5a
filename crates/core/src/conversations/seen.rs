//! Who has seen a conversation, and leaving it unseen.

use chatwarden_db::{Timestamp, WriteTx, args, statements};

use super::{Conversation, sql, unread};
use crate::error::Result;
use crate::scope::Scope;
use crate::users::Member;

statements! {
    /// $1 account, $2 conversation
    LAST_INCOMING: (Timestamp,) = "conversations.last_incoming",
        "select created_at from messages where account_id = $1 and conversation_id = $2 and message_type = 0
         order by created_at desc limit 1";
    /// $1 account, $2 conversation, $3 since: as many as are shown
    UNREAD_SINCE: (i64,) = "conversations.unread_since",
        "select count(*) from (select m.id from messages m where m.account_id = $1 and m.conversation_id = $2
            and m.message_type = 0 and m.created_at > $3 limit 10) as unread";
}

/// Notes that a member looked: at once where there is something new since, else at most once an
/// hour (`behaviours.md §8`, update_last_seen).
///
/// # Errors
/// What the database says.
pub async fn mark_seen(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &mut Conversation,
    member: &Member,
) -> Result<()> {
    let now = tx.now();
    let assigned_to_me = c.row.assignee_id == Some(member.id);
    let seen = if assigned_to_me {
        c.row.assignee_last_seen_at.min(c.row.agent_last_seen_at)
    } else {
        c.row.agent_last_seen_at
    };
    let stale =
        |at: Option<Timestamp>| at.is_none_or(|at| now.micros() - at.micros() >= 3_600_000_000);
    if seen.is_none_or(|at| c.row.last_activity_at > at) || stale(seen) {
        let before = c.row.clone();
        c.row.agent_last_seen_at = Some(now);
        c.row.unread_count = 0;
        if assigned_to_me {
            c.row.assignee_last_seen_at = Some(now);
        }
        // Not `save`: looking is no change of the conversation, and its updated_at stays.
        if before.agent_last_seen_at != c.row.agent_last_seen_at {
            sql::update(tx, scope, &c.row).await?;
            unread::tell_changed(tx, scope, c, &before, &scope.performer(tx));
        }
    }
    crate::notifications::seen(tx, scope, member, c.row.id).await
}

/// Leaves a conversation unread for everybody: as if nobody had looked since its contact last wrote.
///
/// # Errors
/// What the database says.
pub async fn mark_unread(tx: &mut WriteTx<'_>, scope: &Scope, c: &mut Conversation) -> Result<()> {
    let (account, before) = (scope.account_id(), c.row.clone());
    let last = tx.opt(&LAST_INCOMING, args![account, c.row.id]).await?;
    let seen = last.map(|(last,)| last.plus_seconds(-1));
    c.row.agent_last_seen_at = seen;
    c.row.assignee_last_seen_at = seen;
    c.row.unread_count = match seen {
        Some(seen) => tx.one(&UNREAD_SINCE, args![account, c.row.id, seen]).await?.0,
        None => 0,
    };
    // As with looking, the conversation itself did not change.
    sql::update(tx, scope, &c.row).await?;
    unread::tell_changed(tx, scope, c, &before, &scope.performer(tx));
    Ok(())
}
