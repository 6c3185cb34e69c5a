//! Those who follow a conversation (`behaviours.md §8`, participants).

use chatwarden_db::{Tx, WriteTx, args, statements};

use super::sql::sits;
use super::{Conversation, unread};
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::scope::Scope;
use crate::users::{Member, MemberRow};

statements! {
    /// $1 account, $2 conversation
    LIST: MemberRow = "conversations.participants", (concat!("select ", crate::member_columns!(),
        " from conversation_participants p
          join account_users au on au.account_id = p.account_id and au.user_id = p.user_id
          join users u on u.id = au.user_id
          where p.account_id = $1 and p.conversation_id = $2 order by u.id"));
    /// $1 account, $2 users, $3 inbox: those who may be given its conversations
    ASSIGNABLE: (UserId,) = "conversations.assignable",
        (concat!("select au.user_id from account_users au where au.account_id = $1 and au.user_id @in($2) and ", sits!("$3")));
    /// $1 account, $2 conversation, $3 users, $4 inbox, $5 now: those who may be given its conversations
    ADD: (UserId,) = "conversations.add_participants",
        (concat!("insert into conversation_participants (account_id, conversation_id, user_id, created_at)
         select $1, $2, au.user_id, $5 from account_users au where au.account_id = $1 and au.user_id @in($3) and ",
         sits!("$4"), " on conflict do nothing returning user_id"));
    /// $1 account, $2 conversation, $3 users
    REMOVE: () = "conversations.remove_participants",
        "delete from conversation_participants where account_id = $1 and conversation_id = $2 and user_id @in($3)";
    /// $1 account, $2 conversation, $3 users
    KEEP: () = "conversations.keep_participants",
        "delete from conversation_participants where account_id = $1 and conversation_id = $2 and user_id @not_in($3)";
}

fn numbers(users: &[UserId]) -> Vec<i64> {
    let mut ids: Vec<i64> = users.iter().map(|user| user.0).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The participants.
///
/// # Errors
/// What the database says.
pub async fn list(tx: &mut Tx<'_>, scope: &Scope, c: &Conversation) -> Result<Vec<Member>> {
    let found = tx.all(&LIST, args![scope.account_id(), c.row.id]).await?;
    Ok(found.into_iter().map(Member::from).collect())
}

/// Those who may not be given conversations of the inbox can't follow one either.
async fn check(tx: &mut Tx<'_>, scope: &Scope, c: &Conversation, users: &[UserId]) -> Result<()> {
    let ids = numbers(users);
    let wanted = ids.len();
    let found = tx.all(&ASSIGNABLE, args![scope.account_id(), ids, c.row.inbox_id]).await?;
    if found.len() == wanted {
        Ok(())
    } else {
        Err(Error::Unprocessable("Invalid participant IDs".to_owned()))
    }
}

/// Adds participants; gives back those who were none.
///
/// # Errors
/// [`Error::Unprocessable`] where one may not be given conversations of the inbox.
pub async fn invite(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: &[UserId],
) -> Result<Vec<Member>> {
    check(tx, scope, c, users).await?;
    let added = add(tx, scope, c, users).await?;
    Ok(crate::users::sql::members(tx, scope, &added).await?)
}

/// Makes these the participants, and nobody else.
///
/// # Errors
/// [`Error::Unprocessable`] where one may not be given conversations of the inbox.
pub async fn set(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: &[UserId],
) -> Result<Vec<Member>> {
    check(tx, scope, c, users).await?;
    let keep = numbers(users);
    if tx.run(&KEEP, args![scope.account_id(), c.row.id, keep]).await? > 0 {
        unread::tell_filtered(tx, scope, c);
    }
    add(tx, scope, c, users).await?;
    list(tx, scope, c).await
}

/// Removes participants; who is none is passed over.
///
/// # Errors
/// What the database says.
pub async fn remove(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: &[UserId],
) -> Result<()> {
    let ids = numbers(users);
    if tx.run(&REMOVE, args![scope.account_id(), c.row.id, ids]).await? > 0 {
        unread::tell_filtered(tx, scope, c);
    }
    Ok(())
}

/// Has those of `users` follow the conversation who may be given those of its inbox: assignees and whoever is
/// mentioned follow by themselves. Gives back who did not before.
///
/// # Errors
/// What the database says.
pub async fn add(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    users: &[UserId],
) -> Result<Vec<UserId>> {
    let (ids, now) = (numbers(users), tx.now());
    let account = scope.account_id();
    let added = tx.all(&ADD, args![account, c.row.id, ids, c.row.inbox_id, now]).await?;
    if !added.is_empty() {
        unread::tell_filtered(tx, scope, c);
    }
    Ok(added.into_iter().map(|(user,)| user).collect())
}
