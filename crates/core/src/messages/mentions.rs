//! Who is named in a note: `[@Ada](mention://user/1/Ada)`, `mention://team/…` (`behaviours.md §9.2`).

use chatwarden_db::{WriteTx, args, statements};

use super::Message;
use crate::conversations::sql::sits;
use crate::conversations::{Conversation, ConversationPush, participants};
use crate::error::Result;
use crate::events::{self, Audience, Event, Performer};
use crate::ids::UserId;
use crate::scope::Scope;

/// The most people and teams that a note names.
const MOST: usize = 500;

statements! {
    /// $1 account, $2 users, $3 teams, $4 inbox: those who may see the inbox's conversations, and their
    /// sockets' tokens
    NAMED: (UserId, String) = "mentions.named",
        (concat!("select au.user_id, u.pubsub_token from account_users au join users u on u.id = au.user_id
         where au.account_id = $1
            and (au.user_id @in($2) or exists (select 1 from team_members tm
                where tm.account_id = $1 and tm.team_id @in($3) and tm.user_id = au.user_id))
            and ", sits!("$4"), " order by au.user_id"));
    /// $1 account, $2 conversation, $3 users, $4 now
    NOTE: () = "mentions.note",
        "insert into mentions (account_id, conversation_id, user_id, mentioned_at, created_at)
         select $1, $2, au.user_id, $4, $4 from account_users au where au.account_id = $1 and au.user_id @in($3)
         on conflict (account_id, conversation_id, user_id) do update set mentioned_at = excluded.mentioned_at";
}

/// The users and teams that a text names.
fn named_in(text: &str) -> (Vec<i64>, Vec<i64>) {
    let (mut users, mut teams) = (Vec::new(), Vec::new());
    for link in text.split("(mention://").skip(1).take(MOST) {
        let mut parts = link.splitn(3, '/');
        let (kind, id, rest) = (parts.next(), parts.next(), parts.next());
        let Some(id) = id.and_then(|id| id.parse::<i64>().ok()) else { continue };
        if rest.is_none_or(|name| name.find(')').is_none_or(|end| end == 0)) {
            continue;
        }
        match kind {
            Some("user") => users.push(id),
            Some("team") => teams.push(id),
            _ => {}
        }
    }
    (users, teams)
}

/// Notes whom a note names, and tells them; they take part in the conversation from now on. Those.
pub(super) async fn note(
    tx: &mut WriteTx<'_>,
    scope: &Scope,
    c: &Conversation,
    message: &Message,
    by: &Performer,
) -> Result<Vec<UserId>> {
    let text = message.content.as_deref().filter(|_| message.private).unwrap_or_default();
    let (users, teams) = named_in(text);
    if users.is_empty() && teams.is_empty() {
        return Ok(Vec::new());
    }
    let (account, now) = (scope.account_id(), tx.now());
    let named = tx.all(&NAMED, args![account, users, teams, c.row.inbox_id]).await?;
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<i64> = named.iter().map(|(id, _)| id.0).collect();
    tx.run(&NOTE, args![account, c.row.id, ids, now]).await?;
    let users: Vec<UserId> = named.iter().map(|(id, _)| *id).collect();
    participants::add(tx, scope, c, &users).await?;
    let audience = Audience::tokens(named.iter().map(|(_, token)| token.clone()));
    let last = match c.row.last_public_message_id {
        Some(id) => super::get(tx, scope, id).await?,
        None => None,
    };
    let push = ConversationPush::of(tx, c, last.as_ref());
    events::emit(tx, scope, &Event::new("conversation.mentioned", audience).by(by), &push);
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_who_is_named() {
        let check = |text: &str, users: &[i64], teams: &[i64]| {
            assert_eq!(named_in(text), (users.to_vec(), teams.to_vec()), "{text}");
        };
        check("[@Ada](mention://user/1/Ada) and [@B](mention://user/22/B%20C)", &[1, 22], &[]);
        check("[@desk](mention://team/3/desk)", &[], &[3]);
        check("mention://user/1/Ada", &[], &[]);
        check("(mention://user/1/)", &[], &[]);
        check("(mention://user/x/Ada) (mention://user/1", &[], &[]);
    }
}
